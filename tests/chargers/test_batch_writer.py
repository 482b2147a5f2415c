"""The batch writer: batches, calls that fail, retries after a lost commit, and replaced sockets."""

import json
import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, transaction

from chargers.models import Charger, DataTransfer, Event
from chargers.services import connections
from gateway import handshake, vendors
from gateway.batch_writer import MAX_PAUSE_S, PAUSE_STEP_S, BatchWriter
from gateway.calls import commits, process_batch
from gateway.commits import Batch, Commits, Entry
from gateway.credentials import HandshakeRequest
from gateway.ocpp16 import HANDLERS
from gateway.retries import StaleConnection, answered_before
from tests.support.builders import NOON, a_call, a_charger, a_start, a_transaction, open_socket, settle, tell
from transactions.models import Transaction

pytestmark = pytest.mark.django_db


def test_one_batch_processes_many_actions_of_many_chargers():
    first, second = a_charger(), a_charger()
    heartbeat, start = settle(
        a_call(first, "Heartbeat"),
        a_call(second, "StartTransaction", connectorId=1, idTag="A", meterStart=0, timestamp="2025-01-01T00:00:00Z"),
    )
    assert set(heartbeat) == {"currentTime"}
    assert Transaction.objects.get(pk=start["transactionId"]).charger == second


def test_a_call_that_fails_does_not_fail_the_others_of_its_batch():
    charger, others = a_charger(), [a_charger() for _ in range(4)]
    failing = a_call(charger, "StatusNotification", connectorId=2**31, errorCode="NoError", status="Faulted")
    calls = [a_call(other, "FirmwareStatusNotification", status="Idle") for other in others[:2]]
    calls += [failing] + [a_call(other, "FirmwareStatusNotification", status="Idle") for other in others[2:]]
    outcomes = commits.commit_with_retry(Batch([Entry(HANDLERS[c.action], c) for c in calls], {}))
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, False, True, False, False]
    assert Charger.objects.filter(firmware_status="Idle").count() == 4


