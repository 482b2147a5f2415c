"""Duplicate detection: a repeated CALL changes nothing (decision 0026).

Most CALLs are found by the records that they have left, however many CALLs were received since. Where that is not
enough, the last CALL of a charger is stored in the charger's row with its answer. A charger has one CALL under way,
so it most likely repeats this one, on the same socket or on a new one (J §4.1.1, J errata 3.1).
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from chargers.models import Charger, effective_status
from chargers.services import connections
from core.db import bulk_sql, sealing
from core.ocpp import frames
from core.ocpp.calls import Call, CallKey
from core.ocpp.redaction import masked
from gateway import sql
from gateway.commits import RefusedItems

logger = logging.getLogger(__name__)

MAX_REMEMBERED_ANSWERS = 8  # answers of one socket that are sent again for a repeated CALL


class StaleConnection(Exception):
    """The outcome of a call that was received by a socket which is not the newest of its charger."""


def remember(calls: Sequence[Call], seen: Mapping[int, datetime]) -> None:
    """Write `last_seen` of every charger in `seen` ({primary key: time}) and the answers of `calls`.

    A recorded call removes the stored answer, because its charger has got on with another CALL.
    """
    rows: dict[int, dict[str, object]] = {charger: {"id": charger, "seen": at} for charger, at in seen.items()}
    for call in calls:
        # A refusal is not stored, because the charger may repeat the call after it has been accepted. An idempotent
        # action and a reading are not stored, because they would displace a CALL that must not be processed twice.
        if call.action not in call.version.unlocked and frames.is_result(call.answer):
            row = rows.setdefault(call.charger, {"id": call.charger, "seen": call.received_at})
            row |= {"call_id": "", "digest": "", "answer": ""}
            if call.action not in call.version.recorded:
                row |= {"call_id": call.message_id, "digest": call.digest, "answer": _as_stored(call)}
    bulk_sql.execute(sql.REMEMBER, [rows[key] for key in sorted(rows)])


def check(calls: Sequence[Call]) -> dict[int, str]:
    """Return {primary key: effective status} of the chargers of `calls` that are not accepted (see `acceptance`).

    Raise `RefusedItems` with a `StaleConnection` for each call by a socket that is not the newest of its charger. The
    charger has no answer to these calls, and repeats them on its newest socket.
    """
    obstacles = _obstacles(calls)
    if stale := _stale(calls, obstacles):
        raise RefusedItems(stale)
    return {row.charger: effective_status(row.boot_policy, row.registration_status) for row in obstacles}


class Obstacle(NamedTuple):
    """A reason to refuse calls of a charger that were received by the socket opened at `opened`.

    A newer socket has replaced this one, the charger has been deleted, or it is not accepted.
    """

    charger: int
    opened: datetime | None
    is_replaced: bool
    boot_policy: str
    registration_status: str


def _obstacles(calls: Sequence[Call]) -> list[Obstacle]:
    sockets = {(call.charger, call.socket) for call in calls}
    rows = [{"charger": charger, "opened": opened} for charger, opened in sockets]
    return [*map(Obstacle._make, bulk_sql.execute(sql.OBSTACLES, rows))]


def _stale(calls: Sequence[Call], obstacles: Sequence[Obstacle]) -> dict[CallKey, StaleConnection]:
    replaced = {(row.charger, row.opened) for row in obstacles if row.is_replaced}
    return {call.key: StaleConnection() for call in calls if (call.charger, call.socket) in replaced}


def _as_stored(call: Call) -> str:
    """Return the answer of `call`, encrypted if a vendor's function has put a secret in it."""
    if (
        call.action not in call.version.answered_by_vendors
        or masked(call.answer, call.version, call.action) == call.answer
    ):
        return call.answer
    return sealing.seal(call.answer)


def as_sent(stored: str) -> str | None:
    """Decrypt the column `last_answer` of a charger. Return None if no key can; the call is then processed again."""
    try:
        return sealing.unseal(stored) if stored.startswith(sealing.TOKEN) else stored
    except sealing.Unreadable as error:
        logger.warning("A repeated CALL is processed again, because its stored answer cannot be decrypted: %s", error)
        return None


class RecentAnswers:
    """The answers of one socket that are sent again for a repeated CALL, and `newest`, that of the former socket."""

    def __init__(self, newest: connections.Newest) -> None:
        self.newest = newest
        self.answers: dict[str, tuple[str, str]] = {}  # {message id: (digest, answer)}

    def find(self, frame: frames.CallFrame) -> str | None:
        """Return the answer already sent to this CALL. Raise `UnusableCall` for another CALL with its id."""
        if frame.message_id == self.newest.last_call_id and frame.digest == self.newest.last_call_digest:
            return as_sent(self.newest.last_answer)
        if frame.message_id not in self.answers:
            return None
        digest, answer = self.answers[frame.message_id]
        if digest != frame.digest:
            raise frames.UnusableCall("GenericError", "This message id was used for another CALL.")
        return answer

    def add(self, call: Call) -> None:
        """Add the answer of `call`, a result, unless `call` may be processed again (see `Version.unlocked`)."""
        if call.action not in call.version.unlocked:
            self.answers.pop(call.message_id, None)
            self.answers[call.message_id] = call.digest, call.answer
            if len(self.answers) > MAX_REMEMBERED_ANSWERS:
                del self.answers[next(iter(self.answers))]


def answered_before(calls: Sequence[Call]) -> dict[CallKey, str]:
    """Return {key: answer} of those `calls` that are the last CALL of their charger and already committed.

    This is for a batch that is retried. It has locked the rows, because its own first attempt may be committing.
    """
    if not calls:
        return {}
    chargers = Charger.objects.filter(pk__in={call.charger for call in calls})
    last = {(c.pk, c.last_call_id, c.last_call_digest): c.last_answer for c in chargers}
    last_calls = {call.key: (*call.key, call.digest) for call in calls}
    answers = {key: as_sent(last[last_call]) for key, last_call in last_calls.items() if last_call in last}
    return {key: answer for key, answer in answers.items() if answer is not None}


def stale_before(calls: Sequence[Call]) -> dict[CallKey, StaleConnection]:
    """Return {key: StaleConnection} of those `calls` that were received by replaced sockets.

    Batches with a call that a vendor's function answers are checked before they are processed, because a rollback
    cannot undo the effects of the function.
    """
    has_effects = any(call.action in call.version.answered_by_vendors for call in calls)
    return _stale(calls, _obstacles(calls)) if has_effects else {}
