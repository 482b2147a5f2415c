"""Enqueue commands again whose task was lost by a worker, the broker or a web process; the database decides."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, QuerySet

from chargers.services import audit, incidents, presence, presence_reconciliation
from chargers.tasks import enqueue_deliveries, enqueue_notifications
from commands import metrics
from commands.models import FINISHED, QUEUED, SENT, Command
from commands.services import (
    batches,
    campaigns,
    confirmation,
    gaps,
    incident_causes,
    mailbox,
    power_limits,
    renewals,
    schedules,
)
from commands.services.enqueueing import enqueue
from commands.services.signing import sign_waiting
from core.background import RepeatedStep
from core.db import bulk_sql
from core.observability import diagnosis
from core.redis import leases

logger = logging.getLogger(__name__)

INTERVAL_S = 1
MAX_COMMANDS_PER_SWEEP = 1000


def sweep() -> list[Command]:
    """Enqueue commands that are due and have no task; returns them.

    A command is due if it is the first unfinished one of its charger, and the charger is connected or the command was
    sent; or if its time in the queue has run out, for its turn or for a charger that is not connected.
    """
    now = bulk_sql.clock()
    enqueued_before = now - timedelta(seconds=3 * INTERVAL_S)  # younger ones still have their own task
    too_long_ago = now - timedelta(seconds=settings.OCPP_QUEUE_TIMEOUT)
    # Without payloads, because a local list may be large, and there may be one for every charger.
    unfinished = Command.objects.exclude(state=FINISHED).select_related("charger").defer("payload")
    _clamp_future_times(unfinished, now)
    by_system = Q(requested_by=audit.SYSTEM_ACTOR)  # these have never been enqueued
    first = list(
        unfinished.filter(by_system | Q(created_at__lt=enqueued_before))
        .order_by("charger_id", "pk")
        .distinct("charger_id")
    )
    timeout_at = ExpressionWrapper(F("created_at") + F("timeout") * timedelta(seconds=1), DateTimeField())
    waited = Q(created_at__lt=too_long_ago) | Q(timeout_at__lt=now)
    overdue = list(unfinished.filter(state=QUEUED).annotate(timeout_at=timeout_at).filter(waited))
    online = presence.connected(list({command.charger.identity for command in [*first, *overdue]}))
    due = {c.task_id: c for c in first if c.state == SENT or c.charger.identity in online}
    due |= {c.task_id: c for c in overdue if c.created_at < too_long_ago or c.charger.identity not in online}
    orphaned = [due[task_id] for task_id in mailbox.orphaned(list(due))[:MAX_COMMANDS_PER_SWEEP]]
    for command in orphaned:
        enqueue(command)
    return orphaned


def _clamp_future_times(unfinished: QuerySet[Command], now: datetime) -> None:
    """Set times in the future to `now`: after the clock of the database was set back, those commands would wait."""
    for column in ("created_at", "sent_at"):
        unfinished.filter(**{f"{column}__gt": now}).update(**{column: now})


def keep_sweeping() -> None:
    """Start the thread that sweeps. Every worker has one; only one of them sweeps in each interval."""
    RepeatedStep("sweep", _take_turns, INTERVAL_S).start()


def enqueue_orphaned() -> None:
    """Run `sweep`, count and log its commands."""
    if orphaned := sweep():
        metrics.orphaned.inc(len(orphaned))
        logger.info("%s commands without a task were enqueued again", len(orphaned))


def reconcile_presence() -> None:
    """Correct the stored presence of chargers after a web process or Redis was unavailable."""
    if lost := presence_reconciliation.mark_lost_offline():
        logger.info("%s chargers are marked offline, because their web process has ended", lost)
    if present := presence_reconciliation.mark_present_online():
        logger.info("%s chargers are marked online again, because they are connected", present)


Step = Callable[[], object]


@dataclass(frozen=True)
class Turn:
    """Steps that one of the workers takes in each interval."""

    name: str
    interval_s: float
    steps: tuple[Step, ...]


STEPS: tuple[Step, ...] = (
    *(enqueue_orphaned, sign_waiting, gaps.request_missing, schedules.run_overdue),
    *(batches.release, batches.finish_completed, confirmation.look, campaigns.advance),
    *(enqueue_deliveries, enqueue_notifications),
)
TURNS = (
    Turn("sweep", INTERVAL_S, STEPS),
    Turn("presence", presence_reconciliation.INTERVAL_S, (reconcile_presence,)),
    Turn("incidents", incidents.INTERVAL_S, (incident_causes.reconcile,)),
    Turn("power limits", power_limits.INTERVAL_S, (power_limits.keep,)),
    Turn("renewals", renewals.INTERVAL_S, (renewals.request_renewals,)),
)


def _take_turns() -> None:
    for turn in TURNS:
        _take_turn(turn)


def _take_turn(turn: Turn) -> None:
    """Take the steps if it is our turn. An unavailable database or broker ends it; an error in a step does not."""
    try:
        if leases.is_first_within(turn.name, turn.interval_s):
            succeeded = [_succeeds(step) for step in turn.steps]
            metrics.sweeps.labels("done" if all(succeeded) else "failed").inc()
    except Exception:
        metrics.sweeps.labels("waits").inc()
        raise


def _succeeds(step: Step) -> bool:
    try:
        step()
    except Exception as error:  # noqa: BLE001  (otherwise lost commands would never end)
        if diagnosis.in_words(error):
            raise
        name = getattr(step, "__name__", step)
        logger.exception("The step %s of the sweep failed. It is tried again; the other steps are run.", name)
        return False
    return True
