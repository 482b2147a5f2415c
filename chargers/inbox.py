"""Group commit: write the CALLs of chargers in batches, and answer them after the commit.

The next batch collects while one is being written. There is no timer, so an idle system answers at once and a busy
one shares the cost of a commit. Each process has one writer thread, and so one database connection for writing.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Any

from django.db import transaction

from chargers import events, findings, handshake, metrics, registration, registry
from chargers.retries import StaleConnection, answered_before, lock, remember, stale_before
from chargers.set_aside import RetryLater, SetAside
from core.db import faults
from core.ocpp import frames

logger = logging.getLogger(__name__)

MAX_BATCH_SIZE = 1000
MAX_WAITING_ENTRIES = 5000  # sockets are not read while so many wait
MAX_RETRY_DELAY_S = 1.0
ATTEMPTS_PER_WARNING = 30
WRITE_FAULTS = {
    faults.AWAY: "The database is unavailable. Start it, or correct DATABASE_URL.",
    faults.READ_ONLY: "The database is read-only. Make it writable, or name the primary in DATABASE_URL.",
    faults.FULL: "The disk of the database is full. Free space on it.",
    faults.TABLE_LOCKED: "A table is locked. Wait for the migration, or end the session that pg_locks names.",
    faults.SLOW: f"A statement took more than {faults.STATEMENT_TIMEOUT_MS / 1000:.0f} s. See pg_stat_activity.",
}


@dataclass(slots=True)
class Call:
    """A CALL of a known charger. `charger` is its primary key, `socket` the time when its socket was opened. `answer`
    is the text of the answer, set when the call has been processed."""

    charger: int
    message_id: str
    action: str
    payload: dict = field(repr=False)  # hidden from logs, because it may hold secrets
    received_at: datetime
    digest: str = ""
    socket: datetime | None = None
    answer: str = field(default="", repr=False)
    # {(field, kind): the value as sent} of departures from OCPP, and {member: text} of numbers that were rounded.
    findings: dict = field(default_factory=dict, repr=False)
    as_sent: dict = field(default_factory=dict, repr=False)
    rows: int = 0  # the number of rows of meter values that were written for it
    is_within_rate: bool | None = None  # set once by `budgets.within_rate`

    @property
    def key(self):
        return self.charger, self.message_id, self.digest

    def find(self, path, kind, value):
        """Record that the member at `path` ("meterValue.sampledValue.unit") departs from OCPP. `kind` is one of
        `models.findings.KINDS`. A message counts once for each pair, also when its batch is retried."""
        self.findings.setdefault((path, kind), value)


@dataclass(slots=True)
class Entry:
    handler: Any
    item: Any
    future: asyncio.Future | None = None

    @property
    def charger(self):
        """The primary key of the charger concerned, None for a handshake."""
        return self.item[0] if type(self.item) is tuple else getattr(self.item, "charger", None)


@dataclass
class Inbox:
    """The queue of entries of one process and its event loop. `submit_and_wait` returns the answer after the commit.

    The writer thread takes the next batch itself. It never waits for the event loop, which delivers answers
    meanwhile.
    """

    entries: deque = field(default_factory=deque)
    seen: deque = field(default_factory=deque)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    work: threading.Event = field(default_factory=threading.Event)
    set_aside: SetAside = field(default_factory=SetAside)
    loop: asyncio.AbstractEventLoop | None = None
    unanswered: dict = field(default_factory=dict)  # {future: monotonic time of submission}, the oldest first

    async def submit_and_wait(self, handler, item):
        """Process `item` by `handler` in the next batch, and return its outcome. Raise the handler's exception."""
        while len(self.entries) >= MAX_WAITING_ENTRIES:
            self.room.clear()
            await self.room.wait()
        self._begin()
        future = self.loop.create_future()
        self.entries.append(Entry(handler, item, future))
        self.unanswered[future] = time.monotonic()
        self._wake()
        try:
            return await future
        finally:
            del self.unanswered[future]

    def longest_wait_s(self) -> float:
        """Return how long the oldest unanswered item has waited, 0 if none waits. Any thread may call this."""
        # RuntimeError means that the event loop has changed the dict meanwhile, so entries are being answered.
        with suppress(StopIteration, RuntimeError):
            return time.monotonic() - next(iter(self.unanswered.values()))
        return 0.0

    def note_seen(self, charger):
        """Set `last_seen` of `charger` (primary key) to now, because a frame was received from it."""
        self._begin()
        self.seen.append((charger, datetime.now(UTC)))
        self._wake()

    def count_findings(self, charger, action, by_kind):
        """Count the findings {(field, kind): value} in a message of `charger` (primary key) that is not submitted."""
        self._begin()
        findings.counter.add(charger, action, by_kind, datetime.now(UTC))
        self._wake()

    def _begin(self):
        if self.loop is None:  # stored, because `get_running_loop` makes a system call
            self.loop = asyncio.get_running_loop()
            threading.Thread(target=self._run, name="inbox", daemon=True).start()

    def _wake(self):
        if not self.work.is_set():
            self.work.set()

    def _run(self):
        faults.limit_this_thread()
        while True:
            self.work.wait(_earliest(findings.counter.due_in_s, self.set_aside.due_in_s))
            self.work.clear()  # cleared before the queues are read, so that later entries set it again
            while self.entries or self.seen:
                if not (self._retry_set_aside() and self._write(*self._next_batch())):
                    return
            if not self._retry_set_aside():
                return
            findings.counter.write_due()

    def _retry_set_aside(self):
        batch, seen = self.set_aside.take_due()
        return not (batch or seen) or self._write(batch, seen, was_locked=True)

    def _write(self, batch, seen, was_locked=False):
        """Write a batch and deliver its answers. Return False if the event loop has ended."""
        locked = set()
        outcomes = execute(batch, seen, locked, was_locked)
        self.set_aside.add(batch, outcomes, {charger: seen[charger] for charger in locked & seen.keys()})
        findings.counter.write_due()
        try:
            self.loop.call_soon_threadsafe(self._deliver, batch, outcomes)
        except RuntimeError:
            return False
        return True

    def _deliver(self, batch, outcomes):
        self.room.set()
        for entry, outcome in zip(batch, outcomes, strict=True):
            if entry.future.done():  # cancelled, because its socket was closed; the message is stored
                continue
            if outcome is RetryLater:
                continue
            if isinstance(outcome, Exception):
                entry.future.set_exception(outcome)
            else:
                entry.future.set_result(outcome)

    def _next_batch(self):
        """Take (the oldest entries, {charger: time it was last seen}) from the queues.

        A batch has at most one CALL of each charger, because a repeated CALL must find the first one committed. It
        has no entry of a charger that is set aside.
        """
        batch, chargers, later = [], set(), []
        for entry in _drain(self.entries, MAX_BATCH_SIZE):
            if self.set_aside and self.set_aside.queue_behind(entry):
                continue
            if isinstance(entry.item, Call):
                if entry.item.charger in chargers:
                    later.append(entry)
                    continue
                chargers.add(entry.item.charger)
            batch.append(entry)
        self.entries.extendleft(reversed(later))
        return batch, self.set_aside.without(dict(_drain(self.seen)))


