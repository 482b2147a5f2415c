"""Store refused messages about transactions, which an operator can apply later."""

from datetime import datetime
from typing import NamedTuple

from django.db import transaction as database

from core.ocpp.tolerance import INT64
from transactions import metrics
from transactions.models import OrphanStop


class RefusedMessage(NamedTuple):
    """A refused message of a charger (primary key): `payload` is JSON or any text, `reason` that of the refusal."""

    charger: int
    action: str
    payload: str
    reason: str
    received_at: datetime
    ocpp_version: str


def store(messages: list[RefusedMessage]) -> list[None]:
    """Store refused messages. A repeated message is stored once."""
    new = OrphanStop.keep(map(_row, messages))
    database.on_commit(lambda: metrics.count_refused(new))
    return [None] * len(messages)


def _row(message: RefusedMessage) -> OrphanStop:
    row = OrphanStop(charger_id=message.charger, action=message.action, received_at=message.received_at)
    row.ocpp_version = message.ocpp_version
    # PostgreSQL cannot store U+0000 in a text.
    row.payload, row.refused_because = (
        text.replace("\0", "\N{REPLACEMENT CHARACTER}") for text in (message.payload, message.reason)
    )
    named = row.request.get("transactionId")
    if isinstance(named, int) and not isinstance(named, bool) and abs(named) <= INT64:
        row.reported_transaction_id = named
    return row
