"""Reports, reading and setting of the device model of OCPP 2.0.1, within this process."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from chargers.models import Charger, NetworkProfile, Variable, VariableChange
from chargers.services import keys, variables
from chargers.services.variables import ReportedVariable, VariableName
from commands.actions.ocpp201.table import ACTIONS
from commands.models import Command
from commands.services import submission
from commands.services.lifecycle import _finish
from core.ocpp import schemas
from core.ocpp.versions import OCPP201
from dashboard.templatetags.dashboard import charger_url
from tests.support.builders import a_call, a_charger, settle, tell
from tests.support.live import eventually

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "Correct-Horse-Battery-1"


@pytest.fixture
def charger():
    return a_charger(ocpp_version="ocpp2.0.1")


def named(component, variable, variable_instance=None, **component_members):
    of_variable = {"name": variable} | ({"instance": variable_instance} if variable_instance else {})
    return {"component": {"name": component, **component_members}, "variable": of_variable}


def item(component, variable, value, instance=None, **attribute):
    return named(component, variable, instance) | {"variableAttribute": [{"value": value, **attribute}]}


def notify(charger, *items, request_id=1, seq_no=0, tbc=False):
    sent = {"requestId": request_id, "generatedAt": "2030-01-01T00:00:00Z", "seqNo": seq_no, "tbc": tbc}
    assert tell(charger, "NotifyReport", **sent, reportData=list(items)) == {}


def shown(charger, attribute="Actual"):
    rows = charger.variables.filter(attribute=attribute)
    return {f"{row.component}.{row.variable}": row.value for row in rows}


def test_variables_beyond_the_budget_are_shown_to_be_missing(charger, api, settings):
    path = f"/api/ocpp/chargers/{charger}/variables/"
    pages = charger_url("dashboard:variables", charger.identity)
    settings.OCPP_MOST_CONFIGURATION_KEYS = 2
    notify(charger, *[item("EVSE", name, "1") for name in "AB"])
    assert api.get(path).json()["is_incomplete"] is False
    assert b"some are missing" not in api.get(pages).content
    notify(charger, *[item("EVSE", name, "1") for name in "ABCD"], seq_no=1)
    assert eventually(lambda: charger.findings.filter(field="budget.configuration").exists())
    assert api.get(path).json()["is_incomplete"] is True
    assert b"some are missing" in api.get(pages).content


def submit(charger, action, payload):
    return submission.submit(charger, action, payload)


def sent(charger, action, payload):
    """A command that was sent."""
    command = submit(charger, action, payload)
    Command.objects.filter(pk=command.pk).update(state="sent", sent_at=datetime.now(UTC))
    return Command.objects.get(pk=command.pk)


def answered(charger, action, payload, answer=None):
    return _finish(sent(charger, action, payload), "answered", response=answer or {"status": "Accepted"})


def a_variable(charger, component, variable, value, instance="", **columns):
    name = VariableName(variable, component, instance=instance)
    variables.report(charger.pk, [ReportedVariable(name, value, **columns)], "NotifyReport")


# --- reports ---------------------------------------------------------------------------------


def test_each_part_of_a_report_is_stored_at_once_with_all_that_it_says(charger):
    attributes = [
        {"value": "16", "persistent": True},
        {"type": "Target", "value": "10"},
        {"type": "MaxSet", "value": "32", "mutability": "ReadOnly", "constant": True},
    ]
    characteristics = {"dataType": "MemberList", "unit": "A", "minLimit": 6, "maxLimit": 32.5, "valuesList": "A, B"}
    notify(
        charger,
        named("EVSE", "Limit", "x", instance="Main", evse={"id": 1, "connectorId": 2})
        | {
            "variableAttribute": attributes,
            "variableCharacteristics": {**characteristics, "supportsMonitoring": True},
        },
        tbc=True,
    )
    rows = {row.attribute: row for row in charger.variables.all()}
    actual, target, most = (rows[name] for name in ("Actual", "Target", "MaxSet"))
    assert (actual.component_instance, actual.evse_id, actual.connector_id, actual.instance) == ("Main", 1, 2, "x")
    assert [row.value for row in (actual, target, most)] == ["16", "10", "32"]
    assert (actual.persistent, actual.constant, actual.mutability) == (True, False, "ReadWrite")
    assert (most.persistent, most.constant, most.mutability) == (False, True, "ReadOnly")
    assert actual.characteristics == {
        **{"data_type": "MemberList", "unit": "A", "min_limit": 6, "max_limit": 32.5},
        **{"supports_monitoring": True, "values_list": ["A", "B"]},
    }


def test_a_full_inventory_deletes_what_it_lacks_when_its_last_missing_part_arrives(charger):
    a_variable(charger, "Old", "Gone", "1")
    command = answered(charger, "GetBaseReport", {"reportBase": "FullInventory"})
    number = command.payload["requestId"]
    assert Command.objects.get(pk=command.pk).completed_at is None
    notify(charger, item("C", "Last", "3"), request_id=number, seq_no=2)
    notify(charger, item("C", "First", "1"), request_id=number, tbc=True)
    assert "Old.Gone" in shown(charger)
    for _ in range(2):
        notify(charger, item("C", "Middle", "2"), request_id=number, seq_no=1, tbc=True)
    assert shown(charger) == {"C.First": "1", "C.Middle": "2", "C.Last": "3"}
    done = Command.objects.get(pk=command.pk)
    assert (done.completed_at is None, len(done.report), len(done.progress)) == (False, 3, 3)


@pytest.mark.parametrize("base", ["ConfigurationInventory", "SummaryInventory"])
def test_other_reports_delete_nothing(charger, base):
    a_variable(charger, "Old", "Kept", "1")
    command = answered(charger, "GetBaseReport", {"reportBase": base})
    notify(charger, item("C", "New", "1"), request_id=command.payload["requestId"])
    assert shown(charger) == {"Old.Kept": "1", "C.New": "1"}
    assert Command.objects.get(pk=command.pk).completed_at


def test_a_report_that_nobody_requested_is_stored(charger):
    notify(charger, item("C", "New", "1"), request_id=4711)
    sent = {"generatedAt": "2030-01-01T00:00:00Z", "seqNo": 0}
    assert tell(charger, "NotifyReport", **sent, reportData=[item("C", "Other", "2")]) == {}
    assert tell(charger, "NotifyReport", **sent, requestId=7) == {}
    assert shown(charger) == {"C.New": "1", "C.Other": "2"}


def test_a_repeated_part_does_not_bring_back_an_older_value(charger):
    notify(charger, item("C", "V", "old"))
    a_variable(charger, "C", "V", "new")
    notify(charger, item("C", "V", "old"))
    assert shown(charger) == {"C.V": "new"}


def test_parts_of_many_chargers_are_stored_in_one_batch(charger):
    other = a_charger(ocpp_version="ocpp2.0.1")
    sent = {"requestId": 1, "generatedAt": "2030-01-01T00:00:00Z"}
    calls = [
        a_call(one, "NotifyReport", **sent, seqNo=number, tbc=not number, reportData=[item("C", f"V{number}", "1")])
        for number in (0, 1)
        for one in (charger, other)
    ]
    assert settle(*calls) == [{}] * 4
    assert shown(charger) == shown(other) == {"C.V0": "1", "C.V1": "1"}


def test_odd_names_and_numbers_are_stored(charger):
    long = "\U0001f50c" * 255
    odd = named(long, long, long, evse={"id": -1, "connectorId": 2**40}) | {
        "variableAttribute": [{"type": long, "mutability": long, "value": "1"}]
    }
    notify(charger, odd, {**named("C", "Bare"), "variableAttribute": []})
    assert set(charger.variables.values_list("value", "evse_id", "connector_id")) == {
        ("1", None, None),
        (None, None, None),
    }


def test_secrets_in_reports_are_not_stored(charger):
    notify(charger, item("SecurityCtrlr", "BasicAuthPassword", PASSWORD), item("Modem", "Value", "1", "ApnPassword"))
    assert PASSWORD not in str(list(charger.variables.values()) + list(charger.report_parts.values()))
    assert shown(charger)["SecurityCtrlr.BasicAuthPassword"] == "(hidden)"


# --- reading ---------------------------------------------------------------------------------


def test_read_values_are_stored_and_unknown_variables_are_forgotten(charger):
    a_variable(charger, "C", "V", "1", mutability="ReadOnly", characteristics={"data_type": "integer"})
    for variable in ("Gone", "Kept"):
        a_variable(charger, "C", variable, "1")
        name = VariableName(variable, "C", attribute="Target")
        variables.report(charger.pk, [ReportedVariable(name, "2")], "NotifyReport")
    results = [
        {**named("C", "V"), "attributeStatus": "Accepted", "attributeValue": "5"},
        {**named("C", "New"), "attributeStatus": "Accepted", "attributeValue": "6"},
        {**named("C", "Gone"), "attributeStatus": "UnknownVariable"},
        {**named("C", "Kept"), "attributeStatus": "NotSupportedAttributeType", "attributeType": "Target"},
        {**named("C", "Other"), "attributeStatus": "Rejected"},
    ]
    payload = {"getVariableData": [named("C", "V")]}
    answered(charger, "GetVariables", payload, {"getVariableResult": results})
    assert shown(charger) == {"C.V": "5", "C.New": "6", "C.Kept": "1"}
    assert shown(charger, "Target") == {}
    row = charger.variables.get(variable="V")
    assert (row.mutability, row.characteristics) == ("ReadOnly", {"data_type": "integer"})


@pytest.mark.parametrize(
    ("action", "member", "more"),
    [
        ("GetVariables", "getVariableData", {}),
        ("SetVariables", "setVariableData", {"attributeValue": "1"}),
        ("GetReport", "componentVariable", {}),
    ],
)
def test_a_variable_is_named_once_in_a_request(charger, action, member, more):
    twice = [{**named("C", "V"), **more}, {**named("c", "v"), **more}]
    with pytest.raises(schemas.Violation):
        submit(charger, action, {member: twice})
    if action != "GetReport":
        twice[1]["attributeType"] = "Target"
        submit(charger, action, {member: twice})


# --- setting ---------------------------------------------------------------------------------


def set_variables(charger, *items, **statuses):
    """Set (component, variable, value) and let the charger answer with the status by variable, else Accepted."""
    data = [{**named(component, variable), "attributeValue": value} for component, variable, value in items]
    results = [
        {**named(component, variable), "attributeStatus": statuses.get(variable, "Accepted")}
        for component, variable, _ in items
    ]
    return answered(charger, "SetVariables", {"setVariableData": data}, {"setVariableResult": results})


def test_accepted_values_are_stored_each_by_its_own_status(charger):
    a_variable(charger, "C", "Unknown", "0")
    set_variables(
        charger,
        *(("C", name, "1") for name in ("Now", "Later", "Refused", "Unknown")),
        Later="RebootRequired",
        Refused="Rejected",
        Unknown="UnknownVariable",
    )
    assert shown(charger) == {"C.Now": "1", "C.Later": "1"}
    assert [row.variable for row in charger.variables.filter(reboot_required=True)] == ["Later"]


@pytest.mark.parametrize(
    ("characteristics", "value", "is_refused"),
    [
        ({"data_type": "integer", "min_limit": 1, "max_limit": 5}, "5", False),
        ({"data_type": "integer", "min_limit": 1, "max_limit": 5}, "6", True),
        ({"data_type": "integer"}, "1.5", True),
        ({"data_type": "decimal", "min_limit": 0.1}, "0.05", True),
        ({"data_type": "boolean"}, "True", True),
        ({"data_type": "boolean"}, "true", False),
        ({"data_type": "dateTime"}, "tomorrow", True),
        ({"data_type": "OptionList", "values_list": ["A", "B"]}, "B", False),
        ({"data_type": "OptionList", "values_list": ["A", "B"]}, "A,B", True),
        ({"data_type": "MemberList", "values_list": ["A", "B"]}, "A, B", False),
        ({"data_type": "SequenceList", "values_list": ["A", "B"]}, "A,C", True),
        ({"data_type": "string", "max_limit": 2}, "abc", True),
        ({"data_type": "of the vendor"}, "abc", False),
    ],
)
def test_a_value_that_does_not_fit_what_the_charger_reported_is_refused(charger, characteristics, value, is_refused):
    a_variable(charger, "C", "V", "1", characteristics=characteristics)
    payload = {"setVariableData": [{**named("C", "V"), "attributeValue": value}]}
    if not is_refused:
        assert submit(charger, "SetVariables", payload).warning == ""
        return
    with pytest.raises(schemas.Violation) as violation:
        submit(charger, "SetVariables", payload)
    assert "C.V" in violation.value.message


def test_a_value_that_does_not_fit_the_standard_is_sent_with_a_warning(charger):
    data = {**named("OCPPCommCtrlr", "HeartbeatInterval"), "attributeValue": "0"}
    assert "less than 1" in submit(charger, "SetVariables", {"setVariableData": [data]}).warning


@pytest.mark.parametrize("columns", [{"mutability": "ReadOnly"}, {"constant": True}])
def test_a_read_only_variable_is_not_set(charger, columns):
    a_variable(charger, "C", "V", "1", **columns)
    with pytest.raises(schemas.Violation, match="read-only"):
        submit(charger, "SetVariables", {"setVariableData": [{**named("c", "v"), "attributeValue": "2"}]})


# --- passwords and security profiles ---------------------------------------------------------


def a_password(value=PASSWORD):
    return {"setVariableData": [{**named("SecurityCtrlr", "BasicAuthPassword"), "attributeValue": value}]}


def result_of_password(status):
    return {"setVariableResult": [{**named("SecurityCtrlr", "BasicAuthPassword"), "attributeStatus": status}]}


def accepts(charger, key):
    row = Charger.objects.get(pk=charger.pk)
    hashes = [row.authorization_key_hash, *row.next_authorization_key_hashes]
    return any(keys.matches(key.encode(), hashed) for hashed in hashes if hashed)


@pytest.mark.parametrize(
    ("status", "old", "new"),
    [("Accepted", False, True), ("Rejected", True, False), ("RebootRequired", True, True)],
)
def test_the_old_password_is_refused_only_after_the_new_one_is_accepted(charger, status, old, new):
    charger.set_key("the-old-password-1")
    command = sent(charger, "SetVariables", a_password())
    assert accepts(charger, "the-old-password-1") and accepts(charger, PASSWORD)
    _finish(command, "answered", response=result_of_password(status))
    assert (accepts(charger, "the-old-password-1"), accepts(charger, PASSWORD)) == (old, new)


def test_a_password_that_was_not_sent_is_forgotten_and_one_without_an_answer_stays_possible(charger):
    charger.set_key("the-old-password-1")
    _finish(submit(charger, "SetVariables", a_password()), "not_connected")
    assert not accepts(charger, PASSWORD)
    _finish(sent(charger, "SetVariables", a_password()), "timed_out")
    assert accepts(charger, PASSWORD) and accepts(charger, "the-old-password-1")


def test_a_password_is_never_stored_in_clear(charger):
    command = answered(charger, "SetVariables", a_password(), result_of_password("Accepted"))
    stored = Command.objects.get(pk=command.pk)
    assert PASSWORD not in str([stored.payload, stored.payload.opened(), list(charger.variables.values())])
    again = submission.payload_for_retry(stored)
    assert again == a_password("")
    assert len(submit(charger, "SetVariables", again).payload.opened()["setVariableData"][0]["attributeValue"]) == 40


@pytest.mark.parametrize(
    ("length", "reported", "is_refused"),
    [(15, None, True), (16, None, False), (40, None, False), (41, None, True), (64, 64, False), (65, 99, True)],
)
def test_a_password_has_the_length_that_ocpp_and_the_charger_allow(charger, length, reported, is_refused):
    if reported:
        limits = {"max_limit": reported}
        a_variable(charger, "SecurityCtrlr", "BasicAuthPassword", None, "", characteristics=limits)
    if is_refused:
        with pytest.raises(schemas.Violation, match="16 to"):
            submit(charger, "SetVariables", a_password("x" * length))
    else:
        submit(charger, "SetVariables", a_password("x" * length))


def network(slot, profile, url="wss://csms.example/ocpp"):
    connection = {"ocppVersion": "OCPP20", "ocppTransport": "JSON", "ocppCsmsUrl": url, "messageTimeout": 30}
    connection |= {"securityProfile": profile, "ocppInterface": "Wireless0"}
    connection["apn"] = {"apn": "net", "apnPassword": "Zq93-secret", "apnAuthentication": "PAP"}
    return {"configurationSlot": slot, "connectionData": connection}


def test_the_last_accepted_connection_of_a_slot_is_shown_without_its_secrets(charger):
    answered(charger, "SetNetworkProfile", network(1, 2))
    answered(charger, "SetNetworkProfile", network(1, 3), {"status": "Failed"})
    row = NetworkProfile.objects.get(charger=charger)
    assert (row.slot, row.status, row.security_profile) == (1, "Failed", 2)
    assert row.accepted_at < row.answered_at
    assert row.connection["apn"]["apnPassword"] == "(hidden)"
    assert row.connection["ocppCsmsUrl"] == "wss://csms.example/ocpp"


def next_profile(charger):
    return Charger.objects.get(pk=charger.pk).next_security_profile


def test_a_charger_may_raise_its_security_profile_by_the_connection_that_it_tries_first(charger):
    Charger.objects.filter(pk=charger.pk).update(security_profile=1)
    a_variable(charger, "OCPPCommCtrlr", "NetworkConfigurationPriority", "0,1")
    answered(charger, "SetNetworkProfile", network(1, 2))
    assert next_profile(charger) is None
    set_variables(charger, ("OCPPCommCtrlr", "NetworkConfigurationPriority", "1,0"))
    assert next_profile(charger) == 2
    answered(charger, "SetNetworkProfile", network(1, 3))
    assert next_profile(charger) == 3


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("SetNetworkProfile", network(1, 1)),
        ("SetNetworkProfile", network(1, 0)),
        (
            "SetVariables",
            {"setVariableData": [{**named("SecurityCtrlr", "SecurityProfile"), "attributeValue": "1"}]},
        ),
    ],
)
def test_a_security_profile_is_not_lowered(charger, action, payload):
    Charger.objects.filter(pk=charger.pk).update(security_profile=2)
    charger.refresh_from_db()
    with pytest.raises(schemas.Violation):
        submit(charger, action, payload)


def test_a_priority_with_a_connection_that_would_be_refused_is_sent_with_a_warning(charger):
    NetworkProfile.objects.create(charger=charger, slot=1, status="Accepted", security_profile=1, answered_at=NOW)
    charger.security_profile = 2
    priority = {**named("OCPPCommCtrlr", "NetworkConfigurationPriority"), "attributeValue": "1,2"}
    assert "slot 1" in submit(charger, "SetVariables", {"setVariableData": [priority]}).warning


NOW = datetime.now(UTC)


# --- portions --------------------------------------------------------------------------------


def portions(charger, action, member, items, **more):
    command = submit(charger, action, {member: items, **more})
    others = list(command.followed_by.order_by("pk"))
    return [[each["variable"]["name"] for each in one.payload[member]] for one in (command, *others)], command


def limit(charger, name, action, value):
    a_variable(charger, "DeviceDataCtrlr", name, str(value), action)


def test_a_request_with_too_many_items_is_sent_in_portions_that_are_tasks_of_their_own(charger):
    limit(charger, "ItemsPerMessage", "GetVariables", 2)
    items = [named("C", f"V{number}") for number in range(5)]
    lists, command = portions(charger, "GetVariables", "getVariableData", items)
    assert lists == [["V0", "V1"], ["V2", "V3"], ["V4"]]
    assert "3 portions" in command.warning
    assert {(one.requested_by, one.timeout, one.follows_id) for one in command.followed_by.all()} == {
        (command.requested_by, command.timeout, command.pk)
    }


def test_a_request_with_too_many_bytes_is_sent_in_portions(charger):
    limit(charger, "BytesPerMessage", "SetVariables", 500)
    items = [{**named("C", f"V{number}"), "attributeValue": "x" * 100} for number in range(4)]
    lists, command = portions(charger, "SetVariables", "setVariableData", items)
    assert 1 < len(lists) < 4
    for one in (command, *command.followed_by.all()):
        frame = json.dumps([2, one.task_id, "SetVariables", one.payload], separators=(",", ":"))
        assert len(frame) <= 500


def test_a_request_of_too_many_portions_is_refused(charger):
    limit(charger, "ItemsPerMessage", "GetVariables", 1)
    items = [named("C", f"V{number}") for number in range(251)]
    with pytest.raises(schemas.Violation, match="at most 250"):
        submit(charger, "GetVariables", {"getVariableData": items})
    assert not Command.objects.filter(charger=charger).exists()
    submit(charger, "GetVariables", {"getVariableData": items[:3]})
    assert Command.objects.filter(charger=charger).count() == 3


@pytest.mark.parametrize("value", ["0", "-1", "many", "9" * 5000])
def test_a_limit_that_is_no_number_above_0_splits_nothing(charger, value):
    limit(charger, "ItemsPerMessage", "GetVariables", value)
    lists, _ = portions(charger, "GetVariables", "getVariableData", [named("C", "V"), named("C", "W")])
    assert len(lists) == 1


def test_each_portion_of_a_report_has_its_own_id(charger):
    limit(charger, "ItemsPerMessage", "GetReport", 1)
    items = [named("C", f"V{number}") for number in range(2)]
    _, command = portions(charger, "GetReport", "componentVariable", items, componentCriteria=["Problem"])
    other = command.followed_by.get()
    ids = Command.objects.filter(pk__in=[command.pk, other.pk]).values_list("request_id", flat=True)
    assert len(set(ids)) == 2
    assert other.payload["componentCriteria"] == ["Problem"]


def test_without_limits_nothing_is_split(charger):
    items = [named("C", f"V{number}") for number in range(60)]
    lists, command = portions(charger, "GetVariables", "getVariableData", items)
    assert (len(lists), command.warning) == (1, "")


def test_a_password_is_generated_once_also_in_a_portion(charger):
    limit(charger, "ItemsPerMessage", "SetVariables", 1)
    first = {**named("C", "V"), "attributeValue": "1"}
    lists, command = portions(charger, "SetVariables", "setVariableData", [first, *a_password("")["setVariableData"]])
    other = command.followed_by.get()
    (key,) = [each["attributeValue"] for each in other.payload.opened()["setVariableData"]]
    assert lists == [["V"], ["BasicAuthPassword"]]
    assert accepts(charger, key)


# --- history ---------------------------------------------------------------------------------


def test_only_real_changes_are_recorded(charger):
    for value in ("1", "1", "2"):
        a_variable(charger, "C", "V", value)
    set_variables(charger, ("C", "V", "3"))
    variables.forget(charger.pk, [VariableName("V", "C")], "GetVariablesResponse")
    a_variable(charger, "ClockCtrlr", "DateTime", "1")
    a_variable(charger, "ClockCtrlr", "DateTime", "2")
    changes = VariableChange.objects.filter(charger=charger).order_by("pk")
    assert list(changes.values_list("old_value", "new_value", "source")) == [
        ("1", "2", "NotifyReport"),
        ("2", "3", "SetVariables"),
        ("3", None, "GetVariablesResponse"),
    ]
    assert all(abs(change.at - datetime.now(UTC)) < timedelta(minutes=1) for change in changes)


def test_a_changed_secret_is_no_change(charger):
    for value in ("Zq93-one", "Zq93-two"):
        a_variable(charger, "Modem", "ApnPassword", value)
    assert not VariableChange.objects.exists()
    assert Variable.objects.get(charger=charger).value == "(hidden)"


# --- boots -----------------------------------------------------------------------------------


def test_the_device_model_is_read_after_a_boot_once_at_a_time(charger):
    Charger.objects.filter(pk=charger.pk).update(read_configuration_after_boot=True)
    station = {"vendorName": "V", "model": "M"}
    for _ in range(2):
        tell(charger, "BootNotification", reason="PowerUp", chargingStation=station)
    command = Command.objects.get(charger=charger)
    assert (command.action, command.payload["reportBase"]) == ("GetBaseReport", "FullInventory")
    assert command.request_id == command.payload["requestId"]


@pytest.mark.parametrize("name", ["GetBaseReport", "GetReport", "GetVariables", "SetVariables", "SetNetworkProfile"])
def test_a_simulated_reply_is_valid(name):
    OCPP201.schemas.check_response(name, ACTIONS[name].simulated)
