"""The inbox: batches, poison, and retries whose commit seemed lost."""

import json

import pytest

from chargers import admission, inbox, registry
from chargers.models import Charger, DataTransfer
from chargers.recall import Outdated, answered_before
from tests.builders import a_call, a_charger, settle, tell
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
    poison = a_call(charger, "StatusNotification", connectorId=1, errorCode="NoError", status="x" * 99)
    calls = [a_call(other, "FirmwareStatusNotification", status="Idle") for other in others[:2]]
    calls += [poison] + [a_call(other, "FirmwareStatusNotification", status="Idle") for other in others[2:]]
    outcomes = inbox.write([inbox.Entry(registry.actions[c.action], c) for c in calls], {})
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


def test_what_comes_by_a_former_socket_is_not_stored_and_spoils_nothing():
    charger, other = a_charger(), a_charger()
    first, second = (admission.open_sockets([charger.pk])[0] for _ in range(2))
    late, again, beside = (a_call(who, "DataTransfer", "1", vendorId="V") for who in (charger, charger, other))
    late.socket, again.socket, again.digest = first, second, late.digest
    outcomes = inbox.write([inbox.Entry(registry.actions["DataTransfer"], call) for call in (late, beside)], {})
    assert isinstance(outcomes[0], Outdated) and json.loads(outcomes[1])[0] == 3
    assert not DataTransfer.objects.filter(charger=charger).exists()
    assert [
        json.loads(outcome)[0] for outcome in inbox.write([inbox.Entry(registry.actions["DataTransfer"], again)], {})
    ] == [3]
    assert DataTransfer.objects.filter(charger=charger).count() == 1


def test_a_charger_that_was_removed_is_not_heard_any_more():
    charger = a_charger()
    call = a_call(charger, "Heartbeat")
    (call.socket,) = admission.open_sockets([charger.pk])
    charger.delete()
    (outcome,) = inbox.write([inbox.Entry(registry.actions["Heartbeat"], call)], {})
    assert isinstance(outcome, Outdated)
