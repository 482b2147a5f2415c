"""Record in the database when the sockets of chargers open and close."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from chargers.services import events
from core.db import bulk_sql

# The rows are locked, see `inbox.process_batch`. If the socket before has ended since this one was admitted, the
# charger was never offline. If it is still open, its connection was lost without a close, so the charger was offline
# since `last_seen`.
OPEN_SOCKETS = """
UPDATE chargers_charger c SET connected_at = s.admitted,
    disconnected_at = CASE WHEN c.disconnected_at >= s.admitted THEN NULL
        WHEN c.disconnected_at >= c.connected_at THEN c.disconnected_at
        WHEN c.last_seen < s.admitted THEN c.last_seen END,
    last_seen = greatest(c.last_seen, s.admitted)
FROM json_to_recordset(%s) AS s(id bigint, admitted timestamptz)
WHERE c.id = s.id AND (c.connected_at IS NULL OR c.connected_at < s.admitted)
RETURNING c.id, clock_timestamp(), c.connected_at, c.last_call_id, c.last_call_digest, c.last_answer
"""


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A socket of a charger (primary key) is open. `admitted` is the time at which its handshake was accepted."""

    charger: int
    admitted: datetime


class Newest(NamedTuple):
    """The newest socket of a charger, and the last CALL received by its earlier sockets.

    This CALL stays the last one, because one that another process is still writing is rolled back, see
    `retries.remember`.
    """

    opened_at: datetime
    last_call_id: str
    last_call_digest: str
    last_answer: str


def open_sockets(sockets):
    """Handle a batch of `ConnectionOpened`: return the `Newest` of each charger.

    CALLs carry `opened_at` of their socket, which shows whether it is still the newest one.

    Return None for a socket if one that was admitted later is open already. The order is settled here and not at
    `admit`, because a handshake that the charger has given up must not replace its open socket.
    """
    newest = {opened.charger: opened for opened in sorted(sockets, key=lambda opened: opened.admitted)}
    rows = [{"id": charger, "admitted": opened.admitted} for charger, opened in sorted(newest.items())]
    opened_rows = {}
    for charger, now, *columns in bulk_sql.execute(OPEN_SOCKETS, rows):
        opened_rows[charger] = Newest(*columns)
        events.record_event("charger.online", charger, since=now)  # later than the end of the socket before
    return [opened_rows.get(opened.charger) if newest[opened.charger] is opened else None for opened in sockets]


CLOSE_SOCKETS = """
UPDATE chargers_charger c SET disconnected_at = greatest(clock_timestamp(), c.connected_at)
FROM json_to_recordset(%s) AS s(id bigint, opened timestamptz)
WHERE c.id = s.id AND c.connected_at = s.opened
    AND (c.disconnected_at IS NULL OR c.disconnected_at < c.connected_at) RETURNING c.id, c.disconnected_at
"""


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """A socket of a charger (primary key) has ended. `opened` is the time when it was opened."""

    charger: int
    opened: datetime


def close_sockets(sockets):
    """Handle a batch of `ConnectionClosed`: mark each charger offline unless it has a newer socket."""
    rows = [{"id": closed.charger, "opened": closed.opened} for closed in sockets]
    for charger, moment in bulk_sql.execute(CLOSE_SOCKETS, rows):
        events.record_event("charger.offline", charger, since=moment)
    return [None] * len(sockets)


MOVES = (open_sockets, close_sockets)
