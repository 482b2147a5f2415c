"""Chargers wait while another session holds locks or the database is read-only, and get no InternalError."""

import json
import threading
import time
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection, transaction

from chargers.models import Charger, Finding
from chargers.services import budgets, findings
from core.db import faults
from gateway import batch_writer
from gateway.calls import commits
from gateway.commits import Batch, Entry, RetryLater
from gateway.ocpp16 import HANDLERS
from tests.support.builders import NOON, a_call, a_charger, a_finding, a_start, a_tag, a_transaction, open_socket
from tests.support.live import an_id, eventually, exchange

HEARTBEAT = ("Heartbeat", {})
LOCK_CHARGER = "SELECT FROM chargers_charger WHERE identity = %s FOR UPDATE"


@contextmanager
def other_session(url_or_settings, *statements):
    """Open a session that has run `statements`, (SQL, parameters) pairs, and keeps its transaction open."""
    with psycopg.connect(url_or_settings) as session:
        for statement, parameters in statements:
            session.execute(statement, parameters)
        yield session
        session.rollback()


def send_in_background(socket, message_id, action, payload, answers):
    """Send a CALL, and return the thread that appends the answer to `answers` when it is received."""
    socket.send(json.dumps([2, message_id, action, payload]))
    thread = threading.Thread(target=lambda: answers.append(json.loads(socket.recv(timeout=40))), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("Heartbeat", {}),
        ("StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2025-01-01T00:00:00Z"}),
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}),
    ],
)
def test_a_locked_charger_waits_and_the_others_are_answered(live, action, payload):
    locked, other = an_id(), an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": locked})
    live.post("/api/ocpp/chargers/", {"charger_id": other})
    with live.socket(locked) as held, live.socket(other) as free:
        exchange(held, "0", *HEARTBEAT), exchange(free, "0", *HEARTBEAT)
        answers = []
        with other_session(live.database_url, (LOCK_CHARGER, [locked])):
            thread = send_in_background(held, "1", action, payload, answers)
            for n in range(20):
                assert exchange(free, f"b{n}", *HEARTBEAT, timeout=20)[0] == 3
                time.sleep(0.05)
            assert not answers
        thread.join(10)
        assert [answer[:2] for answer in answers] == [[3, "1"]]


def test_a_charger_that_connects_while_its_row_is_locked_is_admitted_afterwards(live):
    charger_id = an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id})
    with other_session(live.database_url, (LOCK_CHARGER, [charger_id])) as session, live.socket(charger_id) as socket:
        answers = []
        thread = send_in_background(socket, "1", *HEARTBEAT, answers)
        time.sleep(0.5)
        assert not answers
        session.rollback()
        thread.join(10)
        assert answers[0][0] == 3


def test_chargers_wait_while_the_database_is_read_only(live):
    charger_id = an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id})
    with live.socket(charger_id) as socket:
        exchange(socket, "0", *HEARTBEAT)
        answers = []
        try:
            live.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            live.execute("SELECT pg_reload_conf()")
            eventually(lambda: live.rows("SHOW default_transaction_read_only") == [("on",)])
            started = a_start(None, timestamp="2025-02-26T12:00:00Z")
            thread = send_in_background(socket, "1", "StartTransaction", started, answers)
            time.sleep(1.5)
            assert not answers
        finally:
            live.execute("ALTER SYSTEM RESET default_transaction_read_only")
            live.execute("SELECT pg_reload_conf()")
        thread.join(15)
        assert answers[0][:2] == [3, "1"]
        assert answers[0][2]["transactionId"] > 0


# --- the batch itself ------------------------------------------------------------------------


def settings_of_tests():
    of = connection.settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    return psycopg.conninfo.make_conninfo(**{name: of[key] for name, key in names.items() if of[key]})


@pytest.fixture
def limited(transactional_db):
    """A connection with the limits of the writer thread. It does not go back to the pool."""
    connection.close()
    faults.limit_this_thread()
    yield
    faults.drop_connection()
    faults._writer.is_limited = False


def entry(call):
    return Entry(HANDLERS[call.action], call)


def test_the_limits_apply_to_the_writer_alone(limited):
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
        assert cursor.fetchone() == ("100ms", "10s")
    timeouts = []

    def read_timeout():
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            timeouts.append(cursor.fetchone()[0])
        connection.close()

    faults.drop_connection()
    thread = threading.Thread(target=read_timeout)
    thread.start()
    thread.join()
    assert timeouts == ["0"]


