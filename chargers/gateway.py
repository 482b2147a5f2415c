"""The way of one command from a Celery task to a charger's socket and back.

A task sends through the channel layer and waits on its own Redis list, on which the socket's process puts,
in this order, `sent` (the CALL is written) and then `reply`, or `lost` (the socket ended). Lists keep what
comes early; once a task has given up, whoever answers learns that it is late.
"""

import json
import logging
import time
from uuid import uuid4

import orjson
from channels.layers import get_channel_layer
from django.db import transaction
from redis.exceptions import RedisError

from chargers import presence, tracing
from chargers.redis import LONGEST_BLOCK, async_redis, sync_redis, waiting_redis

logger = logging.getLogger(__name__)

CHANGED = 4003  # close code: the charger must come again, with its new credentials
WATCHED = 60  # seconds for which those who watch a charger are told of its frames, unless they ask again
KEEP = 3600  # seconds an event waits for its task, a mark that it has given up for late answers
LEASE = 12  # seconds after which a task that shows no sign of life has been abandoned: more than two waits
ENQUEUED = 20  # seconds after which a task that did not begin is believed lost by the broker
PAUSE = 0.2
PROLONG = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end return 0"
# One command where a pipeline in a transaction costs the event loop three times as much.
DELIVER = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[2])
return 1
"""


def _key(task_id, kind):
    """`events`, `taken`, `closed`, `lease` or `enqueued` of a task; all of one task in one slot of a cluster."""
    return f"ocpp:{{{task_id}}}:{kind}"


# --- the task's side -------------------------------------------------------------------------


def send(holder, task_id, action, payload):
    """Put a CALL on its way to the socket of `holder` (a `Presence`), which claims the command and writes it.

    PUBLISH in the layer's wire format over a lasting client: `async_to_sync(layer.send)` takes several times
    as long (see docs/decisions/0003). Pub/sub delivers at most once, so the caller counts on the `sent`
    event alone and may send again: a command can be claimed once.
    """
    text = orjson.dumps(payload).decode()
    message = {"type": "ocpp.call", "task_id": task_id, "action": action, "payload": text}
    _publish(holder, message | ({"trace": tracing.carried()} if tracing.IS_ON else {}))


def close_socket(charger_id, code, reason):
    """Ask the process that holds a charger's socket to close it, see `_tell_holder`."""
    _tell_holder(charger_id, {"type": "ocpp.close", "code": code, "reason": reason})


def make_it_come_again(charger_id):
    """Close the socket of a charger whose key or security profile was changed."""
    close_socket(charger_id, CHANGED, "Its key or security profile was changed")


def change_settings(charger):
    """Have the process that holds a charger's socket treat it as its columns say (`Charger.of_socket`), see
    `_tell_holder`."""
    _tell_holder(charger.charger_id, {"type": "ocpp.settings", **charger.of_socket})


def _tell_holder(charger_id, message):
    """Publish `message` to the process that holds a charger's socket: after the commit of the transaction under way,
    at once without one.

    A transaction that changes a charger has locked its row. If it waited for a Redis that hangs, every message of the
    charger, and those of the same batch, would wait as long.
    """

    def tell():
        entry = _on_redis(lambda client: client.get(presence.key(charger_id)))
        if holder := presence.Presence.loads(entry):
            _publish(holder, message)

    transaction.on_commit(tell)


def _publish(holder, message):
    _on_redis(lambda client: client.publish(holder.channel, get_channel_layer().serialize(message)))


def next_event(task_id, timeout):
    """The next event of a task (a dict with `type`), or None after `timeout` seconds or sooner.

    It is kept in the list of what was taken, for the task that takes over should this one die. Waiting in vain renews
    the task's lease, so one wait is of at most LONGEST_BLOCK.
    """

    def wait(client):
        seconds = min(max(timeout, 0.01), LONGEST_BLOCK)
        found = waiting_redis().blmove(_key(task_id, "events"), _key(task_id, "taken"), seconds)
        if not found:
            with client.pipeline(transaction=False) as pipe:
                pipe.set(_key(task_id, "lease"), 1, ex=LEASE).expire(_key(task_id, "taken"), KEEP).execute()
        return found

    found = _on_redis(wait)
    return json.loads(found) if found else None


def taken_events(task_id):
    """The events a former task of this command has taken, oldest first."""
    found = _on_redis(lambda client: client.lrange(_key(task_id, "taken"), 0, -1))
    return [json.loads(event) for event in found or []]


def close_mailbox(task_id):
    """Wait no longer; the events that came, also those that Redis moved without our hearing of it. Later ones are
    late."""
    events, taken = _key(task_id, "events"), _key(task_id, "taken")

    def close(client):
        with client.pipeline(transaction=True) as pipe:
            pipe.lrange(taken, 0, -1).lrange(events, 0, -1).delete(events).set(_key(task_id, "closed"), 1, ex=KEEP)
            return pipe.execute()

    found = _on_redis(close)
    return [json.loads(event) for event in [*found[0], *found[1]]] if found else []


def note_enqueued(task_id):
    """A task of this command waits in the broker; the sweep believes it for ENQUEUED seconds."""
    _on_redis(lambda client: client.set(_key(task_id, "enqueued"), 1, ex=ENQUEUED))


def carried_by(task_id):
    """What the tasks of a command carry of the trace it was asked for in: the first who enqueues one tells the
    others. {} where nothing is traced."""
    if not tracing.IS_ON:
        return {}
    asked_in, key = tracing.carried(), _key(task_id, "trace")
    if asked_in:
        _on_redis(lambda client: client.set(key, json.dumps(asked_in), nx=True, ex=KEEP))
    found = _on_redis(lambda client: client.get(key))
    return json.loads(found) if found else asked_in


