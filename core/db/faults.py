"""Faults of the database by SQLSTATE, and the limits of the connection that writes for chargers.

A fault in KIND_OF does not depend on the entries of a batch. The batch is retried until it succeeds, and its chargers
are not answered meanwhile. The codes are those of PostgreSQL's appendix A.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from weakref import WeakSet

from django.db import InterfaceError, InternalError, OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg.errors import Diagnostic

from core.db import bulk_sql

KINDS = AWAY, READ_ONLY, FULL, LOCKED, TABLE_LOCKED, SLOW = (
    *("away", "read_only", "full"),
    *("locked", "table_locked", "slow"),
)
# Django raises these for such faults, and `InternalError` for a read-only database.
ERRORS = (OperationalError, InterfaceError, InternalError)
# Keys are an SQLSTATE or its class, see `by_sqlstate`.
KIND_OF = {
    "08": AWAY,  # connection exception
    "25006": READ_ONLY,  # a standby, or default_transaction_read_only
    "25P03": AWAY,  # idle_in_transaction_session_timeout: this process was stopped, and has lost its locks
    "25P04": AWAY,  # transaction_timeout
    "40": AWAY,  # serialization failure, deadlock
    "53": AWAY,  # no memory, no connections left
    "53100": FULL,
    "55P03": LOCKED,  # lock_timeout
    "57": AWAY,  # starting, stopping, in recovery
    "57014": SLOW,  # statement_timeout
    "58030": AWAY,  # the disk does not read or write
}
# The lock timeout is short, because all chargers of a process wait while one batch waits for a lock. A statement
# takes milliseconds; one that takes seconds waits for a disk.
LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS = 100, 10_000
# A request waits longer and is then answered 503. Without a limit it would occupy its thread as long as the lock is
# held.
REQUEST_LOCK_TIMEOUT_MS = 5_000
# Halves of a batch wait for a lock for 10 ms each, because the whole batch has waited already.
BRIEF_LOCK_TIMEOUT = "SET LOCAL lock_timeout = 10"
# Statements of the writer look up a few rows by key. PostgreSQL plans to scan a young table whole, because it looks
# small, and keeps such a plan of a prepared statement until the first autovacuum, however the table grows.
PLANS = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
PLAN_LIFETIME_S = 10.0
REQUEST_LIMITS = f"SET lock_timeout = {REQUEST_LOCK_TIMEOUT_MS}"
LIMITS = f"SET lock_timeout = {LOCK_TIMEOUT_MS}; SET statement_timeout = {STATEMENT_TIMEOUT_MS}; {PLANS}"

FREE_ROWS = "SELECT id FROM chargers_charger WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"
KNOWN_ROWS = "SELECT id FROM chargers_charger WHERE id = ANY(%s)"
# Locks that conflict with writing rows. A requested lock counts too, because writers queue behind it.
LOCKED_TABLES = """
SELECT DISTINCT l.relation::regclass::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
WHERE l.locktype = 'relation' AND l.pid <> pg_backend_pid() AND c.relnamespace = current_schema()::regnamespace
    AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
ORDER BY 1
"""


class TablesLocked(OperationalError):
    """Another session holds or awaits a lock on `tables` that prevents writing rows."""

    def __init__(self, tables: list[str]):
        super().__init__(f"Another session has locked {', '.join(tables)}, or waits for such a lock.")


class NotDurable(OperationalError):
    """No synchronous standby has confirmed a commit, so it would be lost if the primary were lost."""


def kind_of(error: BaseException) -> str | None:
    """Return one of KINDS, or None for an error that is no fault of the database's state."""
    if isinstance(error, TablesLocked):
        return TABLE_LOCKED
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    if sqlstate is None:
        return AWAY if isinstance(error, OperationalError | InterfaceError) else None
    return by_sqlstate(KIND_OF, sqlstate)