def test_only_chargers_with_locked_rows_are_set_aside_from_a_batch(limited):
    chargers = [a_charger() for _ in range(8)]
    calls = [a_call(charger, "FirmwareStatusNotification", status="Idle") for charger in chargers]
    locked = set()
    held = [chargers[2], chargers[5]]
    with other_session(settings_of_tests(), *((LOCK_CHARGER, [charger.identity]) for charger in held)):
        outcomes = commits.commit_with_retry(
            Batch([entry(call) for call in calls], {chargers[5].pk: calls[5].received_at}, locked)
        )
    assert [outcome is RetryLater for outcome in outcomes] == [n in (2, 5) for n in range(8)]
    assert locked == {charger.pk for charger in held}
    assert Charger.objects.filter(firmware_status="Idle").count() == 6
    retry = Batch([entry(calls[2]), entry(calls[5])], {}, locked, attempts=1, was_locked=True)
    retried = commits.commit_with_retry(retry)
    assert [json.loads(outcome)[0] for outcome in retried] == [3, 3]


@pytest.mark.parametrize("table", ["transaction", "tag"])
def test_a_charger_that_needs_another_locked_row_is_set_aside(limited, table):
    a_tag("ABC", concurrent_limit=3)
    transaction, others = a_transaction(), [a_charger() for _ in range(5)]
    locks = {
        "transaction": ("SELECT FROM transactions_transaction WHERE id = %s FOR UPDATE", [transaction.pk]),
        "tag": ("SELECT FROM transactions_idtag WHERE id_tag = %s FOR UPDATE", ["ABC"]),
    }
    needs = {
        "transaction": (
            "StopTransaction",
            {"transactionId": transaction.pk, "meterStop": 1, "timestamp": "2025-02-26T13:00:00Z"},
        ),
        "tag": ("StartTransaction", a_start(None, connectorId=2)),
    }
    action, payload = needs[table]
    calls = [a_call(charger, "Heartbeat") for charger in others]
    calls.insert(3, a_call(transaction.charger, action, **payload))
    with other_session(settings_of_tests(), locks[table]):
        outcomes = commits.commit_with_retry(Batch([entry(call) for call in calls], {}))
    assert [outcome is RetryLater for outcome in outcomes] == [n == 3 for n in range(6)]


STOP = {"meterStop": 1, "timestamp": "2025-02-26T13:00:00Z"}
LOCK_TRANSACTIONS = ("SELECT FROM transactions_transaction FOR UPDATE", [])


def test_many_locked_rows_delay_the_others_only_once(limited, monkeypatch):
    """Only the batch waits for the lock timeout. Its 59 parts, which wait briefly, would take minutes otherwise."""
    monkeypatch.setattr(faults, "LIMITS", faults.LIMITS.replace("lock_timeout = 100", "lock_timeout = 5000"))
    assert "5000" in faults.LIMITS
    faults.drop_connection()
    calls = []
    for _ in range(30):
        transaction = a_transaction()
        calls.append(a_call(transaction.charger, "StopTransaction", transactionId=transaction.pk, **STOP))
        calls.append(a_call(a_charger(), "Heartbeat"))
    with other_session(settings_of_tests(), LOCK_TRANSACTIONS):
        began = time.monotonic()
        outcomes = commits.commit_with_retry(Batch([entry(call) for call in calls], {}))
        took_s = time.monotonic() - began
    assert [outcome is RetryLater for outcome in outcomes] == [True, False] * 30
    assert took_s < 60  # 59 times the lock timeout is 295 s


def test_last_seen_of_another_charger_is_written_beside_a_locked_transaction(limited):
    transaction, other = a_transaction(), a_charger()
    stop = a_call(transaction.charger, "StopTransaction", transactionId=transaction.pk, **STOP)
    locked = set()
    with other_session(settings_of_tests(), LOCK_TRANSACTIONS):
        batch = Batch([entry(stop)], {other.pk: stop.received_at}, locked)
        assert commits.commit_with_retry(batch) == [RetryLater]
    other.refresh_from_db()
    assert other.last_seen == stop.received_at
    assert locked == set()


