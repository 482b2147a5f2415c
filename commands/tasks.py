"""The Celery tasks: one for each action, so that Flower and the results group by it."""

import logging

from celery import shared_task
from celery.exceptions import Ignore

from chargers import context, errors, gateway
from commands import metrics
from commands.actions.table import ACTIONS
from commands.lifecycle import NotNow, carry_out

logger = logging.getLogger(__name__)
BROKER_FAULTS = (*errors.BROKER_FAULTS, OSError)


def _task(action):
    @shared_task(name=f"commands.{action}", bind=True)
    def task(self, charger_id):
        try:
            with context.about(charger=charger_id, task=self.request.id), metrics.under_way.track_inprogress():
                command, following = carry_out(self.request.id, charger_id)
        except NotNow as not_now:
            raise Ignore from not_now
        if following:
            _go_on_with(following)
        return {"outcome": command.outcome, "simulated": command.simulated, "result": command.result}

    return task


TASKS = {action: _task(action) for action in ACTIONS}


@shared_task(name="commands.keep_house", ignore_result=True)
def keep_house():
    """By the schedule of Celery beat, see `commands.housekeeping`."""
    from commands.housekeeping import keep_house as do

    logger.info("House is kept: %s", do())
    metrics.house_kept_at.set_to_current_time()


def enqueue(command):
    """Hand `command` to the workers; its id is the task's. More often than once does no harm."""
    gateway.note_enqueued(command.task_id)
    TASKS[command.action].apply_async(args=[command.charger.charger_id], task_id=command.task_id)


def _go_on_with(command):
    try:
        enqueue(command)
    except BROKER_FAULTS as error:
        logger.warning("Command %s waits for the sweep, the broker is away: %s", command.task_id, error)
