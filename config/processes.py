"""The processes of the installation that have written their metrics to Redis lately."""

from chargers.redis import sync_redis

TTL = 30  # seconds after which a process that wrote nothing is told of no more
PROCESSES = "ocpp:metrics"  # the set of their names; the samples of each are in `_key` of it


def _key(process):
    return f"{PROCESSES}:{process}"


def write(process: str, samples: bytes) -> None:
    """Keep the `samples` of a process, named `role:host:pid`; raises `RedisError`."""
    with sync_redis().pipeline(transaction=False) as pipe:
        pipe.set(_key(process), samples, ex=TTL).sadd(PROCESSES, process).execute()


def heard_of() -> set[str]:
    """The roles of the processes that wrote lately; raises `RedisError`."""
    names = sorted(sync_redis().smembers(PROCESSES))
    with sync_redis().pipeline(transaction=False) as pipe:
        for name in names:
            pipe.exists(_key(name))
        return {name.partition(":")[0] for name, there in zip(names, pipe.execute(), strict=True) if there}


def samples() -> dict[str, str]:
    """{name: its samples as text} of the processes that wrote lately; raises `RedisError`."""
    client = sync_redis()
    names = sorted(client.smembers(PROCESSES))
    found = dict(zip(names, client.mget([_key(name) for name in names]) if names else [], strict=True))
    if gone := [name for name, text in found.items() if text is None]:
        client.srem(PROCESSES, *gone)
    return {name: text for name, text in found.items() if text is not None}
