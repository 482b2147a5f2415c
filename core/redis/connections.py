"""The Redis clients for threads and greenlets, and for the event loop."""

import time
from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

import redis
from django.conf import settings
from redis import asyncio as aioredis
from redis.backoff import NoBackoff
from redis.retry import Retry

# Timeouts are short, because a Redis that hangs must not block its callers.
OPTIONS = {"socket_timeout": 5, "socket_connect_timeout": 3, "retry": Retry(NoBackoff(), 1)}
# The default limit of redis-py 8 is 100, but a thousand commands may wait in one worker.
MAX_CONNECTIONS = 2**31
MAX_BLOCK_S = 5  # longest wait of one blocking read
RETRY_DELAY_S = 0.2
T = TypeVar("T")
Pool = TypeVar("Pool", redis.ConnectionPool, aioredis.ConnectionPool)


class _BlockingSentinelPool(aioredis.sentinel.SentinelConnectionPool, aioredis.BlockingConnectionPool):
    """A pool of connections to the master that the sentinels name. It waits for a free one at its limit."""


@cache
def sync_redis() -> redis.Redis:
    """Return the client for views and Celery tasks, for commands that are answered at once."""
    return _sync(**OPTIONS)


def attempt(operation: Callable[[redis.Redis], T]) -> T | None:
    """Return `operation(client)`, or None after RETRY_DELAY_S if Redis is unavailable. Callers retry."""
    try:
        return operation(sync_redis())
    except redis.RedisError:
        time.sleep(RETRY_DELAY_S)
        return None


@cache
def probing_redis() -> redis.Redis:
    """Return the client for health checks. It does not retry, and its timeout is short."""
    return _sync(**OPTIONS | {"socket_timeout": 3, "retry": Retry(NoBackoff(), 0)})


@cache
def waiting_redis() -> redis.Redis:
    """Return the client for blocking reads of at most MAX_BLOCK_S. Each waiting read needs a connection."""
    return _sync(**OPTIONS | {"socket_timeout": MAX_BLOCK_S + 10})


@cache
def async_redis() -> aioredis.Redis:
    """Return the client for consumers. It waits for a free connection, and does not raise at its limit."""
    options = OPTIONS | {"retry": aioredis.retry.Retry(NoBackoff(), 1), "max_connections": 32, "timeout": 10}
    pool = _pool(aioredis, aioredis.BlockingConnectionPool, _BlockingSentinelPool, options)
    return aioredis.Redis(connection_pool=pool)


@cache
def listening_redis() -> aioredis.Redis:
    """Return the client for subscriptions in the event loop. It does not reconnect by itself, because the caller must
    know that it has missed messages."""
    options = OPTIONS | {"retry": aioredis.retry.Retry(NoBackoff(), 0), "max_connections": 8, "timeout": 10}
    return aioredis.Redis(
        connection_pool=_pool(aioredis, aioredis.BlockingConnectionPool, _BlockingSentinelPool, options)
    )


def _sync(**options: Any) -> redis.Redis:
    stock = redis.sentinel.SentinelConnectionPool
    pool = _pool(redis, redis.ConnectionPool, stock, options | {"max_connections": MAX_CONNECTIONS})
    return redis.Redis(connection_pool=pool)


def _pool(
    module: ModuleType, pool_class: type[Pool], sentinel_pool_class: type[Pool], options: Mapping[str, Any]
) -> Pool:
    """Return a pool of connections to the server of REDIS_URL, or to the master that its sentinels name."""
    sentinels = settings.REDIS_SENTINELS
    if sentinels is None:
        return pool_class.from_url(settings.REDIS_URL, decode_responses=True, **options)
    # `retry` is set, because by default each dead sentinel is tried several times before the next one.
    sentinel_options = sentinels.sentinel_options | {"retry": options["retry"]}
    manager = module.sentinel.Sentinel(sentinels.nodes, sentinel_kwargs=sentinel_options)
    return sentinel_pool_class(sentinels.master, manager, decode_responses=True, **sentinels.options, **options)
