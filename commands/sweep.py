"""What a worker, a broker or a web process abandoned is taken up again from the books."""

import logging
import threading
import time
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import DateTimeField, ExpressionWrapper, F, Q

from chargers import bulk_sql, gateway, presence, presence_reconciliation, webhooks
from commands import batches, metrics, schedules
from commands.models import FINISHED, QUEUED, SENT, SYSTEM_ACTOR, Command
from commands.schedules import AWAY
from commands.signing import sign_waiting
from commands.tasks import enqueue

logger = logging.getLogger(__name__)

INTERVAL = 1  # seconds
MOST = 1000  # commands a sweep


def sweep():
    """Enqueue what is due and has no task; the commands that were.

    Due is the first unfinished command of each charger that is connected or was sent one, and what has
    waited too long in the queue: for its turn, or for a charger that is not connected.
    """
    now = bulk_sql.clock()
    settled = now - timedelta(seconds=3 * INTERVAL)  # younger ones are on their way by themselves
    too_long_ago = now - timedelta(seconds=settings.OCPP_QUEUE_TIMEOUT)
    # Without their payloads: a local list may be large, and there may be one for every charger.
    unfinished = Command.objects.exclude(state=FINISHED).select_related("charger").defer("payload")
    _bring_back_from_the_future(unfinished, now)
    own = Q(requested_by=SYSTEM_ACTOR)  # nobody has enqueued these
    first = list(
        unfinished.filter(own | Q(created_at__lt=settled)).order_by("charger_id", "pk").distinct("charger_id")
    )
    own_time = ExpressionWrapper(F("created_at") + F("timeout") * timedelta(seconds=1), DateTimeField())
    waited = Q(created_at__lt=too_long_ago) | Q(own_time__lt=now)
    overdue = list(unfinished.filter(state=QUEUED).annotate(own_time=own_time).filter(waited))
    online = presence.connected(list({command.charger.charger_id for command in [*first, *overdue]}))
    due = {c.task_id: c for c in first if c.state == SENT or c.charger.charger_id in online}
    due |= {c.task_id: c for c in overdue if c.created_at < too_long_ago or c.charger.charger_id not in online}
    abandoned = [due[task_id] for task_id in gateway.orphaned(list(due))[:MOST]]
    for command in abandoned:
        enqueue(command)
    return abandoned


def _bring_back_from_the_future(unfinished, now):
    """After the clock of the database was set back, what was asked or sent before would wait for it to catch up."""
    for column in ("created_at", "sent_at"):
        unfinished.filter(**{f"{column}__gt": now}).update(**{column: now})


def keep_sweeping():
    """In every worker, a sweep every INTERVAL seconds by one of them."""
    threading.Thread(target=_sweep_on_and_on, name="sweep", daemon=True).start()


def take_up():
    """`sweep`, counted and said."""
    if abandoned := sweep():
        metrics.abandoned.inc(len(abandoned))
        logger.info("%s commands that had no task are taken up", len(abandoned))


def look_after_presence():
    """What the books say of who is online, after a web process or Redis was away."""
    if gone := presence_reconciliation.mark_lost_offline():
        logger.info("%s chargers vanished with their web process", gone)
    if back := presence_reconciliation.mark_present_online():
        logger.info("%s chargers that were believed gone are there", back)


# (name, seconds between two turns, what is done in one)
TURNS = (
    (
        "sweep",
        INTERVAL,
        (
            *(take_up, sign_waiting, schedules.run_forgotten),
            *(batches.release, batches.finish_completed, webhooks.enqueue_due),
        ),
    ),
    ("vanished", presence_reconciliation.INTERVAL_S, (look_after_presence,)),
)


def _sweep_on_and_on():
    while True:
        for name, seconds, steps in TURNS:
            _take_turn(name, seconds, steps)
        connection.close()
        time.sleep(INTERVAL)


def _take_turn(name, seconds, steps):
    """Where the database or the broker is away the rest of the steps waits; a fault of one is none of the others."""
    try:
        if gateway.is_first_within(name, seconds):
            succeeded = [_succeeds(step) for step in steps]
            metrics.sweeps.labels("done" if all(succeeded) else "failed").inc()
    except AWAY as error:
        metrics.sweeps.labels("waits").inc()
        logger.warning("The sweep waits: %s", error)


def _succeeds(step):
    try:
        step()
    except AWAY:
        raise
    except Exception:  # noqa: BLE001  (without it nothing that was abandoned would ever end)
        logger.exception("The sweep goes on after %s", step.__name__)
        return False
    return True
