"""Count events for rate limits: in Redis for all processes, or in this process where Redis must not be awaited."""

import time
from collections import OrderedDict
from collections.abc import Hashable

from core.redis.connections import sync_redis

WINDOW_S = 60


def seconds_to_wait(name: str, limit: int) -> int:
    """Return 0 for the first `limit` calls with `name` in this minute, else the seconds until the next minute."""
    minute, elapsed_s = divmod(time.time(), WINDOW_S)
    pipe = sync_redis().pipeline(transaction=False)
    key = f"ocpp:rate:{name}:{int(minute)}"
    pipe.incr(key)
    pipe.expire(key, 2 * WINDOW_S)
    count, _ = pipe.execute()
    return 0 if count <= limit else max(1, round(WINDOW_S - elapsed_s))


class Failures:
    """Count failures by name for a minute each, in this process; the names used least recently are dropped."""

    MAX_NAMES = 50_000

    def __init__(self) -> None:
        # name: (start of its minute, failures since then)
        self.counted: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def add(self, name: Hashable) -> None:
        began, count = self._of(name)
        self.counted[name] = (began, count + 1)
        self.counted.move_to_end(name)
        if len(self.counted) > self.MAX_NAMES:
            self.counted.popitem(last=False)

    def of(self, name: Hashable) -> int:
        return self._of(name)[1]

    def _of(self, name: Hashable) -> tuple[float, int]:
        began, count = self.counted.get(name, (0.0, 0))
        now = time.monotonic()
        return (began, count) if now - began < WINDOW_S else (now, 0)
