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
from core.ocpp.versions import OCPP16

logger = logging.getLogger(__name__)

ALREADY_PENDING = "a certificate request of this charger is already pending"
CHARGER_DELETED = "the charger was deleted before its request was signed"
REJECTED_REQUEST = "SignCertificateRejected"  # a security event that the central system records itself


class Requested(NamedTuple):
    """A charger requests a certificate; `csr` is in PEM."""

    call: Call
    csr: str


def accept(requested: list[Requested]) -> set[CallKey]:
    """Store requests for a certificate within the budget. Return the keys of the accepted calls.

    `sign_waiting` signs them after the answer (security whitepaper A02).
    """
    within = budgets.within_rate(requested, "certificate_requests")
    requests = {call.key: _request(call, csr) for call, csr in within}
    CertificateRequest.objects.bulk_create(requests.values())
    for call, _ in within:
        _report(call.charger, requests[call.key])
    return {key for key, request in requests.items() if request.state != CertificateRequest.REJECTED}


def _request(call: Call, csr: str) -> CertificateRequest:
    request = CertificateRequest(charger_id=call.charger, csr=csr, received_at=call.received_at)
    try:
        request.common_name = authority.read_request(csr).common_name
        _refuse_foreign_name(call.charger, request.common_name)
        _refuse_second(call.charger)
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


def _refuse_second(charger: int) -> None:
    """Allow one request at a time, so that a charger that repeats its request does not fill the queue."""
    waiting = Q(state=CertificateRequest.RECEIVED) | Q(
        state=CertificateRequest.SIGNED, command__state__in=[QUEUED, SENT]
    )
    if CertificateRequest.objects.filter(waiting, charger=charger).exists():
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

    Return 0 for a certificate that was revoked, or whose charger was deleted.
    """
    number = serial.lower().lstrip("0")
    signed = CertificateRequest.objects.exclude(serial_number="").filter(serial_number=number).first()
    if signed is None:
        return None
    return 0 if signed.state == CertificateRequest.REVOKED else signed.charger_id or 0


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
    try:
        certificate, chain = authority.sign(request.csr)
        OCPP16.schemas.check_request("CertificateSigned", {"certificateChain": chain})
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
        request.command = submit_internal(charger, "CertificateSigned", {"certificateChain": chain})
    request.save()
