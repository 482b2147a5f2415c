"""The way of one command from a Celery task to a charger's socket and back.

A task sends through the channel layer and waits on its own Redis list, on which the socket's process puts,
in this order, `sent` (the CALL is written) and then `reply`, or `lost` (the socket ended). Lists keep what
comes early; once a task has given up, whoever answers learns that it is late.
"""

import json
import logging
import time

import orjson
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from chargers import presence
from chargers.redis import LONGEST_BLOCK, async_redis, sync_redis, waiting_redis

logger = logging.getLogger(__name__)

KEEP = 3600  # seconds an event waits for its task, a mark that it has given up for late answers
LEASE = 15  # seconds after which a task that shows no sign of life has been abandoned
PAUSE = 0.2


def _events(task_id):
    return f"ocpp:{{{task_id}}}:events"


def _lease(task_id):
    return f"ocpp:{{{task_id}}}:lease"


def _closed(task_id):
    return f"ocpp:{{{task_id}}}:closed"


# --- the task's side -------------------------------------------------------------------------


def send(holder, task_id, action, payload):
    """Put a CALL on its way to the socket of `holder` (a `Presence`), which claims the command and writes it.

    PUBLISH in the layer's wire format over a lasting client: `async_to_sync(layer.send)` takes several times
    as long (see docs/decisions/0003). Pub/sub delivers at most once, so the caller counts on the `sent`
    event alone and may send again: a command can be claimed once.
    """
    text = orjson.dumps(payload).decode()
    message = {"type": "ocpp.call", "task_id": task_id, "action": action, "payload": text}
    _on_redis(lambda client: client.publish(holder.channel, get_channel_layer().serialize(message)))


def close_socket(charger_id, code, reason):
    """Ask the process that holds a charger's socket to close it."""
    entry = _on_redis(lambda client: client.get(presence.key(charger_id)))
    if holder := presence.Presence.loads(entry):
        message = {"type": "ocpp.close", "code": code, "reason": reason}
        _on_redis(lambda client: client.publish(holder.channel, get_channel_layer().serialize(message)))


def next_event(task_id, timeout):
    """The next event of a task (a dict with `type`), or None after `timeout` seconds or sooner.

    Waiting renews the task's lease, so it must not be asked to wait for longer than LONGEST_BLOCK.
    """

    def wait(client):
        client.set(_lease(task_id), 1, ex=LEASE)
        return waiting_redis().blpop([_events(task_id)], min(max(timeout, 0.01), LONGEST_BLOCK))

    found = _on_redis(wait)
    return json.loads(found[1]) if found else None


def give_up(task_id):
    """Wait no longer; the events that came meanwhile. Later ones are late."""

    def close(client):
        with client.pipeline(transaction=True) as pipe:
            pipe.lrange(_events(task_id), 0, -1).delete(_events(task_id)).set(_closed(task_id), 1, ex=KEEP)
            return pipe.execute()

    found = _on_redis(close)
    return [json.loads(event) for event in found[0]] if found else []


def lease(task_id):
    """Whether the caller may carry out the task: nobody else does. Where Redis is away, nobody can know."""
    taken = _on_redis(lambda client: [client.set(_lease(task_id), 1, nx=True, ex=LEASE)])
    return taken is None or bool(taken[0])


def without_lease(task_ids):
    """Those of `task_ids` that nobody carries out; raises `RedisError`."""
    leases = sync_redis().mget([_lease(task_id) for task_id in task_ids]) if task_ids else []
    return [task_id for task_id, held in zip(task_ids, leases, strict=True) if not held]


def first_in(name, seconds):
    """Whether the caller is the first of all processes to ask for `name` within `seconds`; raises `RedisError`."""
    return bool(sync_redis().set(f"ocpp:{name}", 1, nx=True, px=int(seconds * 1000)))


def find_holder(charger_id, waiter=None):
    """(`Presence`, None) of a connected charger, else (None, since when it has been found away).

    Whoever connects will wake the task `waiter`. That is written before the presence is looked up: of a task
    that begins to wait and a charger that connects at the same time, one sees the other.
    """

    def look(client):
        with client.pipeline(transaction=False) as pipe:
            if waiter:
                pipe.set(presence.waiter_key(charger_id), waiter, ex=KEEP)
            pipe.get(presence.key(charger_id))
            return pipe.execute()

    while (found := _on_redis(look)) is None:
        logger.warning("A command to %s waits for Redis", charger_id)
    if found[-1]:
        return presence.Presence.loads(found[-1]), None
    return None, _offline_since(charger_id)


def _offline_since(charger_id):
    """When a command first found the charger away since it was last here; seconds since the epoch."""

    def note(client):
        with client.pipeline(transaction=False) as pipe:
            pipe.set(presence.offline_key(charger_id), time.time(), nx=True, ex=KEEP)
            pipe.get(presence.offline_key(charger_id))
            return pipe.execute()

    found = _on_redis(note)
    return float(found[1]) if found and found[1] else time.time()


def finished_channel(task_id):
    """Where it is published that a task is final, for clients that wait for it."""
    return f"ocpp:{{{task_id}}}:finished"


def announce_finished(task_id):
    def announce(client):
        with client.pipeline(transaction=False) as pipe:
            pipe.publish(finished_channel(task_id), 1).delete(_lease(task_id), _events(task_id)).execute()

    _on_redis(announce)


def wait_until_finished(task_id, timeout, is_final):
    """Return when `is_final()` or after `timeout` seconds, whichever comes first."""
    with waiting_redis().pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.subscribe(finished_channel(task_id))
        deadline = time.monotonic() + timeout
        while not is_final() and (left := deadline - time.monotonic()) > 0:
            subscription.get_message(timeout=min(left, 5))


def _on_redis(operation):
    """What `operation` returns, or None where Redis is away: its callers look again until their time is up."""
    try:
        return operation(sync_redis())
    except RedisError:
        time.sleep(PAUSE)
        return None


# --- the socket's side -----------------------------------------------------------------------


async def deliver(task_id, event):
    """Hand `event` to a waiting task; False where it has given up or Redis is away."""
    try:
        async with async_redis().pipeline(transaction=True) as pipe:
            pipe.exists(_closed(task_id))
            pipe.rpush(_events(task_id), json.dumps(event)).expire(_events(task_id), KEEP)
            closed, *_ = await pipe.execute()
    except RedisError:
        return False
    return not closed


async def arrive(charger_id, entry):
    """Enter a socket's `Presence` and wake the command that waits for it; the entry it replaces, or None."""
    async with async_redis().pipeline(transaction=False) as pipe:
        pipe.set(presence.key(charger_id), entry.dumps(), ex=presence.TTL, get=True)
        pipe.get(presence.waiter_key(charger_id))
        pipe.delete(presence.offline_key(charger_id))
        replaced, waiter, _ = await pipe.execute()
    if waiter:
        await deliver(waiter, {"type": "connected"})
    return presence.Presence.loads(replaced)


async def renew(entries):
    """Prolong `entries`, (charger_id, Presence) pairs; whether each is still its session's own."""
    async with async_redis().pipeline(transaction=False) as pipe:
        for charger_id, entry in entries:
            pipe.eval(presence.RENEW, 1, presence.key(charger_id), entry.dumps(), presence.TTL)
        return [bool(ours) for ours in await pipe.execute()]


async def leave(charger_id, entry):
    """Clear a socket's entry, if it is still its own."""
    await async_redis().eval(presence.RELEASE, 1, presence.key(charger_id), entry.dumps())
