"""Group commit: write the CALLs of chargers in batches, and answer them after the commit.

The next batch collects while one is being written. No timer delays a small batch, so an idle system answers at once
and a busy one shares the cost of a commit. After a large batch the writer pauses, so that the next one is large too
(decision 0001). Each process has one writer thread, and so one database connection for writing.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, overload

from chargers import metrics
from chargers.services.connections import ConnectionClosed
from core.db import faults
from core.ocpp.calls import Call
from gateway.calls import commits
from gateway.commits import Batch, Entry, Item, RetryLater
from gateway.common import Handler
from gateway.last_seen import LastSeen
from gateway.set_aside import SetAside

logger = logging.getLogger(__name__)
T = TypeVar("T")
I = TypeVar("I", bound=Item)  # noqa: E741
O = TypeVar("O")  # noqa: E741

MAX_BATCH_SIZE = 1000
LARGE_BATCH = 20  # entries
PAUSE_STEP_S, MAX_PAUSE_S = 0.0005, 0.01  # of the writer after a large batch
MAX_WAITING_ENTRIES = 5000  # sockets are not read while so many wait


@dataclass
class BatchWriter:
    """The queue of entries of one process and its event loop. `submit_and_wait` returns the answer after the commit.

    The writer thread takes the next batch itself, without a signal from the event loop, which delivers answers
    meanwhile.
    """

    entries: deque[Entry] = field(default_factory=deque)
    seen: deque[tuple[int, datetime]] = field(default_factory=deque)
    last_seen: LastSeen = field(default_factory=LastSeen)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    work: threading.Event = field(default_factory=threading.Event)
    set_aside: SetAside = field(default_factory=SetAside)
    loop: asyncio.AbstractEventLoop | None = None
    unanswered: dict[int, float] = field(default_factory=dict)  # {id of an entry: monotonic time}, the oldest first

    @overload
    async def submit_and_wait(self, handler: Handler, item: Call) -> str: ...
    @overload
    async def submit_and_wait(self, handler: Callable[[list[I]], Sequence[O | Exception]], item: I) -> O: ...
    async def submit_and_wait(self, handler: Callable[[list[Any]], Sequence[Any]], item: Item) -> Any:
        """Process `item` by `handler` in the next batch, and return its outcome.

        That of a CALL is the text of its answer. Raise the handler's exception.
        """
        while not self.has_room:
            self.room.clear()
            await self.room.wait()
        outcome = self._begin().create_future()
        self.submit(handler, item, partial(_settle, outcome))
        return await outcome

    @property
    def has_room(self) -> bool:
        return len(self.entries) < MAX_WAITING_ENTRIES

    def submit(
        self, handler: Callable[[list[Any]], Sequence[Any]], item: Item, deliver: Callable[[object], object]
    ) -> None:
        """Process `item` by `handler` in the next batch, and call `deliver` with its outcome in the event loop."""
        self._begin()
        entry = Entry(handler, item, deliver)
        self.unanswered[id(entry)] = time.monotonic()
        self.entries.append(entry)
        self._wake()

    def longest_wait_s(self) -> float:
        """Return how long the oldest unanswered item has waited, 0 if none waits. Any thread may call this."""
        # RuntimeError means that the event loop has changed the dict meanwhile, so entries are being answered.
        with suppress(StopIteration, RuntimeError):
            return time.monotonic() - next(iter(self.unanswered.values()))
        return 0.0

    def note_seen(self, charger: int) -> None:
        """Set `last_seen` of `charger` (primary key) to now, because a frame was received from it."""
        self._begin()
        self.seen.append((charger, datetime.now(UTC)))
        self._wake()

    def _begin(self) -> asyncio.AbstractEventLoop:
        if self.loop is None:  # stored, because `get_running_loop` makes a system call
            self.loop = asyncio.get_running_loop()
            threading.Thread(target=self._run, name="batch-writer", daemon=True).start()
        return self.loop

    def _wake(self) -> None:
        if not self.work.is_set():
            self.work.set()

    def _run(self) -> None:
        faults.limit_this_thread()
        while True:
            due_in_s = self.set_aside.due_in_s, self.last_seen.due_in_s
            self.work.wait(min((seconds for seconds in due_in_s if seconds is not None), default=None))
            self.work.clear()  # cleared before the queues are read, so that later entries set it again
            while (batch := self._next_batch()).entries or batch.seen:
                if not (self._write(batch) and self._retry_set_aside()):
                    return
                if len(batch.entries) >= LARGE_BATCH:
                    self._let_collect()
            if not self._retry_set_aside():
                return

    def _let_collect(self) -> None:
        """Pause while entries arrive, for MAX_PAUSE_S at most.

        Many chargers send their next CALL when they get an answer. The event loop needs the interpreter to write the
        answers and to read these CALLs. Without the pause both threads would take it in turns, and batches be small.
        """
        ends_at, waiting = time.monotonic() + MAX_PAUSE_S, -1
        while waiting < len(self.entries) and time.monotonic() < ends_at:
            waiting = len(self.entries)
            time.sleep(PAUSE_STEP_S)

    def _retry_set_aside(self) -> bool:
        batch = self.set_aside.take_due()
        return batch is None or self._write(batch)

    def _write(self, batch: Batch) -> bool:
        """Write a batch and deliver its answers. Return False if the event loop has ended."""
        assert self.loop is not None  # it has started this thread
        closed = [entry.item.charger for entry in batch.entries if isinstance(entry.item, ConnectionClosed)]
        batch.seen |= self.last_seen.take(closed)
        began = time.perf_counter()
        try:
            outcomes = commits.commit_with_retry(batch)
        except Exception as error:  # noqa: BLE001  (without this thread no charger of this process would be answered)
            metrics.commit_failures.labels("lost").inc()
            logger.exception("A batch of %s entries is lost. Its chargers get InternalError.", len(batch.entries))
            outcomes = [error] * len(batch.entries)
        _observe(batch, time.perf_counter() - began)
        self.set_aside.add(batch, outcomes)
        try:
            self.loop.call_soon_threadsafe(self._deliver, batch.entries, outcomes)
        except RuntimeError:
            return False
        return True

    def _deliver(self, entries: list[Entry], outcomes: list[object]) -> None:
        self.room.set()
        for entry, outcome in zip(entries, outcomes, strict=True):
            if outcome is RetryLater:
                continue
            del self.unanswered[id(entry)]
            try:
                entry.deliver(outcome)
            except Exception:  # noqa: BLE001  (the other chargers must get their answers)
                logger.exception("The outcome of %r could not be delivered.", entry.item)

    def _next_batch(self) -> Batch:
        """Take the oldest entries, and all times when chargers were seen, from the queues.

        A batch has at most one CALL of each charger, because a repeated CALL must find the first one committed. It
        has no entry of a charger that is set aside.
        """
        batch: list[Entry] = []
        later: list[Entry] = []
        chargers: set[int] = set()
        for entry in _drain(self.entries, MAX_BATCH_SIZE):
            if isinstance(entry.item, Call):
                self.last_seen.note(entry.item.charger, entry.item.received_at)
            if self.set_aside and self.set_aside.queue_behind(entry):
                continue
            if isinstance(entry.item, Call):
                if entry.item.charger in chargers:
                    later.append(entry)
                    continue
                chargers.add(entry.item.charger)
            batch.append(entry)
        self.entries.extendleft(reversed(later))
        for charger, at in _drain(self.seen):
            self.last_seen.note(charger, at)
        return Batch(batch, self.set_aside.without(self.last_seen.take_due()))


def _settle(future: asyncio.Future[Any], outcome: object) -> None:
    """Set the outcome, unless the future was cancelled, because its socket is closed; the message is stored."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _observe(batch: Batch, seconds: float) -> None:
    """Observe the metrics of a batch, and not of each message, because that is cheaper."""
    if batch.entries:
        metrics.batch_size.observe(len(batch.entries))
    metrics.batch_seconds.observe(seconds)
    if oldest := next((entry.item for entry in batch.entries if isinstance(entry.item, Call)), None):
        metrics.batch_writer_latency.observe(max(0.0, (datetime.now(UTC) - oldest.received_at).total_seconds()))


def _drain(queue: deque[T], limit: int | None = None) -> Iterator[T]:
    """Remove and yield the items that are in `queue` now, at most `limit`. The event loop may add items meanwhile."""
    for _ in range(min(len(queue), limit or len(queue))):
        yield queue.popleft()