def test_a_locked_table_of_another_database_is_ignored(limited):
    """The tables of a copied database have the same OIDs."""
    url, copy = settings_of_tests(), f"copy_{an_id()}".lower().replace("-", "_")
    connection.close_pool()
    with psycopg.connect(url, dbname="postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{connection.settings_dict["NAME"]}"')
        try:
            lock = ("LOCK TABLE chargers_charger IN ACCESS EXCLUSIVE MODE", [])
            with other_session(psycopg.conninfo.make_conninfo(url, dbname=copy), lock):
                assert faults.locked_tables() == []
        finally:
            admin.execute(f'DROP DATABASE "{copy}"')


def test_all_chargers_wait_for_a_locked_table(limited):
    chargers = [a_charger() for _ in range(3)]
    with other_session(settings_of_tests(), ("LOCK TABLE chargers_charger IN ACCESS EXCLUSIVE MODE", [])) as session:
        threading.Timer(0.7, session.rollback).start()
        outcomes = commits.commit_with_retry(Batch([entry(a_call(charger, "Heartbeat")) for charger in chargers], {}))
    assert [json.loads(outcome)[0] for outcome in outcomes] == [3, 3, 3]


@pytest.mark.parametrize(
    ("action", "payload", "table"),
    [
        ("SecurityEventNotification", {"type": "X", "timestamp": "2025-02-26T13:00:00Z"}, "chargers_securityevent"),
        ("DataTransfer", {"vendorId": "V"}, "chargers_datatransfer"),
    ],
)
def test_a_retried_message_takes_from_its_budget_once(limited, settings, action, payload, table):
    settings.OCPP_SECURITY_EVENTS_PER_HOUR = settings.OCPP_DATA_TRANSFERS_PER_HOUR = 1
    charger = a_charger()
    account = budgets.ledger.of(charger.pk)  # referenced like by a socket
    with other_session(settings_of_tests(), (f"LOCK TABLE {table} IN SHARE MODE", [])) as session:
        threading.Timer(0.7, session.rollback).start()
        outcomes = commits.commit_with_retry(Batch([entry(a_call(charger, action, **payload))], {}))
    assert json.loads(outcomes[0])[0] == 3
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE charger_id = %s", [charger.pk])
        assert cursor.fetchone() == (1,)
    assert budgets.ledger.of(charger.pk) is account


def test_waiting_entries_are_processed_in_the_order_in_which_they_were_received(limited):
    charger = a_charger()
    waiting = batch_writer.BatchWriter()
    first, second = (entry(a_call(charger, "FirmwareStatusNotification", status=s)) for s in ("Idle", "Installed"))
    waiting.set_aside.add(Batch([first], {}), [RetryLater])
    assert waiting.set_aside.queue_behind(second)
    assert len(waiting.set_aside) == 1
    assert not waiting.set_aside.queue_behind(entry(a_call(a_charger(), "Heartbeat")))
    taken = []
    for _ in range(2):
        eventually(lambda: waiting.set_aside.due_in_s == 0)
        batch = waiting.set_aside.take_due()
        taken += batch.entries
        waiting.set_aside.add(batch, ["[3]"] * len(batch.entries))
    assert taken == [first, second]
    assert not len(waiting.set_aside)


def test_a_commit_that_a_standby_has_not_confirmed_is_not_acknowledged(limited, monkeypatch):
    monkeypatch.setattr(faults, "LIMITS", "SET lock_timeout = 100; SET statement_timeout = 300")
    faults.drop_connection()
    charger = a_charger()
    call = a_call(charger, "DataTransfer", "1", vendorId="V")
    call.socket = open_socket(charger)
    with psycopg.connect(settings_of_tests(), autocommit=True) as admin:
        try:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            admin.execute("SELECT pg_reload_conf()")
            time.sleep(0.3)
            threading.Timer(1.5, lambda: _without_standby(settings_of_tests())).start()
            began = time.monotonic()
            outcomes = commits.commit_with_retry(Batch([entry(call)], {}))
            assert time.monotonic() - began > 1.0
        finally:
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")
    assert json.loads(outcomes[0])[0] == 3
    assert charger.data_transfers.count() == 1


def _without_standby(url):
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
        admin.execute("SELECT pg_reload_conf()")


# --- requests and findings -------------------------------------------------------------------


def test_a_request_for_a_locked_charger_is_answered_503_in_time(live):
    charger_id = an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id})
    body = {"charger_id": charger_id, "action": "ClearCache", "payload": {}}
    with other_session(live.database_url, (LOCK_CHARGER, [charger_id])):
        status, answer, _ = live.request("POST", "/api/ocpp/commands/", body)
        assert status == 503
        assert "locked" in answer["error"]
        assert "Nothing was submitted" in answer["error"]
    assert live.request("POST", "/api/ocpp/commands/", body)[0] == 202


