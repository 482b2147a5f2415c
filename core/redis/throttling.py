"""Count events for rate limits: in Redis for all processes, or in this process where Redis must not be awaited."""

import time
from collections import OrderedDict

from core.redis.connections import sync_redis

WINDOW_S = 60


def seconds_to_wait(name, limit):
    """Return 0 for the first `limit` calls with `name` in this minute, else the seconds until the next minute."""
    minute, elapsed_s = divmod(time.time(), WINDOW_S)
    pipe = sync_redis().pipeline(transaction=False)
    key = f"ocpp:rate:{name}:{int(minute)}"
    count, _ = pipe.incr(key).expire(key, 2 * WINDOW_S).execute()
    return 0 if count <= limit else max(1, round(WINDOW_S - elapsed_s))


class Failures:
    """Count failures by name for a minute each, in this process; the names used least recently are dropped."""

    MAX_NAMES = 50_000

    def __init__(self):
        self.counted = OrderedDict()  # name: (start of its minute, failures since then)

    def add(self, name):
        began, count = self._of(name)
        self.counted[name] = (began, count + 1)
        self.counted.move_to_end(name)
        if len(self.counted) > self.MAX_NAMES:
            self.counted.popitem(last=False)

    def of(self, name):
        return self._of(name)[1]

    def _of(self, name):
        began, count = self.counted.get(name, (0, 0))
        now = time.monotonic()
        return (began, count) if now - began < WINDOW_S else (now, 0)
