"""Tell sessions of OCPP 2.0.1 apart to which a charger gave the same id, because it counts from 1 after each boot.

See decision 0033.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from core.db import bulk_sql
from core.ocpp.calls import Call
from transactions import sql

STARTED = "Started"
MEMBER = "transactionInfo.transactionId"


class AnEvent(Protocol):
    """The members of a `transaction_events.Event` that are compared."""

    call: Call
    reference: str
    seq_no: int
    event_type: str
    time: datetime
    has_clock_skew: bool
    id_token: str | None


class Session(NamedTuple):
    """A session with the reference of an event, and what is known of it.

    `has_booted` says that its charger has booted after its end was received, or its last event if it has none.
    `is_stored` says that it has the event, `is_taken` that it has one of its number.
    """

    recurrence: int
    id_tag: str
    start_time: datetime
    stop_time: datetime | None
    stop_received_at: datetime | None
    has_clock_skew: bool
    has_booted: bool | None
    received_until: datetime | None
    latest: datetime | None
    events: int
    is_stored: bool | None
    is_taken: bool | None
    has_start: bool | None
    number_of_end: int | None


def choose(events: Mapping[int, AnEvent], digests: Mapping[int, int]) -> dict[int, int]:
    """Return {n: recurrence of the session to which it belongs} for `events` {n: event}; that of a new one is unused.

    An id that stands for a second session is a finding.
    """
    rows = [
        {"n": n, "charger": event.call.charger, "reference": event.reference}
        | {"seq_no": event.seq_no, "digest": digests[n], "timestamp": None if event.has_clock_skew else event.time}
        for n, event in events.items()
    ]
    found: dict[int, list[Session]] = {n: [] for n in events}
    for n, *columns in bulk_sql.execute(sql.SESSIONS_OF_REFERENCE, rows):
        found[n].append(Session(*columns))
    return {n: _chosen(event, found[n]) for n, event in events.items()}


def _chosen(event: AnEvent, near: list[Session]) -> int:
    """Return the recurrence of the session of `event`; `near` is the one that had begun at its time, and the next."""
    first = near[0]
    if not _follows(event, first):
        if event.event_type == STARTED and first.has_start and not first.is_stored:
            event.call.find(MEMBER, "reused", event.reference)
        return first.recurrence
    if len(near) == 1:
        event.call.find(MEMBER, "reused", event.reference)
    return first.recurrence + 1


def _follows(event: AnEvent, former: Session) -> bool:
    """Whether `event` belongs to a later session than `former`, see the table of decision 0033."""
    if former.stop_time is None:
        return _follows_open(event, former)
    is_start = event.event_type == STARTED
    if event.has_clock_skew:
        return is_start and bool(former.has_start and former.has_booted)
    if former.is_stored:
        return False
    end = former.stop_received_at if former.has_clock_skew else former.stop_time
    if end is None or event.time <= end:
        return False
    return is_start or _is_counted_again(event, former)


def _is_counted_again(event: AnEvent, ended: Session) -> bool:
    """Whether an event after the end has a number of the time before it, though its charger counts."""
    end = ended.number_of_end or 0
    if 0 <= event.seq_no < end:
        return bool(ended.is_taken or ended.has_booted)
    return event.seq_no == end > 0 and bool(ended.has_booted)


def _follows_open(event: AnEvent, former: Session) -> bool:
    """A session has one start. A second one is another session, unless it may be the first one, sent again."""
    if event.event_type != STARTED or not former.has_start or former.is_stored:
        return False
    is_later = former.has_booted if event.has_clock_skew or former.has_clock_skew else _is_after(event, former)
    return bool(is_later) and (former.events > 1 or _is_of_another(event, former))


def _is_after(event: AnEvent, former: Session) -> bool:
    return former.latest is not None and event.time > former.latest


def _is_of_another(event: AnEvent, former: Session) -> bool:
    if not event.id_token or not former.id_tag:
        return False
    return event.id_token.casefold() != former.id_tag.casefold()
