"""The times at which chargers were last seen, which are written later while there are many."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

FEW = 10  # so many chargers are written at once
MAX_DELAY_S = 2.0
MAX_ROWS = 500  # that one batch writes, because its answers wait for them


@dataclass(slots=True)
class LastSeen:
    """Times of frames that are not written yet, by charger (primary key). Only the writer thread may use this.

    A write of a charger's row takes PostgreSQL ten times as long as a look-up. So a loaded process writes it once for
    the messages of two seconds.
    """

    waiting: dict[int, datetime] = field(default_factory=dict)
    since: float = 0.0  # monotonic time, since which those that are not due wait
    due: int = 0  # how many of `waiting`, the oldest, are due

    @property
    def due_in_s(self) -> float | None:
        """Seconds until some are due, None if nothing waits."""
        if not self.waiting:
            return None
        return 0.0 if self.due else max(0.0, self.since + MAX_DELAY_S - time.monotonic())

    def note(self, charger: int, at: datetime) -> None:
        """Note that a frame of `charger` was received `at` that time."""
        if not self.waiting:
            self.since = time.monotonic()
        if charger not in self.waiting or self.waiting[charger] < at:
            self.waiting[charger] = at

    def take_due(self) -> dict[int, datetime]:
        """Take {charger: time} that is to be written now: all if they are few, or if they have waited long enough."""
        if not self.due and (len(self.waiting) <= FEW or not self.due_in_s):
            self.due, self.since = len(self.waiting), time.monotonic()
        taken = list(islice(self.waiting, min(self.due, MAX_ROWS)))
        self.due -= len(taken)
        return self.take(taken)

    def take(self, chargers: Iterable[int]) -> dict[int, datetime]:
        """Take {charger: time} of those of `chargers` that wait."""
        return {charger: self.waiting.pop(charger) for charger in chargers if charger in self.waiting}
