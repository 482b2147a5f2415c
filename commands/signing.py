"""Sign certificate requests of chargers in a worker, after the charger has its answer."""

import logging

from django.db import transaction

from commands import authority
from commands.models import CertificateRequest
from commands.submission import submit_internal
from core.ocpp import schemas

logger = logging.getLogger(__name__)


def sign_waiting():
    """Sign waiting requests, and submit the command that sends each certificate to its charger."""
    for pk in CertificateRequest.objects.filter(state=CertificateRequest.RECEIVED).values_list("pk", flat=True):
        with transaction.atomic():
            waiting = CertificateRequest.objects.select_for_update(skip_locked=True, of=("self",))
            request = waiting.select_related("charger").filter(pk=pk, state=CertificateRequest.RECEIVED).first()
            if request:
                _sign(request)


def _sign(request):
    try:
        certificate, chain = authority.sign(request.csr)
        schemas.check("CertificateSigned", {"certificateChain": chain})
    except Exception as error:  # noqa: BLE001  (the files of a custom authority may be wrong in many ways)
        logger.error(
            "The certificate of %s could not be signed. Check the files in CA_DIR. The error was: %s",
            request.charger,
            error,
        )
        request.state, request.error = CertificateRequest.FAILED, str(error)
    else:
        request.state, request.certificate_chain = CertificateRequest.SIGNED, chain
        request.serial_number = f"{certificate.serial_number:x}"
        request.not_after = certificate.not_valid_after_utc
        request.command = submit_internal(request.charger, "CertificateSigned", {"certificateChain": chain})
    request.save()
