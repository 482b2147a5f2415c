"""Statements that libpq runs: parameters, results, transactions and errors."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from psycopg import pq

from core.db import bulk_sql, faults, libpq
from tests.support.builders import a_charger

NAMES = "SELECT identity FROM chargers_charger ORDER BY id"
RETYPE = "ALTER TABLE chargers_charger ALTER COLUMN identity TYPE varchar(%d)"


@pytest.mark.django_db
def test_parameters_and_results_keep_their_values():
    at = datetime(2026, 11, 29, 12, 0, 0, 123456, tzinfo=UTC)
    statement = "SELECT %s::timestamptz, %s::int, %s::text, %s::float8, %s::boolean, '{\"a\": 1}'::jsonb, '5 %%'"
    (row,) = bulk_sql.query(statement, [at, 7, "ä\t'", 1.5, None])
    assert row == (at, 7, "ä\t'", 1.5, None, '{"a": 1}', "5 %")
    assert row[0].utcoffset().total_seconds() == 0


@pytest.mark.django_db
def test_a_named_parameter_may_be_used_twice():
    statement = "SELECT %(a)s::int + %(b)s::int * %(a)s::int"
    assert bulk_sql.query(statement, {"b": 2, "a": 5}) == [(15,)]
    assert bulk_sql.query(statement, {"b": 1, "a": 5}) == [(10,)]


@pytest.mark.django_db
def test_a_text_with_u0000_is_refused_and_not_cut():
    with pytest.raises(DataError, match="U\\+0000"):
        bulk_sql.query("SELECT %s::text", ["a\0b"])


@pytest.mark.django_db(transaction=True)
def test_statements_belong_to_the_transaction_of_django():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        bulk_sql.query("SELECT 1", [])  # the first statement begins the transaction
        a_charger("CP-UNDONE")
        raise ZeroDivisionError
    assert bulk_sql.query(NAMES, []) == []


@pytest.mark.django_db(transaction=True)
def test_a_failed_statement_raises_the_error_of_django_and_the_connection_stays_usable():
    a_charger("CP-1")
    copied = "INSERT INTO chargers_charger SELECT * FROM chargers_charger WHERE identity = %s"
    with pytest.raises(IntegrityError) as failed, transaction.atomic():
        bulk_sql.query(copied, ["CP-1"])
    assert failed.value.__cause__.sqlstate == "23505"
    assert bulk_sql.query(NAMES, []) == [("CP-1",)]


@pytest.mark.django_db(transaction=True)
def test_a_failed_copy_raises_the_error_of_django_and_the_connection_stays_usable():
    with pytest.raises(DataError), transaction.atomic():
        bulk_sql.copy("chargers_message", ["charger_id", "at"], ["1\tnever"])
    assert bulk_sql.query("SELECT count(*) FROM chargers_message", []) == [(0,)]


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_is_an_operational_error_and_the_next_statement_gets_a_new_one():
    bulk_sql.query("SELECT 1", [])
    with pytest.raises(OperationalError):
        bulk_sql.query("SELECT pg_terminate_backend(pg_backend_pid())", [])
    with pytest.raises(OperationalError):
        bulk_sql.query("SELECT 1", [])
    connection.close()
    assert bulk_sql.query("SELECT 1", []) == [(1,)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", [socket.SHUT_RDWR, socket.SHUT_WR])
def test_a_server_that_ends_without_a_word_is_a_lost_connection(end):
    bulk_sql.query("SELECT 1", [])
    with socket.socket(fileno=os.dup(connection.connection.pgconn.socket)) as line:
        line.shutdown(end)
    with pytest.raises(OperationalError) as failed, transaction.atomic():
        bulk_sql.query("SELECT 1", [])
    assert faults.kind_of(failed.value) == faults.AWAY  # so that a batch is tried again
    connection.close()
    assert bulk_sql.query("SELECT 1", []) == [(1,)]


@pytest.mark.django_db(transaction=True)
def test_an_error_without_sqlstate_is_a_lost_connection():
    """libpq makes such a result when the server is killed, before it marks the connection as bad."""
    connection.ensure_connection()
    pgconn = connection.connection.pgconn
    with pytest.raises(OperationalError), connection.wrap_database_errors:
        libpq._check(pgconn, pgconn.make_empty_result(pq.ExecStatus.FATAL_ERROR))
    connection.close()
    assert bulk_sql.query("SELECT 1", []) == [(1,)]


# In a process of its own: as in a worker, what waits is a greenlet. Both take one lock, and the first one holds it.
TWO_TASKS = """
from gevent import monkey; monkey.patch_all()
import gevent, gevent.event, django; django.setup()
from django.db import connection, transaction
from core.db import bulk_sql
held = gevent.event.Event()
def task(number):
    held.wait()
    try:
        with transaction.atomic():
            bulk_sql.query("SELECT pg_advisory_xact_lock(%s)", [505])
            print(number)
    finally:
        connection.close()
def first_task():
    with transaction.atomic():
        bulk_sql.query("SELECT pg_advisory_xact_lock(%s)", [505])
        held.set()
        gevent.sleep(0.5)
        bulk_sql.query("SELECT 1", [])
    connection.close()
gevent.joinall([gevent.spawn(first_task), gevent.spawn(task, 1), gevent.spawn(task, 2)], raise_error=True)
"""


@pytest.mark.django_db(transaction=True)
def test_a_task_that_waits_for_a_lock_does_not_block_the_task_that_holds_it():
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    env = os.environ | {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", TWO_TASKS]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert sorted(done.stdout.split()) == ["1", "2"], done.stderr


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [RETYPE % 200, "DEALLOCATE ALL"])
def test_a_statement_that_a_change_has_invalidated_is_prepared_again(change):
    connection.close()
    connection.close_pool()
    assert bulk_sql.query(NAMES, []) == []
    with connection.cursor() as cursor:
        cursor.execute(change)
    try:
        with pytest.raises(OperationalError) as failed, transaction.atomic():
            bulk_sql.query(NAMES, [])
        assert faults.kind_of(failed.value) == faults.AWAY  # so that it is tried again
        connection.close()
        assert bulk_sql.query(NAMES, []) == []
    finally:
        connection.close()
        connection.close_pool()  # its other connections may have prepared the statement too
        with connection.cursor() as cursor:
            cursor.execute(RETYPE % 255)
        connection.close()
        connection.close_pool()
