"""Certificates that chargers asked for are signed in a worker, after the charger has its answer."""

import logging

from django.db import transaction

from chargers import schemas
from commands import authority
from commands.models import CertificateRequest
from commands.submission import submit_internal

logger = logging.getLogger(__name__)


def sign_waiting():
    """Sign what was asked for, and send each certificate to its charger."""
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
    except Exception as error:  # noqa: BLE001  (an authority of somebody's own may be wrong in many ways)
        logger.error("The certificate of %s could not be signed: %s", request.charger, error)
        request.state, request.error = CertificateRequest.FAILED, str(error)
    else:
        request.state, request.certificate_chain = CertificateRequest.SIGNED, chain
        request.serial_number = f"{certificate.serial_number:x}"
        request.not_after = certificate.not_valid_after_utc
        request.command = submit_internal(request.charger, "CertificateSigned", {"certificateChain": chain})
    request.save()
