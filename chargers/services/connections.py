"""Record in the database when the sockets of chargers open and close."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from chargers import sql
from chargers.services import events
from core.db import bulk_sql


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A socket of a charger (primary key) is open, with the subprotocol `ocpp_version`.

    `admitted` is the time at which its handshake was accepted.
    """

    charger: int
    admitted: datetime
    ocpp_version: str


class Newest(NamedTuple):
    """The newest socket of a charger, and the last CALL received by its earlier sockets.

    This CALL stays the last one, because one that another process is still writing is rolled back, see
    `retries.check`.
    """

    opened_at: datetime
    last_call_id: str
    last_call_digest: str
    last_answer: str


def lock(chargers: set[int]) -> None:
    """Lock the rows of `chargers` (primary keys), in the order in which every batch locks them."""
    if chargers:
        bulk_sql.query(sql.LOCK_CHARGERS, [bulk_sql.array(sorted(chargers))])


def open_sockets(sockets: Sequence[ConnectionOpened]) -> list[Newest | None]:
    """Handle a batch of `ConnectionOpened`: return the `Newest` of each charger.

    CALLs carry `opened_at` of their socket, which shows whether it is still the newest one.

    Return None for a socket if one that was admitted later is open already. The order is settled here and not at
    `admit`, because a handshake that the charger has given up must not replace its open socket.
    """
    newest = {opened.charger: opened for opened in sorted(sockets, key=lambda opened: opened.admitted)}
    rows = [
        {"id": charger, "admitted": opened.admitted, "ocpp_version": opened.ocpp_version}
        for charger, opened in sorted(newest.items())
    ]
    opened_rows = {}
    for charger, now, *columns in bulk_sql.execute(sql.OPEN_SOCKETS, rows):
        opened_rows[charger] = Newest(*columns)
        events.record_event("charger.online", charger, since=now)  # later than the end of the socket before
    return [opened_rows.get(opened.charger) if newest[opened.charger] is opened else None for opened in sockets]


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """A socket of a charger (primary key) has ended. `opened` is the time when it was opened."""

    charger: int
    opened: datetime


def close_sockets(sockets: Sequence[ConnectionClosed]) -> list[None]:
    """Handle a batch of `ConnectionClosed`: mark each charger offline unless it has a newer socket."""
    rows = [{"id": closed.charger, "opened": closed.opened} for closed in sockets]
    for charger, moment in bulk_sql.execute(sql.CLOSE_SOCKETS, rows):
        events.record_event("charger.offline", charger, since=moment)
    return [None] * len(sockets)


# The handlers that write rows of chargers. Batches with one of them lock these rows first.
WRITERS_OF_CHARGERS = (open_sockets, close_sockets)
