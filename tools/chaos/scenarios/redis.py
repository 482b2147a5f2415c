"""A Redis that is there, and takes nothing more."""

import asyncio
import contextlib
import random
import time
from collections import Counter

from redis import Redis

FULL = 25  # seconds
# What a command that can't be taken may be answered with: come later, or too many of this charger's wait.
LATER = (503, 429)


@contextlib.contextmanager
def no_memory(url):
    """It refuses every write, as with the policy that its manual has for queues."""
    client = Redis.from_url(url, decode_responses=True)
    before = client.config_get("maxmemory*")
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1)
    try:
        yield client
    finally:
        for name in ("maxmemory", "maxmemory-policy"):
            client.config_set(name, before[name])


async def redis_full(chaos):
    """Chargers are served meanwhile, also those that reconnect; commands are taken and end, or get a 503."""
    refused = Counter(chaos.commanding.refused)
    with no_memory(chaos.stack.env["REDIS_URL"]):
        await asyncio.sleep(2)
        came = time.monotonic()
        for charger in random.sample(chaos.steady, len(chaos.steady) // 3):
            charger.drop()
        await asyncio.sleep(chaos.sizes["stopped"](FULL))
        unserved = sum(not c.connection or c.last_answer < came for c in chaos.fleet.chargers.values())
        chaos.must_be_none("chargers that were not served while Redis was full", unserved)
    refused = chaos.commanding.refused - refused
    chaos.note("commands refused, by status", ", ".join(f"{n} × {why}" for why, n in refused.items()) or "none")
    otherwise = sum(number for status, number in refused.items() if status not in LATER)
    chaos.must_be_none("commands refused otherwise than with 503 or 429", otherwise)


SCENARIOS = {"Redis full": redis_full}
