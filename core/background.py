"""Threads of a process that write what others queue, or that repeat a step, and that no error ends."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import repeat
from typing import Any, Generic, TypeVar

from django.db import connection

from core.db import faults
from core.observability import diagnosis
from core.retries import retry

logger = logging.getLogger(__name__)

RETRY_DELAY_S = 1.0  # until a database that is unavailable is tried again
WARNING_INTERVAL_S = 60.0  # between two warnings of one writer, because an outage may last long
TOO_MANY, FAULT = "too_many", "fault"  # reasons for which items are lost

Item = TypeVar("Item")


class BackgroundWriter(Generic[Item]):
    """A queue and the thread that writes its items, so that `put` waits for neither PostgreSQL nor Redis.

    The thread starts with the first item. It lets items collect for `interval_s`, and then writes them in batches of
    at most `max_batch`: `prepare` is called once for a batch, and `write` with its result, again and again while the
    database is unavailable. Meanwhile at most `max_queued` items wait. `count_lost` is called with TOO_MANY and the
    number of items that found no room, and with FAULT and the number of items of a batch that raised another error.

    `written` and `lost` count items since the start of the process.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[list[Any]], object],
        *,
        interval_s: float,
        max_queued: int,
        max_batch: int,
        prepare: Callable[[list[Item]], list[Any]] = list,
        count_lost: Callable[[str, int], object] = lambda reason, number: None,
    ) -> None:
        self.name, self.prepare, self.write, self.count_lost = name, prepare, write, count_lost
        self.interval_s, self.max_queued, self.max_batch = interval_s, max_queued, max_batch
        self.queue: deque[Item] = deque()
        self.has_work, self.start_lock = threading.Event(), threading.Lock()
        self.thread: threading.Thread | None = None
        self.written = self.lost = 0
        self.warned_at = -WARNING_INTERVAL_S

    def put(self, *items: Item) -> int:
        """Queue `items`, and return for how many there was room. Any thread may call this; it never blocks."""
        room = self.max_queued - len(self.queue)
        if len(items) > room:
            self.lose(TOO_MANY, len(items) - max(0, room))
            items = items[: max(0, room)]
        self.queue.extend(items)
        if not self.has_work.is_set():
            self.has_work.set()
        if self.thread is None:
            self._start()
        return len(items)

    def lose(self, reason: str, number: int) -> None:
        """Count `number` items that are not written, and warn of them."""
        self.lost += number
        self.count_lost(reason, number)
        if reason == TOO_MANY:
            self.warn("The thread %s cannot keep up. %s items were dropped so far.", self.name, self.lost)

    def warn(self, *message: Any) -> None:
        """Log a warning, at most one every WARNING_INTERVAL_S."""
        if time.monotonic() - self.warned_at >= WARNING_INTERVAL_S:
            self.warned_at = time.monotonic()
            logger.warning(*message)

    def _start(self) -> None:
        with self.start_lock:
            if self.thread is None:
                self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                self.thread.start()

    def _run(self) -> None:
        while True:
            self.has_work.wait()
            time.sleep(self.interval_s)
            self.has_work.clear()  # cleared before the queue is read, so that later items set it again
            while self.queue:
                self._write_batch()

    def _write_batch(self) -> None:
        batch = [self.queue.popleft() for _ in range(min(len(self.queue), self.max_batch))]
        try:
            prepared = self.prepare(batch)
            retry(lambda: self.write(prepared), faults.kind_of, repeat(RETRY_DELAY_S), self._wait_for_database)
            self.written += len(batch)
        except Exception:  # noqa: BLE001  (without this thread nothing would be written any more)
            self.lose(FAULT, len(batch))
            logger.exception("%s items of the thread %s could not be written.", len(batch), self.name)
        finally:
            connection.close()

    def _wait_for_database(self, error: Exception) -> None:
        self.warn("The thread %s waits for the database: %s", self.name, error)
        connection.close()


class RepeatedStep(threading.Thread):
    """A thread that calls `step` every `interval_s` until `ending` is set. No error ends it."""

    def __init__(self, name: str, step: Callable[[], object], interval_s: float) -> None:
        super().__init__(name=name, daemon=True)
        self.step, self.interval_s = step, interval_s
        self.ending, self.is_waiting = threading.Event(), False

    def run(self) -> None:
        while not self.ending.is_set():
            try:
                self.step()
                self.is_waiting = False
            except Exception as error:  # noqa: BLE001  (the next step may succeed)
                self._report(error)
            finally:
                connection.close()
            self.ending.wait(self.interval_s)

    def _report(self, error: Exception) -> None:
        """Log a server that is unavailable once, and any other error each time."""
        wrong = diagnosis.in_words(error)
        if wrong is None:
            logger.exception("The thread %s failed. It tries again in %s s.", self.name, self.interval_s)
        elif not self.is_waiting:
            logger.warning("The thread %s waits. %s The error was: %s", self.name, wrong, error)
        self.is_waiting = wrong is not None
