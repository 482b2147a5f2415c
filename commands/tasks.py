"""The Celery tasks: `TASKS` of the commands, {action: task}, and those that Celery beat starts."""

import logging

from celery import shared_task

from commands.services import maintenance, schedules
from commands.services.command_totals import COMMANDS
from commands.services.enqueueing import TASKS

__all__ = ["TASKS", "maintain", "run_schedule", "update_command_totals"]

logger = logging.getLogger(__name__)


@shared_task(name="commands.maintain", ignore_result=True)
def maintain() -> None:
    """Maintain the tables by the schedule of Celery beat, see `commands.services.maintenance`."""
    logger.info("Maintenance is done: %s", maintenance.maintain())


@shared_task(name="commands.run_schedule", ignore_result=True)
def run_schedule(pk: int) -> None:
    """Run one schedule by Celery beat, see `commands.services.schedules`."""
    schedules.run(pk)


@shared_task(name="commands.update_totals", ignore_result=True)
def update_command_totals() -> None:
    """Compute the totals of the days whose commands have changed, every minute."""
    COMMANDS.update()
