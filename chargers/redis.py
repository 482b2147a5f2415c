"""The Redis clients: one for threads and greenlets, one for the event loop."""

from functools import cache

import redis
from django.conf import settings
from redis import asyncio as aioredis
from redis.backoff import NoBackoff
from redis.retry import Retry

# A Redis that hangs must not hang its callers. LONGEST_BLOCK is what one blocking read may ask for.
OPTIONS = {"socket_timeout": 5, "socket_connect_timeout": 3, "retry": Retry(NoBackoff(), 1)}
# redis-py 8 stops at 100 connections, and a thousand commands may wait in one worker.
MANY = 2**31
LONGEST_BLOCK = 5


class _BlockingSentinelPool(aioredis.sentinel.SentinelConnectionPool, aioredis.BlockingConnectionPool):
    """Connections to the master the sentinels name; waits for a free one at its limit."""


@cache
def sync_redis():
    """For views and Celery tasks: commands that are answered at once."""
    return _sync(**OPTIONS)


@cache
def probing_redis():
    """For a look whether it takes writes, which is neither repeated nor long."""
    return _sync(**OPTIONS | {"socket_timeout": 3, "retry": Retry(NoBackoff(), 0)})


@cache
def waiting_redis():
    """For blocking reads of at most LONGEST_BLOCK seconds; a connection for each that waits."""
    return _sync(**OPTIONS | {"socket_timeout": LONGEST_BLOCK + 10})


@cache
def async_redis():
    """For consumers. The stock asyncio pool raises at its limit; this one waits for a free connection."""
    options = OPTIONS | {"retry": aioredis.retry.Retry(NoBackoff(), 1), "max_connections": 32, "timeout": 10}
    pool = _pool(aioredis, aioredis.BlockingConnectionPool, _BlockingSentinelPool, options)
    return aioredis.Redis(connection_pool=pool)


@cache
def listening_redis():
    """For what is published, in the event loop. It does not reconnect in silence: what was missed must be known."""
    options = OPTIONS | {"retry": aioredis.retry.Retry(NoBackoff(), 0), "max_connections": 8, "timeout": 10}
    return aioredis.Redis(
        connection_pool=_pool(aioredis, aioredis.BlockingConnectionPool, _BlockingSentinelPool, options)
    )


def _sync(**options):
    stock = redis.sentinel.SentinelConnectionPool
    pool = _pool(redis, redis.ConnectionPool, stock, options | {"max_connections": MANY})
    return redis.Redis(connection_pool=pool)


def _pool(module, pool_class, sentinel_pool_class, options):
    """Of connections to the server REDIS_URL names, or to the master the sentinels there know of."""
    known = settings.REDIS_SENTINELS
    if known is None:
        return pool_class.from_url(settings.REDIS_URL, decode_responses=True, **options)
    # Without a `retry` of its own each dead sentinel would be tried again and again before the next.
    asking = known.sentinel_options | {"retry": options["retry"]}
    manager = module.sentinel.Sentinel(known.nodes, sentinel_kwargs=asking)
    return sentinel_pool_class(known.master, manager, decode_responses=True, **known.options, **options)
