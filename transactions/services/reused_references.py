"""Tell sessions of OCPP 2.0.1 apart to which a charger gave the same id, because it counts from 1 after each boot
or on each EVSE.

See decision 0033.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from core.db import bulk_sql
from transactions import sql
from transactions.services.event_content import ENDED, STARTED, Event

MEMBER = "transactionInfo.transactionId"


class Session(NamedTuple):
    """A session with the reference of an event, and what is known of it.

    `has_booted` says that its charger has booted after its end was received, or its last event if it has none.
    `is_stored` says that it has the event, `is_taken` that it has one of its number. `is_rivalled` says that another
    open one fits as well. `newest` is the recurrence of the newest one with the reference.
    """

    newest: int
    recurrence: int
    evse_id: int | None
    id_tag: str
    start_time: datetime
    stop_time: datetime | None
    stop_received_at: datetime | None
    has_clock_skew: bool
    has_booted: bool | None
    is_rivalled: bool
    received_until: datetime | None
    latest: datetime | None
    events: int
    is_stored: bool | None
    is_taken: bool | None
    has_start: bool | None
    number_of_end: int | None


def choose(events: Mapping[int, Event], digests: Mapping[int, int]) -> dict[int, int]:
    """Return {n: recurrence of the session to which it belongs} for `events` {n: event}; that of a new one is unused.

    An id that stands for a second session is a finding.
    """
    rows = [
        {"n": n, "charger": event.call.charger, "reference": event.reference}
        | {"seq_no": event.seq_no, "digest": digests[n], "timestamp": None if event.has_clock_skew else event.time}
        | {"is_start": event.event_type == STARTED}
        | ({"evse_id": event.evse_id} if event.evse_id else {})
        | ({"id_token": event.id_token} if event.id_token else {})
        for n, event in events.items()
    ]
    found: dict[int, list[Session]] = {n: [] for n in events}
    for n, *columns in bulk_sql.execute(sql.SESSIONS_OF_REFERENCE, rows):
        found[n].append(Session(*columns))
    return {n: _chosen(event, found[n]) for n, event in events.items()}


def _chosen(event: Event, near: list[Session]) -> int:
    """Return the recurrence of the session of `event`; `near` is the one that had begun at its time, and the next."""
    first = near[0]
    if not _follows(event, first):
        if _is_doubtful(event, first):
            event.call.find(MEMBER, "reused", event.reference)
        return first.recurrence
    if len(near) == 1:
        event.call.find(MEMBER, "reused", event.reference)
        return first.newest + 1
    return near[1].recurrence


def _is_doubtful(event: Event, session: Session) -> bool:
    """Whether `event` may not belong to `session` although it is taken for one of its events."""
    if session.is_stored:
        return False
    if event.event_type == STARTED:
        return bool(session.has_start)
    if session.is_rivalled or _is_elsewhere(event, session):
        return True
    if session.number_of_end is None:
        return False
    return event.event_type == ENDED or _is_after_end(event, session)


def _is_elsewhere(event: Event, session: Session) -> bool:
    return bool(event.evse_id and session.evse_id) and event.evse_id != session.evse_id


def _follows(event: Event, former: Session) -> bool:
    """Whether `event` belongs to a later session than `former`, see the table of decision 0033."""
    is_start = event.event_type == STARTED
    if is_start and not former.is_stored and _is_elsewhere(event, former):
        return True
    if former.stop_time is None:
        return _follows_open(event, former)
    if event.has_clock_skew:
        return is_start and bool(former.has_start and former.has_booted)
    if former.is_stored or not _is_after_end(event, former):
        return False
    return is_start or _is_counted_again(event, former)


def _is_after_end(event: Event, ended: Session) -> bool:
    """Whether `event` is later than the end; a wrong clock does not tell."""
    end = ended.stop_received_at if ended.has_clock_skew else ended.stop_time
    return end is not None and not event.has_clock_skew and event.time > end


def _is_counted_again(event: Event, ended: Session) -> bool:
    """Whether an event after the end has a number of the time before it, or any after a boot, though it counts."""
    end = ended.number_of_end or 0
    if ended.has_booted:
        return event.seq_no >= 0 and max(event.seq_no, end) > 0
    return bool(0 <= event.seq_no < end and ended.is_taken)


def _follows_open(event: Event, former: Session) -> bool:
    """A session has one start. A second one is another session, unless it may be the first one, sent again."""
    if event.event_type != STARTED or not former.has_start or former.is_stored:
        return False
    is_later = former.has_booted if event.has_clock_skew or former.has_clock_skew else _is_after(event, former)
    return bool(is_later) and (former.events > 1 or _is_of_another(event, former))


def _is_after(event: Event, former: Session) -> bool:
    return former.latest is not None and event.time > former.latest


def _is_of_another(event: Event, former: Session) -> bool:
    if not event.id_token or not former.id_tag:
        return False
    return event.id_token.casefold() != former.id_tag.casefold()