def _earliest(*delays_s):
    return min((delay_s for delay_s in delays_s if delay_s is not None), default=None)


def _drain(queue, limit=None):
    """Remove and yield the items that are in `queue` now, at most `limit`. The event loop may add items meanwhile."""
    for _ in range(min(len(queue), limit or len(queue))):
        yield queue.popleft()


def execute(batch, seen, locked, was_locked):
    """Run `_execute_safely` and observe its metrics, per batch and not per message, because that is cheaper."""
    began = time.perf_counter()
    outcomes = _execute_safely(batch, seen, locked, was_locked)
    if batch:
        metrics.batch_size.observe(len(batch))
    metrics.batch_seconds.observe(time.perf_counter() - began)
    if oldest := next((entry.item for entry in batch if isinstance(entry.item, Call)), None):
        metrics.inbox_latency.observe(max(0.0, (datetime.now(UTC) - oldest.received_at).total_seconds()))
    return outcomes


def _execute_safely(batch, seen, locked, was_locked):
    """Run `commit_with_retry` and return any exception as the outcome of every entry.

    An exception must not end the writer thread, because without it no charger of this process would be answered.
    """
    try:
        return commit_with_retry(batch, seen, locked, attempt=int(was_locked), was_locked=was_locked)
    except Exception as error:  # noqa: BLE001  (see above)
        metrics.commit_failures.labels("lost").inc()
        logger.exception("A batch of %s entries could not be written. Its chargers get InternalError.", len(batch))
        return [error] * len(batch)


def commit_with_retry(batch, seen, locked=None, attempt=0, was_locked=False, wait_briefly=False):
    """Process `batch` in one transaction and return one outcome per entry, an exception for an entry that failed.

    Retry until a fault of the database's state is gone; nothing is answered meanwhile. Where another session holds a
    lock, add the chargers concerned to `locked` (a set of primary keys), give their entries the outcome `RetryLater`,
    and process the others. Halve a batch that fails for another reason until the failing entry is alone.

    After `attempt` attempts an entry may be stored already. `was_locked` is true for chargers that were set
    aside before, so that their rows are checked for locks first. `wait_briefly` shortens the timeout for locks.
    """
    refused, is_locked = {}, was_locked
    locked = set() if locked is None else locked
    while True:
        try:
            if not is_locked:
                return _commit(batch, seen, refused, attempt, wait_briefly)
            held = _locked_chargers(batch, seen)
            if not held and was_locked:
                is_locked = was_locked = False
                continue
            return _process_unlocked(batch, seen, held, locked, attempt)
        except registration.NotYetAccepted as not_accepted:
            refused |= not_accepted.refused
        except StaleConnection as stale:
            refused |= dict.fromkeys(stale.keys, StaleConnection())
        except Exception as error:  # noqa: BLE001  (an exception of a handler must fail only its own entry)
            kind = faults.kind_of(error)
            if kind is None:
                return isolate_failures(batch, seen, error, locked, attempt)
            metrics.commit_failures.labels(kind).inc()
            is_locked = kind == faults.LOCKED
            if kind == faults.SLOW and attempt:
                return _process_unlocked(batch, seen, set(), locked, attempt)
            if not is_locked:
                _wait_before_retry(kind, error, attempt)
                attempt += 1


