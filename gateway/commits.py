"""Commit batches of entries: each batch in one transaction, retried until the database takes it."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from django.db import transaction

from chargers import metrics
from chargers.services import events
from core.db import faults
from core.ocpp.calls import Call, CallKey
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
    """An item, the handler that processes it with others of its kind, and the future of its outcome.

    A handler returns one outcome per item; an exception is the outcome of an item that it refuses.
    """

    handler: Callable[[list[Any]], Sequence[object]]
    item: Item
    future: asyncio.Future[Any] | None = None

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


@dataclass(frozen=True)
class Commits:
    """Transactions over batches of `Entry`.

    `process(batch, seen, refused, is_retried)` returns one outcome per entry; it may raise `RefusedItems`.
    """

    process: Callable[[list[Entry], dict[int, datetime], dict[CallKey, Exception], bool], list[object]]

    def execute(
        self, batch: list[Entry], seen: dict[int, datetime], locked: set[int], was_locked: bool
    ) -> list[object]:
        """Run `_execute_safely` and observe its metrics, per batch and not per message, because that is cheaper."""
        began = time.perf_counter()
        outcomes = self._execute_safely(batch, seen, locked, was_locked)
        if batch:
            metrics.batch_size.observe(len(batch))
        metrics.batch_seconds.observe(time.perf_counter() - began)
        if oldest := next((entry.item for entry in batch if isinstance(entry.item, Call)), None):
            metrics.inbox_latency.observe(max(0.0, (datetime.now(UTC) - oldest.received_at).total_seconds()))
        return outcomes

    def _execute_safely(
        self, batch: list[Entry], seen: dict[int, datetime], locked: set[int], was_locked: bool
    ) -> list[object]:
        """Run `commit_with_retry` and return any exception as the outcome of every entry.

        An exception must not end the writer thread, because without it no charger of this process would be answered.
        """
        try:
            return self.commit_with_retry(batch, seen, locked, attempt=int(was_locked), was_locked=was_locked)
        except Exception as error:  # noqa: BLE001  (see above)
            metrics.commit_failures.labels("lost").inc()
            logger.exception(
                "A batch of %s entries could not be written. Its chargers get InternalError.", len(batch)
            )
            return [error] * len(batch)

    def commit_with_retry(
        self,
        batch: list[Entry],
        seen: dict[int, datetime],
        locked: set[int] | None = None,
        attempt: int = 0,
        was_locked: bool = False,
        wait_briefly: bool = False,
    ) -> list[object]:
        """Process `batch` in one transaction and return one outcome per entry, an exception for an entry that failed.

        Retry until a fault of the database's state is gone; nothing is answered meanwhile. Where another session
        holds a lock, add the chargers concerned to `locked` (a set of primary keys), give their entries the outcome
        `RetryLater`, and process the others. Halve a batch that fails for another reason until the failing entry is
        alone.

        After `attempt` attempts an entry may be stored already. `was_locked` is true for chargers that were set
        aside before, so that their rows are checked for locks first. `wait_briefly` shortens the timeout for locks.
        """
        refused: dict[CallKey, Exception] = {}
        is_locked = was_locked
        locked = set() if locked is None else locked
        while True:
            try:
                if not is_locked:
                    return self._commit(batch, seen, refused, attempt, wait_briefly)
                held = _locked_chargers(batch, seen)
                if not held and was_locked:
                    is_locked = was_locked = False
                    continue
                return self._process_unlocked(batch, seen, held, locked, attempt)
            except RefusedItems as found:
                refused |= found.refused
            except Exception as error:  # noqa: BLE001  (an exception of a handler must fail only its own entry)
                kind = faults.kind_of(error)
                if kind is None:
                    return self.isolate_failures(batch, seen, error, locked, attempt)
                metrics.commit_failures.labels(kind).inc()
                is_locked = kind == faults.LOCKED
                if kind == faults.SLOW and attempt:
                    return self._process_unlocked(batch, seen, set(), locked, attempt)
                if not is_locked:
                    _wait_before_retry(kind, error, attempt)
                    attempt += 1

    def _commit(
        self,
        batch: list[Entry],
        seen: dict[int, datetime],
        refused: dict[CallKey, Exception],
        attempt: int,
        wait_briefly: bool,
    ) -> list[object]:
        with transaction.atomic():
            if wait_briefly:
                faults.shorten_lock_timeout()
            faults.renew_plans()
            with events.batched_events():
                outcomes = self.process(batch, seen, refused, attempt > 0)
            faults.make_commit_hooks_robust()
            faults.forget_warnings()
        faults.check_commit()
        if attempt > ATTEMPTS_PER_WARNING:
            logger.warning("The database takes writes again, after %s attempts.", attempt)
        return outcomes

    def _process_unlocked(
        self, batch: list[Entry], seen: dict[int, datetime], held: set[int], locked: set[int], attempt: int
    ) -> list[object]:
        """Process the entries that can be processed while the rows of the chargers `held` are locked.

        If `held` is empty, another row is locked, such as that of a transaction; halving the batch finds its charger.
        The halves wait only briefly for locks, because the batch has waited already and there are many halves.
        """
        locked.update(held)
        if held:
            free = [entry for entry in batch if entry.charger not in held]
            free_seen = {charger: at for charger, at in seen.items() if charger not in held}
            has_free = bool(free or free_seen)
            outcomes = iter(self.commit_with_retry(free, free_seen, locked, attempt) if has_free else [])
            return [RetryLater if entry.charger in held else next(outcomes) for entry in batch]
        if not batch:
            locked.update(seen)
            return []
        if seen:
            self.commit_with_retry([], seen, locked, attempt, wait_briefly=True)
        if len(batch) == 1:
            return [RetryLater]
        return self._by_halves(batch, {}, locked, attempt, wait_briefly=True)

    def _by_halves(
        self,
        batch: list[Entry],
        seen: dict[int, datetime],
        locked: set[int],
        attempt: int,
        wait_briefly: bool = False,
    ) -> list[object]:
        middle = len(batch) // 2
        first = self.commit_with_retry(batch[:middle], seen, locked, attempt, wait_briefly=wait_briefly)
        second = self.commit_with_retry(batch[middle:], {}, locked, attempt, wait_briefly=wait_briefly)
        return first + second

    def isolate_failures(
        self, batch: list[Entry], seen: dict[int, datetime], error: Exception, locked: set[int], attempt: int
    ) -> list[object]:
        if len(batch) > 1:
            return self._by_halves(batch, seen, locked, attempt)
        metrics.commit_failures.labels("spoiled").inc()
        if not batch:
            logger.error("last_seen of %s chargers could not be written.", len(seen), exc_info=error)
            return []
        logger.error("%s failed for %r", batch[0].handler.__name__, batch[0].item, exc_info=error)
        return [error]


def _locked_chargers(batch: list[Entry], seen: dict[int, datetime]) -> set[int]:
    """Return the chargers of a batch whose rows are locked. Raise `TablesLocked`."""
    if tables := faults.locked_tables():
        raise faults.TablesLocked(tables)
    chargers = {charger for entry in batch if (charger := entry.charger) is not None}
    return faults.locked_rows(chargers | seen.keys())


def _wait_before_retry(kind: str, error: Exception, attempt: int) -> None:
    if attempt % ATTEMPTS_PER_WARNING == 0:
        consequence = "Chargers wait for their answers meanwhile. No message is lost."
        logger.warning("%s %s The error: %s", WRITE_FAULTS[kind], consequence, error)
    if kind not in (faults.FULL, faults.TABLE_LOCKED):  # a server that reports these keeps the connection usable
        faults.drop_connection()
    time.sleep(growing_delay_s(*RETRY_DELAYS_S, attempt))
