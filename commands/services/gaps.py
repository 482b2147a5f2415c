"""Request TransactionEvents that have not arrived, by GetTransactionStatus (OCPP 2.0.1 E14)."""

from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from chargers.models import ONLINE, Charger
from commands.services.creation import submit_internal
from transactions.models import Transaction

ACTION = "GetTransactionStatus"
GRACE = timedelta(seconds=5)  # in which events may arrive in another order
MAX_PER_SWEEP = 100


def request_missing() -> None:
    """Submit GetTransactionStatus for each transaction with a gap, once on each connection of its charger.

    The charger delivers the events that it still has. `missing_since` of the transaction is cleared by them alone.
    """
    due = Q(missing_requested_at=None) | Q(missing_requested_at__lt=F("charger__connected_at"))
    online = Charger.objects.filter(ONLINE)
    gaps = Transaction.objects.filter(due, missing_since__lt=Now() - GRACE, charger__in=online)
    for incomplete in gaps.select_related("charger").order_by("pk")[:MAX_PER_SWEEP]:
        with transaction.atomic():
            submit_internal(incomplete.charger, ACTION, {"transactionId": incomplete.own_reference})
            Transaction.objects.filter(pk=incomplete.pk).update(missing_requested_at=Now())
