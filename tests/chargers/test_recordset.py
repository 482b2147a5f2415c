"""What is hot is prepared once, and finds its rows by key whatever PostgreSQL knows of the tables."""

import orjson
import psycopg
import pytest
from django.db import connection

from chargers import bulk_sql, retries
from commands import handlers as commands
from commands import lifecycle, queries, submission
from tests.builders import NOON, a_command, a_transaction, tell
from transactions import handlers, readings, stops
from transactions.models import Transaction

pytestmark = pytest.mark.django_db
ONE = {"charger": 1, "connector_id": 1, "id": 1, "transaction": 1, "register": 1, "task_id": "x", "token": "y"}
# Many of which none is under way, as after a quiet night, and more than anybody would read for one row.
STORED = ", ".join(f.column for f in Transaction._meta.concrete_fields if not f.generated)
QUIET = f"""
INSERT INTO chargers_charger SELECT (jsonb_populate_record(c, jsonb_build_object('id', -n, 'charger_id', n))).*
FROM chargers_charger c, generate_series(1, 3000) n;
INSERT INTO transactions_transaction ({STORED}) SELECT {STORED} FROM (
    SELECT (jsonb_populate_record(t, jsonb_build_object('id', -n, 'raw_start_time', n))).*
    FROM transactions_transaction t, generate_series(1, 3000) n
) many;
INSERT INTO commands_command SELECT (jsonb_populate_record(c, jsonb_build_object('id', -n, 'task_id', n))).*
FROM commands_command c, generate_series(1, 3000) n;
ANALYZE chargers_charger, transactions_transaction, commands_command;
SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off
"""


def prepared():
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]


def test_what_is_hot_is_prepared_and_nothing_else():
    bulk_sql.query("SELECT %s::int + 1", [1])
    assert "SELECT $1::int + 1" in prepared()
    with connection.cursor() as cursor:
        for _ in range(10):
            cursor.execute("SELECT %s::int + 2", [1])
    assert not [statement for statement in prepared() if "+ 2" in statement]


@pytest.fixture
def a_quiet_night():
    transaction = a_transaction()
    tell(transaction.charger, "StopTransaction", transactionId=transaction.pk, meterStop=5000, timestamp=NOON)
    a_command(transaction.charger, state="finished")
    with connection.cursor() as cursor:
        cursor.execute(QUIET)


@pytest.mark.parametrize(
    "statement, parameter",
    [
        *((s, [ONE]) for s in (readings.ADVANCE, stops.STOP, handlers.SUPERSEDE, retries.REMEMBER, commands.CLAIM)),
        (queries.FIND, "x"),
        (lifecycle.NEXT_COMMAND, "1"),
        (submission.COUNT_QUEUED, "1"),
    ],
)
def test_rows_are_looked_up_by_key(a_quiet_night, statement, parameter):
    scans = [node for node in nodes(explained(statement, parameter)) if "Index Name" in node]
    assert scans
    assert all("Index Cond" in scan for scan in scans), scans


@pytest.mark.parametrize("statement", [queries.FIND, lifecycle.NEXT_COMMAND, submission.COUNT_QUEUED])
def test_what_a_charger_has_waiting_is_looked_up_by_charger(a_quiet_night, statement):
    """Where any one row is wanted, reading all that were ever asked until one fits may look the shortest way."""
    scans = [node for node in nodes(explained(statement, "1")) if "Index Name" in node]
    (scan,) = (scan for scan in scans if scan["Alias"] in ("earlier", "commands_command"))
    assert scan["Index Name"] == "unfinished_commands" and "charger_id" in scan["Index Cond"]


def test_a_start_does_not_read_all_that_is_under_way(a_quiet_night):
    with connection.cursor() as cursor:  # the index it uses
        cursor.execute("DROP INDEX transactions_without_stop")
    assert "transactions_under_way_of_tag" not in str(explained(handlers.SUPERSEDE, [ONE]))


def explained(statement, parameter):
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection) as cursor:
        as_text = parameter if isinstance(parameter, str) else orjson.dumps(parameter).decode()
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", [as_text, ""][: statement.count("%s")])
        return cursor.fetchone()[0][0]["Plan"]


def nodes(plan):
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]
