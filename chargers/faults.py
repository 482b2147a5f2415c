"""Faults of the database, told apart by SQLSTATE, and the limits of the connection that writes for chargers.

A fault that KIND_OF knows has nothing to do with the entries that meet it: the batch is tried again until it
succeeds, and its chargers are not answered meanwhile. The codes are those of PostgreSQL's appendix A.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from weakref import WeakSet

from django.db import InterfaceError, InternalError, OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg.errors import Diagnostic

from chargers import bulk_sql

KINDS = AWAY, READ_ONLY, FULL, LOCKED, TABLE_LOCKED, SLOW = (
    *("away", "read_only", "full"),
    *("locked", "table_locked", "slow"),
)
# What Django raises for them; `InternalError` is that of a read-only database.
ERRORS = (OperationalError, InterfaceError, InternalError)
# By SQLSTATE or its class, see `by_sqlstate`.
KIND_OF = {
    "08": AWAY,  # connection exception
    "25006": READ_ONLY,  # of a standby, or by default_transaction_read_only
    "25P03": AWAY,  # idle_in_transaction_session_timeout: this process stood still, and has lost its locks
    "25P04": AWAY,  # transaction_timeout
    "40": AWAY,  # serialization failure, deadlock
    "53": AWAY,  # no memory, no connections
    "53100": FULL,
    "55P03": LOCKED,  # lock_timeout
    "57": AWAY,  # starting, stopping, in recovery
    "57014": SLOW,  # statement_timeout
    "58030": AWAY,  # the disk does not read or write
}
# While one batch waits for a lock, all chargers of the process wait. A statement takes milliseconds; one that takes
# seconds waits for a disk.
LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS = 100, 10_000
# A request waits longer, and is then answered 503; without a limit it would hold its thread for as long as the lock.
REQUEST_LOCK_TIMEOUT_MS = 5_000
# The parts of a batch that has waited for a lock, tried one after the other, wait so long for theirs.
HASTE = "SET LOCAL lock_timeout = 10"
# Each of its statements looks up a few rows by key. To PostgreSQL a young table looks small enough to be read whole
# for each batch. It keeps such a plan for a prepared statement until the first autovacuum, however the table grows.
PLANS = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
PLANS_HOLD_S = 10.0
REQUEST_LIMITS = f"SET lock_timeout = {REQUEST_LOCK_TIMEOUT_MS}"
LIMITS = f"SET lock_timeout = {LOCK_TIMEOUT_MS}; SET statement_timeout = {STATEMENT_TIMEOUT_MS}; {PLANS}"

FREE_ROWS = "SELECT id FROM chargers_charger WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"
KNOWN_ROWS = "SELECT id FROM chargers_charger WHERE id = ANY(%s)"
# A lock that conflicts with writing rows, held or waited for: others that write queue behind it.
LOCKED_TABLES = """
SELECT DISTINCT l.relation::regclass::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
WHERE l.locktype = 'relation' AND l.pid <> pg_backend_pid() AND c.relnamespace = current_schema()::regnamespace
    AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
ORDER BY 1
"""


class TablesLocked(OperationalError):
    """Another session holds or awaits a lock on `tables` that keeps rows from being written."""

    def __init__(self, tables: list[str]):
        super().__init__(f"Another session has locked {', '.join(tables)}, or waits for such a lock.")


class NotDurable(OperationalError):
    """A commit was cut short while it waited for a synchronous standby: it may be lost when the primary is."""


def kind_of(error: BaseException) -> str | None:
    """One of KINDS, None for an error that is no fault of the database's state."""
    if isinstance(error, TablesLocked):
        return TABLE_LOCKED
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    if sqlstate is None:
        return AWAY if isinstance(error, OperationalError | InterfaceError) else None
    return by_sqlstate(KIND_OF, sqlstate)


def by_sqlstate(table: Mapping[str, str], sqlstate: str) -> str | None:
    """What `table` has for an SQLSTATE, or else for its class, the first two characters; None for neither."""
    return table.get(sqlstate) or table.get(sqlstate[:2])


def locked_tables() -> list[str]:
    """The tables of ours on which another session holds or awaits a lock that keeps rows from being written."""
    return [table for (table,) in bulk_sql.query(LOCKED_TABLES, [])]


def locked_rows(chargers: Iterable[int]) -> set[int]:
    """Those of `chargers` (primary keys) whose rows another session has locked at this moment."""
    wanted = [bulk_sql.array(sorted(set(chargers)))]
    with transaction.atomic():
        free = {charger for (charger,) in bulk_sql.query(FREE_ROWS, wanted)}
        return {charger for (charger,) in bulk_sql.query(KNOWN_ROWS, wanted)} - free


# --- the connection of a writer thread -------------------------------------------------------


class _Writer(threading.local):
    """Of a thread: whether its connections are limited, and whether a commit was cut short."""

    is_limited = False
    was_warned = False
    plans_expire_at = 0.0


_writer = _Writer()
# The connections of the pool that have REQUEST_LIMITS; None where none is to have them.
_bounded: WeakSet | None = None


def limit_this_thread() -> None:
    """From now on the connections of this thread have LIMITS."""
    _writer.is_limited = True


def limit_requests() -> None:
    """From now on the other connections of this process have REQUEST_LIMITS: it serves requests."""
    global _bounded
    _bounded = WeakSet()


def make_haste() -> None:
    """The transaction that is under way waits for locks only briefly."""
    with connection.cursor() as cursor:
        cursor.execute(HASTE)


def _limit(connection: BaseDatabaseWrapper, **_: object) -> None:
    if _writer.is_limited:
        with connection.cursor() as cursor:
            cursor.execute(LIMITS)
        connection.connection.add_notice_handler(_note_warning)
    elif _bounded is not None and connection.connection not in _bounded:  # the pool lends it again and again
        with connection.cursor() as cursor:
            cursor.execute(REQUEST_LIMITS)
        _bounded.add(connection.connection)


def is_warning(notice: Diagnostic) -> bool:
    """Whether PostgreSQL warns, which at a commit means that no standby has confirmed it, see `check_commit`."""
    return notice.severity_nonlocalized == "WARNING"


def _note_warning(notice: Diagnostic) -> None:
    if is_warning(notice):
        _writer.was_warned = True


connection_created.connect(_limit, dispatch_uid="limits of connections")


def renew_plans() -> None:
    """Have statements planned anew from time to time, by the size that the tables have now (see PLANS)."""
    if (now := time.monotonic()) >= _writer.plans_expire_at:
        _writer.plans_expire_at = now + PLANS_HOLD_S
        with connection.cursor() as cursor:
            cursor.execute("DISCARD PLANS")


def let_hooks_fail() -> None:
    """Have Django log what fails in `transaction.on_commit`, such as that of a vendor's function: the batch is stored
    then, and must not look as if it was not."""
    connection.run_on_commit = [(sids, function, True) for sids, function, _ in connection.run_on_commit]


def expect_commit() -> None:
    """What is to be noticed from now on is the commit alone."""
    _writer.was_warned = False


def check_commit() -> None:
    """Raise `NotDurable` where PostgreSQL has warned at the commit.

    `statement_timeout` ends the wait for a synchronous standby too. PostgreSQL reports such a commit as done, with a
    warning, though it would be lost with the primary.
    """
    if _writer.was_warned:
        raise NotDurable("The synchronous standby has not confirmed the commit.")


def drop_connection() -> None:
    """Close the connection of this thread for good: given back to the pool, it would limit others."""
    if connection.connection is not None and _writer.is_limited:
        connection.connection.close()
    connection.close()