def acquire_lease(task_id, charger_id):
    """(whether the caller may carry out the task, the charger's `Presence` or None): nobody else does, then.

    The task has begun, so it waits in the broker no more. Where Redis is away, it is waited for.
    """

    def begin(client):
        with client.pipeline(transaction=False) as pipe:
            pipe.delete(_key(task_id, "enqueued")).set(_key(task_id, "lease"), 1, nx=True, ex=LEASE)
            return pipe.get(presence.key(charger_id)).execute()

    while (found := _on_redis(begin)) is None:
        logger.warning("A command to %s waits for Redis", charger_id)
    _, leased, entry = found
    return bool(leased), presence.Presence.loads(entry)


def release(task_id):
    _on_redis(lambda client: client.delete(_key(task_id, "lease")))


def orphaned(task_ids):
    """Those of `task_ids` that no task carries out and none waits for in the broker; raises `RedisError`."""
    keys = [_key(task_id, kind) for task_id in task_ids for kind in ("lease", "enqueued")]
    signs = sync_redis().mget(keys) if keys else []
    return [task_id for task_id, *alive in zip(task_ids, signs[::2], signs[1::2], strict=True) if not any(alive)]


def first_in(name, seconds):
    """Whether the caller is the first of all processes to ask for `name` within `seconds`; raises `RedisError`."""
    return leased(name, seconds) is not None


def leased(name, seconds):
    """A token by which `name` is the caller's for `seconds`, None while it is another's; raises `RedisError`."""
    token = uuid4().hex
    return token if sync_redis().set(f"ocpp:{name}", token, nx=True, px=int(seconds * 1000)) else None


def still_leased(name, token, seconds):
    """Whether `name` is still the caller's, and then for `seconds` from now; raises `RedisError`."""
    return bool(sync_redis().eval(PROLONG, 1, f"ocpp:{name}", token, seconds))


def done_with(name, token):
    """End a lease, if it is still the one of `token`; raises `RedisError`."""
    sync_redis().eval(presence.RELEASE, 1, f"ocpp:{name}", token)


def note_moment(name):
    """`name` happened now; where Redis is away nobody is told of it."""
    _on_redis(lambda client: client.set(f"ocpp:{name}", time.time()))


def noted_moment(name):
    """When `name` happened last, in seconds since the epoch, 0 where it never did; raises `RedisError`."""
    return float(sync_redis().get(f"ocpp:{name}") or 0)


def find_holder(charger_id):
    """The `Presence` of a connected charger, else None."""

    def look(client):
        return [client.get(presence.key(charger_id))]

    while (found := _on_redis(look)) is None:
        logger.warning("A command to %s waits for Redis", charger_id)
    return presence.Presence.loads(found[0])


def offline_for(charger_id):
    """Seconds since a command first found the charger away since it was last here, told by Redis for all workers."""

    def note(client):
        with client.pipeline(transaction=False) as pipe:
            pipe.set(presence.offline_key(charger_id), 1, nx=True, ex=KEEP)
            pipe.pttl(presence.offline_key(charger_id))
            return pipe.execute()

    found = _on_redis(note)
    return max(0.0, KEEP - found[1] / 1000) if found and found[1] > 0 else 0.0


def announce_finished(task_id):
    """Tell the clients that wait, and leave nothing behind."""
    left = [_key(task_id, kind) for kind in ("lease", "events", "taken")]

    def announce(client):
        with client.pipeline(transaction=False) as pipe:
            pipe.publish(_key(task_id, "finished"), 1).delete(*left).execute()

    _on_redis(announce)


def wait_until_finished(task_id, timeout, look):
    """What `look()` finds, when it finds something or after `timeout` seconds, whichever comes first."""
    with waiting_redis().pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.subscribe(_key(task_id, "finished"))
        deadline = time.monotonic() + timeout
        while (found := look()) is None and (left := deadline - time.monotonic()) > 0:
            subscription.get_message(timeout=min(left, 5))
        return found


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
    keys = [_key(task_id, kind) for kind in ("closed", "events", "taken")]
    try:
        return bool(await async_redis().eval(DELIVER, len(keys), *keys, json.dumps(event), KEEP))
    except RedisError:
        return False


async def register_presence(charger_id, entry):
    """Enter a socket's `Presence`; the entry it replaces, None, or its own where a newer one is there."""
    keys = presence.key(charger_id), presence.offline_key(charger_id)
    return presence.Presence.loads(await async_redis().eval(presence.ARRIVE, 2, *keys, entry.dumps(), presence.TTL))


async def watch(charger, seconds=WATCHED):
    """Have every frame of `charger` published on `message_log.channel(charger.pk)` for `seconds`, kept or not.

    Whoever watches asks again every 20 s: the charger may have come by another socket meanwhile. Raises `RedisError`.
    """
    entry = await async_redis().get(presence.key(charger.charger_id))
    if holder := presence.Presence.loads(entry):
        message = get_channel_layer().serialize({"type": "ocpp.watch", "seconds": seconds})
        await async_redis().publish(holder.channel, message)


async def renew(entries):
    """Prolong `entries`, (charger_id, Presence) pairs; whether each is still its session's own."""
    async with async_redis().pipeline(transaction=False) as pipe:
        for charger_id, entry in entries:
            pipe.eval(presence.RENEW, 1, presence.key(charger_id), entry.dumps(), presence.TTL)
        return [bool(ours) for ours in await pipe.execute()]


async def leave(charger_id, entry):
    """Clear a socket's entry, if it is still its own."""
    await async_redis().eval(presence.RELEASE, 1, presence.key(charger_id), entry.dumps())
