"""Context variables with the charger and the task of the running code. LOG_FORMAT=json adds them to each line."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

charger_id: ContextVar[str | None] = ContextVar("charger_id", default=None)
task_id: ContextVar[str | None] = ContextVar("task_id", default=None)


@contextmanager
def about(*, charger: str | None, task: str | None) -> Iterator[None]:
    """Set the charger id and the task id within the `with` block."""
    tokens = [(charger_id, charger_id.set(charger)), (task_id, task_id.set(task))]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)
