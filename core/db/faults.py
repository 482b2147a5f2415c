"""Faults of PostgreSQL by SQLSTATE, and the limits of the connection that writes for chargers.

A fault does not depend on the statement: the same one succeeds once the fault has passed. So a batch is retried until
then, and its chargers are not answered meanwhile. The codes are those of PostgreSQL's appendix A.
"""

import threading
import time
from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

import psycopg
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg.errors import Diagnostic

from core.db import bulk_sql

AWAY, HANGING, STARTING, LOGIN_REFUSED = "away", "hanging", "starting", "login_refused"
READ_ONLY, FULL, LOCKED, NO_CONNECTIONS = "read_only", "full", "locked", "no_connections"
OUT_OF_MEMORY, ENDED, FAILING = "out_of_memory", "ended", "failing"
TABLE_LOCKED, SLOW = "table_locked", "slow"
# Kinds of faults by which a batch is retried differently.
KINDS = (AWAY, READ_ONLY, FULL, LOCKED, TABLE_LOCKED, SLOW)
KIND_OF = {READ_ONLY: READ_ONLY, FULL: FULL, LOCKED: LOCKED, HANGING: SLOW}  # any other fault counts as AWAY
# Keys are an SQLSTATE or its class, the first two characters.
BY_SQLSTATE = {
    "08": AWAY,  # connection exception
    "25006": READ_ONLY,  # a standby, or default_transaction_read_only
    "25P03": ENDED,  # idle_in_transaction_session_timeout: this process was stopped, and has lost its locks
    "25P04": ENDED,  # transaction_timeout
    "28": LOGIN_REFUSED,
    "3D": LOGIN_REFUSED,
    "40": ENDED,  # serialization failure, deadlock
    "42501": LOGIN_REFUSED,
    "53": FAILING,
    "53100": FULL,
    "53200": OUT_OF_MEMORY,
    "53300": NO_CONNECTIONS,
    "55P03": LOCKED,  # lock_timeout
    "57": STARTING,  # starting, stopping, in recovery
    "57014": HANGING,  # statement_timeout
    "58": FAILING,  # the disk does not read or write
}
# libpq has no SQLSTATE for errors while it connects. A fault of a server with another lc_messages counts as AWAY.
WHILE_CONNECTING = (
    ("too many clients", NO_CONNECTIONS),
    ("connection slots are reserved", NO_CONNECTIONS),
    ("too many connections", NO_CONNECTIONS),
    ("database system is", STARTING),
    ("authentication failed", LOGIN_REFUSED),
    ("no password supplied", LOGIN_REFUSED),
    ("no pg_hba.conf entry", LOGIN_REFUSED),
    ("is not permitted to log in", LOGIN_REFUSED),
    ("does not exist", LOGIN_REFUSED),
    ("No space left on device", FULL),
    ("timeout expired", HANGING),
)
OF_CONNECTIONS = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
# The lock timeout is short, because all chargers of a process wait while one batch waits for a lock. A statement
# takes milliseconds; one that takes seconds waits for a disk.
LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS = 100, 10_000
# A request waits longer and is then answered 503. Without a limit it would occupy its thread as long as the lock is
# held.
REQUEST_LOCK_TIMEOUT_MS = 5_000
# Halves of a batch wait for a lock for 10 ms each, because the whole batch has waited already.
BRIEF_LOCK_TIMEOUT = "SET LOCAL lock_timeout = 10"
# Statements of the writer look up a few rows by key. PostgreSQL plans to scan a young table whole, because it looks
# small, and keeps such a plan of a prepared statement until the first autovacuum, however the table grows. All values
# are in one parameter, so a plan for a value is no better than the generic one. PostgreSQL would still plan many
# executions again, because it compares the cost with that of the first plans, when the tables were smaller.
PLANS = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; "
    "SET plan_cache_mode = force_generic_plan"
)
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


def fault_of(error: BaseException) -> str | None:
    """Return the fault that caused `error`, None for an error that is no fault of the database's state."""
    if isinstance(error, TablesLocked):
        return LOCKED
    if sqlstate := _sqlstate(error):
        return BY_SQLSTATE.get(sqlstate) or BY_SQLSTATE.get(sqlstate[:2])
    if isinstance(error, OF_CONNECTIONS):
        return next((fault for words, fault in WHILE_CONNECTING if words in str(error)), AWAY)
    return None


def kind_of(error: BaseException) -> str | None:
    """Return one of KINDS, or None for an error that is no fault of the database's state."""
    if isinstance(error, TablesLocked):
        return TABLE_LOCKED
    fault = fault_of(error)
    if fault is None or _sqlstate(error) is None:
        return fault and AWAY
    return KIND_OF.get(fault, AWAY)


def _sqlstate(error: BaseException | None) -> str | None:
    """Return the code of `error`, or of an exception that it was raised from."""
    while error is not None:
        sqlstate: str | None = getattr(error, "sqlstate", None)
        if sqlstate:
            return sqlstate
        error = error.__cause__
    return None


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
_limited: WeakSet[psycopg.Connection] | None = None


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
    hooks: list[Any] = connection.run_on_commit  # the stub has no third item
    connection.run_on_commit = [(sids, function, True) for sids, function, _ in hooks]  # type: ignore[misc]


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
