"""The Celery tasks: `TASKS` of the commands, {action: task}, and those that Celery beat starts."""

import logging

from celery import shared_task

from commands.services import housekeeping, schedules
from commands.services.enqueueing import TASKS

__all__ = ["TASKS", "keep_house", "run_schedule"]

logger = logging.getLogger(__name__)


@shared_task(name="commands.keep_house", ignore_result=True)
def keep_house() -> None:
    """Maintain the tables by the schedule of Celery beat, see `commands.services.housekeeping`."""
    logger.info("Maintenance is done: %s", housekeeping.keep_house())


@shared_task(name="commands.run_schedule", ignore_result=True)
def run_schedule(pk: int) -> None:
    """Run one schedule by Celery beat, see `commands.services.schedules`."""
    schedules.run(pk)
