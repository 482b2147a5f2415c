"""Transport of one command from a Celery task to a charger's socket and back.

A task sends through the channel layer and waits on its own Redis list, its mailbox. The socket's process appends the
events `sent` (the CALL is written) and then `reply` or `error`, or `lost` (the socket has ended). `sent` is omitted
if another event follows within SENT_DELAY_S. Each of these events has `sent_at`, the time of the claim (ISO 8601). A
list stores events that arrive before the task waits. After a task has closed its mailbox, `deliver` reports that an
answer is late.
"""

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NotRequired, TypedDict, TypeVar

import orjson
from redis import Redis
from redis.client import PubSub
from redis.exceptions import RedisError

from chargers.services import control, presence
from chargers.services.presence import Presence
from core.background import BackgroundWriter
from core.observability import tracing
from core.ocpp.schemas import JSON
from core.redis.connections import MAX_BLOCK_S, async_redis, attempt, sync_redis, waiting_redis

logger = logging.getLogger(__name__)

MAILBOX_TTL_S = 3600  # lifetime of the events of a task, and of the mark of a closed mailbox
LEASE_S = 12  # more than two waits; a task that has not renewed its lease for so long is taken for dead
SENT_DELAY_S = 0.3  # until the event `sent`; much less than the task waits for the first event of a CALL
ENQUEUED_S = 20  # a task that has not begun after so long is taken for lost by the broker
# This is one command, because a pipeline in a transaction takes three times as much time of the event loop.
DELIVER = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[2])
return 1
"""

MAX_UNUSED_SUBSCRIPTIONS = 64  # of this process; each keeps its connection for the next client that waits
_unused_subscriptions: deque[PubSub] = deque()

Found = TypeVar("Found")


class Sent(TypedDict):
    """The CALL is written. Its answer has not arrived within SENT_DELAY_S."""

    type: Literal["sent"]
    sent_at: str


class Replied(TypedDict):
    """The charger has sent a CALLRESULT. Its payload may be any JSON, because it is not checked yet."""

    type: Literal["reply"]
    payload: Any
    sent_at: NotRequired[str]


class Failed(TypedDict):
    """The charger has sent a CALLERROR: code, description, details."""

    type: Literal["error"]
    error: JSON
    sent_at: NotRequired[str]


class Lost(TypedDict):
    """The socket has ended without an answer."""

    type: Literal["lost"]
    sent_at: NotRequired[str]


Answer = Replied | Failed
Event = Sent | Answer | Lost


def _key(task_id: str, kind: str) -> str:
    """Name the key `kind` of a task. All keys of a task are in one slot of a Redis cluster.

    Kinds are `events`, `taken`, `closed`, `lease`, `enqueued`, `trace` and `finished`.
    """
    return f"ocpp:{{{task_id}}}:{kind}"


# --- the task's side -------------------------------------------------------------------------


def send(connection: Presence, task_id: str, action: str, payload: JSON) -> None:
    """Send a CALL to the socket of `connection`, which claims the command and writes it.

    Pub/sub delivers at most once, so the caller relies only on the events in the mailbox. It may send again, because
    a command can be claimed only once.
    """
    text = orjson.dumps(payload).decode()
    message = {"type": "ocpp.call", "task_id": task_id, "action": action, "payload": text}
    control.publish(connection, message | ({"trace": tracing.carried()} if tracing.IS_ON else {}))


def next_event(task_id: str, timeout: float) -> Event | None:
    """Return the next event of a task, or None after at most `timeout` seconds.

    The event moves to the list `taken`, for the task that takes over if this one dies. A wait without an event renews
    the task's lease, so one wait lasts at most MAX_BLOCK_S.
    """

    def wait(client: Redis) -> bytes | str | None:
        seconds = min(max(timeout, 0.01), MAX_BLOCK_S)
        # Redis takes fractions of a second, which the types of its client do not say.
        event = waiting_redis().blmove(_key(task_id, "events"), _key(task_id, "taken"), seconds)  # type: ignore[arg-type]
        if not event:
            with client.pipeline(transaction=False) as pipe:
                pipe.set(_key(task_id, "lease"), 1, ex=LEASE_S)
                pipe.expire(_key(task_id, "taken"), MAILBOX_TTL_S)
                pipe.execute()
        return event

    event = attempt(wait)
    return json.loads(event) if event else None


def events_of_former_task(task_id: str) -> list[Event]:
    """Return the events that a former task of this command has taken, oldest first."""
    taken = attempt(lambda client: client.lrange(_key(task_id, "taken"), 0, -1))
    return [json.loads(event) for event in taken or []]


def close_mailbox(task_id: str) -> list[Event]:
    """Close the mailbox of a task and return its events. Events delivered later are late.

    The list `taken` is read too, because the connection may have failed after Redis had moved an event.
    """
    events, taken = _key(task_id, "events"), _key(task_id, "taken")

    def close(client: Redis) -> list:
        with client.pipeline(transaction=True) as pipe:
            pipe.lrange(taken, 0, -1)
            pipe.lrange(events, 0, -1)
            pipe.delete(events)
            pipe.set(_key(task_id, "closed"), 1, ex=MAILBOX_TTL_S)
            return pipe.execute()

    lists = attempt(close)
    return [json.loads(event) for event in [*lists[0], *lists[1]]] if lists else []


def note_enqueued(task_id: str) -> None:
    """Record for the sweep that a task of this command waits in the broker. The mark expires after ENQUEUED_S."""
    attempt(lambda client: client.set(_key(task_id, "enqueued"), 1, ex=ENQUEUED_S))


def trace_headers(task_id: str) -> dict[str, str]:
    """Return the trace headers for the tasks of a command, {} without tracing.

    They name the trace in which the command was submitted. The first caller stores them in Redis for later tasks.
    """
    if not tracing.IS_ON:
        return {}
    current, key = tracing.carried(), _key(task_id, "trace")
    if current:
        attempt(lambda client: client.set(key, json.dumps(current), nx=True, ex=MAILBOX_TTL_S))
    stored = attempt(lambda client: client.get(key))
    return json.loads(stored) if stored else current


def acquire_lease(task_id: str, charger_id: str) -> tuple[bool, Presence | None]:
    """Return (whether the caller has the lease and may run the command, the charger's `Presence` or None).

    This also clears the mark of `note_enqueued`, because the task has begun. Wait while Redis is unavailable.
    """

    def begin(client: Redis) -> list:
        with client.pipeline(transaction=False) as pipe:
            pipe.delete(_key(task_id, "enqueued"))
            pipe.set(_key(task_id, "lease"), 1, nx=True, ex=LEASE_S)
            pipe.get(presence.key(charger_id))
            return pipe.execute()

    _, has_lease, entry = _wait_for_redis(begin, charger_id)
    return bool(has_lease), Presence.loads(entry)


def release(task_id: str) -> None:
    """Give up the lease of a task that does not run its command."""
    attempt(lambda client: client.delete(_key(task_id, "lease")))


def orphaned(task_ids: list[str]) -> list[str]:
    """Return those of `task_ids` that no task runs and that do not wait in the broker. Raise `RedisError`."""
    keys = [_key(task_id, kind) for task_id in task_ids for kind in ("lease", "enqueued")]
    marks = sync_redis().mget(keys) if keys else []
    return [task_id for task_id, *alive in zip(task_ids, marks[::2], marks[1::2], strict=True) if not any(alive)]


def find_connection(charger_id: str) -> Presence | None:
    """Return the `Presence` of a connected charger, else None. Wait while Redis is unavailable."""

    (entry,) = _wait_for_redis(lambda client: [client.get(presence.key(charger_id))], charger_id)
    return Presence.loads(entry)


def _wait_for_redis(read: Callable[[Redis], list], charger_id: str) -> list:
    """Return `read(client)`. Try again while Redis is unavailable."""
    while (replies := attempt(read)) is None:
        logger.warning("A command to %s waits for Redis. Check that Redis runs and takes writes.", charger_id)
    return replies


def offline_duration_s(charger_id: str) -> float:
    """Return the seconds since a command of any worker first found the charger disconnected."""

    def read(client: Redis) -> list:
        with client.pipeline(transaction=False) as pipe:
            pipe.set(presence.offline_key(charger_id), 1, nx=True, ex=MAILBOX_TTL_S)
            pipe.pttl(presence.offline_key(charger_id))
            return pipe.execute()

    replies = attempt(read)
    return max(0.0, MAILBOX_TTL_S - replies[1] / 1000) if replies and replies[1] > 0 else 0.0


def announce_finished(task_id: str) -> None:
    """Notify the waiting clients, and delete the keys of the task."""
    keys = [_key(task_id, kind) for kind in ("lease", "events", "taken")]

    def announce(client: Redis) -> None:
        with client.pipeline(transaction=False) as pipe:
            pipe.publish(_key(task_id, "finished"), 1)
            pipe.delete(*keys)
            pipe.execute()

    attempt(announce)


def _announce_completed(task_ids: list[str]) -> None:
    """Notify the waiting clients. While Redis is unavailable, they only look from time to time."""

    def announce(client: Redis) -> None:
        with client.pipeline(transaction=False) as pipe:
            for task_id in task_ids:
                pipe.publish(_key(task_id, "finished"), 1)
            pipe.execute()

    attempt(announce)


# Takes the ids of tasks whose chargers have delivered. It is a thread, so that Redis delays no answer to a charger.
completions = BackgroundWriter[str](
    "completions", _announce_completed, interval_s=0.1, max_queued=10_000, max_batch=1000
)


def wait_until(task_id: str, timeout: float, look: Callable[[], Found | None]) -> Found | None:
    """Return `look()` as soon as it is not None, or after `timeout` seconds.

    It is called when the task is finished or its charger has delivered, and every 5 s.
    """
    with _subscription(_key(task_id, "finished")) as subscription:
        deadline = time.monotonic() + timeout
        while (result := look()) is None and (left := deadline - time.monotonic()) > 0:
            subscription.get_message(timeout=min(left, 5))
        return result


@contextmanager
def _subscription(channel: str) -> Iterator[PubSub]:
    """Yield a subscription to `channel` that Redis has confirmed. It keeps its connection for later ones."""
    subscription = _unused_subscription()
    try:
        subscription.subscribe(channel)
        while not _precedes_messages(subscription.get_message(timeout=MAX_BLOCK_S), channel):
            pass  # a message of the channel of an earlier client
        yield subscription
    except BaseException:
        subscription.close()
        raise
    if len(_unused_subscriptions) < MAX_UNUSED_SUBSCRIPTIONS:
        _unused_subscriptions.append(subscription)
    else:
        subscription.close()


def _unused_subscription() -> PubSub:
    try:
        subscription = _unused_subscriptions.pop()
    except IndexError:
        return waiting_redis().pubsub()
    # The earlier client does not unsubscribe, because its request would fail if Redis has become unavailable by then.
    subscription.unsubscribe()
    return subscription


def _precedes_messages(message: dict[str, Any] | None, channel: str) -> bool:
    """Whether `message` confirms the subscription to `channel`. None, after a long wait, counts as well."""
    return message is None or (message["type"], message["channel"]) == ("subscribe", channel)


# --- the socket's side -----------------------------------------------------------------------


async def deliver(task_id: str, event: Event) -> bool:
    """Append `event` to a task's mailbox. Return False if it is closed or Redis is unavailable."""
    keys = [_key(task_id, kind) for kind in ("closed", "events", "taken")]
    try:
        return bool(await async_redis().eval(DELIVER, len(keys), *keys, json.dumps(event), MAILBOX_TTL_S))
    except RedisError:
        return False
