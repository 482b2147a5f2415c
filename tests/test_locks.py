"""Migrations and partitions wait for locks of whole tables without blocking chargers."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from django.db import connection, transaction

from core.db import locks, partitions
from tests.support.live import eventually
from tests.support.migrations import environment, migrate
from tools.stack.stack import PROJECT

# A writer waits at most half a second for a migration; the rest is for a busy machine.
LONGEST_WAIT_S = 15
ROWS = 200_000
TABLE = "readings"
MARCH, MAY = datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC)
MAKE = f"""
CREATE TABLE {TABLE} (id bigserial, received_at timestamptz NOT NULL, kind text, PRIMARY KEY (id, received_at))
    PARTITION BY RANGE (received_at);
CREATE TABLE {TABLE}_2026_01 PARTITION OF {TABLE} FOR VALUES FROM (MINVALUE) TO ('2026-02-01 00:00+00');
CREATE TABLE {TABLE}_default PARTITION OF {TABLE} DEFAULT;
CREATE INDEX ON {TABLE} (kind);
"""
FILL = f"INSERT INTO {TABLE} (received_at, kind) SELECT %s, 'old' FROM generate_series(1, %s)"


# With a migration of a later version: one that adds a column, one that adds an index.
LATER_COLUMN, LATER_INDEX = "tools.chaos.settings", "tests.support.later.settings"


@contextmanager
def doing(statement, dsn):
    """Repeat `statement`, each in a transaction of its own; yield the growing list of seconds that each has taken."""
    took, over = [], threading.Event()

    def work():
        with psycopg.connect(dsn, autocommit=True) as other:
            while not over.wait(0.01):
                began = time.monotonic()
                other.execute(statement)
                took.append(time.monotonic() - began)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()
    assert took and max(took) < LONGEST_WAIT_S


@contextmanager
def reading(table, dsn):
    """Yield the connection of a session that has read `table` and does not end its transaction."""
    with psycopg.connect(dsn, application_name="report") as holder:
        holder.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        holder.execute(f"SELECT count(*) FROM {table}")
        yield holder


def test_writes_of_chargers_go_on_while_a_migration_waits(empty_database):
    assert migrate(empty_database)[0] == 0
    update = "UPDATE chargers_charger SET vendor = ''"
    with reading("chargers_charger", empty_database) as holder, doing(update, empty_database) as updated:
        pid = holder.info.backend_pid
        code, said = migrate(empty_database, "--patience", "1", settings=LATER_COLUMN)
        assert code == 1
        assert "migrated.0001_a_column got no lock within" in said
        assert f"it is held by pid {pid} (report, idle in transaction for" in said
        process = subprocess.Popen(
            [sys.executable, "-u", "manage.py", "migrate", "--noinput"],
            cwd=PROJECT,
            env=environment(empty_database, LATER_COLUMN),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        waiting = f"migrated.0001_a_column waits for a lock held by pid {pid} (report, idle in transaction for"
        lines = iter(process.stdout)
        assert any(waiting in line and "attempt 2" in line for line in lines)
        before = len(updated)
        eventually(lambda: len(updated) > before + 20, 60)
        assert process.poll() is None
        holder.rollback()
        rest = "".join(lines)
        assert process.wait() == 0, rest
    assert migrate(empty_database, "--check", settings=LATER_COLUMN)[0] == 0


@pytest.fixture
def table(transactional_db):
    """A partitioned table of its own, and how others connect to its database."""
    with connection.cursor() as cursor:
        cursor.execute(MAKE)
    yield psycopg.conninfo.make_conninfo(connection.connection.info.dsn)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {TABLE}")


def rows(statement, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchall()


def fill(moment, number):
    with connection.cursor() as cursor:
        cursor.execute(FILL, [moment, number])


class Counting:
    """Counts the old rows repeatedly, by the parent; `seen` has all the numbers that were found."""

    def __init__(self, dsn):
        self.dsn, self.seen, self.over = dsn, set(), threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self._count)
        self.thread.start()
        eventually(lambda: self.seen)
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _count(self):
        with psycopg.connect(self.dsn, autocommit=True) as other:
            while not self.over.is_set():
                found = other.execute(f"SELECT count(*), count(DISTINCT id) FROM {TABLE} WHERE kind = 'old'")
                self.seen.add(found.fetchone())


def test_rows_stay_visible_and_writers_go_on_while_a_partition_is_created(table, caplog):
    fill(MARCH, ROWS)
    insert = f"INSERT INTO {TABLE} (received_at, kind) VALUES ('{MARCH}', 'new')"
    with reading(TABLE, table) as holder, doing(insert, table) as inserted, Counting(table) as counting:

        def let_go():
            eventually(lambda: "attempt 2" in caplog.text, 60)
            holder.rollback()

        release = threading.Thread(target=let_go)
        release.start()
        made = partitions.make(TABLE, MAY)
        release.join()
        assert f"held by pid {holder.info.backend_pid} (report, idle in transaction for" in caplog.text
    assert counting.seen == {(ROWS, ROWS)}
    assert rows(f"SELECT count(*), count(DISTINCT id) FROM {TABLE} WHERE kind = 'new'") == [(len(inserted),) * 2]
    assert made[0] == f"{TABLE}_2026_06"
    assert rows(f"SELECT count(*) FROM {TABLE}_default") == [(0,)]
    assert rows(f"SELECT count(*) FROM {made[0]}") == [(ROWS + len(inserted),)]
    assert partitions.make(TABLE, MAY) == []


def test_nothing_is_read_while_the_table_is_locked(table):
    fill(MARCH, 10)
    said = []
    connection.connection.add_notice_handler(lambda notice: said.append(notice.message_primary))
    rows("SELECT set_config('client_min_messages', 'debug1', false)")
    (made, *_) = partitions.make(TABLE, MAY)
    rows("SELECT set_config('client_min_messages', 'notice', false)")
    assert f'partition constraint for table "{made}" is implied by existing constraints' in said
    assert f'verifying table "{TABLE}_default"' in said
    assert f'verifying table "{made}"' not in said


def test_an_interrupted_partition_is_completed(table):
    fill(MARCH, 10)
    rows_of_its_period = f"ALTER TABLE {TABLE}_default ADD CONSTRAINT rows_of_its_period CHECK (kind <> '')"
    with connection.cursor() as cursor:
        cursor.execute(rows_of_its_period)
    (made, *_) = partitions.make(TABLE, MAY)
    assert rows(f"SELECT count(*) FROM {made}") == [(10,)]
    fill(MARCH, 1)
    assert rows("SELECT conname FROM pg_constraint WHERE conname = 'rows_of_its_period'") == []


def test_misplaced_rows_are_reported_and_stay(table):
    partitions.make(TABLE, MAY)
    partitions.drop_before(TABLE, MARCH)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} DETACH PARTITION {TABLE}_2026_05")
    fill(MARCH, 1)
    with pytest.raises(partitions.MisplacedRows, match="one from 2026-03-05 .* Move or delete"):
        partitions.make(TABLE, MAY)
    assert rows(f"SELECT count(*) FROM {TABLE}_default") == [(1,)]
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {TABLE}_2026_05")


def test_an_old_partition_is_dropped_once_it_is_not_read(table, monkeypatch):
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT_S", 1)
    insert = f"INSERT INTO {TABLE} (received_at, kind) VALUES ('2026-01-05 00:00+00', 'new')"
    with reading(TABLE, table) as holder, doing(insert, table):
        with pytest.raises(
            locks.StillLocked, match=f"Dropping {TABLE}_2026_01 got no lock .* pid {holder.info.backend_pid}"
        ):
            partitions.drop_before(TABLE, MARCH)
        assert rows(f"SELECT count(*) > 0 FROM {TABLE}_2026_01") == [(True,)]
    assert partitions.drop_before(TABLE, MARCH) == [f"{TABLE}_2026_01"]


def test_a_step_that_fails_by_a_deadlock_is_retried(table):
    holds, wants = threading.Event(), threading.Event()
    said = []

    def step():
        with transaction.atomic():
            rows("SELECT set_config('lock_timeout', '10s', true)")
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {TABLE}_2026_01")
                holds.set()
                assert wants.wait(60)
                cursor.execute(f"LOCK TABLE {TABLE}_default")
        return "done"

    def cross():
        with psycopg.connect(table) as other:
            other.execute(f"LOCK TABLE {TABLE}_default")
            wants.set()
            assert holds.wait(60)
            # PostgreSQL ends the session that has waited for deadlock_timeout first: that of the step.
            other.execute("SET LOCAL deadlock_timeout = '60s'")
            other.execute(f"LOCK TABLE {TABLE}_2026_01")

    thread = threading.Thread(target=cross)
    thread.start()
    assert locks.patiently(lambda: "It", step, 30, said.append) == "done"
    thread.join()
    assert len(said) == 1
    assert "attempt 1" in said[0]


READING = """
INSERT INTO transactions_reading (charger_id, transaction_id, evse_id, timestamp, raw_timestamp, received_at,
    samples)
