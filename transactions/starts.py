"""Decide whether a StartTransaction repeats an equal message or begins a new session (decision 0018)."""

from datetime import datetime, timedelta
from typing import NamedTuple

from core.ocpp import timestamps
from transactions import energy

# A clock is right if a start arrives within this time of its timestamp.
ONLINE = timedelta(minutes=10)
# A running clock shows another second after this time.
TICK = timedelta(seconds=2)

# A repeated start finds its own row, even while another process inserts it.
START = """
INSERT INTO transactions_transaction AS t (charger_id, connector_id, id_tag, id_tag_status, reservation_id,
    start_time, raw_start_time, start_received_at, meter_start, raw_meter_start, clock_skew, start_message_id,
    recurrence, raw_stop_time, stop_reason, stop_id_tag)
SELECT s.*, '', '', '' FROM json_to_recordset(%s) AS s(charger_id bigint, connector_id int, id_tag text,
    id_tag_status text, reservation_id bigint, start_time timestamptz, raw_start_time text,
    start_received_at timestamptz, meter_start bigint, raw_meter_start text, clock_skew boolean,
    start_message_id text, recurrence int)
ON CONFLICT (charger_id, connector_id, id_tag, raw_start_time, meter_start, recurrence)
    DO UPDATE SET meter_start = excluded.meter_start
RETURNING t.charger_id, t.connector_id, t.id_tag, t.raw_start_time, t.meter_start, t.id, xmax = 0,
    t.is_id_used OR t.stop_received_at IS NOT NULL, t.start_message_id, t.start_time, t.start_received_at,
    t.raw_stop_time, t.stop_received_at, t.energy_wh,
    CASE WHEN xmax <> 0 THEN (SELECT last_boot_at FROM chargers_charger c WHERE c.id = t.charger_id) END,
    CASE WHEN xmax <> 0 THEN (SELECT connected_at FROM chargers_charger c WHERE c.id = t.charger_id) END,
    CASE WHEN xmax <> 0 THEN (SELECT max(n.recurrence) FROM transactions_transaction n
        WHERE n.charger_id = t.charger_id AND n.connector_id = t.connector_id AND n.id_tag = t.id_tag
            AND n.raw_start_time = t.raw_start_time AND n.meter_start IS NOT DISTINCT FROM t.meter_start) END
"""
NATURAL_KEY = ("charger_id", "connector_id", "id_tag", "raw_start_time", "meter_start")


class Equal(NamedTuple):
    """The transaction that an equal message began, or the new one if `is_new`.

    `is_used`: the charger has named its id since, so it has received the answer to its start.
    """

    id: int
    is_new: bool
    is_used: bool
    message_id: str
    start_time: datetime
    received_at: datetime
    raw_stop_time: str
    stop_received_at: datetime | None
    energy_wh: int | None
    booted_at: datetime | None
    connected_at: datetime | None
    newest_recurrence: int | None

    def is_before(self, moment: datetime | None) -> bool:
        """Return whether its start was received before `moment`; False if that is None."""
        return moment is not None and moment > self.received_at


def natural_key(start: dict) -> tuple:
    """Return the members of a start that identify a retry of it."""
    return tuple(start[column] for column in NATURAL_KEY)


def next_recurrence(start: dict, equal: Equal) -> int:
    """Return the recurrence to try after `equal`, another session: that of the newest session, or a new one."""
    return max(equal.newest_recurrence, start["recurrence"] + (start["recurrence"] == equal.newest_recurrence))


def is_same(start: dict, equal: Equal) -> bool:
    """Return whether `start` repeats the message that began `equal`.

    A charger that has not named the id may have missed the answer, and retries. A charger that has the answer sends
    an equal start for one of two reasons: it sends its queue twice, or its clock shows the same time again.
    """
    if equal.is_new or not equal.is_used:
        return True
    reconnected = equal.is_before(equal.connected_at) or equal.is_before(equal.booted_at)
    if start["start_message_id"] == equal.message_id and not reconnected:
        return True  # message ids are unique on one socket
    moment = timestamps.parse(start["raw_start_time"])
    if moment is None or moment < timestamps.PLAUSIBLE or _stood_still(start, equal):
        return False
    if energy.is_register(start["meter_start"]) and start["meter_start"] > 0 and equal.energy_wh:
        return True  # a register never decreases, so a new session would begin above it
    was_right = abs(equal.received_at - equal.start_time) <= ONLINE
    return was_right or not equal.is_before(equal.booted_at)


def _stood_still(start: dict, equal: Equal) -> bool:
    """Return whether the clock showed the same time at the start and at a stop more than TICK later."""
    ended = equal.stop_received_at
    return ended is not None and equal.raw_stop_time == start["raw_start_time"] and ended - equal.received_at > TICK