def _commit(batch, seen, refused, attempt, wait_briefly):
    with transaction.atomic():
        if wait_briefly:
            faults.shorten_lock_timeout()
        faults.renew_plans()
        with events.batched_events():
            outcomes = process_batch(batch, seen, refused, retried=attempt > 0)
        faults.make_commit_hooks_robust()
        faults.forget_warnings()
    faults.check_commit()
    if attempt > ATTEMPTS_PER_WARNING:
        logger.warning("The database takes writes again, after %s attempts.", attempt)
    return outcomes


def _locked_chargers(batch, seen):
    """Return the chargers of a batch whose rows are locked. Raise `TablesLocked`."""
    if tables := faults.locked_tables():
        raise faults.TablesLocked(tables)
    return faults.locked_rows({entry.charger for entry in batch} - {None} | seen.keys())


def _process_unlocked(batch, seen, held, locked, attempt):
    """Process the entries that can be processed while the rows of the chargers `held` are locked.

    If `held` is empty, another row is locked, such as that of a transaction; halving the batch finds its charger.
    The halves wait only briefly for locks, because the batch has waited already and there are many halves.
    """
    locked.update(held)
    if held:
        free = [entry for entry in batch if entry.charger not in held]
        free_seen = {charger: at for charger, at in seen.items() if charger not in held}
        outcomes = iter(commit_with_retry(free, free_seen, locked, attempt) if free or free_seen else ())
        return [RetryLater if entry.charger in held else next(outcomes) for entry in batch]
    if not batch:
        locked.update(seen)
        return []
    if seen:
        commit_with_retry([], seen, locked, attempt, wait_briefly=True)
    if len(batch) == 1:
        return [RetryLater]
    return _by_halves(batch, {}, locked, attempt, wait_briefly=True)


def _by_halves(batch, seen, locked, attempt, wait_briefly=False):
    middle = len(batch) // 2
    first, second = (batch[:middle], seen), (batch[middle:], {})
    return [
        outcome
        for half in (first, second)
        for outcome in commit_with_retry(*half, locked, attempt, wait_briefly=wait_briefly)
    ]


def isolate_failures(batch, seen, error, locked, attempt):
    if len(batch) > 1:
        return _by_halves(batch, seen, locked, attempt)
    metrics.commit_failures.labels("spoiled").inc()
    if not batch:
        logger.error("last_seen of %s chargers could not be written.", len(seen), exc_info=error)
        return []
    logger.error("%s failed for %r", batch[0].handler.__name__, batch[0].item, exc_info=error)
    return [error]


def _wait_before_retry(kind, error, attempt):
    if attempt % ATTEMPTS_PER_WARNING == 0:
        consequence = "Chargers wait for their answers meanwhile. No message is lost."
        logger.warning("%s %s The error: %s", WRITE_FAULTS[kind], consequence, error)
    if kind not in (faults.FULL, faults.TABLE_LOCKED):  # a server that reports these keeps the connection usable
        faults.drop_connection()
    time.sleep(min(0.05 * 2 ** min(attempt, 10), MAX_RETRY_DELAY_S))


def process_batch(batch, seen, refused, retried):
    calls = [entry.item for entry in batch if isinstance(entry.item, Call)]
    moved = [entry.item.charger for entry in batch if entry.handler in handshake.MOVES]
    if retried or moved:
        # The first attempt may still be committing, although its connection is lost. All rows are locked at once,
        # because locking those of sockets first and those of CALLs later could deadlock with another process.
        lock({*moved, *seen, *(call.charger for call in calls)})
    known = answered_before(calls) if retried else {}
    refused |= stale_before([call for call in calls if call.key not in known])
    remaining = [call for call in calls if call.key not in known and call.key not in refused]
    refused |= registration.refused_before(remaining)
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
            for follower in registry.followers[items[0].action]:
                follower(items, answers)
        for entry, answer in zip(entries, answers, strict=True):
            outcomes[id(entry)] = _as_text(entry.item, answer) if isinstance(entry.item, Call) else answer
    statuses = remember([call for call in calls if not isinstance(refused.get(call.key), StaleConnection)], seen)
    if not_accepted := registration.refused_after([call for call in calls if call.key not in refused], statuses):
        raise registration.NotYetAccepted(not_accepted)
    _count_findings(entry.item for entry in todo if isinstance(entry.item, Call) and entry.item.findings)
    return [outcomes[id(entry)] for entry in batch]


def _count_findings(calls):
    for call in calls:
        count = partial(findings.counter.add, call.charger, call.action, call.findings, call.received_at)
        transaction.on_commit(count, robust=True)


def _refusal(call, refused):
    return refused if isinstance(refused, StaleConnection) else _as_text(call, refused)


def _as_text(call, answer):
    if isinstance(answer, frames.CallError):
        call.answer = frames.call_error(call.message_id, answer)
    else:
        call.answer = frames.call_result(call.message_id, answer)
    return call.answer
