"""The inbox: batches, poison, and retries whose commit seemed lost."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, transaction

from chargers import handshake, inbox, registry, vendors
from chargers.models import Charger, DataTransfer, Event
from chargers.retries import StaleConnection, answered_before
from tests.builders import a_call, a_charger, open_socket, settle, tell
from transactions.models import Transaction

pytestmark = pytest.mark.django_db


def test_one_batch_settles_many_actions_of_many_chargers():
    first, second = a_charger(), a_charger()
    heartbeat, start = settle(
        a_call(first, "Heartbeat"),
        a_call(second, "StartTransaction", connectorId=1, idTag="A", meterStart=0, timestamp="2025-01-01T00:00:00Z"),
    )
    assert set(heartbeat) == {"currentTime"}
    assert Transaction.objects.get(pk=start["transactionId"]).charger == second


def test_a_poisonous_call_spoils_only_itself():
    charger, others = a_charger(), [a_charger() for _ in range(4)]
    poison = a_call(charger, "StatusNotification", connectorId=2**31, errorCode="NoError", status="Faulted")
    calls = [a_call(other, "FirmwareStatusNotification", status="Idle") for other in others[:2]]
    calls += [poison] + [a_call(other, "FirmwareStatusNotification", status="Idle") for other in others[2:]]
    outcomes = inbox.commit_with_retry([inbox.Entry(registry.actions[c.action], c) for c in calls], {})
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, False, True, False, False]
    assert Charger.objects.filter(firmware_status="Idle").count() == 4


def test_the_last_answer_is_kept_with_the_charger():
    charger = a_charger()
    call = a_call(charger, "FirmwareStatusNotification", status="Idle")
    settle(call)
    settle(a_call(charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Available"))
    charger.refresh_from_db()
    assert (charger.last_call_id, charger.last_call_digest) == (call.message_id, call.digest)
    assert charger.last_answer == f'[3,"{call.message_id}",{{}}]'


def test_a_heartbeat_does_not_displace_the_kept_answer():
    charger = a_charger()
    tell(charger, "FirmwareStatusNotification", status="Idle")
    tell(charger, "Heartbeat")
    assert Charger.objects.get(pk=charger.pk).last_answer.endswith(",{}]")


def test_a_call_whose_commit_seemed_lost_is_recognised():
    charger = a_charger()
    call = a_call(charger, "FirmwareStatusNotification", status="Idle")
    settle(call)
    assert answered_before([call]) == {call.key: call.answer}
    assert answered_before([a_call(charger, "FirmwareStatusNotification", status="Idle")]) == {}


def test_an_action_is_handled_by_one_function():
    with pytest.raises(ValueError, match="already handled"):
        registry.handles("Heartbeat")(lambda calls: [])


def entry(call):
    return inbox.Entry(registry.actions[call.action], call)


def test_what_comes_by_a_former_socket_is_not_stored_and_spoils_nothing():
    charger, other = a_charger(), a_charger()
    first, second = open_socket(charger), open_socket(charger)
    late, again, beside = (a_call(who, "DataTransfer", "1", vendorId="V") for who in (charger, charger, other))
    late.socket, again.socket, again.digest = first, second, late.digest
    outcomes = inbox.commit_with_retry([entry(late), entry(beside)], {})
    assert isinstance(outcomes[0], StaleConnection) and json.loads(outcomes[1])[0] == 3
    assert not DataTransfer.objects.filter(charger=charger).exists()
    assert json.loads(inbox.commit_with_retry([entry(again)], {})[0])[0] == 3
    assert DataTransfer.objects.filter(charger=charger).count() == 1


@pytest.mark.parametrize("action", ["DataTransfer", "Heartbeat"])
def test_a_former_socket_of_a_charger_that_is_not_accepted_stops_nobody(action):
    charger = a_charger(boot_policy="Pending")
    early = a_call(charger, "Heartbeat")
    assert json.loads(inbox.commit_with_retry([entry(early)], {})[0])[2] == "SecurityError"
    late = a_call(charger, action, vendorId="V")
    late.socket, _ = open_socket(charger), open_socket(charger)
    assert isinstance(inbox.commit_with_retry([entry(late)], {})[0], StaleConnection)


def test_a_function_of_a_vendor_is_not_called_again_for_a_former_socket(monkeypatch):
    called = []
    monkeypatch.setattr(vendors, "answer", lambda *told: called.append(told) or ("Accepted", ""))
    charger = a_charger()
    late, beside = a_call(charger, "Heartbeat"), a_call(a_charger(), "DataTransfer", vendorId="V")
    late.socket, _ = open_socket(charger), open_socket(charger)
    inbox.commit_with_retry([entry(late), entry(beside)], {})
    assert len(called) == 1


def test_a_charger_that_was_removed_is_not_heard_any_more():
    charger = a_charger()
    call = a_call(charger, "Heartbeat")
    call.socket = open_socket(charger)
    charger.delete()
    assert isinstance(inbox.commit_with_retry([entry(call)], {})[0], StaleConnection)


def admitted(*chargers):
    """A socket of each, about to be opened: they knock in one batch."""
    knocks = [handshake.HandshakeRequest(charger.charger_id) for charger in chargers]
    return [handshake.ConnectionOpened(one.pk, one.admitted_at) for one in handshake.admit(knocks)]


def opened_at(*sockets):
    return [newest and newest.opened_at for newest in handshake.open_sockets(sockets)]


def test_a_socket_that_is_opened_late_does_not_become_the_newest():
    charger = a_charger()
    (late,) = admitted(charger)  # and then its process stood still
    newest = open_socket(charger)
    assert handshake.open_sockets([late]) == [None]
    assert Charger.objects.get().connected_at == newest


def test_the_socket_that_was_admitted_last_is_the_newest_though_another_opens_in_between():
    charger = a_charger()
    (older,), (newer,) = admitted(charger), admitted(charger)
    assert opened_at(older) == [older.admitted]
    assert opened_at(newer) == [newer.admitted]
    assert handshake.open_sockets([older]) == [None]


def test_of_two_that_open_at_once_the_later_one_is_the_newest():
    charger = a_charger()
    older, newer = admitted(charger, charger)
    assert opened_at(newer, older) == [newer.admitted, None]
    assert Charger.objects.get().connected_at == newer.admitted


def test_a_charger_whose_former_socket_ends_as_the_newer_one_opens_is_online():
    charger = a_charger()
    former = open_socket(charger)
    (newer,) = admitted(charger)
    handshake.close_sockets([handshake.ConnectionClosed(charger.pk, former)])
    assert not Charger.objects.get().is_online
    handshake.open_sockets([newer])
    assert Charger.objects.get().is_online
    told = [event.body["since"] for event in Event.objects.filter(charger=charger).order_by("pk")]
    assert told == sorted(told) and len(told) == 3


def test_a_socket_is_admitted_after_the_last_one_whatever_the_clock_says():
    ahead = datetime.now(UTC) + timedelta(hours=1)
    (socket,) = admitted(a_charger(connected_at=ahead))
    assert socket.admitted > ahead


@pytest.mark.django_db(transaction=True)
def test_a_first_attempt_that_still_commits_is_waited_for(monkeypatch):
    charger = a_charger()
    call = a_call(charger, "DataTransfer", "1", vendorId="V")
    call.socket = open_socket(charger)
    settled, committing = inbox.process_batch, threading.Event()

    def first_attempt():
        """Of which the writer believes that it failed: its connection was lost while COMMIT was under way."""
        with transaction.atomic():
            settled([entry(call)], {}, {}, retried=False)
            committing.set()
            time.sleep(0.3)
        connection.close()

    def settle(batch, seen, refused, retried):
        if not retried:
            threading.Thread(target=first_attempt).start()
            committing.wait()
            raise OperationalError("the server closed the connection unexpectedly")
        return settled(batch, seen, refused, retried)

    monkeypatch.setattr(inbox, "process_batch", settle)
    assert json.loads(inbox.commit_with_retry([entry(call)], {})[0])[0] == 3
    assert DataTransfer.objects.count() == 1
