"""What happened, recorded with what it tells of in one transaction, and told to whoever listens after the commit.

Webhooks are owed their deliveries by the same statement, so none is lost; what listens live (`chargers.live`) may
miss one when a process ends, and reads it later by its id.
"""

import logging
import threading
import time
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime

import orjson
from django.db import transaction
from redis.exceptions import RedisError

from chargers import bulk_sql, metrics
from chargers.models.events import KEPT
from chargers.redis import sync_redis

logger = logging.getLogger(__name__)

CHANNEL = "ocpp:events"
MOST_WAITING = 10_000  # events that are not told live yet; past it the oldest are left out
# Seconds in which events gather: a thread that publishes after every batch takes the interpreter from the one that
# writes them (p50 of an answer at 1,000 messages/s: 0.8 ms more).
GATHER = 0.1
PAUSE = 1.0  # seconds until a Redis that is away is tried again
PATIENCE = 5.0  # seconds after which a new webhook is told also of what is not kept

# Who is told live is told of all of them: `nextval` gives also those that are not kept an id.
RECORD = """
WITH s AS MATERIALIZED (
    SELECT nextval('chargers_event_id_seq') AS id, r.*, ch.charger_id FROM json_to_recordset(%s)
        AS r(n int, kind text, charger bigint, at timestamptz, body jsonb, kept boolean)
    JOIN chargers_charger ch ON ch.id = r.charger
), wanted AS MATERIALIZED (
    SELECT s.id AS event, s.charger, w.id AS webhook FROM chargers_webhook w JOIN s ON w.kinds ? s.kind
    WHERE w.is_enabled AND (w.group_id IS NULL OR EXISTS (SELECT FROM chargers_chargergroup_chargers g
        WHERE g.chargergroup_id = w.group_id AND g.charger_id = s.charger))
), recorded AS (
    INSERT INTO chargers_event (id, kind, charger_id, at, body)
    SELECT id, kind, charger, at, body FROM s WHERE kept OR id IN (SELECT event FROM wanted) ORDER BY id
), owed AS (
    INSERT INTO chargers_delivery (webhook_id, event_id, charger, state, due_at)
    SELECT webhook, event, charger, 'pending', now() FROM wanted ORDER BY event
)
SELECT n, id, charger_id FROM s
"""
UNKEPT_IS_WANTED = """
SELECT EXISTS (SELECT FROM chargers_webhook WHERE is_enabled AND kinds ? 'transaction.updated')
"""


class _Gathering(threading.local):
    events = None


_gathering = _Gathering()


@contextmanager
def batched_events():
    """What is told within is recorded by one statement at the end, in the transaction that is under way."""
    _gathering.events = []
    try:
        yield
        events, _gathering.events = _gathering.events, None
        _record(events)
    finally:
        _gathering.events = None


def record_event(kind, charger, **body):
    """An event of `charger` (primary key) has happened: one of `models.events.KINDS`, and what is told of it.

    What is not kept, and no webhook asks for, costs no statement: it is told to who listens now, without an id.
    """
    event = {"kind": kind, "charger": charger, "at": datetime.now(UTC), "body": body, "kept": kind in KEPT}
    if _gathering.events is None:
        _record([event])
    else:
        _gathering.events.append(event)


def _row(n, event):
    """Moments in it as the API writes them."""
    return event | {"n": n, "body": {name: _written(value) for name, value in event["body"].items()}}


def _written(value):
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def _record(events):
    """Those whose charger is gone meanwhile are nobody's any more."""
    is_wanted = not all(event["kept"] for event in events) and unstored_event_demand.are_for_all()
    owed = [event for event in events if event["kept"] or is_wanted]
    rows = bulk_sql.execute(RECORD, [_row(n, event) for n, event in enumerate(owed)])
    told = [_told(owed[n], pk, charger_id) for n, pk, charger_id in rows]
    told += [_told(event) for event in events if not event["kept"] and not is_wanted]
    if told:
        transaction.on_commit(lambda: _live_publisher.put(told), robust=True)


def _told(event, pk=None, charger_id=None):
    """`charger_id` is None where nothing was looked up: whoever listens does it."""
    return {
        "id": pk,
        "kind": event["kind"],
        "at": event["at"],
        "charger_id": charger_id,
        "body": event["body"],
        "charger": event["charger"],
    }


class _Wishes:
    """Whether an enabled webhook asks for what is not kept otherwise; looked up every PATIENCE seconds."""

    def __init__(self):
        self.looked_at, self.is_so = float("-inf"), False

    def are_for_all(self):
        if time.monotonic() - self.looked_at > PATIENCE:
            ((self.is_so,),) = bulk_sql.query(UNKEPT_IS_WANTED, [])
            self.looked_at = time.monotonic()
        return self.is_so

    def forget(self, **_):
        self.looked_at = float("-inf")


unstored_event_demand = _Wishes()


def notify_live(kind, charger, **body):
    """Tell dashboards alone, after the commit, that the books have something new of `charger` (primary key)."""
    told = {"kind": kind, "at": datetime.now(UTC), "charger": charger, "body": body}
    transaction.on_commit(lambda: _live_publisher.put([told]), robust=True)


# --- to those who listen now -----------------------------------------------------------------


def publish(told):
    """What nobody listens to need not be written out: whoever begins to is owed what happens from then on."""
    ((_, listening),) = sync_redis().pubsub_numsub(CHANNEL)
    if told and listening:
        sync_redis().publish(CHANNEL, orjson.dumps(told, option=orjson.OPT_UTC_Z).decode())


class LivePublisher:
    """A thread that publishes, so that a Redis which hangs delays no answer."""

    def __init__(self):
        self.waiting = deque(maxlen=MOST_WAITING)
        self.work = threading.Event()
        self.beginning = threading.Lock()
        self.thread = None

    def put(self, told):
        metrics.count_untold("too_many", len(self.waiting) + len(told) - MOST_WAITING)
        self.waiting.extend(told)
        if self.thread is None:
            with self.beginning:
                if self.thread is None:
                    self.thread = threading.Thread(target=self._publish_on_and_on, name="events", daemon=True)
                    self.thread.start()
        self.work.set()

    def _publish_on_and_on(self):
        while True:
            self.work.wait()
            time.sleep(GATHER)
            self.work.clear()
            told = [self.waiting.popleft() for _ in range(len(self.waiting))]
            try:
                publish(told)
                metrics.events_told.inc(len(told))
            except RedisError as error:
                metrics.count_untold("redis_away", len(told))
                logger.warning("%s events were not told live, Redis is away: %s", len(told), error)
                time.sleep(PAUSE)
            except Exception:  # noqa: BLE001  (without it no dashboard would ever move again)
                metrics.count_untold("fault", len(told))
                logger.exception("%s events were not told live", len(told))


_live_publisher = LivePublisher()
