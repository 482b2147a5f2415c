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


@cache
def sync_redis():
    """For views and Celery tasks: commands that are answered at once."""
    return redis.Redis.from_url(settings.REDIS_URL, decode_responses=True, max_connections=MANY, **OPTIONS)


@cache
def waiting_redis():
    """For blocking reads of at most LONGEST_BLOCK seconds; a connection for each that waits."""
    options = OPTIONS | {"socket_timeout": LONGEST_BLOCK + 10}
    return redis.Redis.from_url(settings.REDIS_URL, decode_responses=True, max_connections=MANY, **options)


@cache
def async_redis():
    """For consumers. The stock asyncio pool raises at its limit; this one waits for a free connection."""
    options = OPTIONS | {"retry": aioredis.retry.Retry(NoBackoff(), 1)}
    pool = aioredis.BlockingConnectionPool.from_url(
        settings.REDIS_URL, max_connections=32, timeout=10, decode_responses=True, **options
    )
    return aioredis.Redis(connection_pool=pool)
