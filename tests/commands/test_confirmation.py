"""The effects of commands: seen in the records of their chargers, by reading back, or not at all."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from chargers.models import Charger, Event, Variable
from chargers.services import audit
from commands.actions.effects import MAX_CONTRADICTIONS, is_same
from commands.actions.table import ACTIONS
from commands.models import Batch, Command
from commands.services import batches, confirmation, submission
from commands.services.confirmation import READ_BACKS
from commands.services.lifecycle import _finish
from core.ocpp.versions import OCPP16, OCPP201
from tests.support.builders import a_charger, a_start, a_tag, a_transaction, tell
from tests.support.live import an_id, eventually, until_connected
from tests.support.station import Station
from transactions.models import Transaction

ACCEPTED = {"status": "Accepted"}
SOFT = {"type": "Soft"}
READ_BACK_AFTER = 11  # seconds, of which 10 are the default of the setting


def online(**columns):
    return a_charger(connected_at=datetime.now(UTC), **columns)


def answered(action, payload, answer=ACCEPTED, charger=None, outcome="answered"):
    """A command that its charger has just answered."""
    command = submission.submit(charger or online(), action, payload)
    Command.objects.filter(pk=command.pk).update(state="sent", sent_at=datetime.now(UTC))
    command.refresh_from_db()
    return _finish(command, outcome, response=answer if outcome == "answered" else None)


def looked(command, seconds=READ_BACK_AFTER):
    """`command` after the next look, `seconds` later; its charger had no other command meanwhile."""
    command.refresh_from_db()
    aged = {name: getattr(command, name) for name in ("finished_at", "confirm_until")}
    aged = {name: moment and moment - timedelta(seconds=seconds) for name, moment in aged.items()}
    Command.objects.filter(pk=command.pk).update(look_at=datetime.now(UTC), **aged)
    confirmation.look()
    command.refresh_from_db()
    return command


def state(command):
    return command.confirmation, command.confirmation_detail


def read_back(command, answer, outcome="answered", **more):
    """Answer the newest read-back of `command`, and look for its effect again."""
    read = command.followed_by.order_by("pk").last()
    Command.objects.filter(pk=read.pk).update(state="sent", sent_at=datetime.now(UTC))
    read.refresh_from_db()
    response = {"response": answer} if outcome == "answered" else {}
    finished = _finish(read, outcome, **response, **more)
    past = finished.finished_at - timedelta(seconds=90)
    Command.objects.filter(pk=read.pk).update(finished_at=past)
    return looked(command)


def reports(key, value):
    return {"configurationKey": [{"key": key, "readonly": False, "value": value}]}


# --- when it is pending ------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_command_with_an_effect_is_pending_until_it_is_decided_and_others_never():
    charger = online()
    queued = [submission.submit(charger, "Reset", SOFT), submission.submit(charger, "ClearCache", {})]
    assert [command.confirmation for command in queued] == ["pending", "not_applicable"]
    assert queued[0].look_at is None
    command = answered("Reset", SOFT, charger=a_charger())
    assert (command.confirmation, command.confirmed_at) == ("pending", None)
    command.refresh_from_db()
    assert command.confirm_until - command.finished_at == timedelta(minutes=10)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        ("answered", {"status": "Rejected"}),
        ("call_error", None),
        ("timed_out", None),
        ("not_connected", None),
        ("cancelled", None),
        ("invalid_response", None),
    ],
)
def test_what_the_charger_has_not_accepted_has_no_effect_to_look_for(outcome, answer):
    command = answered("Reset", SOFT, answer, outcome=outcome)
    stored = Command.objects.get(pk=command.pk)
    assert (stored.confirmation, stored.confirmed_at, stored.look_at) == ("not_applicable", None, None)
    assert stored.outcome == outcome
    assert confirmation.look() == 0


@pytest.mark.django_db(transaction=True)
def test_it_is_decided_once_and_by_an_event():
    charger = online()
    command = looked(answered("Reset", SOFT, charger=charger))
    assert state(command) == ("pending", "The charger was expected to boot.")
    late = looked(command, seconds=601)
    assert state(late) == ("not_seen", "Not seen within 10 min. The charger was expected to boot.")
    assert (late.outcome, late.response, late.confirmed_at) == ("answered", ACCEPTED, None)
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M")
    assert looked(late).confirmation == "not_seen"
    event = Event.objects.get(charger=charger, kind__in=["command.not_seen", "command.confirmed"])
    assert event.kind == "command.not_seen"
    assert event.body == {
        "task_id": command.task_id,
        "action": "Reset",
        "detail": late.confirmation_detail,
        "requested_by": "",
    }


@pytest.mark.django_db(transaction=True)
def test_an_effect_that_cannot_be_understood_delays_no_other():
    odd, other = answered("Reset", SOFT), answered("UnlockConnector", {"connectorId": 1}, {"status": "Unlocked"})
    Command.objects.filter(pk=odd.pk).update(action="RemoteStopTransaction", noted=[1])
    Command.objects.filter(pk=odd.pk).update(action="ChangeAvailability")
    confirmation.look()
    other.refresh_from_db()
    assert other.confirmation == "confirmed"
    odd.refresh_from_db()
    assert odd.confirmation == "pending"
    assert looked(odd, 601).confirmation == "not_applicable"


@pytest.mark.django_db(transaction=True)
def test_an_old_command_is_looked_at_less_often_and_also_after_the_clock_was_set_back():
    command = looked(answered("Reset", SOFT), seconds=400)
    pause = command.look_at - datetime.now(UTC)
    assert timedelta(seconds=25) < pause <= timedelta(seconds=30)
    Command.objects.filter(pk=command.pk).update(look_at=datetime.now(UTC) + timedelta(hours=1))
    confirmation.look()
    command.refresh_from_db()
    assert command.look_at < datetime.now(UTC) + timedelta(minutes=1)


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_look_at_once_decide_and_read_back_once(monkeypatch):
    command = answered("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"})
    store = confirmation._store

    def twice(looks, now):
        return store(looks, now) + store(looks, now)

    monkeypatch.setattr(confirmation, "_store", twice)
    looked(command)
    assert command.followed_by.count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_commands_take_few_queries(django_assert_max_num_queries):
    def pending(number):
        for _ in range(number):
            answered("Reset", SOFT)
            answered("RemoteStartTransaction", {"idTag": "ABC"})
            answered("ChangeAvailability", {"connectorId": 0, "type": "Operative"})

    pending(1)
    confirmation.look()
    pending(8)
    with django_assert_max_num_queries(9):
        confirmation.look()


# --- sessions ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_start_is_confirmed_by_its_session_and_a_stop_by_the_end_of_it():
    a_tag("ABC")
    charger = online()
    start = looked(answered("RemoteStartTransaction", {"idTag": "ABC", "connectorId": 1}, charger=charger))
    assert state(start) == ("pending", "A session was expected to begin.")
    now = datetime.now(UTC).isoformat()
    number = tell(charger, "StartTransaction", **a_start(charger, timestamp=now))["transactionId"]
    assert state(looked(start)) == ("confirmed", f"Session {number} began on connector 1.")
    assert start.confirmed_at
    stop = looked(answered("RemoteStopTransaction", {"transactionId": number}, charger=charger))
    assert state(stop) == ("pending", f"Session {number} was expected to end.")
    tell(charger, "StopTransaction", transactionId=number, meterStop=2000, timestamp=now)
    assert state(looked(stop)) == ("confirmed", f"Session {number} has ended.")


@pytest.mark.django_db(transaction=True)
def test_a_start_waits_as_long_as_the_driver_may_take_to_plug_in():
    charger = online()
    Variable.objects.create(charger=charger, variable="ConnectionTimeOut", value="90")
    start = answered("RemoteStartTransaction", {"idTag": "ABC"}, charger=charger)
    start.refresh_from_db()
    assert start.confirm_until - start.finished_at == timedelta(seconds=150)


@pytest.mark.django_db(transaction=True)
def test_the_end_of_an_unknown_session_cannot_be_seen():
    stop = looked(answered("RemoteStopTransaction", {"transactionId": 99}))
    assert state(stop) == ("not_applicable", "The session is not known here, so its end can't be seen.")
    foreign = a_transaction()
    stop = looked(answered("RemoteStopTransaction", {"transactionId": foreign.pk}))
    assert stop.confirmation == "not_applicable"


# --- the charger and its connectors ------------------------------------------------------------


def connector(charger, number, status):
    now = datetime.now(UTC).isoformat()
    tell(charger, "StatusNotification", connectorId=number, status=status, errorCode="NoError", timestamp=now)


@pytest.mark.django_db(transaction=True)
def test_a_reset_is_confirmed_by_a_boot_after_it():
    charger = online()
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M")
    command = looked(answered("Reset", SOFT, charger=charger))
    assert command.confirmation == "pending"
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M")
    assert state(looked(command)) == ("confirmed", "The charger has booted.")


@pytest.mark.django_db(transaction=True)
def test_availability_is_confirmed_by_the_status_of_each_connector():
    charger = online()
    for number in (0, 1, 2):
        connector(charger, number, "Available")
    command = looked(answered("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, charger=charger))
    connector(charger, 1, "Unavailable")
    seen = "Connector 2 was expected to become Unavailable; it is Available."
    assert state(looked(command)) == ("pending", seen)
    connector(charger, 2, "Unavailable")
    assert state(looked(command)) == ("confirmed", "Its connectors are Unavailable.")
    back = looked(answered("ChangeAvailability", {"connectorId": 1, "type": "Operative"}, charger=charger))
    assert back.confirmation == "pending"
    connector(charger, 1, "Available")
    assert state(looked(back)) == ("confirmed", "Its connectors are available.")


@pytest.mark.django_db(transaction=True)
def test_a_scheduled_availability_waits_for_the_end_of_the_session():
    payload = {"connectorId": 1, "type": "Inoperative"}
    command = answered("ChangeAvailability", payload, {"status": "Scheduled"})
    command.refresh_from_db()
    assert command.confirm_until - command.finished_at == timedelta(days=1)


@pytest.mark.django_db(transaction=True)
def test_an_unlocked_connector_is_confirmed_by_the_answer():
    unlock = {"connectorId": 1}
    assert looked(answered("UnlockConnector", unlock, {"status": "Unlocked"})).confirmation == "confirmed"
    assert answered("UnlockConnector", unlock, {"status": "UnlockFailed"}).confirmation == "not_applicable"


# --- settings ----------------------------------------------------------------------------------

INTERVAL = {"key": "HeartbeatInterval", "value": "60"}


@pytest.mark.django_db(transaction=True)
def test_a_setting_is_confirmed_when_it_is_read_back():
    command = looked(answered("ChangeConfiguration", INTERVAL))
    assert state(command) == ("pending", "It was expected to be read back by GetConfiguration.")
    read = command.followed_by.get()
    assert (read.action, read.payload, read.requested_by) == (
        "GetConfiguration",
        {"key": ["HeartbeatInterval"]},
        audit.SYSTEM_ACTOR,
    )
    assert read.confirmation == "not_applicable"
    read_back(command, reports("heartbeatinterval", "60.0"))
    assert state(command) == ("confirmed", "HeartbeatInterval was read back as 60.0.")


@pytest.mark.django_db(transaction=True)
def test_a_setting_that_is_read_back_otherwise_twice_is_not_seen():
    command = looked(answered("ChangeConfiguration", INTERVAL))
    read_back(command, reports("HeartbeatInterval", "300"))
    seen = "HeartbeatInterval was set to 60, but was read back as 300."
    assert state(command) == ("pending", seen)
    assert command.followed_by.count() == 2
    read_back(command, reports("HeartbeatInterval", "300"))
    assert state(command) == ("not_seen", seen)


@pytest.mark.django_db(transaction=True)
def test_a_charger_that_cannot_be_read_is_not_blamed():
    command = looked(answered("ChangeConfiguration", INTERVAL))
    read_back(command, None, "call_error", error={"code": "NotImplemented", "description": "", "details": {}})
    seen = "The charger does not support GetConfiguration, so the effect can't be seen."
    assert state(command) == ("not_applicable", seen)


@pytest.mark.django_db(transaction=True)
def test_a_setting_that_waits_for_a_boot_is_read_after_it():
    charger = online()
    command = looked(answered("ChangeConfiguration", INTERVAL, {"status": "RebootRequired"}, charger))
    assert state(command) == ("pending", "It takes effect at the next boot, which was expected.")
    assert not command.followed_by.exists()
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M")
    assert not looked(command).followed_by.exists()
    past = datetime.now(UTC) - timedelta(seconds=READ_BACK_AFTER)
    Command.objects.update(sent_at=past)
    Charger.objects.update(last_boot_at=past)
    looked(command)
    read_back(command, reports("HeartbeatInterval", "60"))
    assert command.confirmation == "confirmed"


@pytest.mark.django_db(transaction=True)
def test_a_secret_is_not_read_back():
    command = answered("ChangeConfiguration", {"key": "AuthorizationKey", "value": "0011223344556677" * 2})
    assert state(command) == ("not_applicable", "A secret is not read back.")


@pytest.mark.django_db(transaction=True)
def test_a_read_back_waits_for_the_charger_and_for_the_commands_of_operators():
    charger = online()
    command = answered("ChangeConfiguration", INTERVAL, charger=charger)
    waiting = submission.submit(charger, "ClearCache", {})
    assert not looked(command).followed_by.exists()
    _finish(waiting, "cancelled")
    assert not looked(command).followed_by.exists()
    later = datetime.now(UTC) - timedelta(seconds=READ_BACK_AFTER)
    Command.objects.filter(pk=waiting.pk).update(finished_at=later)
    Charger.objects.filter(pk=charger.pk).update(disconnected_at=datetime.now(UTC))
    assert not looked(command).followed_by.exists()
    Charger.objects.filter(pk=charger.pk).update(disconnected_at=None)
    assert looked(command).followed_by.exists()


@pytest.mark.django_db(transaction=True)
def test_a_setting_is_not_read_back_at_once():
    command = answered("ChangeConfiguration", INTERVAL)
    assert not looked(command, 8).followed_by.exists()
    assert looked(command, 3).followed_by.exists()


@pytest.mark.django_db(transaction=True)
def test_settings_of_one_charger_are_read_back_one_after_the_other_without_a_wait():
    charger = online()
    other = {"key": "ConnectionTimeOut", "value": "60"}
    second, first = (answered("ChangeConfiguration", payload, charger=charger) for payload in (other, INTERVAL))
    looked(second)
    looked(first)
    assert (first.followed_by.count(), second.followed_by.count()) == (1, 0)
    read = first.followed_by.get()
    Command.objects.filter(pk=read.pk).update(state="sent", sent_at=datetime.now(UTC))
    read.refresh_from_db()
    _finish(read, "answered", response=reports("HeartbeatInterval", "60"))
    assert looked(first, 0).confirmation == "confirmed"
    assert looked(second, 0).followed_by.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_charger_that_was_never_free_to_be_read_is_not_blamed():
    command = answered("ChangeConfiguration", INTERVAL)
    submission.submit(command.charger, "ClearCache", {})
    looked(command, 301)
    assert state(command) == ("not_applicable", "It was expected to be read back by GetConfiguration.")


@pytest.mark.django_db(transaction=True)
def test_a_queued_read_back_is_left_out_if_another_command_waits():
    command = looked(answered("ChangeConfiguration", INTERVAL))
    read = command.followed_by.get()
    assert not confirmation.must_yield(read)
    waiting = submission.submit(command.charger, "ClearCache", {})
    assert confirmation.must_yield(read)
    for ended in (read, waiting):
        _finish(ended, "cancelled")
    Command.objects.filter(pk=waiting.pk).update(finished_at=datetime.now(UTC) - timedelta(seconds=READ_BACK_AFTER))
    assert looked(command).followed_by.count() == 2


@pytest.mark.django_db(transaction=True)
def test_without_read_backs_a_setting_is_not_applicable_and_a_reset_is_still_looked_for(settings):
    settings.OCPP_READ_BACK_SECONDS = 0
    seen = "Nothing is read back from chargers here (OCPP_READ_BACK_SECONDS), so the effect can't be seen."
    assert state(answered("ChangeConfiguration", INTERVAL)) == ("not_applicable", seen)
    assert answered("Reset", SOFT).confirmation == "pending"


@pytest.mark.django_db(transaction=True)
def test_values_of_ocpp_2_0_1_are_read_back_together_and_secrets_are_left_out():
    charger = online(ocpp_version="ocpp2.0.1")
    named = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
    other = {"component": {"name": "AuthCtrlr"}, "variable": {"name": "Enabled"}}
    password = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    sent = [named | {"attributeValue": "60"}, other | {"attributeValue": "true"}, password | {"attributeValue": ""}]
    results = [item | {"attributeStatus": "Accepted"} for item in (named, other, password)]
    results[1]["attributeStatus"] = "Rejected"
    answer = {"setVariableResult": results}
    command = looked(answered("SetVariables", {"setVariableData": sent}, answer, charger))
    assert command.followed_by.get().payload == {"getVariableData": [named]}
    read_back(command, {"getVariableResult": [named | {"attributeStatus": "Accepted", "attributeValue": "60"}]})
    assert state(command) == ("confirmed", "OCPPCommCtrlr.HeartbeatInterval was read back as 60.")
    only = {"setVariableResult": [results[2]]}
    secret = looked(answered("SetVariables", {"setVariableData": [sent[2]]}, only, online(ocpp_version="ocpp2.0.1")))
    assert state(secret) == ("not_applicable", "A secret is not read back.")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
@pytest.mark.parametrize("status", ["UnknownVariable", "UnknownComponent", "NotSupportedAttributeType", "Rejected"])
def test_a_setting_that_the_charger_does_not_report_was_not_seen(version, status):
    """A value that is there, but cannot be read, proves nothing: Rejected in 2.0.1, no value in 1.6."""
    is_readable = status != "Rejected"
    if version == "ocpp1.6":
        command = looked(answered("ChangeConfiguration", INTERVAL))
        row = {"key": "HeartbeatInterval", "readonly": False}
        answer = {"unknownKey": ["HeartbeatInterval"]} if is_readable else {"configurationKey": [row]}
    else:
        named = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
        other = {"component": {"name": "AuthCtrlr"}, "variable": {"name": "Enabled"}}
        items = [named | {"attributeValue": "60"}] + [other | {"attributeValue": "true"}] * is_readable
        results = {"setVariableResult": [item | {"attributeStatus": "Accepted"} for item in (named, other)]}
        command = answered("SetVariables", {"setVariableData": items}, results, online(ocpp_version=version))
        command, read = looked(command), other | {"attributeStatus": "Accepted", "attributeValue": "true"}
        answer = {"getVariableResult": [named | {"attributeStatus": status}] + [read] * is_readable}
    for _ in range(MAX_CONTRADICTIONS if is_readable else 1):
        read_back(command, answer)
        looked(command)
    result, detail = state(command)
    assert result == ("not_seen" if is_readable else "not_applicable")
    assert detail.endswith("was set, but the charger does not report it." if is_readable else "HeartbeatInterval.")


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (" 60", "60"),
        ("60.0", "60"),
        ("+1e3", "1000"),
        ("True", "true"),
        ("FALSE", "false"),
        ("a, b", "a,b"),
        ("1.0,True", "1,true"),
    ],
)
def test_a_value_may_be_read_back_in_another_notation(read, value):
    assert is_same(read, value)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        ("1234567", "1234568"),
        ("12345678901234567890", "12345678901234567891"),
        ("1_0", "10"),
        ("1 0", "10"),
        ("1,2", "1.2"),
        ("b,a", "a,b"),
        ("a,a,b", "a,b"),
        ("ABC", "abc"),
        ("infinity", "inf"),
    ],
)
def test_another_value_is_not_taken_for_the_one_that_was_set(read, value):
    assert not is_same(read, value)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("key", "result"), [("StopTxnSampledData", "confirmed"), ("SupportedFileTransferProtocols", "pending")]
)
def test_the_order_of_measurands_has_no_meaning(key, result):
    command = looked(answered("ChangeConfiguration", {"key": key, "value": "SoC,Voltage"}))
    read_back(command, reports(key, "Voltage,SoC"))
    assert command.confirmation == result


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("component", "variable", "result"),
    [
        ("SampledDataCtrlr", "TxUpdatedMeasurands", "confirmed"),
        ("OCPPCommCtrlr", "NetworkConfigurationPriority", "pending"),
    ],
)
def test_the_order_of_a_list_has_a_meaning_unless_the_standard_says_that_it_is_a_set(component, variable, result):
    named = {"component": {"name": component}, "variable": {"name": variable}}
    accepted = {"attributeStatus": "Accepted"}
    charger = online(ocpp_version="ocpp2.0.1")
    payload = {"setVariableData": [named | {"attributeValue": "1,2"}]}
    command = looked(answered("SetVariables", payload, {"setVariableResult": [named | accepted]}, charger))
    read_back(command, {"getVariableResult": [named | accepted | {"attributeValue": "2,1"}]})
    assert command.confirmation == result


# --- what is set again -------------------------------------------------------------------------

SET_AGAIN = "A later command has set it again, so its effect can't be seen."


@pytest.mark.django_db(transaction=True)
def test_one_read_back_decides_for_many_commands_that_set_one_key():
    charger = online()
    sent = [
        {"key": key, "value": str(value)} for value, key in enumerate(["HeartbeatInterval", "heartbeatinterval"] * 3)
    ]
    *former, last = [answered("ChangeConfiguration", payload, charger=charger) for payload in sent]
    other = answered("ChangeConfiguration", {"key": "ConnectionTimeOut", "value": "60"}, charger=charger)
    answered("ChangeConfiguration", {"key": "ConnectionTimeOut", "value": "90"}, {"status": "Rejected"}, charger)
    answered("ChangeConfiguration", {"key": "ConnectionTimeOut", "value": "90"}, charger=online())
    Command.objects.filter(charger=charger).update(finished_at=datetime.now(UTC) - timedelta(seconds=20))
    for command in former:
        assert state(looked(command)) == ("not_applicable", SET_AGAIN)
    read_back(looked(last), reports("HeartbeatInterval", "5"))
    assert state(last) == ("confirmed", "heartbeatinterval was read back as 5.")
    assert looked(other).confirmation == "pending"
    reads = Command.objects.filter(charger=charger, action="GetConfiguration")
    assert sorted(read.payload["key"][0] for read in reads) == ["ConnectionTimeOut", "heartbeatinterval"]


@pytest.mark.django_db(transaction=True)
def test_only_the_values_that_were_not_set_again_are_compared():
    charger = online(ocpp_version="ocpp2.0.1")
    accepted = {"attributeStatus": "Accepted"}
    interval = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
    enabled = {"component": {"name": "AuthCtrlr"}, "variable": {"name": "Enabled"}}

    def set_values(*values):
        items = [named | {"attributeValue": value} for named, value in values]
        answer = {"setVariableResult": [named | accepted for named, _ in values]}
        return answered("SetVariables", {"setVariableData": items}, answer, charger)

    whole = set_values((interval, "60"))
    partly = set_values((interval, "70"), (enabled, "true"))
    last = set_values((interval, "80"))
    assert state(looked(whole)) == ("not_applicable", SET_AGAIN)
    Command.objects.filter(charger=charger).update(finished_at=datetime.now(UTC) - timedelta(seconds=20))
    results = [interval | accepted | {"attributeValue": "80"}, enabled | accepted | {"attributeValue": "true"}]
    read_back(looked(partly), {"getVariableResult": results})
    assert state(partly) == ("confirmed", "AuthCtrlr.Enabled was read back as true.")
    assert looked(last).confirmation == "pending"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("members", "result"),
    [
        ({}, "not_applicable"),
        ({"chargingProfileId": 8}, "not_applicable"),
        ({"chargingProfileId": 8, "stackLevel": 1}, "pending"),
    ],
)
def test_a_profile_that_was_replaced_is_not_looked_for(members, result):
    charger = online()
    former = answered("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile()}, charger=charger)
    later = {"connectorId": 1, "csChargingProfiles": profile(16.0) | members}
    answered("SetChargingProfile", later, charger=charger)
    assert looked(former).confirmation == result


# --- charging profiles -------------------------------------------------------------------------


def profile(limit=6.0, **members):
    periods = [{"startPeriod": 0, "limit": limit}]
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods, **members}
    purpose = {"chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative"}
    return {"chargingProfileId": 7, "stackLevel": 0, **purpose, "chargingSchedule": schedule}


def composite(limit, begins_in=timedelta(), seconds=3600):
    begin = (datetime.now(UTC) + begins_in).isoformat()
    periods = [{"startPeriod": 0, "limit": limit}]
    schedule = {"duration": seconds, "chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    return {"status": "Accepted", "connectorId": 1, "scheduleStart": begin, "chargingSchedule": schedule}


def set_profile(charger=None, connector_id=1, **members):
    payload = {"connectorId": connector_id, "csChargingProfiles": profile(**members)}
    return looked(answered("SetChargingProfile", payload, charger=charger))


@pytest.mark.django_db(transaction=True)
def test_a_profile_is_confirmed_by_the_composite_schedule():
    command = set_profile()
    read = command.followed_by.get()
    assert (read.action, read.payload) == (
        "GetCompositeSchedule",
        {"connectorId": 1, "duration": 3600, "chargingRateUnit": "A"},
    )
    read_back(command, composite(6.0))
    assert state(command) == ("confirmed", "GetCompositeSchedule shows the limit of 6 A.")


@pytest.mark.django_db(transaction=True)
def test_a_composite_schedule_above_the_profile_or_none_is_not_seen():
    command = set_profile()
    read_back(command, composite(16.0))
    assert state(command) == ("pending", "The profile allows 6 A, but GetCompositeSchedule shows 16 A.")
    read_back(command, {"status": "Rejected"})
    assert state(command) == ("not_seen", "GetCompositeSchedule was answered Rejected.")


@pytest.mark.django_db(transaction=True)
def test_a_lower_composite_schedule_keeps_the_limit_too():
    command = set_profile()
    read_back(command, composite(0.0))
    assert command.confirmation == "confirmed"


@pytest.mark.django_db(transaction=True)
def test_a_profile_for_the_evening_is_asked_for_as_far_ahead_as_it_begins():
    begin = datetime.now(UTC) + timedelta(hours=4)
    command = set_profile(startSchedule=begin.isoformat(), duration=7200)
    assert command.followed_by.get().payload["duration"] == pytest.approx(4 * 3600 + 900, abs=5)
    read_back(command, composite(16.0, timedelta(hours=3, minutes=59), 30))
    assert command.confirmation == "pending"
    read_back(command, composite(6.0, seconds=4 * 3600 + 900))
    assert state(command) == ("confirmed", "GetCompositeSchedule shows the limits.")
    far = set_profile(startSchedule=(begin + timedelta(days=2)).isoformat())
    assert state(far) == ("not_applicable", "The profile begins more than a day from now.")


@pytest.mark.django_db(transaction=True)
def test_a_default_of_the_whole_charger_is_read_at_one_connector():
    charger = online()
    connector(charger, 2, "Available")
    command = set_profile(charger, connector_id=0)
    assert command.followed_by.get().payload["connectorId"] == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("watts", "result"), [(4000, "confirmed"), (9000, "not_seen"), (None, "confirmed")])
def test_the_power_of_the_session_stays_below_the_profile(watts, result):
    charger = online()
    session = a_transaction(charger, timestamp=datetime.now(UTC).isoformat())
    command = set_profile(charger)
    read_back(command, composite(6.0))
    awaited = "GetCompositeSchedule shows the limit of 6 A. The power of the session was not measured since."
    assert state(command) == ("pending", awaited)
    if watts is not None:
        later = datetime.now(UTC) + timedelta(minutes=1)
        Transaction.objects.filter(pk=session.pk).update(power_latest=watts, read_until=later)
    looked(command, 301 if result == "not_seen" or watts is None else 0)
    assert command.confirmation == result
    if watts:
        assert f"The session charges with {watts} W." in command.confirmation_detail.replace("But the", "The")


@pytest.mark.django_db(transaction=True)
def test_a_cleared_profile_is_no_longer_in_the_composite_schedule():
    charger = online()
    set_profile(charger)
    Command.objects.update(confirmation="confirmed")
    Command.objects.filter(state="queued").update(state="finished")
    command = looked(answered("ClearChargingProfile", {"id": 7}, charger=charger))
    read_back(command, composite(6.0))
    assert state(command) == ("pending", "GetCompositeSchedule still shows the limit of 6 A.")
    read_back(command, composite(16.0))
    assert state(command) == ("confirmed", "GetCompositeSchedule no longer shows the limit.")
    unknown = looked(answered("ClearChargingProfile", {"id": 8}))
    assert state(unknown) == ("not_applicable", "No profile that it removes now is known here.")


@pytest.mark.django_db(transaction=True)
def test_a_cleared_profile_of_ocpp_2_0_1_is_no_longer_found():
    criteria = {"chargingProfileCriteria": {"evseId": 1, "stackLevel": 2}}
    command = looked(answered("ClearChargingProfile", criteria, charger=online(ocpp_version="ocpp2.0.1")))
    read = command.followed_by.get()
    assert read.payload == {
        "requestId": read.payload["requestId"],
        "evseId": 1,
        "chargingProfile": {"stackLevel": 2},
    }
    read_back(command, {"status": "NoProfiles"})
    assert state(command) == ("confirmed", "GetChargingProfiles no longer finds such a profile.")


# --- firmware, logs, lists, reservations, messages on request ----------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_log_is_confirmed_when_it_was_uploaded_and_not_seen_when_that_failed():
    charger = online()
    payload = {"location": "ftp://logs.example/"}
    uploaded = looked(answered("GetDiagnostics", payload, {"fileName": "log"}, charger))
    assert uploaded.confirmation == "pending"
    tell(charger, "DiagnosticsStatusNotification", status="Uploaded")
    assert state(looked(uploaded)) == ("confirmed", "The charger reported Uploaded.")
    failed = answered("GetDiagnostics", payload, {"fileName": "log"}, charger)
    tell(charger, "DiagnosticsStatusNotification", status="UploadFailed")
    assert state(looked(failed)) == ("not_seen", "The charger reported UploadFailed.")
    nothing = looked(answered("GetDiagnostics", payload, {}))
    assert nothing.confirmation == "not_applicable"


@pytest.mark.django_db(transaction=True)
def test_firmware_is_confirmed_by_its_status_or_by_a_boot_with_another_version():
    charger = online(firmware_version="1.0")
    payload = {"location": "ftp://firmware.example/", "retrieveDate": "2026-01-01T00:00:00Z"}
    command = looked(answered("UpdateFirmware", payload, {}, charger))
    boot = {"chargePointVendor": "V", "chargePointModel": "M"}
    tell(charger, "BootNotification", **boot, firmwareVersion="1.0")
    assert looked(command).confirmation == "pending"
    tell(charger, "BootNotification", **boot, firmwareVersion="1.1")
    assert state(looked(command)) == ("confirmed", "The charger has booted with the firmware 1.1.")
    other = answered("UpdateFirmware", payload, {}, charger)
    tell(charger, "FirmwareStatusNotification", status="Installed")
    assert looked(other).confirmation == "confirmed"
    retrieved = (datetime.now(UTC) + timedelta(hours=5)).isoformat()
    later = answered("UpdateFirmware", payload | {"retrieveDate": retrieved}, {}, charger)
    later.refresh_from_db()
    assert (later.confirm_until - later.finished_at).total_seconds() == pytest.approx(7 * 3600, abs=10)


@pytest.mark.django_db(transaction=True)
def test_a_local_list_is_confirmed_by_its_version():
    payload = {"listVersion": 5, "updateType": "Full", "localAuthorizationList": []}
    command = looked(answered("SendLocalList", payload))
    read_back(command, {"listVersion": 4})
    assert state(command) == ("pending", "Version 5 was sent, but the charger reports version 4 of its list.")
    read_back(command, {"listVersion": 5})
    assert state(command) == ("confirmed", "The charger reports version 5 of its list.")
    emptied = looked(answered("SendLocalList", payload | {"listVersion": 6}))
    assert read_back(emptied, {"listVersion": 0}).confirmation == "confirmed"


@pytest.mark.django_db(transaction=True)
def test_a_reservation_is_confirmed_by_the_status_of_its_connector():
    charger = online()
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    payload = {"connectorId": 1, "expiryDate": until, "idTag": "ABC", "reservationId": 77}
    command = looked(answered("ReserveNow", payload, charger=charger))
    assert command.confirmation == "pending"
    connector(charger, 1, "Reserved")
    assert state(looked(command)) == ("confirmed", "Connector 1 is Reserved.")
    cancel = looked(answered("CancelReservation", {"reservationId": 77}, charger=charger))
    assert state(cancel) == ("pending", "Connector 1 is still Reserved.")
    connector(charger, 1, "Available")
    assert state(looked(cancel)) == ("confirmed", "Its connectors are not Reserved.")
    anywhere = answered("ReserveNow", payload | {"connectorId": 0, "reservationId": 78}, charger=charger)
    assert anywhere.confirmation == "not_applicable"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("message", "payload"),
    [
        ("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}),
        ("Heartbeat", {}),
        ("StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"}),
        ("FirmwareStatusNotification", {"status": "Idle"}),
        ("DiagnosticsStatusNotification", {"status": "Idle"}),
        (
            "MeterValues",
            {"connectorId": 1, "meterValue": [{"timestamp": "", "sampledValue": [{"value": "1"}]}]},
        ),
    ],
)
def test_a_message_on_request_is_confirmed_when_it_arrives(message, payload):
    charger = online()
    command = looked(answered("TriggerMessage", {"requestedMessage": message}, charger=charger))
    assert state(command) == ("pending", f"A {message} was expected.")
    if message == "MeterValues":
        payload["meterValue"][0]["timestamp"] = datetime.now(UTC).isoformat()
    tell(charger, message, **payload)
    assert looked(command).confirmation == "confirmed"


# --- batches -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_batch_counts_confirmations_also_after_it_is_finished(api):
    body = {"action": "Reset", "payload": SOFT, "chargers": [online().identity for _ in range(2)]}
    made = api.post("/api/ocpp/batches/", body, content_type="application/json").json()
    batches.release()
    commands = list(Command.objects.order_by("pk"))
    for command in commands:
        Command.objects.filter(pk=command.pk).update(state="sent", sent_at=datetime.now(UTC))
        command.refresh_from_db()
        _finish(command, "answered", response=ACCEPTED)
    Batch.objects.update(start_at=datetime.now(UTC) - timedelta(seconds=1))
    batches.finish_completed()
    shown = api.get(f"/api/ocpp/batches/{made['id']}/").json()
    assert (shown["state"], shown["confirmations"]["pending"]) == ("finished", 2)
    tell(commands[0].charger, "BootNotification", chargePointVendor="V", chargePointModel="M")
    looked(commands[0])
    looked(commands[1], 601)
    shown = api.get(f"/api/ocpp/batches/{made['id']}/").json()
    assert shown["confirmations"] == {"pending": 0, "confirmed": 1, "not_seen": 1, "not_applicable": 0}
    assert shown["summary"] == "2 of 2 finished; 2 answered; 1 confirmed, 1 not seen"
    items = api.get(f"/api/ocpp/batches/{made['id']}/commands/?confirmation=not_seen").json()["results"]
    assert [item["charger_id"] for item in items] == [commands[1].charger.identity]
    assert items[0]["confirmation_detail"].startswith("Not seen within 10 min.")


# --- the table ---------------------------------------------------------------------------------


def test_no_command_that_reads_back_is_followed_and_every_read_back_is_an_action():
    known = {action.name for actions in ACTIONS.values() for action in actions.values()}
    assert known >= READ_BACKS
    assert OCPP16 in ACTIONS and OCPP201 in ACTIONS


# --- over real sockets -------------------------------------------------------------------------


def without_a_wait(live, task):
    """Let `task` and the boot before it be long ago when it has finished, so that it is read back at once."""
    task, past = live.finished(task), "- interval '11 s'"
    live.execute(
        f"UPDATE chargers_charger SET last_boot_at = last_boot_at {past} WHERE identity = %s AND last_boot_at < %s",
        *(task["charger_id"], task["sent_at"]),
    )
    live.execute(f"UPDATE commands_command SET finished_at = finished_at {past} WHERE task_id = %s", task["task_id"])
    return task


def decided(live, task):
    without_a_wait(live, task)
    return live.get(f"/api/ocpp/tasks/{task['task_id']}/?wait=30&until=confirmed")


def test_a_client_waits_until_a_setting_was_read_back(live):
    answers = {"ChangeConfiguration": ACCEPTED, "GetConfiguration": reports("HeartbeatInterval", "60")}
    with live.charger(charger_id := an_id(), **answers):
        task = decided(live, live.ask(charger_id, "ChangeConfiguration", INTERVAL))
    assert (task["confirmation"], task["outcome"]) == ("confirmed", "answered")
    assert task["confirmed_at"] > task["finished_at"]
    assert task["confirmation_detail"] == "HeartbeatInterval was read back as 60."
    listed = live.get(f"/api/ocpp/commands/?charger_id={charger_id}&confirmation=confirmed")["results"]
    assert [row["task_id"] for row in listed] == [task["task_id"]]


def test_a_client_is_told_that_a_setting_was_not_seen(live):
    answers = {"ChangeConfiguration": ACCEPTED, "GetConfiguration": reports("HeartbeatInterval", "300")}
    with live.charger(charger_id := an_id(), **answers):
        task = decided(live, live.ask(charger_id, "ChangeConfiguration", INTERVAL))
    assert (task["confirmation"], task["outcome"], task["confirmed_at"]) == ("not_seen", "answered", None)


def test_a_simulated_result_is_not_followed(live):
    with live.charger(charger_id := an_id(), Reset=None):
        task = decided(live, live.ask(charger_id, "Reset", SOFT, timeout=1))
    assert (task["simulated"], task["confirmation"]) == (True, "not_applicable")


def test_a_script_of_single_steps_meets_no_read_back(live):
    with Station(live) as station:
        station.connect().booted()
        for value in ("60", "70"):
            _, task = station.obeys("ChangeConfiguration", INTERVAL | {"value": value})
            station.is_left_alone(1.5)
        without_a_wait(live, task)
        assert station.receive("GetConfiguration") == {"key": ["HeartbeatInterval"]}


# --- simulated chargers over real sockets ------------------------------------------------------

TAG = "CONFIRMED-TAG"
EVENING = "2099-01-01T18:00:00Z"
AVAILABLE, UNAVAILABLE = "Operative", "Inoperative"
LIMIT = profile() | {"chargingProfileId": 31}
LIMIT_201 = {**LIMIT, "id": 31, "chargingSchedule": [LIMIT["chargingSchedule"] | {"id": 1}]}
del LIMIT_201["chargingProfileId"]
INTERVAL_201 = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
TOKEN = {"idToken": TAG, "type": "Central"}
RESERVATION = 9000
COMMANDS = {
    "1.6": [
        ("ChangeAvailability", {"connectorId": 2, "type": UNAVAILABLE}),
        ("ChangeAvailability", {"connectorId": 2, "type": AVAILABLE}),
        ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "123"}),
        ("ReserveNow", {"connectorId": 2, "expiryDate": EVENING, "idTag": TAG, "reservationId": RESERVATION}),
        ("CancelReservation", {"reservationId": RESERVATION}),
        ("SetChargingProfile", {"connectorId": 2, "csChargingProfiles": LIMIT}),
        ("ClearChargingProfile", {"id": 31}),
        ("SendLocalList", {"updateType": "Full", "localAuthorizationList": [{"idTag": TAG}]}),
        ("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"}),
        ("RemoteStartTransaction", {"idTag": TAG, "connectorId": 1}),
        ("Reset", {"type": "Soft"}),
        # The last, because the charger restarts after the effect was seen.
        ("UpdateFirmware", {"location": "ftp://firmware.example/", "retrieveDate": "2026-01-01T00:00:00Z"}),
    ],
    "2.0.1": [
        ("ChangeAvailability", {"evse": {"id": 2}, "operationalStatus": UNAVAILABLE}),
        ("ChangeAvailability", {"evse": {"id": 2}, "operationalStatus": AVAILABLE}),
        ("SetVariables", {"setVariableData": [INTERVAL_201 | {"attributeValue": "123"}]}),
        ("ReserveNow", {"evseId": 2, "expiryDateTime": EVENING, "idToken": TOKEN, "id": RESERVATION}),
        ("CancelReservation", {"reservationId": RESERVATION}),
        ("SetChargingProfile", {"evseId": 2, "chargingProfile": LIMIT_201}),
        ("ClearChargingProfile", {"chargingProfileId": 31}),
        ("SendLocalList", {"updateType": "Full", "localAuthorizationList": [{"idToken": TOKEN}]}),
        ("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"}),
        ("RequestStartTransaction", {"idToken": TOKEN, "evseId": 1}),
        ("Reset", {"type": "Immediate"}),
        (
            "UpdateFirmware",
            {"firmware": {"location": "ftp://firmware.example/", "retrieveDateTime": "2026-01-01T00:00:00Z"}},
        ),
    ],
}
# Nothing shows that these were ignored, if there was neither a reservation nor a limit.
SEEN_ANYHOW = {"CancelReservation", "ClearChargingProfile"}
READ_BACK = 3  # of the others: a setting, a limit and a list


_reservations = count(RESERVATION)


def commands(version):
    """The commands for one charger, with a reservation of its own."""
    text = json.dumps(COMMANDS[version]).replace(f": {RESERVATION}", f": {next(_reservations)}")
    return json.loads(text)


@pytest.fixture(scope="module")
def known_tag(live):
    assert live.request("POST", "/api/ocpp/id-tags/", {"id_tag": TAG})[0] == 201


def accepted(live, path):
    """The task of a POST once its effect is decided, None if the charger has refused it."""
    task = decided(live, live.post(path, {}))
    return task if task["response"] == {"status": "Accepted"} else None


@pytest.mark.parametrize("version", COMMANDS)
def test_the_effects_of_a_simulated_charger_are_seen(live, known_tag, version):
    with live.simulated(charger_id := an_id(), "--pause", "600", "--ocpp", version):
        until_connected(live, charger_id)
        for action, payload in commands(version):
            task = decided(live, live.ask(charger_id, action, payload))
            assert (action, task["confirmation"], task["outcome"]) == (action, "confirmed", "answered"), task
            if action.endswith("StartTransaction"):
                # The charger refuses a stop until it has read the answer to its start.
                stop = eventually(lambda: accepted(live, f"/api/ocpp/stop/{charger_id}/"), 20)
                assert stop["confirmation"] == "confirmed", stop


@pytest.mark.parametrize("version", COMMANDS)
def test_a_simulated_charger_that_only_accepts_is_found_out(live, known_tag, version):
    with live.simulated(charger_id := an_id(), "--pause", "600", "--ocpp", version, "--quirk", "accepts-only"):
        until_connected(live, charger_id)
        shown = [(action, payload) for action, payload in commands(version) if action not in SEEN_ANYHOW]
        ignored = [(action, payload) for action, payload in shown if AVAILABLE not in payload.values()]
        tasks = [without_a_wait(live, live.ask(charger_id, action, payload)) for action, payload in ignored]
        assert {task["outcome"] for task in tasks} == {"answered"}
        of_charger = "charger_id = (SELECT id FROM chargers_charger WHERE identity = %s)"
        read_back = f"SELECT DISTINCT follows_id FROM commands_command WHERE state = 'finished' AND {of_charger}"
        assert eventually(lambda: len(live.rows(f"{read_back} AND follows_id > 0", charger_id)) == READ_BACK, 20)
        live.execute(
            f"UPDATE commands_command SET confirm_until = now() WHERE confirmation = 'pending' AND {of_charger}",
            charger_id,
        )
        for task in tasks:
            task = decided(live, task)
            assert (task["confirmation"], task["outcome"]) == ("not_seen", "answered"), task
