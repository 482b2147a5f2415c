"""Group commit: what chargers say is written in batches, and answered when the batch has committed.

While one batch is being written the next gathers; there is no timer, so an idle system answers at once and
a busy one amortises. One writer thread, and so one database connection, a process.
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

from chargers import events, faults, findings, frames, handshake, metrics, registration, registry
from chargers.retries import StaleConnection, answered_before, lock, outdated_before, remember
from chargers.set_aside import RetryLater, SetAside

logger = logging.getLogger(__name__)

LARGEST_BATCH = 1000
LIMIT = 5000  # entries waiting, past which the sockets are not read
LONGEST_PAUSE_S = 1.0  # between two attempts
COMPLAIN_EVERY = 30  # attempts
WRITE_FAULTS = {
    faults.AWAY: "The database is unavailable. Start it, or correct DATABASE_URL.",
    faults.READ_ONLY: "The database is read-only. Make it writable, or name the primary in DATABASE_URL.",
    faults.FULL: "The disk of the database is full. Free space on it.",
    faults.TABLE_LOCKED: "A table is locked. Wait for the migration, or end the session that pg_locks names.",
    faults.SLOW: f"A statement took more than {faults.STATEMENT_TIMEOUT_MS / 1000:.0f} s. See pg_stat_activity.",
}


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
    socket: datetime | None = None
    answer: str = field(default="", repr=False)
    # {(field, kind): the value as sent} of what was odd about it, and {member: text} of numbers that were rounded.
    findings: dict = field(default_factory=dict, repr=False)
    as_sent: dict = field(default_factory=dict, repr=False)
    rows: int = 0  # of meter values that were written for it
    is_within_rate: bool | None = None  # once `budgets.within_rate` was asked

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

    @property
    def charger(self):
        """The primary key of the charger that it is about, None for a handshake."""
        return self.item[0] if type(self.item) is tuple else getattr(self.item, "charger", None)


@dataclass
class Inbox:
    """One a process and event loop. `submit_and_wait` returns what the handler answered, after the commit.

    The thread takes the next batch by itself: it never waits for the event loop, which hands out answers meanwhile.
    """

    entries: deque = field(default_factory=deque)
    seen: deque = field(default_factory=deque)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    work: threading.Event = field(default_factory=threading.Event)
    aside: SetAside = field(default_factory=SetAside)
    loop: asyncio.AbstractEventLoop | None = None
    unanswered: dict = field(default_factory=dict)  # {future: when it was handed in}, the oldest first

    async def submit_and_wait(self, handler, item):
        """Hand `item` to `handler` in the next batch; raises what the handler raised for it."""
        while len(self.entries) >= LIMIT:
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
        """For how long the oldest item that has no outcome yet has waited, 0 where none waits; for any thread."""
        with suppress(StopIteration, RuntimeError):  # the event loop has changed it meanwhile: it moves
            return time.monotonic() - next(iter(self.unanswered.values()))
        return 0.0

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
            threading.Thread(target=self._run, name="inbox", daemon=True).start()

    def _wake(self):
        if not self.work.is_set():
            self.work.set()

    def _run(self):
        faults.limit_this_thread()
        while True:
            self.work.wait(_sooner(findings.counter.due_in_s, self.aside.due_in_s))
            self.work.clear()  # before looking: what comes from now on wakes it again
            while self.entries or self.seen:
                if not (self._retry_set_aside() and self._write(*self._next_batch())):
                    return
            if not self._retry_set_aside():
                return
            findings.counter.write_due()

    def _retry_set_aside(self):
        batch, seen = self.aside.take_due()
        return not (batch or seen) or self._write(batch, seen, was_locked=True)

    def _write(self, batch, seen, was_locked=False):
        """Write a batch and hand out its answers; False when the event loop has ended, and with it every socket."""
        locked = set()
        outcomes = execute(batch, seen, locked, was_locked)
        self.aside.keep(batch, outcomes, {charger: seen[charger] for charger in locked & seen.keys()})
        findings.counter.write_due()
        try:
            self.loop.call_soon_threadsafe(self._hand_over, batch, outcomes)
        except RuntimeError:
            return False
        return True

    def _hand_over(self, batch, outcomes):
        self.room.set()
        for entry, outcome in zip(batch, outcomes, strict=True):
            if entry.future.done():  # its socket went away; what it said is stored all the same
                continue
            if outcome is RetryLater:
                continue
            if isinstance(outcome, Exception):
                entry.future.set_exception(outcome)
            else:
                entry.future.set_result(outcome)

    def _next_batch(self):
        """(the oldest entries, {charger: when it was seen}): of each charger one CALL at most, since a repeated one
        must find the first committed, and nothing of a charger that was set aside."""
        batch, chargers, later = [], set(), []
        for entry in _drained(self.entries, LARGEST_BATCH):
            if self.aside and self.aside.takes(entry):
                continue
            if isinstance(entry.item, Call):
                if entry.item.charger in chargers:
                    later.append(entry)
                    continue
                chargers.add(entry.item.charger)
            batch.append(entry)
        self.entries.extendleft(reversed(later))
        return batch, self.aside.without(dict(_drained(self.seen)))


def _sooner(*seconds):
    return min((each for each in seconds if each is not None), default=None)


def _drained(waiting, most=None):
    """Up to `most` of what waits now, taken off: the event loop may be adding to it."""
    for _ in range(min(len(waiting), most or len(waiting))):
        yield waiting.popleft()


def execute(batch, seen, locked, was_locked):
    """`_execute_safely`, with what monitoring wants to know: a few steps a batch, not a message."""
    began = time.perf_counter()
    outcomes = _execute_safely(batch, seen, locked, was_locked)
    if batch:
        metrics.batch_size.observe(len(batch))
    metrics.batch_seconds.observe(time.perf_counter() - began)
    if oldest := next((entry.item for entry in batch if isinstance(entry.item, Call)), None):
        metrics.inbox_latency.observe(max(0.0, (datetime.now(UTC) - oldest.received_at).total_seconds()))
    return outcomes


def _execute_safely(batch, seen, locked, was_locked):
    """`write`, which nothing may keep from coming back: without this thread no charger is ever answered again."""
    try:
        return commit_with_retry(batch, seen, locked, attempt=int(was_locked), was_locked=was_locked)
    except Exception as error:  # noqa: BLE001  (see above)
        metrics.commit_failures.labels("lost").inc()
        logger.exception("A batch of %s could not be written", len(batch))
        return [error] * len(batch)


def commit_with_retry(batch, seen, locked=None, attempt=0, was_locked=False, in_haste=False):
    """Settle `batch` in one transaction and return an outcome an entry (an exception for one that failed).

    A fault of the database's state is waited out: nothing is answered meanwhile. Where another session holds a lock,
    the chargers that it concerns are added to `locked` (a set of primary keys), the outcome of their entries is
    `RetryLater`, and the others are settled. A batch that fails of itself is halved until the poisonous entry stands
    alone, and spoils only itself. After `attempt` attempts an entry may be stored already; `was_locked` says that the
    chargers were set aside before, so that their rows are looked at first. `in_haste` waits for locks only briefly.
    """
    refused, is_locked = {}, was_locked
    locked = set() if locked is None else locked
    while True:
        try:
            if not is_locked:
                return _commit(batch, seen, refused, attempt, in_haste)
            held = _held(batch, seen)
            if not held and was_locked:
                is_locked = was_locked = False
                continue
            return _around(batch, seen, held, locked, attempt)
        except registration.NotYetAccepted as early:
            refused |= early.refused
        except StaleConnection as outdated:
            refused |= dict.fromkeys(outdated.keys, StaleConnection())
        except Exception as error:  # noqa: BLE001  (whatever a handler raises concerns its own entry only)
            kind = faults.kind_of(error)
            if kind is None:
                return isolate_failures(batch, seen, error, locked, attempt)
            metrics.commit_failures.labels(kind).inc()
            is_locked = kind == faults.LOCKED
            if kind == faults.SLOW and attempt:
                return _around(batch, seen, set(), locked, attempt)
            if not is_locked:
                _wait_out(kind, error, attempt)
                attempt += 1


def _commit(batch, seen, refused, attempt, in_haste):
    with transaction.atomic():
        if in_haste:
            faults.make_haste()
        faults.renew_plans()
        with events.batched_events():
            outcomes = process_batch(batch, seen, refused, retried=attempt > 0)
        faults.let_hooks_fail()
        faults.expect_commit()
    faults.check_commit()
    if attempt > COMPLAIN_EVERY:
        logger.warning("The database takes writes again, after %s attempts.", attempt)
    return outcomes


def _held(batch, seen):
    """The chargers of a batch whose rows are locked; raises `TablesLocked`."""
    if tables := faults.locked_tables():
        raise faults.TablesLocked(tables)
    return faults.locked_rows({entry.charger for entry in batch} - {None} | seen.keys())


def _around(batch, seen, held, locked, attempt):
    """Settle what can be settled while the rows of the chargers `held` are locked.

    Where none of them is locked, it is another row, such as that of a transaction: halves of the batch show whose.
    The whole batch has waited for the lock already, and there are twice as many halves as entries: they make haste.
    """
    locked.update(held)
    if held:
        free = [entry for entry in batch if entry.charger not in held]
        others = {charger: at for charger, at in seen.items() if charger not in held}
        outcomes = iter(commit_with_retry(free, others, locked, attempt) if free or others else ())
        return [RetryLater if entry.charger in held else next(outcomes) for entry in batch]
    if not batch:
        locked.update(seen)
        return []
    if seen:
        commit_with_retry([], seen, locked, attempt, in_haste=True)
    if len(batch) == 1:
        return [RetryLater]
    return _by_halves(batch, {}, locked, attempt, in_haste=True)


def _by_halves(batch, seen, locked, attempt, in_haste=False):
    middle = len(batch) // 2
    first, second = (batch[:middle], seen), (batch[middle:], {})
    return [
        outcome
        for half in (first, second)
        for outcome in commit_with_retry(*half, locked, attempt, in_haste=in_haste)
    ]


def isolate_failures(batch, seen, error, locked, attempt):
    if len(batch) > 1:
        return _by_halves(batch, seen, locked, attempt)
    metrics.commit_failures.labels("spoiled").inc()
    if not batch:
        logger.error("last_seen of %s chargers could not be written", len(seen), exc_info=error)
        return []
    logger.error("%s failed for %r", batch[0].handler.__name__, batch[0].item, exc_info=error)
    return [error]


def _wait_out(kind, error, attempt):
    if attempt % COMPLAIN_EVERY == 0:
        consequence = "Chargers wait for their answers meanwhile, and nothing is lost."
        logger.warning("%s %s The error: %s", WRITE_FAULTS[kind], consequence, error)
    if kind not in (faults.FULL, faults.TABLE_LOCKED):  # these are told by a server that is there
        faults.drop_connection()
    time.sleep(min(0.05 * 2 ** min(attempt, 10), LONGEST_PAUSE_S))


def process_batch(batch, seen, refused, retried):
    calls = [entry.item for entry in batch if isinstance(entry.item, Call)]
    moved = [entry.item.charger for entry in batch if entry.handler in handshake.MOVES]
    if retried or moved:
        # A first attempt may be committing just now, though its connection is lost. And who locks the rows of sockets
        # and of CALLs one after the other would lock them in another order than others do.
        lock({*moved, *seen, *(call.charger for call in calls)})
    known = answered_before(calls) if retried else {}
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
    statuses = remember([call for call in calls if not isinstance(refused.get(call.key), StaleConnection)], seen)
    if early := registration.refused_after([call for call in calls if call.key not in refused], statuses):
        raise registration.NotYetAccepted(early)
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
