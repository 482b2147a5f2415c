"""The processes of the installation that have written their metrics to Redis within TTL_S seconds."""

from typing import cast

from core.redis.connections import sync_redis

TTL_S = 30
PROCESSES = "ocpp:metrics"  # the key of the set of their names; `_key` is that of the samples of one


def _key(process: str) -> str:
    return f"{PROCESSES}:{process}"


def _names() -> list[str]:
    # Texts, because the client decodes all responses.
    return sorted(cast(set[str], sync_redis().smembers(PROCESSES)))


def write(process: str, samples: bytes) -> None:
    """Store the `samples` of a process, whose name is `role:host:pid`. Raise `RedisError`."""
    with sync_redis().pipeline(transaction=False) as pipe:
        pipe.set(_key(process), samples, ex=TTL_S)
        pipe.sadd(PROCESSES, process)
        pipe.execute()


def active_roles() -> set[str]:
    """The roles that have at least one active process. Raise `RedisError`."""
    names = _names()
    with sync_redis().pipeline(transaction=False) as pipe:
        for name in names:
            pipe.exists(_key(name))
        return {name.partition(":")[0] for name, exists in zip(names, pipe.execute(), strict=True) if exists}


def samples() -> dict[str, str]:
    """{process name: its samples as text} of the active processes. Raise `RedisError`."""
    client = sync_redis()
    names = _names()
    texts = cast(list[str | None], client.mget([_key(name) for name in names]) if names else [])
    by_name = dict(zip(names, texts, strict=True))
    if expired := [name for name, text in by_name.items() if text is None]:
        client.srem(PROCESSES, *expired)
    return {name: text for name, text in by_name.items() if text is not None}
