"""Which socket holds which charger: a Redis key a charger, with the session that owns it and a short life.

Only the owning session may prolong or clear its entry, so the late end of an old socket changes nothing.
"""

import json
from dataclasses import dataclass

from chargers.redis import sync_redis

TTL = 60  # seconds an entry outlives the process that wrote it
REFRESH = 10

# The entry it replaces; one command where a pipeline costs the event loop of a storm twice as much.
ARRIVE = """
local replaced = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('DEL', KEYS[2])
return replaced
"""
# Ours, or nobody's any more (Redis lost it): write it again. Another session's: say so.
RENEW = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@dataclass(frozen=True)
class Presence:
    """A live socket: the channel that reaches it and the session that owns it."""

    channel: str
    session: str

    def dumps(self):
        return json.dumps([self.channel, self.session])

    @staticmethod
    def loads(text):
        return Presence(*json.loads(text)) if text else None


def key(charger_id):
    return f"ocpp:presence:{charger_id}"


def offline_key(charger_id):
    """Since when a command has found `charger_id` away."""
    return f"ocpp:offline:{charger_id}"


def connected(charger_ids):
    """Those of `charger_ids` that hold a live socket, as a set."""
    found = set()
    for start in range(0, len(charger_ids), 1000):
        page = charger_ids[start : start + 1000]
        entries = sync_redis().mget([key(charger_id) for charger_id in page])
        found.update(charger_id for charger_id, entry in zip(page, entries, strict=True) if entry)
    return found
