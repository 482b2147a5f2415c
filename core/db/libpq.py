"""Run statements by the functions of libpq, each prepared once for a connection.

psycopg owns the connection. Its cursors look up how to convert each parameter and result, and run a small event loop
until PostgreSQL answers, so that a statement takes some 100 µs of Python (decision 0027). Here a parameter is sent as
text, and the calling thread waits in libpq, which releases the lock of the interpreter. In a worker, whose tasks are
greenlets of one thread, the wait is that of psycopg, which lets other greenlets run. Otherwise a statement that waits
for a lock would block the task that holds it.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db.backends.postgresql.psycopg_any import get_adapters_template
from psycopg import abc, errors, generators, pq
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.pq.abc import PGconn, PGresult

PLACEHOLDER = re.compile(r"%(?:s|\((\w+)\)s|%)")
SUCCESSES = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.COPY_IN)


def _has_greenlets() -> bool:
    """Whether gevent has replaced the waits of this process. It does so before any other module is imported."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_module_patched("select")


HAS_GREENLETS = _has_greenlets()


def _adapters() -> AdaptersMap:
    """Return the conversions of results that Django has registered, but times by the compiled loader of psycopg."""
    adapters = AdaptersMap(get_adapters_template(True, None))
    oid = psycopg.adapters.types["timestamptz"].oid
    if compiled := psycopg.adapters.get_loader(oid, pq.Format.TEXT):
        adapters.register_loader(oid, compiled)
    return adapters


@dataclass
class _Session:
    """The names of the statements that a connection has prepared, and the conversion of their results."""

    names: dict[str, bytes] = field(default_factory=dict)
    loaders: abc.Transformer = field(default_factory=lambda: Transformer(_adapters()))


_sessions: WeakKeyDictionary[psycopg.Connection, _Session] = WeakKeyDictionary()


def run(
    connection: psycopg.Connection, statement: str, parameters: Sequence[object] | Mapping[str, object]
) -> list[tuple[Any, ...]]:
    """Run `statement`, prepared, in the transaction of `connection`. Return its rows, [] if it returns none."""
    session = _sessions.get(connection) or _sessions.setdefault(connection, _Session())
    text, names = _numbered(statement)
    values = parameters if isinstance(parameters, Sequence) else [parameters[name] for name in names]
    _begin(connection)
    name = session.names.get(statement) or _prepare(connection, session, statement, text)
    encoded: list[Any] = [_encoded(value) for value in values]  # the stub does not allow None for NULL
    pgconn = connection.pgconn
    result = _complete(connection, pgconn.exec_prepared, pgconn.send_query_prepared, name, encoded)
    if not result.ntuples:
        return []
    session.loaders.set_pgresult(result)
    return session.loaders.load_rows(0, result.ntuples, tuple)


def copy(connection: psycopg.Connection, statement: str, text: str) -> None:
    """Run `statement`, a COPY FROM STDIN, with the lines in `text`."""
    _begin(connection)
    pgconn = connection.pgconn
    _complete(connection, pgconn.exec_, pgconn.send_query, statement.encode())
    if HAS_GREENLETS:
        connection.wait(generators.copy_to(pgconn, text.encode()))
        _check(pgconn, connection.wait(generators.copy_end(pgconn, None)))
        return
    pgconn.put_copy_data(text.encode())
    pgconn.put_copy_end()
    for result in [*iter(pgconn.get_result, None)]:  # all are taken first, so that the connection is free again
        _check(pgconn, result)


def _begin(connection: psycopg.Connection) -> None:
    """Begin the transaction that Django has announced to psycopg, which would begin it with its next statement."""
    pgconn = connection.pgconn
    if not connection.autocommit and pgconn.transaction_status == pq.TransactionStatus.IDLE:
        _complete(connection, pgconn.exec_, pgconn.send_query, b"BEGIN")


def _prepare(connection: psycopg.Connection, session: _Session, statement: str, text: bytes) -> bytes:
    name, pgconn = b"statement_%d" % len(session.names), connection.pgconn
    _complete(connection, pgconn.prepare, pgconn.send_prepare, name, text)
    session.names[statement] = name
    return name


def _complete(
    connection: psycopg.Connection, call: Callable[..., PGresult], send: Callable[..., None], *arguments: Any
) -> PGresult:
    """Return the result of `call`, or, while other greenlets run, of `send`, which does not wait for it."""
    if HAS_GREENLETS:
        send(*arguments)
        result: PGresult = connection.wait(generators.execute(connection.pgconn))[-1]
    else:
        result = call(*arguments)
    _check(connection.pgconn, result)
    return result


def _check(pgconn: PGconn, result: PGresult) -> None:
    """Raise the exception of psycopg for a statement that has failed."""
    if result.status in SUCCESSES:
        return
    # A result without an SQLSTATE is one of libpq, which may not have marked the connection as bad yet.
    if pgconn.status == pq.ConnStatus.BAD or not result.error_field(pq.DiagnosticField.SQLSTATE):
        message = pgconn.get_error_message()
        pgconn.finish()
        raise psycopg.OperationalError(f"the connection is lost: {message}")
    error = errors.error_from_result(result)
    if _is_invalidated(error):
        pgconn.finish()  # a new connection prepares all statements again
        raise psycopg.OperationalError(f"a prepared statement cannot be used any more: {error}")
    raise error


def _is_invalidated(error: psycopg.Error) -> bool:
    """Whether a prepared statement was deallocated, or a migration has changed the types of its columns."""
    is_other_type = error.diag.source_function == "RevalidateCachedQuery"  # its SQLSTATE has other meanings too
    return is_other_type or isinstance(error, errors.InvalidSqlStatementName)


@cache
def _numbered(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the text of `statement` for PostgreSQL, and the names of its parameters."""
    names: list[str] = []
    count = 0

    def number(match: re.Match[str]) -> str:
        nonlocal count
        if match[0] == "%%":
            return "%"
        if match[0] == "%s":
            count += 1
            return f"${count}"
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    text = PLACEHOLDER.sub(number, statement).encode()
    return text, tuple(names)


def _encoded(value: object) -> bytes | None:
    """Format a text, number, boolean, time or None as the text of a parameter."""
    if isinstance(value, str):
        if "\0" in value:
            raise psycopg.DataError("PostgreSQL cannot store U+0000 in a text.")
        return value.encode()
    if value is None:
        return None
    if isinstance(value, bytes | list | dict):
        raise TypeError(f"A parameter of a statement is a text, number, boolean or time, not {type(value).__name__}.")
    return (value.isoformat() if isinstance(value, datetime) else str(value)).encode()
