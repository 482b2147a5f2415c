"""Store plain TransactionEvents, which bring nothing but readings, with the rows of these (decision 0034).

The row of the first reading has the number and the trigger of the event, and as JSON the members that most do not
have: columns of `TransactionEvent`, and the time where that of the reading differs. Its `message_hash` is the digest
of the event.
"""

from collections.abc import Sequence

import orjson

from transactions.services import readings
from transactions.services.event_content import UPDATED, Event
from transactions.services.readings import EventMark, Readings, as_stored

# The columns of a plain event besides those that each has. The first three must have the values that are known.
MEMBERS = frozenset({"evse_id", "connector_id", "charging_state", "offline", "details"})
KNOWN = ("evse_id", "connector_id", "charging_state")


def store(events: Sequence[Event], messages: Sequence[Readings], plain: Sequence[int]) -> dict[int, bool]:
    """Count `messages`, those of the `plain` ones of `events`, and mark them, so that `readings.store` stores these.

    Return {index: whether there are tariffs}. An event that is not the next one of an open transaction is left out.
    """
    rows, marks = [], {}
    for n in plain:
        event, more = events[n], events[n].others
        names = {"n": n, "charger": event.call.charger, "reference": event.reference, "seq_no": event.seq_no}
        rows.append(names | {name: more[name] for name in KNOWN if name in more} if more else names)
        marks[n] = _mark(event, messages[n])
    stored = readings.count_by_events(messages, sorted(rows, key=lambda row: row["charger"]))
    for n in stored:
        messages[n].event = marks[n]
    return stored


def may_be(event: Event, message: Readings) -> bool:
    """Whether the content of an event is that of a plain one."""
    return (
        event.event_type == UPDATED
        and event.seq_no > 0
        and bool(message.values and message.values[0].samples)
        and MEMBERS.issuperset(event.others)
    )


def _mark(event: Event, message: Readings) -> EventMark:
    more = event.others
    if event.raw_time != as_stored(message.values[0].raw_time):
        more = more | {"timestamp": event.time, "raw_timestamp": event.raw_time}
    members = orjson.dumps(more).decode() if more else ""
    return EventMark(event.seq_no, event.digest, event.trigger_reason, members)
