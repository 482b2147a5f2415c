"""Check the contract certificate in an Authorize of OCPP 2.0.1 (C07)."""

from typing import Any

from commands.services import contract_certificates
from commands.services.contract_certificates import UNCHECKED, Contract, Verdict
from commands.services.inquiries import Inquiry, record
from core.ocpp.calls import Call
from gateway.common import Lookup

JSON = dict[str, Any]


def has_contract(payload: JSON) -> bool:
    """Whether the message has a contract certificate, or the data for OCSP of one."""
    return bool(payload.get("certificate") or payload.get("iso15118CertificateHashData"))


def _check(call: Call, charger_id: str) -> Verdict:
    hash_data = call.payload.get("iso15118CertificateHashData", [])
    contract = Contract(call.payload["idToken"]["idToken"], call.payload.get("certificate", ""), tuple(hash_data))
    return contract_certificates.check(contract)


def with_contract(call: Call, token: JSON) -> JSON:
    """Return the answer to an Authorize: `token` is its idTokenInfo by the token alone (C07.FR.13 to 17)."""
    if not has_contract(call.payload):
        return {"idTokenInfo": token}
    certificate_status, status = (call.fetched or UNCHECKED).answer(token["status"])
    return {"idTokenInfo": token | {"status": status}, "certificateStatus": certificate_status}


def record_contracts(calls: list[Call], answers: list[JSON]) -> None:
    """Store which contract certificates were presented, and with what result."""
    record(
        _inquiry(call, answer["certificateStatus"])
        for call, answer in zip(calls, answers, strict=True)
        if "certificateStatus" in answer
    )


def _inquiry(call: Call, status: str) -> Inquiry:
    verdict = call.fetched or UNCHECKED
    return Inquiry(call, call.payload["idToken"]["idToken"], status, verdict.servers, verdict.reason)


CONTRACT = Lookup(has_contract, _check)
