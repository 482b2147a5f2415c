"""Commit batches of entries: each batch in one transaction, retried until the database takes it."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from django.db import transaction

from chargers import metrics
from chargers.services import events
from core.db import faults
from core.ocpp.calls import CallKey
from core.retries import growing_delay_s

logger = logging.getLogger(__name__)

RETRY_DELAYS_S = 0.05, 1.0  # the first and the longest until a database that is unavailable is tried again
ATTEMPTS_PER_WARNING = 30
WRITE_FAULTS = {
    faults.AWAY: "The database is unavailable. Start it, or correct DATABASE_URL.",
    faults.READ_ONLY: "The database is read-only. Make it writable, or name the primary in DATABASE_URL.",
    faults.FULL: "The disk of the database is full. Free space on it.",
    faults.TABLE_LOCKED: "A table is locked. Wait for the migration, or end the session that pg_locks names.",
    faults.SLOW: f"A statement took more than {faults.STATEMENT_TIMEOUT_MS / 1000:.0f} s. See pg_stat_activity.",
}


class Item(Protocol):
    """An item of a handler. `charger` is the primary key of the charger concerned, None for a handshake."""

    @property
    def charger(self) -> int | None: ...


@dataclass(slots=True)
class Entry:
    """An item, the handler that processes it with others of its kind, and `deliver`, which gets its outcome.

    A handler returns one outcome per item; an exception is the outcome of an item that it refuses.
    """

    handler: Callable[[list[Any]], Sequence[object]]
    item: Item
    deliver: Callable[[object], object] = lambda outcome: None

    @property
    def charger(self) -> int | None:
        """The primary key of the charger concerned, None for a handshake."""
        return self.item.charger


class RetryLater:
    """The outcome of an entry that is set aside."""


class RefusedItems(Exception):
    """Some items of a batch are refused: `refused` is {key: outcome}. The others are processed again."""

    def __init__(self, refused: Mapping[CallKey, Exception]) -> None:
        super().__init__(f"{len(refused)} items are refused")
        self.refused = refused


@dataclass
class Batch:
    """Entries that are written in one transaction, and `seen`, {primary key: time when the charger was seen}.

    `locked` collects the chargers (primary keys) that wait, because another session holds a lock. `was_locked` is
    true for chargers that were set aside before, so that their rows are checked for locks first. `waits_briefly`
    shortens the timeout for locks. After some `attempts` an entry may be stored already.
    """

    entries: list[Entry]
    seen: dict[int, datetime]
    locked: set[int] = field(default_factory=set)
    attempts: int = 0
    was_locked: bool = False
    waits_briefly: bool = False
    refused: dict[CallKey, Exception] = field(default_factory=dict)  # the outcomes of calls that are refused

    def part(self, entries: list[Entry], seen: dict[int, datetime], waits_briefly: bool = False) -> "Batch":
        """Return a batch of some of the entries, which is committed on its own."""
        return Batch(entries, seen, self.locked, self.attempts, waits_briefly=waits_briefly)


@dataclass(frozen=True)
class Commits:
    """Transactions over batches. `process` returns one outcome per entry; it may raise `RefusedItems`."""

    process: Callable[[Batch], list[object]]

    def commit_with_retry(self, batch: Batch) -> list[object]:
        """Commit `batch`, and return one outcome per entry, an exception for an entry that failed.

        Retry until a fault of the database's state is gone; nothing is answered meanwhile. Entries of chargers whose
        rows another session has locked get the outcome `RetryLater`. A batch that fails for another reason is halved
        until the failing entry is alone.
        """
        is_locked = batch.was_locked
        while True:
            try:
                if is_locked:
                    return self._process_unlocked(batch, _locked_chargers(batch))
                return self._commit(batch)
            except RefusedItems as found:
                batch.refused |= found.refused
            except Exception as error:  # noqa: BLE001  (an exception of a handler must fail only its own entry)
                kind = faults.kind_of(error)
                if kind is None:
                    return self._isolate_failures(batch, error)
                metrics.commit_failures.labels(kind).inc()
                if kind == faults.SLOW and batch.attempts:
                    return self._process_unlocked(batch, set())
                is_locked = kind == faults.LOCKED
                if not is_locked:
                    _wait_before_retry(kind, error, batch.attempts)
                    batch.attempts += 1

    def _commit(self, batch: Batch) -> list[object]:
        with transaction.atomic():
            if batch.waits_briefly:
                faults.shorten_lock_timeout()
            faults.renew_plans()
            with events.batched_events():
                outcomes = self.process(batch)
            faults.make_commit_hooks_robust()
            faults.forget_warnings()
        faults.check_commit()
        if batch.attempts > ATTEMPTS_PER_WARNING:
            logger.warning("The database takes writes again, after %s attempts.", batch.attempts)
        return outcomes

    def _process_unlocked(self, batch: Batch, held: set[int]) -> list[object]:
        """Process the entries that can be processed while the rows of the chargers `held` are locked.

        If `held` is empty, another row is locked, such as that of a transaction; halving the batch finds its charger.
        The halves wait only briefly for locks, because the batch has waited already and there are many halves.
        """
        if batch.was_locked and not held:  # the lock has been released
            return self.commit_with_retry(batch.part(batch.entries, batch.seen))
        batch.locked |= held
        if held:
            return self._process_others(batch, held)
        if not batch.entries:
            batch.locked |= batch.seen.keys()
            return []
        if batch.seen:
            self.commit_with_retry(batch.part([], batch.seen, waits_briefly=True))
        if len(batch.entries) == 1:
            return [RetryLater]
        return self._by_halves(batch.part(batch.entries, {}), waits_briefly=True)

    def _process_others(self, batch: Batch, held: set[int]) -> list[object]:
        free = [entry for entry in batch.entries if entry.charger not in held]
        free_seen = {charger: at for charger, at in batch.seen.items() if charger not in held}
        has_free = bool(free or free_seen)
        outcomes = iter(self.commit_with_retry(batch.part(free, free_seen)) if has_free else [])
        return [RetryLater if entry.charger in held else next(outcomes) for entry in batch.entries]

    def _by_halves(self, batch: Batch, waits_briefly: bool = False) -> list[object]:
        middle = len(batch.entries) // 2
        first = self.commit_with_retry(batch.part(batch.entries[:middle], batch.seen, waits_briefly))
        second = self.commit_with_retry(batch.part(batch.entries[middle:], {}, waits_briefly))
        return first + second

    def _isolate_failures(self, batch: Batch, error: Exception) -> list[object]:
        if len(batch.entries) > 1:
            return self._by_halves(batch)
        metrics.commit_failures.labels("spoiled").inc()
        if not batch.entries:
            logger.error("last_seen of %s chargers could not be written.", len(batch.seen), exc_info=error)
            return []
        (entry,) = batch.entries
        logger.error("%s failed for %r", entry.handler.__name__, entry.item, exc_info=error)
        return [error]


def _locked_chargers(batch: Batch) -> set[int]:
    """Return the chargers of a batch whose rows are locked. Raise `TablesLocked`."""
    if tables := faults.locked_tables():
        raise faults.TablesLocked(tables)
    chargers = {charger for entry in batch.entries if (charger := entry.charger) is not None}
    return faults.locked_rows(chargers | batch.seen.keys())


def _wait_before_retry(kind: str, error: Exception, attempt: int) -> None:
    if attempt % ATTEMPTS_PER_WARNING == 0:
        consequence = "Chargers wait for their answers meanwhile. No message is lost."
        logger.warning("%s %s The error: %s", WRITE_FAULTS[kind], consequence, error)
    if kind not in (faults.FULL, faults.TABLE_LOCKED):  # a server that reports these keeps the connection usable
        faults.drop_connection()
    time.sleep(growing_delay_s(*RETRY_DELAYS_S, attempt))
