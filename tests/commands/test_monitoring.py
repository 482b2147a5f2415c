"""The commands about monitors of OCPP 2.0.1, and the effect of their answers."""

from datetime import UTC, datetime

import pytest

from chargers.models import Monitor, Variable
from chargers.models.monitors import CUSTOM, HARDWIRED, PRECONFIGURED
from commands.actions.ocpp201.table import ACTIONS
from commands.models import Command
from commands.services.lifecycle import _finish
from core.ocpp.versions import OCPP201
from tests.support.builders import NOON, a_charger, a_command

pytestmark = pytest.mark.django_db(transaction=True)

EVSE = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "AvailabilityState"}}
STATION = {"component": {"name": "ChargingStation"}, "variable": {"name": "AvailabilityState"}}
DELTA = {"value": 1, "type": "Delta", "severity": 8}
NAMES = (
    *("ClearVariableMonitoring", "CustomerInformation", "GetMonitoringReport", "SetMonitoringBase"),
    *("SetMonitoringLevel", "SetVariableMonitoring"),
)


@pytest.fixture
def charger():
    return a_charger(ocpp_version="ocpp2.0.1")


def answered(charger, action, payload, answer):
    command = a_command(charger, action, payload, state="sent", sent_at=datetime.now(UTC))
    return _finish(command, "answered", response=answer)


def submit(api, charger, action, payload):
    body = {"charger_id": str(charger), "action": action, "payload": payload}
    return api.post("/api/ocpp/commands/", body, "application/json")


def a_monitor(charger, monitor_id, **columns):
    columns = {"component": "EVSE", "evse_id": 1, "variable": "AvailabilityState", "type": "Delta"} | columns
    return Monitor.objects.create(charger=charger, monitor_id=monitor_id, reported_at=NOON, **columns)


def ids(charger):
    return set(Monitor.objects.filter(charger=charger).values_list("monitor_id", flat=True))


@pytest.mark.parametrize("name", NAMES)
def test_each_simulated_reply_is_valid(name):
    OCPP201.schemas.check_response(name, ACTIONS[name].simulated, formats=True)


# --- SetVariableMonitoring -------------------------------------------------------------------


def result(variable, status="Accepted", **members):
    return {"status": status, "type": "Delta", "severity": 8, **variable, **members}


def test_accepted_monitors_are_stored_with_the_ids_that_the_charger_gave_them(charger):
    data = [DELTA | EVSE | {"transaction": True}, DELTA | STATION | {"value": 2}]
    results = [result(STATION, id=12), result(EVSE, id=11)]  # in any order
    answered(charger, "SetVariableMonitoring", {"setMonitoringData": data}, {"setMonitoringResult": results})
    rows = {row.monitor_id: row for row in Monitor.objects.all()}
    assert (rows[11].component, rows[11].evse_id, rows[11].value, rows[11].transaction) == ("EVSE", 1, 1, True)
    assert (rows[12].component, rows[12].value, rows[12].severity) == ("ChargingStation", 2, 8)
    assert {row.source for row in rows.values()} == {CUSTOM}


def test_a_preconfigured_monitor_that_is_replaced_becomes_a_custom_one(charger):
    a_monitor(charger, 7, source=PRECONFIGURED, value=5)
    data, results = [DELTA | EVSE | {"id": 7}], [result(EVSE)]
    answered(charger, "SetVariableMonitoring", {"setMonitoringData": data}, {"setMonitoringResult": results})
    monitor = Monitor.objects.get()
    assert (monitor.value, monitor.source) == (1, CUSTOM)


@pytest.mark.parametrize("status", ["UnknownVariable", "Rejected", "Duplicate"])
def test_a_refused_monitor_is_not_stored(charger, status):
    payload, answer = {"setMonitoringData": [DELTA | EVSE]}, {"setMonitoringResult": [result(EVSE, status, id=3)]}
    assert answered(charger, "SetVariableMonitoring", payload, answer).response == answer
    assert not Monitor.objects.exists()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ([DELTA | EVSE | {"value": -1}], "setMonitoringData.value"),
        ([DELTA | EVSE | {"severity": 10}], "setMonitoringData.severity"),
        ([DELTA | EVSE, DELTA | EVSE | {"value": 3}], "setMonitoringData"),
        ([DELTA | EVSE | {"id": 3}, DELTA | STATION | {"id": 3}], "setMonitoringData"),
    ],
)
def test_monitors_that_every_charger_has_to_refuse_are_not_sent(api, charger, data, field):
    refused = submit(api, charger, "SetVariableMonitoring", {"setMonitoringData": data})
    assert refused.status_code == 400
    assert refused.json()["error"].startswith(f"{field}: ")


