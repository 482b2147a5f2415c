"""Group commit: what chargers say is written in batches, and answered when the batch has committed.

While one batch is being written the next gathers; there is no timer, so an idle system answers at once and
a busy one amortises. One writer thread, and so one database connection, a process.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction

from chargers import admission, events, findings, frames, metrics, registration, registry
from chargers.recall import Outdated, answered_before, lock, outdated_before, remember

logger = logging.getLogger(__name__)

LARGEST_BATCH = 1000
LIMIT = 5000  # entries waiting, past which the sockets are not read
# SQLSTATE classes after which the same batch may well succeed: connection, rollback, resources, operator.
PASSING_FAULTS = ("08", "40", "53", "57")
STOOD_STILL = "25P03"  # this process was stopped in the middle of a batch, and its locks were taken from it


@dataclass(slots=True)
class Call:
    """A CALL of a known charger. `charger` is its primary key, `socket` when its socket was opened; `answer` is set
    when settled."""

    charger: int
    message_id: str
    action: str
    payload: dict = field(repr=False)  # it may hold what is no log's business
    received_at: datetime
    digest: str = ""
    may_be_repeated: bool = False
    socket: datetime | None = None
    answer: str = field(default="", repr=False)
    # {(field, kind): the value as sent} of what was odd about it, and {member: text} of numbers that were rounded.
    findings: dict = field(default_factory=dict, repr=False)
    as_sent: dict = field(default_factory=dict, repr=False)

    @property
    def key(self):
        return self.charger, self.message_id, self.digest

    def find(self, path, kind, value):
        """Record that the member at `path` ("meterValue.sampledValue.unit") was odd in one of the ways of
        `models.findings.KINDS`. A message counts once for each, also when its batch is tried again."""
        self.findings.setdefault((path, kind), value)


@dataclass(slots=True)
class Entry:
    handler: Any
    item: Any
    future: asyncio.Future | None = None


@dataclass
class Inbox:
    """One a process and event loop. `settle` returns what the handler answered, after the commit.

    The thread takes the next batch by itself: it never waits for the event loop, which hands out answers meanwhile.
    """

    entries: deque = field(default_factory=deque)
    seen: deque = field(default_factory=deque)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    work: threading.Event = field(default_factory=threading.Event)
    loop: asyncio.AbstractEventLoop | None = None

    async def settle(self, handler, item):
        """Hand `item` to `handler` in the next batch; raises what the handler raised for it."""
        while len(self.entries) >= LIMIT:
            self.room.clear()
            await self.room.wait()
        self._begin()
        future = self.loop.create_future()
        self.entries.append(Entry(handler, item, future))
        self._wake()
        return await future

    def saw(self, charger):
        """A frame came from `charger` (primary key): its `last_seen` is now."""
        self._begin()
        self.seen.append((charger, datetime.now(UTC)))
        self._wake()

    def found(self, charger, action, found):
        """Count what was odd about a message of `charger` (primary key) that is not settled here."""
        self._begin()
        findings.counter.add(charger, action, found, datetime.now(UTC))
        self._wake()

    def _begin(self):
        if self.loop is None:  # kept, since asking for the running loop is a system call
            self.loop = asyncio.get_running_loop()
            threading.Thread(target=self._write_batches, name="inbox", daemon=True).start()

    def _wake(self):
        if not self.work.is_set():
            self.work.set()

    def _write_batches(self):
        while True:
            self.work.wait(findings.counter.due_in_s)
            self.work.clear()  # before looking: what comes from now on wakes it again
            while self.entries or self.seen:
                batch, seen = self._next_batch(), dict(_drained(self.seen))
                outcomes = _timed(batch, seen)
                if findings.counter.due_in_s == 0:
                    findings.counter.write()
                try:
                    self.loop.call_soon_threadsafe(self._hand_over, batch, outcomes)
                except RuntimeError:  # the loop has ended, and with it every socket
                    return
            if findings.counter.due_in_s == 0:
                findings.counter.write()

    def _hand_over(self, batch, outcomes):
        self.room.set()
        for entry, outcome in zip(batch, outcomes, strict=True):
            if entry.future.done():  # its socket went away; what it said is stored all the same
                continue
            if isinstance(outcome, Exception):
                entry.future.set_exception(outcome)
            else:
                entry.future.set_result(outcome)

    def _next_batch(self):
        """The oldest entries, of each charger one CALL at most: a repeated one must find the first committed."""
        batch, chargers, later = [], set(), []
        for entry in _drained(self.entries, LARGEST_BATCH):
            if isinstance(entry.item, Call):
                if entry.item.charger in chargers:
                    later.append(entry)
                    continue
                chargers.add(entry.item.charger)
            batch.append(entry)
        self.entries.extendleft(reversed(later))
        return batch


def _drained(waiting, most=None):
    """Up to `most` of what waits now, taken off: the event loop may be adding to it."""
    for _ in range(min(len(waiting), most or len(waiting))):
        yield waiting.popleft()


def _timed(batch, seen):
    """`_written`, with what monitoring wants to know: a few steps a batch, not a message."""
    began = time.perf_counter()
    outcomes = _written(batch, seen)
    if batch:
        metrics.batch_size.observe(len(batch))
    metrics.batch_seconds.observe(time.perf_counter() - began)
    if oldest := next((entry.item for entry in batch if isinstance(entry.item, Call)), None):
        metrics.inbox_latency.observe(max(0.0, (datetime.now(UTC) - oldest.received_at).total_seconds()))
    return outcomes


def _written(batch, seen):
    """`write`, which nothing may keep from coming back: without this thread no charger is ever answered again."""
    try:
        return write(batch, seen)
    except Exception as error:  # noqa: BLE001  (see above)
        metrics.commit_failures.labels("lost").inc()
        logger.exception("A batch of %s could not be written", len(batch))
        return [error] * len(batch)


def write(batch, seen):
    """Settle `batch` in one transaction and return an outcome an entry (an exception for one that failed).

    A passing fault of the database is waited out: nothing is answered meanwhile. A batch that fails of
    itself is halved until the poisonous entry stands alone, and spoils only itself.
    """
    attempt, refused = 0, {}
    while True:
        try:
            with transaction.atomic(), events.gathered():
                return _settle(batch, seen, refused, retried=attempt > 0)
        except registration.TooEarly as early:
            refused |= early.refused
        except Outdated as outdated:
            refused |= dict.fromkeys(outdated.keys, Outdated())
        except Exception as error:  # noqa: BLE001  (whatever a handler raises concerns its own entry only)
            if _passing(error):
                _wait_out(error, attempt)
                attempt += 1
                continue
            return _isolate(batch, seen, error)


def _isolate(batch, seen, error):
    if len(batch) > 1:
        middle = len(batch) // 2
        return write(batch[:middle], seen) + write(batch[middle:], {})
    metrics.commit_failures.labels("spoiled").inc()
    if not batch:
        logger.error("last_seen of %s chargers could not be written", len(seen), exc_info=error)
        return []
    logger.error("%s failed for %r", batch[0].handler.__name__, batch[0].item, exc_info=error)
    return [error]


def _passing(error):
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    if sqlstate == STOOD_STILL:
        return True
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return sqlstate is None or sqlstate.startswith(PASSING_FAULTS)


def _wait_out(error, attempt):
    metrics.commit_failures.labels("waited_out").inc()
    logger.warning("The database is away or busy, the batch is tried again: %s", error)
    connection.close()
    time.sleep(min(0.05 * 2**attempt, 1.0))


def _settle(batch, seen, refused, retried):
    calls = [entry.item for entry in batch if isinstance(entry.item, Call)]
    moved = [entry.item.charger for entry in batch if entry.handler in admission.MOVES]
    if retried or moved:
        # A first attempt may be committing just now, though its connection is lost. And who locks the rows of sockets
        # and of CALLs one after the other would lock them in another order than others do.
        lock({*moved, *seen, *(call.charger for call in calls)})
    known = answered_before([call for call in calls if retried or call.may_be_repeated])
    refused |= outdated_before([call for call in calls if call.key not in known])
    heard = [call for call in calls if call.key not in known and call.key not in refused]
    refused |= registration.refused_before(heard)
    outcomes = {}
    todo = []
    for entry in batch:
        if isinstance(entry.item, Call) and entry.item.key in known:
            outcomes[id(entry)] = entry.item.answer = known[entry.item.key]
        elif isinstance(entry.item, Call) and entry.item.key in refused:
            outcomes[id(entry)] = _refusal(entry.item, refused[entry.item.key])
        else:
            todo.append(entry)
    by_handler = sorted(todo, key=lambda entry: entry.handler.__qualname__)
    for handler, entries in groupby(by_handler, key=lambda entry: entry.handler):
        entries = list(entries)
        items = [entry.item for entry in entries]
        answers = handler(items)
        if isinstance(items[0], Call):
            for follow in registry.followers[items[0].action]:
                follow(items, answers)
        for entry, answer in zip(entries, answers, strict=True):
            outcomes[id(entry)] = _as_text(entry.item, answer) if isinstance(entry.item, Call) else answer
    standings = remember([call for call in calls if not isinstance(refused.get(call.key), Outdated)], seen)
    if early := registration.refused_after([call for call in calls if call.key not in refused], standings):
        raise registration.TooEarly(early)
    _count_findings(entry.item for entry in todo if isinstance(entry.item, Call) and entry.item.findings)
    return [outcomes[id(entry)] for entry in batch]


def _count_findings(calls):
    for call in calls:
        count = partial(findings.counter.add, call.charger, call.action, call.findings, call.received_at)
        transaction.on_commit(count, robust=True)


def _refusal(call, refused):
    return refused if isinstance(refused, Outdated) else _as_text(call, refused)


def _as_text(call, answer):
    if isinstance(answer, frames.CallError):
        call.answer = frames.call_error(call.message_id, answer)
    else:
        call.answer = frames.call_result(call.message_id, answer)
    return call.answer
