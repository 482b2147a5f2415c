"""What a worker, a broker or a web process abandoned is taken up again from the books."""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import DateTimeField, ExpressionWrapper, F, Q

from chargers import gateway, presence
from commands.models import FINISHED, QUEUED, SENT, Command
from commands.tasks import BROKER_FAULTS, enqueue

logger = logging.getLogger(__name__)

INTERVAL = 1  # seconds
MOST = 1000  # commands a sweep


def sweep():
    """Enqueue what is due and has no task; the commands that were.

    Due is the first unfinished command of each charger that is connected or was sent one, and what has
    waited too long in the queue: for its turn, or for a charger that is not connected.
    """
    now = datetime.now(UTC)
    settled = now - timedelta(seconds=3 * INTERVAL)  # younger ones are on their way by themselves
    unfinished = Command.objects.exclude(state=FINISHED).select_related("charger")
    first = unfinished.filter(created_at__lt=settled).order_by("charger_id", "pk").distinct("charger_id")
    overdue = _overdue(unfinished.filter(state=QUEUED), now)
    candidates = {command.task_id: command for command in [*overdue, *first]}  # being first counts for more
    online = presence.connected(list({command.charger.charger_id for command in candidates.values()}))
    due = [task_id for task_id, command in candidates.items() if _is_due(command, online, now)]
    abandoned = [candidates[task_id] for task_id in gateway.without_task(due)[:MOST]]
    for command in abandoned:
        enqueue(command)
    return abandoned


def _overdue(queued, now):
    """What waited for longer than OCPP_QUEUE_TIMEOUT, or than its own timeout if its charger is away."""
    own_time = ExpressionWrapper(F("created_at") + F("timeout") * timedelta(seconds=1), DateTimeField())
    waited = Q(created_at__lt=_too_long_ago(now)) | Q(own_time__lt=now)
    return queued.annotate(own_time=own_time).filter(waited)


def _is_due(command, online, now):
    if command.state == SENT or command.created_at < _too_long_ago(now):
        return True
    connected = command.charger.charger_id in online
    own_time = command.created_at + timedelta(seconds=command.timeout)
    # Behind another one of a connected charger it has its turn when that one ends, or when this finds it first.
    return (connected and not hasattr(command, "own_time")) or (not connected and own_time < now)


def _too_long_ago(now):
    return now - timedelta(seconds=settings.OCPP_QUEUE_TIMEOUT)


def keep_sweeping():
    """In every worker, a sweep every INTERVAL seconds by one of them."""
    threading.Thread(target=_sweep_on_and_on, name="sweep", daemon=True).start()


def _sweep_on_and_on():
    while True:
        try:
            if gateway.first_in("sweep", INTERVAL) and (abandoned := sweep()):
                logger.info("%s abandoned commands are taken up again", len(abandoned))
        except (DatabaseError, *BROKER_FAULTS) as error:
            logger.warning("The sweep waits: %s", error)
        finally:
            connection.close()
        time.sleep(INTERVAL)