def test_an_id_that_may_not_be_replaced_is_a_warning(api, charger):
    a_monitor(charger, 1, source=HARDWIRED)
    a_monitor(charger, 2)
    data = [DELTA | EVSE | {"id": 1}, DELTA | STATION | {"id": 2}]
    warning = submit(api, charger, "SetVariableMonitoring", {"setMonitoringData": data}).json()["warning"]
    assert "Monitor 1 is hardwired" in warning
    assert "Monitor 2 is one of EVSE.AvailabilityState" in warning


# --- limits of one message -------------------------------------------------------------------


def limited(charger, name, instance, value, component="MonitoringCtrlr"):
    Variable.objects.create(charger=charger, component=component, variable=name, instance=instance, value=value)


def portions(action, member):
    commands = Command.objects.filter(action=action).order_by("pk")
    return [command.payload[member] for command in commands]


def test_ids_to_clear_are_named_once_and_sent_in_portions(api, charger):
    limited(charger, "ItemsPerMessage", "ClearVariableMonitoring", "2")
    task = submit(api, charger, "ClearVariableMonitoring", {"id": [1, 2, 2, 3, 4, 1, 5]}).json()
    assert portions("ClearVariableMonitoring", "id") == [[1, 2], [3, 4], [5]]
    first, *others = Command.objects.order_by("pk")
    assert (task["task_id"], {other.follows_id for other in others}) == (first.task_id, {first.pk})


def test_monitors_are_sent_in_portions_by_their_number_and_length(api, charger):
    limited(charger, "ItemsPerMessage", "SetVariableMonitoring", "3")
    limited(charger, "BytesPerMessage", "SetVariableMonitoring", "420")
    data = [DELTA | STATION | {"severity": severity} for severity in range(5)]
    submit(api, charger, "SetVariableMonitoring", {"setMonitoringData": data})
    sent = portions("SetVariableMonitoring", "setMonitoringData")
    assert [len(part) for part in sent] == [2, 2, 1]
    assert sum(sent, []) == data


def test_each_portion_of_a_report_has_its_own_id(api, charger):
    limited(charger, "ItemsPerMessage", "GetReport", "1", "DeviceDataCtrlr")
    submit(api, charger, "GetMonitoringReport", {"requestId": 77, "componentVariable": [EVSE, STATION]})
    first, second = Command.objects.order_by("pk")
    assert (first.request_id, first.payload["componentVariable"]) == (77, [EVSE])
    assert second.request_id == second.payload["requestId"] != 77


# --- ClearVariableMonitoring, GetMonitoringReport, base and level ------------------------------


def test_cleared_and_unknown_monitors_are_deleted_and_others_stay(charger):
    for monitor_id in (1, 2, 3, 4):
        a_monitor(charger, monitor_id)
    a_monitor(a_charger(), 1)
    statuses = {1: "Accepted", 2: "NotFound", 3: "Rejected"}
    answer = {"clearMonitoringResult": [{"id": number, "status": status} for number, status in statuses.items()]}
    answered(charger, "ClearVariableMonitoring", {"id": [1, 2, 3]}, answer)
    assert ids(charger) == {3, 4}
    assert Monitor.objects.count() == 3


@pytest.mark.parametrize(
    ("payload", "left"),
    [({}, set()), ({"monitoringCriteria": ["DeltaMonitoring"]}, {2}), ({"componentVariable": [EVSE]}, {1, 2})],
)
def test_an_empty_report_deletes_the_monitors_that_it_would_have(charger, payload, left):
    a_monitor(charger, 1)
    a_monitor(charger, 2, type="Periodic")
    answered(charger, "GetMonitoringReport", {"requestId": 1, **payload}, {"status": "EmptyResultSet"})
    assert ids(charger) == left


@pytest.mark.parametrize(
    ("base", "left"), [("All", {1, 2, 3, 4}), ("FactoryDefault", {2, 3, 4}), ("HardWiredOnly", {3, 4})]
)
def test_a_base_deletes_the_monitors_that_it_removes(charger, base, left):
    for monitor_id, source in enumerate((CUSTOM, PRECONFIGURED, HARDWIRED, ""), start=1):
        a_monitor(charger, monitor_id, source=source)
    answered(charger, "SetMonitoringBase", {"monitoringBase": base}, {"status": "Accepted"})
    assert ids(charger) == left
    variable = Variable.objects.get(charger=charger)
    assert (variable.component, variable.variable, variable.value) == (
        "MonitoringCtrlr",
        "ActiveMonitoringBase",
        base,
    )


def test_a_level_is_stored_if_it_is_accepted(charger):
    for severity, status in ((4, "Accepted"), (2, "Rejected")):
        answered(charger, "SetMonitoringLevel", {"severity": severity}, {"status": status})
    variable = Variable.objects.get(charger=charger)
    assert (variable.variable, variable.value, variable.readonly) == ("ActiveMonitoringLevel", "4", True)


def test_a_level_out_of_range_is_not_sent(api, charger):
    assert submit(api, charger, "SetMonitoringLevel", {"severity": 10}).status_code == 400
    assert submit(api, charger, "SetMonitoringLevel", {"severity": 9}).status_code == 202
