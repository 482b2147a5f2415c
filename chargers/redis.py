"""The Redis clients: one for threads and greenlets, one for the event loop."""

from functools import cache

import redis
from django.conf import settings
from redis import asyncio as aioredis
from redis.backoff import NoBackoff
from redis.retry import Retry

# redis-py gives up a read after 5 s by default, in the middle of a longer BLPOP: our waits end themselves.
OPTIONS = {"socket_timeout": None, "socket_connect_timeout": 3, "retry": Retry(NoBackoff(), 1)}


@cache
def sync_redis():
    """For views and Celery tasks; a connection for each that waits at the same time."""
    return redis.Redis.from_url(settings.REDIS_URL, decode_responses=True, **OPTIONS)


@cache
def async_redis():
    """For consumers. The stock asyncio pool raises at its limit; this one waits for a free connection."""
    options = OPTIONS | {"retry": aioredis.retry.Retry(NoBackoff(), 1), "socket_timeout": 5}
    pool = aioredis.BlockingConnectionPool.from_url(
        settings.REDIS_URL, max_connections=32, timeout=10, decode_responses=True, **options
    )
    return aioredis.Redis(connection_pool=pool)
