"""Accept certificate requests of chargers, and sign them in a worker, after the charger has its answer."""

import logging
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q

from chargers.models import Charger, SecurityEvent
from chargers.services import budgets, events
from commands.models import QUEUED, SENT, CertificateRequest
from commands.services import authority
from commands.services.creation import submit_internal
from core.ocpp.calls import Call, CallKey

logger = logging.getLogger(__name__)

ALREADY_PENDING = "a certificate request of this charger is already pending"
CHARGER_DELETED = "the charger was deleted before its request was signed"
REJECTED_REQUEST = "SignCertificateRejected"  # a security event that the central system records itself
V2G = "V2GCertificate"  # the type of a certificate for cars; any other is for the connection to this system


class Requested(NamedTuple):
    """A charger requests a certificate; `csr` is in PEM, `kind` its type as sent, "" where the message has none."""

    call: Call
    csr: str
    kind: str = ""


def accept(requested: list[Requested]) -> set[CallKey]:
    """Store requests for a certificate within the budget. Return the keys of the accepted calls.

    `sign_waiting` signs them after the answer (security whitepaper A02).
    """
    within = budgets.within_rate(requested, "certificate_requests")
    requests = {request.call.key: _request(request) for request in within}
    CertificateRequest.objects.bulk_create(requests.values())
    for call, *_ in within:
        _report(call.charger, requests[call.key])
    return {key for key, request in requests.items() if request.state != CertificateRequest.REJECTED}


def _request(requested: Requested) -> CertificateRequest:
    call, csr, kind = requested
    columns = {"charger_id": call.charger, "csr": csr, "certificate_type": kind, "received_at": call.received_at}
    request = CertificateRequest(**columns)
    try:
        request.common_name = authority.read_request(csr).common_name
        _refuse_foreign_name(call.charger, request.common_name)
        _refuse_second(call.charger, kind)
    except authority.Unsuitable as error:
        request.state, request.error = CertificateRequest.REJECTED, str(error)
    return request


def _refuse_foreign_name(charger: int, name: str) -> None:
    """Raise `authority.Unsuitable` unless `name` is of this charger alone, because certificates log in by name."""
    others = Charger.objects.exclude(pk=charger)
    if others.filter(identity=name).exists():
        raise authority.Unsuitable(f"{name!r} is the id of another charger")
    if others.filter(held_serials__serial=name).exists():
        raise authority.Unsuitable(f"{name!r} is the serial number of another charger, which reported it first")
    if name not in Charger.objects.get(pk=charger).certificate_names:
        raise authority.Unsuitable(f"{name!r} is not the serial number or id of this charger")


def _refuse_second(charger: int, kind: str) -> None:
    """Allow one request of a type at a time, so that a charger that repeats its request does not fill the queue."""
    waiting = Q(state=CertificateRequest.RECEIVED) | Q(
        state=CertificateRequest.SIGNED, command__state__in=[QUEUED, SENT]
    )
    if CertificateRequest.objects.filter(waiting, charger=charger, certificate_type=kind).exists():
        raise authority.Unsuitable(ALREADY_PENDING)


def _report(charger: int, request: CertificateRequest) -> None:
    """Record in the log and in the security events of the charger why a request was rejected, if it was."""
    if request.state != CertificateRequest.REJECTED or request.error == ALREADY_PENDING:
        return
    logger.warning("%s: the certificate request of this charger is rejected: %s", request.charger, request.error)
    SecurityEvent.objects.create(
        charger_id=charger,
        type=REJECTED_REQUEST,
        timestamp=request.received_at,
        tech_info=request.error,
        received_at=request.received_at,
    )
    events.record_event(
        "security.event",
        charger,
        type=REJECTED_REQUEST,
        tech_info=request.error,
        timestamp=request.received_at,
    )


def certificate_owner(serial: str) -> int | None:
    """Return the primary key of the charger whose certificate with this serial number (hex) was signed here, or None.

    Return 0 for a certificate that was revoked, is for cars, or whose charger was deleted.
    """
    number = serial.lower().lstrip("0")
    signed = CertificateRequest.objects.exclude(serial_number="").filter(serial_number=number).first()
    if signed is None:
        return None
    is_unusable = signed.state == CertificateRequest.REVOKED or signed.certificate_type == V2G
    return 0 if is_unusable else signed.charger_id or 0


def sign_waiting() -> None:
    """Sign waiting requests, and submit the command that sends each certificate to its charger."""
    for pk in CertificateRequest.objects.filter(state=CertificateRequest.RECEIVED).values_list("pk", flat=True):
        with transaction.atomic():
            waiting = CertificateRequest.objects.select_for_update(skip_locked=True, of=("self",))
            request = waiting.select_related("charger").filter(pk=pk, state=CertificateRequest.RECEIVED).first()
            if request and request.charger:
                _sign(request, request.charger)
            elif request:
                request.state, request.error = CertificateRequest.FAILED, CHARGER_DELETED
                request.save()


def _sign(request: CertificateRequest, charger: Charger) -> None:
    kind = request.certificate_type
    try:
        certificate, chain = authority.sign_v2g(request.csr) if kind == V2G else authority.sign(request.csr)
        payload = {"certificateChain": chain} | ({"certificateType": kind} if kind else {})  # A02.FR.14
        charger.version.schemas.check_request("CertificateSigned", payload)
    except Exception as error:  # noqa: BLE001  (the files of a custom authority may be wrong in many ways)
        logger.error(
            "The certificate of %s could not be signed. Check the files in CA_DIR. The error was: %s",
            charger,
            error,
        )
        request.state, request.error = CertificateRequest.FAILED, str(error)
    else:
        request.state, request.certificate_chain = CertificateRequest.SIGNED, chain
        request.serial_number = f"{certificate.serial_number:x}"
        request.not_after = certificate.not_valid_after_utc
        request.command = submit_internal(charger, "CertificateSigned", payload)
    request.save()
