"""The messages on the displays of chargers, as far as chargers accepted or reported them (OCPP 2.0.1, O01 to O06)."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from commands.models import DisplayMessage
from core.ocpp.redaction import without_secrets
from transactions.models import Transaction

ALWAYS_FRONT = "AlwaysFront"
MAX_MESSAGES = 1000  # of one charger; further ones that it reports are not stored


@dataclass(frozen=True, slots=True)
class Shown:
    """One message on a display. `transaction_reference` is the id that the charger gave its transaction."""

    message_id: int
    priority: str = ""
    state: str = ""
    start_at: datetime | None = None
    end_at: datetime | None = None
    transaction_reference: str = ""
    format: str = ""
    language: str = ""
    content: str = ""
    component: str = ""
    component_instance: str = ""
    evse_id: int | None = None
    connector_id: int | None = None


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which messages of a charger are meant; all of them without any criterion."""

    message_ids: tuple[int, ...] | None = None
    priority: str = ""
    state: str = ""


def accept(charger: int, shown: Shown, at: datetime) -> None:
    """Store that `charger` (primary key) accepted a message from here; it replaces the one with the same id (O06).

    A message that is always in front also replaces the others that are (O01.FR.16).
    """
    if shown.priority == ALWAYS_FRONT:
        remove(charger, Criteria(priority=ALWAYS_FRONT), at)
    _store(charger, shown, accepted_at=at)


def report(charger: int, reported: Iterable[Shown], at: datetime) -> int:
    """Store messages as `charger` (primary key) reported them; return how many were beyond MAX_MESSAGES."""
    known = set(DisplayMessage.objects.filter(charger=charger).values_list("message_id", flat=True))
    excess = 0
    for shown in reported:
        if shown.message_id in known or len(known) < MAX_MESSAGES:
            known.add(shown.message_id)
            _store(charger, shown, reported_at=at)
        else:
            excess += 1
    return excess


def _store(charger: int, shown: Shown, **moments: datetime) -> None:
    transaction = None
    if reference := shown.transaction_reference:
        transaction = Transaction.objects.filter(charger=charger).with_reference(reference).first()
    columns = asdict(shown) | {"content": without_secrets(shown.content), "transaction": transaction} | moments
    DisplayMessage.objects.update_or_create(
        charger_id=charger, message_id=columns.pop("message_id"), defaults=columns
    )


def remove(charger: int, criteria: Criteria, before: datetime, except_for: Iterable[int] = ()) -> None:
    """Delete the messages of `charger` (primary key) that meet all `criteria`, because it no longer has them.

    `except_for` are the ids of those that it has. One that it accepted from here after `before` stays.
    """
    gone = _meeting(charger, criteria).exclude(message_id__in=list(except_for))
    gone.filter(Q(accepted_at=None) | Q(accepted_at__lt=before)).delete()


def _meeting(charger: int, criteria: Criteria) -> QuerySet[DisplayMessage]:
    rows = DisplayMessage.objects.filter(charger=charger)
    if criteria.message_ids is not None:
        rows = rows.filter(message_id__in=criteria.message_ids)
    if criteria.priority:
        rows = rows.filter(priority=criteria.priority)
    return rows.filter(state=criteria.state) if criteria.state else rows


def is_taken(charger: int, message_id: int) -> bool:
    """Whether `charger` (primary key) has a message with this id."""
    return DisplayMessage.objects.filter(charger=charger, message_id=message_id).exists()