def test_the_last_answer_is_stored_in_the_row_of_the_charger():
    charger = a_charger()
    call = a_call(charger, "FirmwareStatusNotification", status="Idle")
    settle(call)
    settle(a_call(charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Available"))
    charger.refresh_from_db()
    assert (charger.last_call_id, charger.last_call_digest) == (call.message_id, call.digest)
    assert charger.last_answer == f'[3,"{call.message_id}",{{}}]'


def test_a_heartbeat_does_not_displace_the_stored_answer():
    charger = a_charger()
    tell(charger, "FirmwareStatusNotification", status="Idle")
    tell(charger, "Heartbeat")
    assert Charger.objects.get(pk=charger.pk).last_answer.endswith(",{}]")


def row_version(charger):
    with connection.cursor() as cursor:
        cursor.execute("SELECT ctid, xmax FROM chargers_charger WHERE id = %s", [charger.pk])
        return cursor.fetchone()


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("Heartbeat", {}),
        ("Authorize", {"idTag": "A"}),
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}),
        ("MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": NOON, "sampledValue": [{"value": "9"}]}]}),
    ],
)
def test_frequent_messages_neither_write_nor_lock_the_row_of_the_charger(action, payload):
    ongoing = a_transaction()
    tell(ongoing.charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Preparing")
    version = row_version(ongoing.charger)
    call = a_call(ongoing.charger, action, **payload)
    if action == "MeterValues":
        call.payload["transactionId"] = ongoing.pk
    call.socket = ongoing.charger.connected_at
    assert json.loads(commits.commit_with_retry(Batch([entry(call)], {}))[0])[0] == 3
    assert row_version(ongoing.charger) == version


def test_a_start_removes_the_stored_answer():
    charger = a_charger()
    tell(charger, "FirmwareStatusNotification", status="Idle")
    tell(charger, "StartTransaction", **a_start(charger))
    charger.refresh_from_db()
    assert (charger.last_call_id, charger.last_call_digest, charger.last_answer) == ("", "", "")


def test_a_call_whose_commit_seemed_lost_is_recognised():
    charger = a_charger()
    call = a_call(charger, "FirmwareStatusNotification", status="Idle")
    settle(call)
    assert answered_before([call]) == {call.key: call.answer}
    assert answered_before([a_call(charger, "FirmwareStatusNotification", status="Idle")]) == {}


def entry(call):
    return Entry(HANDLERS[call.action], call)


def test_a_call_by_a_replaced_socket_is_not_stored_and_others_are():
    charger, other = a_charger(), a_charger()
    first, second = open_socket(charger), open_socket(charger)
    stale, repeated, other_call = (
        a_call(sender, "DataTransfer", "1", vendorId="V") for sender in (charger, charger, other)
    )
    stale.socket, repeated.socket = first, second
    outcomes = commits.commit_with_retry(Batch([entry(stale), entry(other_call)], {}))
    assert isinstance(outcomes[0], StaleConnection)
    assert json.loads(outcomes[1])[0] == 3
    assert not DataTransfer.objects.filter(charger=charger).exists()
    assert json.loads(commits.commit_with_retry(Batch([entry(repeated)], {}))[0])[0] == 3
    assert DataTransfer.objects.filter(charger=charger).count() == 1


@pytest.mark.parametrize("action", ["DataTransfer", "Heartbeat"])
def test_a_call_by_a_replaced_socket_of_a_charger_that_is_not_accepted_is_stale(action):
    charger = a_charger(boot_policy="Pending")
    early = a_call(charger, "Heartbeat")
    assert json.loads(commits.commit_with_retry(Batch([entry(early)], {}))[0])[2] == "SecurityError"
    stale = a_call(charger, action, vendorId="V")
    stale.socket, _ = open_socket(charger), open_socket(charger)
    assert isinstance(commits.commit_with_retry(Batch([entry(stale)], {}))[0], StaleConnection)


def test_a_vendor_function_is_called_once_beside_a_call_by_a_replaced_socket(monkeypatch):
    called = []
    monkeypatch.setattr(vendors, "answer", lambda *arguments: called.append(arguments) or ("Accepted", ""))
    charger = a_charger()
    stale, other_call = a_call(charger, "Heartbeat"), a_call(a_charger(), "DataTransfer", vendorId="V")
    stale.socket, _ = open_socket(charger), open_socket(charger)
    commits.commit_with_retry(Batch([entry(stale), entry(other_call)], {}))
    assert len(called) == 1


def test_a_call_of_a_deleted_charger_is_stale():
    charger = a_charger()
    call = a_call(charger, "Heartbeat")
    call.socket = open_socket(charger)
    charger.delete()
    assert isinstance(commits.commit_with_retry(Batch([entry(call)], {}))[0], StaleConnection)


def admitted(*chargers):
    """Admit a socket of each charger in one batch, and return them, not opened yet."""
    requests = [HandshakeRequest(charger.identity) for charger in chargers]
    return [connections.ConnectionOpened(one.pk, one.admitted_at, "ocpp1.6") for one in handshake.admit(requests)]


def opened_at(*sockets):
    return [newest and newest.opened_at for newest in connections.open_sockets(sockets)]


def test_a_socket_that_is_opened_late_does_not_become_the_newest():
    charger = a_charger()
    (stale,) = admitted(charger)  # its process is stopped after that
    newest = open_socket(charger)
    assert connections.open_sockets([stale]) == [None]
    assert Charger.objects.get().connected_at == newest


def test_the_socket_that_was_admitted_last_is_the_newest_if_another_opens_in_between():
    charger = a_charger()
    (older,), (newer,) = admitted(charger), admitted(charger)
    assert opened_at(older) == [older.admitted]
    assert opened_at(newer) == [newer.admitted]
    assert connections.open_sockets([older]) == [None]


def test_the_later_of_two_sockets_in_one_batch_is_the_newest():
    charger = a_charger()
    older, newer = admitted(charger, charger)
    assert opened_at(newer, older) == [newer.admitted, None]
    assert Charger.objects.get().connected_at == newer.admitted


def test_a_charger_is_online_if_its_former_socket_ends_while_a_newer_one_opens():
    charger = a_charger()
    former = open_socket(charger)
    (newer,) = admitted(charger)
    connections.close_sockets([connections.ConnectionClosed(charger.pk, former)])
    assert not Charger.objects.get().is_online
    connections.open_sockets([newer])
    assert Charger.objects.get().is_online
    times = [event.body["since"] for event in Event.objects.filter(charger=charger).order_by("pk")]
    assert times == sorted(times)
    assert len(times) == 3


def test_a_socket_is_admitted_after_the_last_one_if_the_clock_was_set_back():
    ahead = datetime.now(UTC) + timedelta(hours=1)
    (socket,) = admitted(a_charger(connected_at=ahead))
    assert socket.admitted > ahead


@pytest.mark.django_db(transaction=True)
def test_a_retry_waits_for_a_first_attempt_that_still_commits():
    charger = a_charger()
    call = a_call(charger, "DataTransfer", "1", vendorId="V")
    call.socket = open_socket(charger)
    committing = threading.Event()

    def first_attempt():
        """Commit late. The writer takes this attempt for failed, because its connection was lost during COMMIT."""
        with transaction.atomic():
            process_batch(Batch([entry(call)], {}))
            committing.set()
            time.sleep(0.3)
        connection.close()

    def lose_connection_once(batch):
        if not batch.attempts:
            threading.Thread(target=first_attempt).start()
            committing.wait()
            raise OperationalError("the server closed the connection unexpectedly")
        return process_batch(batch)

    outcomes = Commits(lose_connection_once).commit_with_retry(Batch([entry(call)], {}))
    assert json.loads(outcomes[0])[0] == 3
    assert DataTransfer.objects.count() == 1


class Arriving(deque):
    """A queue in which another entry is found each time, as while chargers send much."""

    def __len__(self):
        self.append(None)
        return super().__len__()


@pytest.mark.parametrize(
    ("entries", "least", "most"), [(deque(), PAUSE_STEP_S, MAX_PAUSE_S), (Arriving(), MAX_PAUSE_S, 1)]
)
def test_a_writer_pauses_while_entries_arrive_but_not_for_long(entries, least, most):
    began = time.monotonic()
    BatchWriter(entries=entries)._let_collect()
    assert least <= time.monotonic() - began < most
