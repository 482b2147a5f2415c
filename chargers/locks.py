"""Locks of whole tables, taken without holding up those who use the tables meanwhile.

While a session waits for such a lock, all that come later wait behind it, chargers too. So a wait is short
(`lock_timeout` of PostgreSQL), what was begun is rolled back, and it is tried again after a pause.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.db import DatabaseError, OperationalError, connection, transaction
from psycopg import sql

logger = logging.getLogger(__name__)

PAUSES = (0.5, 1, 2, 4, 8, 15)  # seconds after each attempt; the last one again and again
# Its lock_timeout; or a session that waits without one holds what the step wants, and wants what the step holds.
WITHOUT_LOCK = ("55P03", "40P01")
SHORT = "SET LOCAL lock_timeout = '400ms'"
LOOK = 0.25  # seconds between two looks at who is in the way
# The longest transactions first: they are what an operator may want to end.
HOLDERS = """
SELECT pid, coalesce(nullif(application_name, ''), backend_type), coalesce(state, 'unknown'),
    coalesce(extract(epoch FROM now() - xact_start), 0)
FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids(%s)) ORDER BY xact_start NULLS LAST LIMIT 3
"""


class StillLocked(Exception):
    """A lock was not to be had for as long as somebody was ready to wait."""


def patiently(what: Callable[[], str], step: Callable[[], Any], patience: float, say: Callable[[str], Any]) -> Any:
    """What `step()` returns; it sets `lock_timeout` itself, and is called again when it did not get its locks.

    `what()` names what it does. `say` is told of each attempt that failed. Raises `StillLocked` after `patience`
    seconds. Within a transaction of the caller nothing can be tried again: the `OperationalError` is raised.
    """
    began, attempt = time.monotonic(), 1
    while True:
        watch = _Watch()
        try:
            with watch:
                return step()
        except OperationalError as error:
            if connection.in_atomic_block or getattr(error.__cause__, "sqlstate", None) not in WITHOUT_LOCK:
                raise
            waited = time.monotonic() - began
            if waited >= patience:
                raise StillLocked(
                    f"{what()} got no lock within {waited:.0f} s; it is held by {watch.holders}. "
                    "Wait until that is over, or end it with pg_terminate_backend(pid), and try again."
                ) from error
        say(f"{what()} waits for a lock held by {watch.holders}; attempt {attempt}")
        time.sleep(PAUSES[min(attempt, len(PAUSES)) - 1])
        attempt += 1


def briefly(what: str, statements: Iterable[str | sql.Composable], patience: float) -> None:
    """Carry out `statements` in one transaction, when their locks are to be had; raises as `patiently` does.

    Each wait is so short that a step which needs two locks, of a table and of a partition, holds up nobody for a
    second.
    """

    def step():
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in (SHORT, *statements):
                cursor.execute(statement)

    patiently(lambda: what, step, patience, logger.warning)


class _Watch:
    """Looks, over a connection of its own, at who holds what this thread's connection waits for."""

    def __init__(self):
        self.holders, self.over = "another session", threading.Event()

    def __enter__(self):
        connection.ensure_connection()
        self.pid = connection.connection.info.backend_pid
        self.thread = threading.Thread(target=self._look, name="locks", daemon=True)
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _look(self):
        try:
            while not self.over.wait(LOOK):
                with connection.cursor() as cursor:
                    cursor.execute(HOLDERS, [self.pid])
                    self.holders = ", ".join(_described(*row) for row in cursor.fetchall()) or self.holders
        except DatabaseError as error:
            logger.warning("Who holds a lock can't be looked up: %s", error)
        finally:
            connection.close()


def _described(pid, name, state, seconds):
    return f"pid {pid} ({name}, {state} for {seconds:.0f} s)"
