"""Lock whole tables without delaying the sessions that use them.

While a session waits for such a lock, all later sessions wait behind it, those that serve chargers included. So each
attempt waits briefly (`lock_timeout` of PostgreSQL), is rolled back, and is repeated after a pause.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TypeVar

from django.db import DatabaseError, OperationalError, connection, transaction
from psycopg import sql

from core.db import faults

logger = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_DELAYS_S = (0.5, 1, 2, 4, 8, 15)  # after each attempt; the last one is repeated
SHORT_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '400ms'"
POLL_INTERVAL_S = 0.25  # between two queries for the sessions that hold the lock
# The longest transactions first, because an operator may want to end these.
HOLDERS = """
SELECT pid, coalesce(nullif(application_name, ''), backend_type), coalesce(state, 'unknown'),
    coalesce(extract(epoch FROM now() - xact_start), 0)
FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids(%s)) ORDER BY xact_start NULLS LAST LIMIT 3
"""


class StillLocked(Exception):
    """A lock could not be acquired before the deadline of the caller; the text names the session that holds it."""


def patiently(
    label: Callable[[], str], step: Callable[[], T], timeout_s: float, report: Callable[[str], object]
) -> T:
    """Return `step()`, which sets `lock_timeout` itself; call it again whenever it did not get its locks.

    `label()` names the operation. `report` receives a line for each failed attempt. Raises `StillLocked` after
    `timeout_s`. Within a transaction of the caller nothing can be repeated, so the `OperationalError` is raised.
    """
    began, attempt = time.monotonic(), 1
    while True:
        watch = _Watch()
        try:
            with watch:
                return step()
        except OperationalError as error:
            # ENDED is a deadlock with a session that has no lock_timeout.
            if connection.in_atomic_block or faults.fault_of(error) not in (faults.LOCKED, faults.ENDED):
                raise
            waited = time.monotonic() - began
            if waited >= timeout_s:
                raise StillLocked(
                    f"{label()} got no lock within {waited:.0f} s; it is held by {watch.holders}. "
                    "Wait until that session ends, or end it with pg_terminate_backend(pid), and try again."
                ) from error
        report(f"{label()} waits for a lock held by {watch.holders}; attempt {attempt}")
        time.sleep(RETRY_DELAYS_S[min(attempt, len(RETRY_DELAYS_S)) - 1])
        attempt += 1


def briefly(label: str, statements: Iterable[str | sql.Composable], timeout_s: float) -> None:
    """Run `statements` in one transaction as soon as their locks are free; raise as `patiently` does.

    Each wait is so short that a step that needs two locks, of a table and of a partition, delays no session by a
    second.
    """

    def step() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in (SHORT_LOCK_TIMEOUT, *statements):
                cursor.execute(statement)

    patiently(lambda: label, step, timeout_s, logger.warning)


class _Watch:
    """Query, over a connection of its own, the sessions that hold the lock this thread waits for."""

    def __init__(self) -> None:
        self.holders, self.has_ended = "another session", threading.Event()

    def __enter__(self) -> None:
        connection.ensure_connection()
        self.pid = connection.connection.info.backend_pid
        self.thread = threading.Thread(target=self._poll, name="locks", daemon=True)
        self.thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.has_ended.set()
        self.thread.join()

    def _poll(self) -> None:
        try:
            while not self.has_ended.wait(POLL_INTERVAL_S):
                with connection.cursor() as cursor:
                    cursor.execute(HOLDERS, [self.pid])
                    self.holders = ", ".join(_described(*row) for row in cursor.fetchall()) or self.holders
        except DatabaseError as error:
            logger.warning("The sessions that hold a lock cannot be queried: %s", error)
        finally:
            connection.close()


def _described(pid: int, name: str, state: str, seconds: float) -> str:
    return f"pid {pid} ({name}, {state} for {seconds:.0f} s)"
