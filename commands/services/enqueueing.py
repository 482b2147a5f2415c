"""The Celery tasks of commands, one for each action, because Flower and the results group by task name."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Task, shared_task
from celery.app.task import Context
from celery.exceptions import Ignore

from commands import metrics
from commands.actions.table import NAMES
from commands.models import Command
from commands.services import lifecycle, mailbox
from commands.services.lifecycle import NotNow, Result, run, task_name, task_result
from core.observability import context, tracing
from core.ocpp.schemas import JSON
from core.redis.faults import BROKER_FAULTS, sockets_are_the_broker

logger = logging.getLogger(__name__)


def _task(action: str) -> Task:
    # `lifecycle` stores the result with the end of the command; Celery stores only that of a task that fails.
    @shared_task(name=task_name(action), bind=True, ignore_result=True, store_errors_even_if_ignored=True)
    def task(self: Task, charger_id: str) -> Result:
        try:
            with _monitored(self.request, action, charger_id) as current:
                command, next_command = run(self.request.id, charger_id)
                if current:
                    current.set_attribute("outcome", command.outcome)
        except NotNow as not_now:
            raise Ignore from not_now
        if next_command:
            _enqueue_next(next_command)
        return task_result(command)

    return task


@contextmanager
def _monitored(request: Context, action: str, charger_id: str) -> Iterator[Any]:
    """Add the task to log lines, metrics and traces. Yields its span, None without tracing."""
    attributes = {"charger_id": charger_id, "task_id": request.id}
    trace = tracing.span(task_name(action), "consumer", request.headers, quiet=NotNow, **attributes)
    with context.about(charger=charger_id, task=request.id), metrics.under_way.track_inprogress(), trace as current:
        yield current


TASKS = {action: _task(action) for action in NAMES}


def cancel(command: Command, error: JSON) -> None:
    """Cancel a command that is still queued, and enqueue the next one of its charger."""
    if next_command := lifecycle.cancel(command, error).next_command:
        enqueue(next_command)


def enqueue(command: Command) -> None:
    """Send `command` to the workers as the task with its id; repeated calls do no harm. Raises BROKER_FAULTS."""
    with sockets_are_the_broker():
        mailbox.note_enqueued(command.task_id)
        headers = mailbox.trace_headers(command.task_id)
        TASKS[command.action].apply_async(args=[command.charger.identity], task_id=command.task_id, headers=headers)


def _enqueue_next(command: Command) -> None:
    try:
        enqueue(command)
    except BROKER_FAULTS as error:
        logger.warning("Command %s waits, because the broker is unavailable: %s", command.task_id, error)