def by_sqlstate(table: Mapping[str, str], sqlstate: str) -> str | None:
    """Look up an SQLSTATE in `table`, then its class, the first two characters. Return None for neither."""
    return table.get(sqlstate) or table.get(sqlstate[:2])


def locked_tables() -> list[str]:
    """Return the tables of this schema on which another session holds or awaits a lock that prevents writing rows."""
    return [table for (table,) in bulk_sql.query(LOCKED_TABLES, [])]


def locked_rows(chargers: Iterable[int]) -> set[int]:
    """Return those of `chargers` (primary keys) whose rows another session has locked at this moment."""
    parameters = [bulk_sql.array(sorted(set(chargers)))]
    with transaction.atomic():
        free = {charger for (charger,) in bulk_sql.query(FREE_ROWS, parameters)}
        return {charger for (charger,) in bulk_sql.query(KNOWN_ROWS, parameters)} - free


# --- the connection of a writer thread -------------------------------------------------------


class _Writer(threading.local):
    """State of one thread: whether it is a writer, whether PostgreSQL has warned, and when its plans expire."""

    is_limited = False
    was_warned = False
    plans_expire_at = 0.0


_writer = _Writer()
# The connections of the pool that have REQUEST_LIMITS; None in a process that does not serve requests.
_limited: WeakSet | None = None


def limit_this_thread() -> None:
    """Apply LIMITS to all later connections of this thread."""
    _writer.is_limited = True


def limit_requests() -> None:
    """Apply REQUEST_LIMITS to the other connections of this process, because it serves requests."""
    global _limited
    _limited = WeakSet()


def shorten_lock_timeout() -> None:
    """Let the current transaction wait only briefly for locks."""
    with connection.cursor() as cursor:
        cursor.execute(BRIEF_LOCK_TIMEOUT)


def _limit(connection: BaseDatabaseWrapper, **_: object) -> None:
    if _writer.is_limited:
        with connection.cursor() as cursor:
            cursor.execute(LIMITS)
        connection.connection.add_notice_handler(_note_warning)
    elif _limited is not None and connection.connection not in _limited:  # once, because the pool lends it repeatedly
        with connection.cursor() as cursor:
            cursor.execute(REQUEST_LIMITS)
        _limited.add(connection.connection)


def is_warning(notice: Diagnostic) -> bool:
    """Return whether `notice` is a warning. At a commit it is about a standby, see `check_commit`."""
    return notice.severity_nonlocalized == "WARNING"


def _note_warning(notice: Diagnostic) -> None:
    if is_warning(notice):
        _writer.was_warned = True


connection_created.connect(_limit, dispatch_uid="limits of connections")


def renew_plans() -> None:
    """Discard the plans of statements every PLAN_LIFETIME_S, so that plans fit the tables' size (see PLANS)."""
    if (now := time.monotonic()) >= _writer.plans_expire_at:
        _writer.plans_expire_at = now + PLAN_LIFETIME_S
        with connection.cursor() as cursor:
            cursor.execute("DISCARD PLANS")


def make_commit_hooks_robust() -> None:
    """Let Django log an exception of a `transaction.on_commit` function, such as one that a vendor's function added.

    The batch is committed by then, so the exception must not make it look as if it had failed.
    """
    connection.run_on_commit = [(sids, function, True) for sids, function, _ in connection.run_on_commit]


def forget_warnings() -> None:
    """Forget the warnings before the commit, so that `check_commit` reacts to those of the commit alone."""
    _writer.was_warned = False


def check_commit() -> None:
    """Raise `NotDurable` if PostgreSQL has sent a warning at the commit.

    `statement_timeout` also ends the wait for a synchronous standby. PostgreSQL then reports the commit as done, with
    a warning, although it would be lost with the primary.
    """
    if _writer.was_warned:
        raise NotDurable("The synchronous standby has not confirmed the commit.")


def drop_connection() -> None:
    """Close the connection of this thread. The pool does not get it back, because it has LIMITS."""
    if connection.connection is not None and _writer.is_limited:
        connection.connection.close()
    connection.close()
