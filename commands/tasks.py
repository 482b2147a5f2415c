"""The Celery tasks: one for each action, so that Flower and the results group by it."""

import logging
from contextlib import contextmanager

from celery import shared_task
from celery.exceptions import Ignore

from chargers import context, errors, gateway, tracing
from commands import lifecycle, metrics
from commands.actions.table import ACTIONS
from commands.lifecycle import NotNow, run

logger = logging.getLogger(__name__)
BROKER_FAULTS = (*errors.BROKER_FAULTS, OSError)


def _task(action):
    @shared_task(name=f"commands.{action}", bind=True)
    def task(self, charger_id):
        try:
            with _known_to_monitoring(self.request, action, charger_id) as current:
                command, next_command = run(self.request.id, charger_id)
                if current:
                    current.set_attribute("outcome", command.outcome)
        except NotNow as not_now:
            raise Ignore from not_now
        if next_command:
            _enqueue_next(next_command)
        return {"outcome": command.outcome, "simulated": command.simulated, "result": command.result}

    return task


@contextmanager
def _known_to_monitoring(request, action, charger_id):
    """Log, metrics and traces know of the task meanwhile. Yields its span, None where nothing is traced."""
    known = {"charger_id": charger_id, "task_id": request.id}
    trace = tracing.span(f"commands.{action}", "consumer", request.headers, quiet=NotNow, **known)
    with context.about(charger=charger_id, task=request.id), metrics.under_way.track_inprogress(), trace as current:
        yield current


TASKS = {action: _task(action) for action in ACTIONS}


@shared_task(name="commands.keep_house", ignore_result=True)
def keep_house():
    """By the schedule of Celery beat, see `commands.housekeeping`."""
    from commands.housekeeping import keep_house as do

    logger.info("House is kept: %s", do())


@shared_task(name="commands.run_schedule", ignore_result=True)
def run_schedule(pk):
    """By Celery beat, see `commands.schedules`."""
    from commands.schedules import run

    run(pk)


def cancel(command, error):
    """End a command that is still queued, and go on with its charger's next one."""
    if next_command := lifecycle.cancel(command, error).next_command:
        enqueue(next_command)


def enqueue(command):
    """Hand `command` to the workers; its id is the task's. More often than once does no harm."""
    gateway.note_enqueued(command.task_id)
    headers = gateway.carried_by(command.task_id)
    TASKS[command.action].apply_async(args=[command.charger.charger_id], task_id=command.task_id, headers=headers)


def _enqueue_next(command):
    try:
        enqueue(command)
    except BROKER_FAULTS as error:
        logger.warning("Command %s waits for the sweep, the broker is away: %s", command.task_id, error)
