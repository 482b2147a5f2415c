"""Which socket holds which charger: a Redis key a charger, with the session that owns it and a short life.

Only the owning session may prolong or clear its entry, so the late end of an old socket changes nothing; and sessions
are ordered by when their sockets were opened, so the late beginning of an old one, or its return after Redis has lost
its data, changes nothing either.
"""

import json
from dataclasses import dataclass
from uuid import uuid4

from chargers.redis import sync_redis

NOTHING = "ocpp:nothing"  # a key that does not exist: to delete it is a write that needs no memory
TTL = 60  # seconds an entry outlives the process that wrote it
REFRESH = 10

NEWER = "local held = redis.call('GET', KEYS[1])\nif held and cjson.decode(held)[2] > cjson.decode(ARGV[1])[2] then "
# The entry it replaces, or our own where a newer one is there; one command where a pipeline costs the event loop of a
# storm twice as much.
ARRIVE = f"""
{NEWER} return ARGV[1] end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('DEL', KEYS[2])
return held
"""
# Ours lives on, which a Redis that is out of memory still does. An older one's, or nobody's any more (Redis lost it):
# write it again. A newer one's: say so.
RENEW = f"""
{NEWER} return 0 end
if held == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end
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

    @staticmethod
    def opened(channel, opened_at):
        """Of a socket that was opened at `opened_at`. A session sorts behind the older ones, and behind those of the
        version before, which were hex digits."""
        return Presence(channel, f"t{int(opened_at.timestamp() * 1_000_000):020d}-{uuid4().hex}")

    def dumps(self):
        return json.dumps([self.channel, self.session])

    @staticmethod
    def loads(text):
        return Presence(*json.loads(text)) if text else None


def key(charger_id):
    return f"ocpp:presence:{charger_id}"


def offline_key(charger_id):
    """It is there, and lives, since a command first found `charger_id` away."""
    return f"ocpp:offline:{charger_id}"


def connected(charger_ids):
    """Those of `charger_ids` that hold a live socket, as a set.

    Raises `RedisError`, also where Redis is read from but takes no writes: entries are not renewed then, and all
    chargers would seem disconnected. One that is out of memory does renew them.
    """
    found = set()
    for start in range(0, len(charger_ids), 1000):
        page = charger_ids[start : start + 1000]
        with sync_redis().pipeline(transaction=False) as pipe:
            entries, _ = pipe.mget([key(charger_id) for charger_id in page]).delete(NOTHING).execute()
        found.update(charger_id for charger_id, entry in zip(page, entries, strict=True) if entry)
    return found