@pytest.mark.django_db(transaction=True)
def test_counts_of_findings_wait_for_a_lock():
    charger, found = a_charger(), {("status", "unknown"): "Plugged"}
    a_finding(charger, "StatusNotification", found)
    lock = ("SELECT FROM chargers_finding WHERE charger_id = %s FOR UPDATE", [charger.pk])
    with other_session(settings_of_tests(), lock):
        for _ in range(3):
            findings.add(charger.pk, "StatusNotification", found)
            time.sleep(2 * findings.INTERVAL_S)
        assert Finding.objects.get(charger=charger).count == 1
    eventually(lambda: Finding.objects.get(charger=charger).count == 4)


def test_an_error_after_the_commit_does_not_process_the_batch_again(limited, monkeypatch):
    handled = []

    def handler(calls):
        handled.extend(calls)
        transaction.on_commit(lambda: 1 / 0)
        return [{} for _ in calls]

    monkeypatch.setitem(HANDLERS, "Heartbeat", handler)
    (outcome,) = commits.commit_with_retry(Batch([entry(a_call(a_charger(), "Heartbeat"))], {}))
    assert json.loads(outcome)[0] == 3
    assert len(handled) == 1


def test_statements_of_the_writer_are_planned_once_for_all_values(limited):
    """Otherwise PostgreSQL would plan many of their executions again after the tables have grown."""

    def plans():
        """The numbers of generic and custom plans; earlier tests may have left statements on this connection."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce(sum(generic_plans), 0), coalesce(sum(custom_plans), 0) FROM pg_prepared_statements"
            )
            return cursor.fetchone()

    call = a_call(a_charger(), "Heartbeat")
    before = plans()
    commits.commit_with_retry(Batch([entry(call)], {}))
    after = plans()
    assert after[0] > before[0]
    assert after[1] == before[1]


INSERT_TRANSACTIONS = """
INSERT INTO transactions_transaction (charger_id, connector_id, id_tag, id_tag_status, start_time, raw_start_time,
    start_received_at, meter_start, raw_meter_start, clock_skew, start_message_id, recurrence, raw_stop_time,
    stop_reason, stop_id_tag)
SELECT %s, n, 'ABC', 'Accepted', now(), '', now(), 0, '', false, '', 0, '', '', '' FROM generate_series(2, 20000) n
"""
COUNT_ROWS_READ = """
SELECT sum(seq_tup_read) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes
    WHERE relname IN ('transactions_transaction', 'chargers_charger'))
FROM pg_stat_user_tables WHERE relname IN ('transactions_transaction', 'chargers_charger')
"""


def a_reading(transaction):
    values = [{"timestamp": NOON, "sampledValue": [{"value": "1200"}]}]
    return {"connectorId": 1, "transactionId": transaction.pk, "meterValue": values}


def test_a_batch_does_not_scan_a_young_table(limited):
    def rows_read():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute(COUNT_ROWS_READ)
            return cursor.fetchone()[0]

    def write(transactions, action, payloads):
        calls = [a_call(t.charger, action, **payload) for t, payload in zip(transactions, payloads, strict=True)]
        assert {
            json.loads(outcome)[0]
            for outcome in commits.commit_with_retry(Batch([entry(call) for call in calls], {}))
        } == {3}

    def sessions(transactions):
        """Write readings and stops of sessions, often enough that PostgreSQL keeps a plan for prepared statements."""
        for _ in range(8):
            write(transactions, "MeterValues", [a_reading(t) for t in transactions])
        ends = ({"transactionId": t.pk, "meterStop": 1500, "timestamp": NOON} for t in transactions)
        write(transactions, "StopTransaction", ends)

    a_tag("ABC", concurrent_limit=0)
    for _ in range(8):
        transactions = [a_transaction() for _ in range(5)]
        sessions(transactions)
    with connection.cursor() as cursor:
        cursor.execute(INSERT_TRANSACTIONS, [transactions[0].charger_id])
    transactions = [a_transaction() for _ in range(5)]
    faults._writer.plans_expire_at = 0.0
    before = rows_read()
    sessions(transactions)
    assert rows_read() - before < 10_000, "9 batches of 5 messages; the table of transactions has 20,000 rows"
