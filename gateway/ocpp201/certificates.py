"""Handle the messages of OCPP 2.0.1 about certificates (A02, M). Each function answers CALLs of one action."""

import base64
from typing import Any

from commands.services import ev_certificates, ocsp, signing
from commands.services.inquiries import Inquiry, record
from core.ocpp.calls import Call
from core.ocpp.redaction import without_secrets
from gateway.common import Lookup

MAX_OCSP_LENGTH = 5500  # characters of ocspResult
NO_ANSWER = "No request was sent to a server, or it did not answer in time."
JSON = dict[str, Any]


def _always(payload: JSON) -> bool:
    return True


def sign_certificate(calls: list[Call]) -> list[JSON]:
    """Accept or reject requests for a certificate (A02, A03)."""
    accepted = signing.accept([_requested(call) for call in calls])
    return [{"status": "Accepted" if call.key in accepted else "Rejected"} for call in calls]


def _requested(call: Call) -> signing.Requested:
    return signing.Requested(call, call.payload["csr"], call.payload.get("certificateType", ""))


# --- GetCertificateStatus --------------------------------------------------------------------


def _request_status(call: Call, charger_id: str) -> ocsp.Answer | str:
    """Return the answer of the responder that the charger names, or the reason why there is none."""
    try:
        return ocsp.request(ocsp.Question.of(call.payload["ocspRequestData"]))
    except ocsp.Unanswered as error:
        return str(error)


def get_certificate_status(calls: list[Call]) -> list[JSON]:
    """Pass on the answers of OCSP responders (M06)."""
    answers = [_status_answer(call) for call in calls]
    record(
        Inquiry(
            call,
            subject=call.payload["ocspRequestData"]["serialNumber"],
            status=answer["status"],
            server=without_secrets(call.payload["ocspRequestData"]["responderURL"]),
            detail=_status_detail(call),
        )
        for call, answer in zip(calls, answers, strict=True)
    )
    return answers


def _status_answer(call: Call) -> JSON:
    if not isinstance(call.fetched, ocsp.Answer):
        return {"status": "Failed"}
    result = base64.b64encode(call.fetched.der).decode()
    if len(result) > MAX_OCSP_LENGTH:
        return {"status": "Failed"}
    return {"status": "Accepted", "ocspResult": result}


def _status_detail(call: Call) -> str:
    if isinstance(call.fetched, ocsp.Answer):
        return f"The certificate is {call.fetched.status.name.lower()}."
    return call.fetched or NO_ANSWER


# --- Get15118EVCertificate -------------------------------------------------------------------


def _request_certificate(call: Call, charger_id: str) -> ev_certificates.Answer:
    sent = call.payload
    schema_version = sent.get("iso15118SchemaVersion", "")
    return ev_certificates.request(sent["action"], schema_version, sent["exiRequest"], charger_id)


def get_15118_ev_certificate(calls: list[Call]) -> list[JSON]:
    """Pass on the answers of the provider of contract certificates (M01, M02)."""
    answers = [call.fetched or ev_certificates.failed(NO_ANSWER) for call in calls]
    server = ev_certificates.server()
    record(
        Inquiry(call, call.payload["action"], answer.status, server, answer.detail)
        for call, answer in zip(calls, answers, strict=True)
    )
    return [{"status": answer.status, "exiResponse": answer.exi_response} for answer in answers]


OCSP = Lookup(_always, _request_status)
PROVIDER = Lookup(_always, _request_certificate)
