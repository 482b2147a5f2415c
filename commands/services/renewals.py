"""Send requests to renew certificates that expire soon (OCPP 2.0.1 A02, security whitepaper A02)."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from chargers.models import NOT_ACCEPTED, Charger
from chargers.models.charger import ONLINE
from commands.actions.table import RENEWALS
from commands.models import CertificateRequest
from commands.services.creation import submit_internal
from commands.services.signing import V2G
from core.db import bulk_sql

INTERVAL_S = 600  # between two searches for such certificates
PAUSE = timedelta(days=1)  # until the next request to a charger
MAX_AT_ONCE = 100


def request_renewals() -> int:
    """Submit a trigger for each certificate that expires soon and whose charger is online; return their number."""
    if not settings.OCPP_CERTIFICATE_RENEWAL_DAYS:
        return 0
    return sum(_request(pk) for pk in _expiring().values_list("pk", flat=True)[:MAX_AT_ONCE])


def _expiring() -> QuerySet[CertificateRequest]:
    now = bulk_sql.clock()
    soon = now + timedelta(days=settings.OCPP_CERTIFICATE_RENEWAL_DAYS)
    later = CertificateRequest.objects.filter(
        charger=OuterRef("charger"), certificate_type=OuterRef("certificate_type"), pk__gt=OuterRef("pk")
    ).exclude(state__in=[CertificateRequest.REJECTED, CertificateRequest.FAILED])
    due = Q(renewal_requested_at=None) | Q(renewal_requested_at__lt=now - PAUSE)
    online = Charger.objects.filter(ONLINE).exclude(NOT_ACCEPTED)
    accepted = CertificateRequest.objects.filter(state=CertificateRequest.ACCEPTED, not_after__lt=soon)
    return accepted.filter(due, ~Exists(later), charger__in=online)


@transaction.atomic
def _request(pk: int) -> bool:
    """Submit the command for one certificate. Another worker may have done so meanwhile."""
    rows = CertificateRequest.objects.select_for_update(skip_locked=True, of=("self",))
    request = rows.select_related("charger").filter(pk__in=_expiring().values("pk"), pk=pk).first()
    if request is None or request.charger is None:
        return False
    command = RENEWALS[request.charger.version].get(request.certificate_type == V2G)
    if command is not None:
        submit_internal(request.charger, *command)
    request.renewal_requested_at = bulk_sql.clock()
    request.save(update_fields=["renewal_requested_at"])
    return command is not None
