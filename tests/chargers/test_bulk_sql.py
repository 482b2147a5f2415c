"""Frequent statements are prepared, and find their rows by key for any statistics of the tables."""

import orjson
import psycopg
import pytest
from django.db import connection

from commands import sql as commands_sql
from commands.services import queries
from core.db import bulk_sql, faults
from gateway import sql as gateway_sql
from tests.support.builders import NOON, a_command, a_transaction, tell
from transactions import sql as transactions_sql
from transactions.models import Transaction

pytestmark = pytest.mark.django_db
ONE = {"charger": 1, "connector_id": 1, "id": 1, "transaction": 1, "register": 1, "task_id": "x", "token": "y"}
# Many finished rows and none under way, so that a sequential scan for one row would be slow.
STORED = ", ".join(f.column for f in Transaction._meta.concrete_fields if not f.generated)
INSERT_FINISHED = f"""
INSERT INTO chargers_charger SELECT (jsonb_populate_record(c, jsonb_build_object('id', -n, 'identity', n))).*
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


def test_only_statements_of_bulk_sql_are_prepared():
    bulk_sql.query("SELECT %s::int + 1", [1])
    assert "SELECT $1::int + 1" in prepared()
    with connection.cursor() as cursor:
        for _ in range(10):
            cursor.execute("SELECT %s::int + 2", [1])
    assert not [statement for statement in prepared() if "+ 2" in statement]


@pytest.fixture
def finished_rows():
    transaction = a_transaction()
    tell(transaction.charger, "StopTransaction", transactionId=transaction.pk, meterStop=5000, timestamp=NOON)
    a_command(transaction.charger, state="finished")
    with connection.cursor() as cursor:
        cursor.execute(INSERT_FINISHED)


@pytest.mark.parametrize(
    "statement, parameter",
    [
        *(
            (s, [ONE])
            for s in (
                transactions_sql.ADVANCE,
                transactions_sql.STOP,
                transactions_sql.SUPERSEDE,
                gateway_sql.REMEMBER,
                gateway_sql.OBSTACLES,
                commands_sql.CLAIM,
            )
        ),
        (queries.FIND, "x"),
        (commands_sql.NEXT_COMMAND, "1"),
        (commands_sql.COUNT_QUEUED, "1"),
    ],
)
def test_rows_are_looked_up_by_key(finished_rows, statement, parameter):
    scans = [node for node in nodes(explained(statement, parameter)) if "Index Name" in node]
    assert scans
    assert all("Index Cond" in scan for scan in scans), scans


@pytest.mark.parametrize("statement", [queries.FIND, commands_sql.NEXT_COMMAND, commands_sql.COUNT_QUEUED])
def test_waiting_commands_of_a_charger_are_looked_up_by_charger(finished_rows, statement):
    """PostgreSQL may plan to scan all commands for a statement that needs any one row."""
    scans = [node for node in nodes(explained(statement, "1")) if "Index Name" in node]
    (scan,) = (scan for scan in scans if scan["Alias"] in ("earlier", "commands_command"))
    assert scan["Index Name"] == "unfinished_commands"
    assert "charger_id" in scan["Index Cond"]


@pytest.mark.parametrize("statement", [transactions_sql.ADVANCE, transactions_sql.STOP, transactions_sql.SUPERSEDE])
def test_a_young_table_of_transactions_is_not_read_whole(statement):
    """The tables are empty when the statement is planned, and the plan is kept while they grow."""
    with connection.cursor() as cursor:
        cursor.execute(faults.PLANS)
    plan = nodes(explained(statement, [ONE]))
    scans = [node for node in plan if node.get("Relation Name") == "transactions_transaction" and "Alias" in node]
    scans = [scan for scan in scans if scan["Node Type"] != "ModifyTable"]
    assert scans
    assert all("Index Cond" in scan for scan in scans), scans


def test_a_start_does_not_read_all_transactions_under_way(finished_rows):
    with connection.cursor() as cursor:  # the index that the statement uses
        cursor.execute("DROP INDEX transactions_without_stop")
    assert "transactions_under_way_of_tag" not in str(explained(transactions_sql.SUPERSEDE, [ONE]))


def explained(statement, parameter):
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection) as cursor:
        as_text = parameter if isinstance(parameter, str) else orjson.dumps(parameter).decode()
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", [as_text, ""][: statement.count("%s")])
        return cursor.fetchone()[0][0]["Plan"]


def nodes(plan):
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]
