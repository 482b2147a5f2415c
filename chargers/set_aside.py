"""Chargers whose rows another session has locked: what they sent waits here, in order, while others are served."""

import logging
import time
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

logger = logging.getLogger(__name__)

FIRST_DELAY_S, LONGEST_DELAY_S = 0.05, 1.0
# Of the time of the writer, retries take a tenth at most for each charger: other chargers wait meanwhile.
SHARE = 10
AT_ONCE = 8  # chargers that are tried again in one batch
WORTH_A_LINE_S = 5.0


class RetryLater:
    """The outcome of an entry that was set aside."""


@dataclass(slots=True)
class _Waiting:
    entries: deque = field(default_factory=deque)
    seen: datetime | None = None
    attempts: int = 0
    since: float = field(default_factory=time.monotonic)
    taken_at: float = 0.0
    due: float = 0.0
    is_reported: bool = False


class SetAside:
    """By charger (primary key); a handshake, which is of no charger yet, stands for itself.

    Used by the writer thread alone, but for `len`.
    """

    def __init__(self) -> None:
        self.waiting: dict[Hashable, _Waiting] = {}
        self.taken: set[Hashable] = set()

    def __len__(self) -> int:
        return len(self.waiting)

    @property
    def due_in_s(self) -> float | None:
        """Seconds until the next attempt, None where nothing waits."""
        if not self.waiting:
            return None
        return max(0.0, min(each.due for each in self.waiting.values()) - time.monotonic())

    def takes(self, entry: Any) -> bool:
        """Whether `entry` has to wait behind others of its charger; it is kept then."""
        if entry.charger not in self.waiting:
            return False
        self.waiting[entry.charger].entries.append(entry)
        return True

    def without(self, seen: dict[int, datetime]) -> dict[int, datetime]:
        """`seen` ({charger: when}) without the chargers that wait, for which it is kept."""
        for charger in seen.keys() & self.waiting.keys():
            self.waiting[charger].seen = seen.pop(charger)
        return seen

    def take_due(self) -> tuple[list, dict[int, datetime]]:
        """(the oldest entry of each charger that is to be tried again now, {charger: when it was seen})."""
        now, batch, seen = time.monotonic(), [], {}
        due = sorted((each.due, n, key) for n, (key, each) in enumerate(self.waiting.items()) if each.due <= now)
        self.taken = {key for _, _, key in due[:AT_ONCE]}
        for key in self.taken:
            each = self.waiting[key]
            each.taken_at = now
            if each.entries:
                batch.append(each.entries.popleft())
            if each.seen:
                seen[key], each.seen = each.seen, None
        return batch, seen

    def keep(self, batch: Iterable[Any], outcomes: Iterable[Any], seen: dict[int, datetime]) -> None:
        """Set aside those of `batch` with the outcome `RetryLater`, and `seen` of chargers that were locked.

        Chargers of which nothing waits any more are served as usual again.
        """
        later = [entry for entry, outcome in zip(batch, outcomes, strict=True) if outcome is RetryLater]
        again = dict.fromkeys([*map(_key, later), *seen])
        waiting = {key: self._waits(key) for key in again}
        for entry in reversed(later):
            waiting[_key(entry)].entries.appendleft(entry)
        for charger, at in seen.items():
            waiting[charger].seen = at
        for key in self.taken - again.keys():
            self._end(key)
        self.taken = set()

    def _waits(self, key: Hashable) -> _Waiting:
        now = time.monotonic()
        each = self.waiting.setdefault(key, _Waiting())
        cost_s = now - each.taken_at if each.taken_at else 0.0
        each.due = now + max(min(FIRST_DELAY_S * 2 ** min(each.attempts, 10), LONGEST_DELAY_S), SHARE * cost_s)
        each.attempts += 1
        if not each.is_reported and now - each.since > WORTH_A_LINE_S:
            each.is_reported = True
            logger.warning(
                "The charger with primary key %s has waited for %.0f s: another session has locked its row in the "
                "database, or a row of its transactions. See pg_stat_activity for sessions idle in transaction.",
                key,
                now - each.since,
            )
        return each

    def _end(self, key: Hashable) -> None:
        each = self.waiting[key]
        each.attempts, each.due = 0, 0.0
        if each.entries or each.seen:
            return
        del self.waiting[key]
        if each.is_reported:
            waited_s = time.monotonic() - each.since
            logger.warning("The charger with primary key %s is served again, after %.0f s", key, waited_s)


def _key(entry: Any) -> Hashable:
    return ("handshake", id(entry)) if entry.charger is None else entry.charger
