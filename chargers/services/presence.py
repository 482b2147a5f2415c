"""Presence of chargers in Redis: one key per charger, which names its process and session and expires soon.

Only the owning session may renew or clear its entry, so that the late end of an old socket changes nothing. Sessions
are ordered by the opening times of their sockets, so that an old socket that registers late, or again after Redis has
lost its data, does not replace a newer one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from redis.exceptions import RedisError

from core.redis.connections import async_redis, sync_redis
from core.redis.leases import RELEASE

NOTHING = "ocpp:nothing"  # a key that does not exist; deleting it tests for writes without needing memory
TTL_S = 60  # after which an entry expires unless it is renewed
REFRESH_S = 10  # between two renewals

NEWER = "local held = redis.call('GET', KEYS[1])\nif held and cjson.decode(held)[2] > cjson.decode(ARGV[1])[2] then "
# Return the replaced entry, or the new one itself if a newer one is stored. An attempt that is repeated, because its
# reply was lost, finds its own entry and returns nothing.
REGISTER = f"""
{NEWER} return ARGV[1] end
if held == ARGV[1] then held = false end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('DEL', KEYS[2])
return held
"""
# Prolong this session's own entry, which also works when Redis is out of memory. Write it again if Redis has lost it
# or stores an older one. Return 0 if a newer one is stored.
RENEW = f"""
{NEWER} return 0 end
if held == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class Presence:
    """A live socket: the channel of its process, the session that owns it, and the subprotocol that it speaks."""

    channel: str
    session: str
    ocpp_version: str

    @staticmethod
    def opened(channel: str, opened_at: datetime, ocpp_version: str) -> "Presence":
        """Create the entry of a socket opened at `opened_at`. Its session sorts after those of older sockets."""
        return Presence(channel, f"t{int(opened_at.timestamp() * 1_000_000):020d}-{uuid4().hex}", ocpp_version)

    def dumps(self) -> str:
        return json.dumps([self.channel, self.session, self.ocpp_version])

    @staticmethod
    def loads(text: str | bytes | None) -> "Presence | None":
        return Presence(*json.loads(text)) if text else None


def key(charger_id: str) -> str:
    return f"ocpp:presence:{charger_id}"


def offline_key(charger_id: str) -> str:
    """Name the key that a command creates when it finds `charger_id` disconnected. The key expires."""
    return f"ocpp:offline:{charger_id}"


def connected(charger_ids: Sequence[str]) -> set[str]:
    """Return those of `charger_ids` that have an open socket, as a set.

    Raise `RedisError`, also if Redis can be read but takes no writes, because entries are not renewed then and all
    chargers would seem disconnected. A Redis that is out of memory still renews them.
    """
    online: set[str] = set()
    for start in range(0, len(charger_ids), 1000):
        page = charger_ids[start : start + 1000]
        with sync_redis().pipeline(transaction=False) as pipe:
            pipe.mget([key(charger_id) for charger_id in page])
            pipe.delete(NOTHING)
            entries, _ = pipe.execute()
        online.update(charger_id for charger_id, entry in zip(page, entries, strict=True) if entry)
    return online


async def register(entries: list[tuple[str, Presence]]) -> list[Presence | RedisError | None]:
    """Store `entries` of sockets, (charger_id, Presence) pairs.

    Return for each the replaced entry, None, the entry itself if a newer one is stored, or the error of Redis.
    """
    async with async_redis().pipeline(transaction=False) as pipe:
        for charger_id, entry in entries:
            pipe.eval(REGISTER, 2, key(charger_id), offline_key(charger_id), entry.dumps(), TTL_S)
        outcomes = await pipe.execute(raise_on_error=False)
    return [found if isinstance(found, RedisError) else Presence.loads(found) for found in outcomes]


async def renew(entries: list[tuple[str, Presence]]) -> list[bool]:
    """Renew `entries`, (charger_id, Presence) pairs. Return for each whether its session still owns it."""
    async with async_redis().pipeline(transaction=False) as pipe:
        for charger_id, entry in entries:
            pipe.eval(RENEW, 1, key(charger_id), entry.dumps(), TTL_S)
        return [bool(is_current) for is_current in await pipe.execute()]


async def leave(charger_id: str, entry: Presence) -> None:
    """Delete a socket's entry, if its session still owns it."""
    await async_redis().eval(RELEASE, 1, key(charger_id), entry.dumps())
