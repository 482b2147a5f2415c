"""Queues of chargers whose rows another session has locked. Their messages wait in order while others are served."""

import logging
import time
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from core.retries import growing_delay_s
from gateway.commits import Batch, Entry, RetryLater

logger = logging.getLogger(__name__)

FIRST_DELAY_S, MAX_DELAY_S = 0.05, 1.0
# A delay is at least so many times the duration of the attempt, so that retries of one charger take at most about a
# tenth of the writer's time. Other chargers wait during an attempt.
DELAY_PER_ATTEMPT = 10
MAX_CHARGERS_PER_RETRY = 8
WARN_AFTER_S = 5.0


@dataclass(slots=True)
class _Queue:
    entries: deque[Entry] = field(default_factory=deque)
    seen: datetime | None = None
    attempts: int = 0
    since: float = field(default_factory=time.monotonic)
    taken_at: float = 0.0
    due: float = 0.0
    is_reported: bool = False


class SetAside:
    """Waiting entries by charger (primary key). A handshake has a key of its own, because it has no charger yet.

    Only the writer thread may use this, except for `len`.
    """

    def __init__(self) -> None:
        self.waiting: dict[Hashable, _Queue] = {}
        self.taken: set[Hashable] = set()

    def __len__(self) -> int:
        return len(self.waiting)

    @property
    def due_in_s(self) -> float | None:
        """Seconds until the next attempt, None if nothing waits."""
        if not self.waiting:
            return None
        return max(0.0, min(waiting.due for waiting in self.waiting.values()) - time.monotonic())

    def queue_behind(self, entry: Entry) -> bool:
        """Queue `entry` if its charger is set aside, and return whether it was queued."""
        if entry.charger not in self.waiting:
            return False
        self.waiting[entry.charger].entries.append(entry)
        return True

    def without(self, seen: dict[int, datetime]) -> dict[int, datetime]:
        """Return `seen` ({charger: time}) without the chargers that are set aside. Their times are stored here."""
        for charger in seen.keys() & self.waiting.keys():
            self.waiting[charger].seen = seen.pop(charger)
        return seen

    def take_due(self) -> Batch | None:
        """Take the oldest entry of each charger whose next attempt is due, and the time when it was seen."""
        batch = Batch([], {}, attempts=1, was_locked=True)
        now = time.monotonic()
        due = sorted((queue.due, n, key) for n, (key, queue) in enumerate(self.waiting.items()) if queue.due <= now)
        self.taken = {key for _, _, key in due[:MAX_CHARGERS_PER_RETRY]}
        for key in self.taken:
            queue = self.waiting[key]
            queue.taken_at = now
            if queue.entries:
                batch.entries.append(queue.entries.popleft())
            if queue.seen and isinstance(key, int):
                batch.seen[key], queue.seen = queue.seen, None
        return batch if batch.entries or batch.seen else None

    def add(self, batch: Batch, outcomes: Iterable[object]) -> None:
        """Set aside the entries of `batch` with the outcome `RetryLater`, and the times of chargers that were locked.

        Chargers without waiting entries are served as usual again.
        """
        later = [entry for entry, outcome in zip(batch.entries, outcomes, strict=True) if outcome is RetryLater]
        seen = {charger: batch.seen[charger] for charger in batch.locked & batch.seen.keys()}
        locked = dict.fromkeys([*map(_key, later), *seen])
        waiting = {key: self._delay(key) for key in locked}
        for entry in reversed(later):
            waiting[_key(entry)].entries.appendleft(entry)
        for charger, at in seen.items():
            waiting[charger].seen = at
        for key in self.taken - locked.keys():
            self._end(key)
        self.taken = set()

    def _delay(self, key: Hashable) -> _Queue:
        now = time.monotonic()
        queue = self.waiting.setdefault(key, _Queue())
        attempt_s = now - queue.taken_at if queue.taken_at else 0.0
        delay_s = growing_delay_s(FIRST_DELAY_S, MAX_DELAY_S, queue.attempts)
        queue.due = now + max(delay_s, DELAY_PER_ATTEMPT * attempt_s)
        queue.attempts += 1
        if not queue.is_reported and now - queue.since > WARN_AFTER_S:
            queue.is_reported = True
            logger.warning(
                "The charger with primary key %s has waited for %.0f s: another session has locked its row in the "
                "database, or a row of its transactions. See pg_stat_activity for sessions idle in transaction.",
                key,
                now - queue.since,
            )
        return queue

    def _end(self, key: Hashable) -> None:
        queue = self.waiting[key]
        queue.attempts, queue.due = 0, 0.0
        if queue.entries or queue.seen:
            return
        del self.waiting[key]
        if queue.is_reported:
            waited_s = time.monotonic() - queue.since
            logger.warning("The charger with primary key %s is served again, after %.0f s.", key, waited_s)


def _key(entry: Entry) -> Hashable:
    return ("handshake", id(entry)) if entry.charger is None else entry.charger
