"""Store the requests to other servers about certificates, once for each message."""

from collections.abc import Iterable
from dataclasses import dataclass

from commands.models import CertificateInquiry
from core.ocpp.calls import Call

MAX_DETAIL_LENGTH = 1000


@dataclass(frozen=True)
class Inquiry:
    """The request to another server for `call`, and its result; the columns are those of `CertificateInquiry`."""

    call: Call
    subject: str
    status: str
    server: str = ""
    detail: str = ""


def record(inquiries: Iterable[Inquiry]) -> None:
    """Store `inquiries`. One of a repeated message changes nothing."""
    rows = [
        CertificateInquiry(
            charger_id=inquiry.call.charger,
            action=inquiry.call.action,
            subject=inquiry.subject,
            server=inquiry.server,
            status=inquiry.status,
            detail=inquiry.detail[:MAX_DETAIL_LENGTH],
            call_id=inquiry.call.message_id,
            received_at=inquiry.call.received_at,
        )
        for inquiry in inquiries
    ]
    CertificateInquiry.objects.bulk_create(rows, ignore_conflicts=True)
