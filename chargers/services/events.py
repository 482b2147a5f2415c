"""Record events in the transaction that changes their subject, and publish them to live listeners after the commit.

The statement that stores an event also inserts its webhook deliveries, so none is lost. A live listener
(`core.redis.listening`) may miss an event when a process ends, and reads it later by its id.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from django.db import transaction
from redis.exceptions import RedisError

from chargers import metrics, sql
from chargers.models.events import STORED_KINDS
from core.background import BackgroundWriter
from core.db import bulk_sql
from core.ocpp.schemas import JSON
from core.redis.connections import sync_redis

logger = logging.getLogger(__name__)

CHANNEL = "ocpp:events"
MAX_QUEUED_EVENTS = 10_000  # events that are not published yet; beyond it further ones are dropped
# The publisher collects events for this long, because a thread that publishes after every batch competes with the
# writer thread for the interpreter (p50 of an answer at 1,000 messages/s: 0.8 ms more).
PUBLISH_INTERVAL_S = 0.1
RETRY_DELAY_S = 1.0  # until Redis is tried again after an error
DEMAND_CACHE_S = 5.0  # until a new webhook also receives events of kinds that are not stored


class _Batch(threading.local):
    events: list[JSON] | None = None


_batch = _Batch()


@contextmanager
def batched_events() -> Iterator[None]:
    """Record the events of this context by one statement at its end, in the current transaction."""
    _batch.events = []
    try:
        yield
        events, _batch.events = _batch.events, None
        _record(events or [])
    finally:
        _batch.events = None


def record_event(kind: str, charger: int | None, **body: Any) -> None:
    """Record an event of `charger` (primary key): its `kind`, one of `models.events.KINDS`, and its `body`.

    One that belongs to no charger (None) is for users who may reach every charger.

    An event of a kind that is neither stored nor wanted by a webhook needs no statement. Live listeners receive it
    without an id.
    """
    event = {"kind": kind, "charger": charger, "at": datetime.now(UTC), "body": body, "stored": kind in STORED_KINDS}
    if _batch.events is None:
        _record([event])
    else:
        _batch.events.append(event)


def _row(n: int, event: JSON) -> JSON:
    """Return the parameters of sql.RECORD_EVENTS for one event; times are written as in the API."""
    return event | {"n": n, "body": {name: _to_json(value) for name, value in event["body"].items()}}


def _to_json(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def _record(events: list[JSON]) -> None:
    """Store the events and queue them for publication; an event whose charger was deleted meanwhile is dropped."""
    unstored_are_wanted = not all(event["stored"] for event in events) and unstored_event_demand.exists()
    to_store = [event for event in events if event["stored"] or unstored_are_wanted]
    rows = bulk_sql.execute(sql.RECORD_EVENTS, [_row(n, event) for n, event in enumerate(to_store)])
    messages = [_message(to_store[n], pk, charger_id) for n, pk, charger_id in rows]
    messages += [_message(event) for event in events if not event["stored"] and not unstored_are_wanted]
    if messages:
        transaction.on_commit(lambda: _live_publisher.put(*messages), robust=True)


def _message(event: JSON, pk: int | None = None, charger_id: str | None = None) -> JSON:
    """Return the event as it is published; `charger_id` is None where the listener has to look it up."""
    return {
        "id": pk,
        "kind": event["kind"],
        "at": event["at"],
        "charger_id": charger_id,
        "body": event["body"],
        "charger": event["charger"],
    }


class _UnstoredEventDemand:
    """Tell whether an enabled webhook wants events of kinds that are not stored; cached for DEMAND_CACHE_S."""

    def __init__(self) -> None:
        self.checked_at, self.is_wanted = float("-inf"), False

    def exists(self) -> bool:
        if time.monotonic() - self.checked_at > DEMAND_CACHE_S:
            ((self.is_wanted,),) = bulk_sql.query(sql.UNSTORED_EVENTS_ARE_WANTED, [])
            self.checked_at = time.monotonic()
        return self.is_wanted

    def forget(self, **_: Any) -> None:
        self.checked_at = float("-inf")


unstored_event_demand = _UnstoredEventDemand()


def notify_live(kind: str, charger: int, **body: Any) -> None:
    """Notify dashboards alone, after the commit, that records of `charger` (primary key) have changed."""
    message = {"kind": kind, "at": datetime.now(UTC), "charger": charger, "body": body}
    transaction.on_commit(lambda: _live_publisher.put(message), robust=True)


# --- live publication ------------------------------------------------------------------------


def publish(messages: list[JSON]) -> None:
    """Publish to Redis, but skip it when nobody is subscribed; a new subscriber gets events from then on."""
    ((_, subscribers),) = sync_redis().pubsub_numsub(CHANNEL)
    if messages and subscribers:
        sync_redis().publish(CHANNEL, orjson.dumps(messages, option=orjson.OPT_UTC_Z).decode())


def _publish(messages: list[JSON]) -> None:
    try:
        publish(messages)
    except RedisError as error:
        metrics.count_unpublished("redis_away", len(messages))
        logger.warning("%s events were not published, because Redis is unavailable: %s", len(messages), error)
        time.sleep(RETRY_DELAY_S)
    else:
        metrics.events_published.inc(len(messages))


# Events are published by a thread, so that a Redis which hangs delays no answer to a charger.
_live_publisher = BackgroundWriter[dict](
    "events",
    _publish,
    interval_s=PUBLISH_INTERVAL_S,
    max_queued=MAX_QUEUED_EVENTS,
    max_batch=MAX_QUEUED_EVENTS,
    count_lost=metrics.count_unpublished,
)