VALUES (1, 1, 1, now(), '', now(), '[]')
"""
INVALID = (
    "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indexrelid::regclass::text LIKE '%readings_by_receipt'"
)
VALID = """
SELECT indexrelid::regclass::text FROM pg_index WHERE indisvalid AND indrelid = 'transactions_reading'::regclass
"""


def test_chargers_write_while_their_readings_are_indexed(empty_database):
    """A long report keeps an index from being finished. If `migrate` is killed meanwhile, it can be run again."""
    assert migrate(empty_database)[0] == 0
    with psycopg.connect(empty_database, autocommit=True) as other, doing(READING, empty_database) as written:
        with psycopg.connect(empty_database) as report:
            report.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            report.execute("SELECT 1")
            arguments = [sys.executable, "manage.py", "migrate", "--noinput", "later"]
            with subprocess.Popen(arguments, cwd=PROJECT, env=environment(empty_database, LATER_INDEX)) as process:
                eventually(lambda: other.execute(INVALID).fetchone() == (2,), 60)  # of the table, and of a partition
                before = len(written)
                eventually(lambda: len(written) > before + 20, 60)
                process.kill()
        code, said = migrate(empty_database, "later", settings=LATER_INDEX)
        assert code == 0, said
        names = {name for (name,) in other.execute(VALID)}
        assert "readings_by_receipt" in names
        assert other.execute(INVALID).fetchone() == (0,)
