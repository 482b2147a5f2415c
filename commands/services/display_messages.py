"""The messages on the displays of chargers, as far as chargers accepted or reported them (OCPP 2.0.1, O01 to O06)."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from operator import itemgetter

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
    _store([(charger, shown)], accepted_at={charger: at})


def report(reports: Iterable[tuple[int, Iterable[Shown]]], at: Mapping[int, datetime]) -> dict[int, int]:
    """Store messages as chargers (primary keys) reported them; `at` is {charger: time of its report}.

    Return {charger: number} of those beyond MAX_MESSAGES, which are not stored.
    """
    found = [(charger, shown) for charger, reported in reports for shown in reported]
    rows = DisplayMessage.objects.filter(charger__in={charger for charger, _ in found})
    known = defaultdict(set)
    for charger, message_id in rows.values_list("charger_id", "message_id"):
        known[charger].add(message_id)
    stored, excess = [], Counter[int]()
    for charger, shown in found:
        if shown.message_id in known[charger] or len(known[charger]) < MAX_MESSAGES:
            known[charger].add(shown.message_id)
            stored.append((charger, shown))
        else:
            excess[charger] += 1
    _store(stored, reported_at=at)
    return excess


def _store(messages: Iterable[tuple[int, Shown]], **moments: Mapping[int, datetime]) -> None:
    """Store messages of chargers (primary keys), each in its row. `moments` are {charger: time}, by column."""
    found = {(charger, shown.message_id): shown for charger, shown in messages}
    named = Transaction.objects.named((charger, shown.transaction_reference) for (charger, _), shown in found.items())
    rows = []
    for (charger, _), shown in sorted(found.items(), key=itemgetter(0)):
        columns = (
            asdict(shown)
            | {"content": without_secrets(shown.content)}
            | {name: at[charger] for name, at in moments.items()}
        )
        transaction = named.get((charger, shown.transaction_reference))
        rows.append(DisplayMessage(charger_id=charger, transaction=transaction, **columns))
    replaced = {field.name for field in fields(Shown)} - {"message_id"}
    DisplayMessage.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["charger", "message_id"],
        update_fields=[*sorted(replaced), "transaction", *moments, "updated_at"],
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
