"""What the code that runs just now is about: the log tells it with each line (LOG_FORMAT=json)."""

from contextlib import contextmanager
from contextvars import ContextVar

charger_id = ContextVar("charger_id", default=None)
task_id = ContextVar("task_id", default=None)


@contextmanager
def about(*, charger, task):
    """Within, it is about the charger id `charger` and the task id `task`."""
    tokens = [(charger_id, charger_id.set(charger)), (task_id, task_id.set(task))]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)
