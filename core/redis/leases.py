"""Leases in Redis: one process alone does a thing at a time, or within an interval."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from core.redis.connections import attempt, sync_redis

PROLONG = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end return 0"
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


def is_first_within(name: str, seconds: float) -> bool:
    """Return whether no other process has called this for `name` within `seconds`. Raise `RedisError`."""
    return acquire(name, seconds) is not None


def acquire(name: str, seconds: float) -> str | None:
    """Lease `name` for `seconds`. Return a token, None while another one holds it. Raise `RedisError`."""
    token = uuid4().hex
    return token if sync_redis().set(f"ocpp:{name}", token, nx=True, px=int(seconds * 1000)) else None


def renew(name: str, token: str, seconds: int) -> bool:
    """Prolong a lease to `seconds` from now, and return whether `token` still holds it. Raise `RedisError`."""
    return bool(sync_redis().eval(PROLONG, 1, f"ocpp:{name}", token, seconds))


def release(name: str, token: str) -> None:
    """End a lease if `token` still holds it. Raise `RedisError`."""
    sync_redis().eval(RELEASE, 1, f"ocpp:{name}", token)


def hand_over(name: str, seconds: float, start: Callable[[str], object]) -> None:
    """Lease `name`, and call `start` with the token, unless another one holds it. Raise `RedisError`.

    If `start` fails, the lease is released at once, so that the next attempt need not wait for its end.
    """
    if token := acquire(name, seconds):
        try:
            start(token)
        except Exception:
            release(name, token)
            raise


@contextmanager
def taken_over(name: str, token: str, seconds: int) -> Iterator[bool]:
    """Hold a lease that `hand_over` made; yield whether `token` still holds it. Without a token there is none.

    Raise `RedisError`.
    """
    if token and not renew(name, token, seconds):
        yield False
        return
    try:
        yield True
    finally:
        release(name, token)


def record_time(name: str) -> None:
    """Store the current time for `name`. Do nothing if Redis is unavailable."""
    attempt(lambda client: client.set(f"ocpp:{name}", time.time()))


def last_time_of(name: str) -> float:
    """Return the time stored for `name` in seconds since the epoch, 0 if there is none. Raise `RedisError`."""
    return float(sync_redis().get(f"ocpp:{name}") or 0)
