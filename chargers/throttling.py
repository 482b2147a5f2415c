"""How often is too often: counted in Redis for all processes, or in this one for what must not wait for Redis."""

import time
from collections import OrderedDict

from chargers.redis import sync_redis

WINDOW = 60  # seconds


def seconds_to_wait(name, most):
    """0 for one of the first `most` calls with `name` in this minute, else the seconds until the next begins."""
    minute, gone = divmod(time.time(), WINDOW)
    pipe = sync_redis().pipeline(transaction=False)
    key = f"ocpp:rate:{name}:{int(minute)}"
    counted, _ = pipe.incr(key).expire(key, 2 * WINDOW).execute()
    return 0 if counted <= most else max(1, round(WINDOW - gone))


class Failures:
    """How often each of many names failed in its last minute, in this process; the oldest are forgotten."""

    MOST_NAMES = 50_000

    def __init__(self):
        self.counted = OrderedDict()  # name: (when its minute began, how often since)

    def add(self, name):
        began, count = self._of(name)
        self.counted[name] = (began, count + 1)
        self.counted.move_to_end(name)
        if len(self.counted) > self.MOST_NAMES:
            self.counted.popitem(last=False)

    def of(self, name):
        return self._of(name)[1]

    def _of(self, name):
        began, count = self.counted.get(name, (0, 0))
        now = time.monotonic()
        return (began, count) if now - began < WINDOW else (now, 0)
