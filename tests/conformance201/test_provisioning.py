"""Functional block B: boots, the device model, restarts, and network profiles."""

import pytest

from tests.support.scenario201 import Scenario
from tests.support.station import now, set_policy
from tests.support.station201 import EVSE, TOKEN, Station201

COMM, AUTH, DATA = "OCPPCommCtrlr", "AuthCtrlr", "DeviceDataCtrlr"
THRESHOLD, REMOTE_START = (COMM, "OfflineThreshold"), (AUTH, "AuthorizeRemoteStart")


def named(component, variable, instance=None, **more):
    of_variable = {"name": variable} | ({"instance": instance} if instance else {})
    return {"component": {"name": component, **more}, "variable": of_variable}


def values(station):
    """{component.variable: value}, as the API shows the device model."""
    page = station.live.get(f"/api/ocpp/chargers/{station.path}/variables/?page_size=1000")
    return {f"{row['component']}.{row['variable']}": row["value"] for row in page["results"]}


# --- boots -----------------------------------------------------------------------------------


@pytest.fixture
def pending(system):
    """A connected station whose boots are answered with Pending."""
    with Station201(system) as station:
        set_policy(station, "Pending")
        yield station.connect()


def test_tc_b_01_csms(system):
    """Cold Boot Charging Station - Accepted"""
    with Station201(system) as station:
        station.connect().booted()
        assert station.shown["registration_status"] == "Accepted"


def test_tc_b_02_csms(pending):
    """Cold Boot Charging Station - Pending"""
    answer = pending.boot()
    assert answer["status"] == "Pending" and answer["interval"] > 0
    value = {**named(*THRESHOLD), "attributeStatus": "Accepted", "attributeValue": "60"}
    asked = {"getVariableData": [named(*THRESHOLD)]}
    pending.obeys("GetVariables", asked, {"getVariableResult": [value]})
    set_policy(pending, "Accepted")
    pending.booted()
    assert pending.shown["registration_status"] == "Accepted"


@pytest.mark.parametrize("policy", ["Pending", "Rejected"])
def test_tc_b_30_csms(pending, policy):
    """Cold Boot Charging Station - Pending/Rejected - SecurityError"""
    set_policy(pending, policy)
    assert pending.boot()["status"] == policy
    status = {"timestamp": now(), "connectorStatus": "Available", "evseId": EVSE, "connectorId": 1}
    assert pending.send("StatusNotification", status)[:3:2] == [4, "SecurityError"]


def test_tc_b_31_csms(pending):
    """Cold Boot Charging Station - Pending/Rejected - TriggerMessage"""
    assert pending.boot()["status"] == "Pending"
    set_policy(pending, "Accepted")
    pending.obeys("TriggerMessage", {"requestedMessage": "BootNotification"})
    assert pending.boot("Triggered")["status"] == "Accepted"
    pending.status("Available")


# --- values ----------------------------------------------------------------------------------


def read(station, *variables):
    """The operator reads `variables`, and the station answers with 1, 2, …; the CALL is as asked."""
    wanted = [named(*variable) for variable in variables]
    results = [
        {**name, "attributeStatus": "Accepted", "attributeType": "Actual", "attributeValue": str(number)}
        for number, name in enumerate(wanted, 1)
    ]
    request, _ = station.obeys("GetVariables", {"getVariableData": wanted}, {"getVariableResult": results})
    assert request == {"getVariableData": wanted}


def test_tc_b_06_csms(station):
    """Get Variables - single value"""
    read(station, THRESHOLD)
    assert values(station) == {"OCPPCommCtrlr.OfflineThreshold": "1"}


def test_tc_b_07_csms(station):
    """Get Variables - multiple values"""
    read(station, THRESHOLD, REMOTE_START)
    assert values(station) == {"OCPPCommCtrlr.OfflineThreshold": "1", "AuthCtrlr.AuthorizeRemoteStart": "2"}


def test_tc_b_08_csms(station):
    """Get Variables - limit to maximum number of values"""
    limit = named(DATA, "ItemsPerMessage", "GetVariables")
    answer = [{**limit, "attributeStatus": "Accepted", "attributeValue": "4"}]
    station.obeys("GetVariables", {"getVariableData": [limit]}, {"getVariableResult": answer})
    wanted = [
        named(DATA, name, action)
        for name in ("ItemsPerMessage", "BytesPerMessage")
        for action in ("GetReport", "GetVariables")
    ] + [named(*REMOTE_START)]
    task = station.live.ask(station.identity, "GetVariables", {"getVariableData": wanted})
    lists = []
    for _ in range(2):
        asked = station.receive("GetVariables")["getVariableData"]
        lists.append(asked)
        station.answer(getVariableResult=[{**name, "attributeStatus": "Rejected"} for name in asked])
    assert lists == [wanted[:4], wanted[4:]]
    (other,) = station.live.get(f"/api/ocpp/commands/?follows={task['task_id']}")["results"]
    assert [station.live.finished(one)["outcome"] for one in (task, other)] == ["answered"] * 2


def change(station, *changes):
    """The operator sets (variable, value), and the station accepts; the CALL is as asked."""
    data = [{**named(*variable), "attributeValue": value} for variable, value in changes]
    results = [{**named(*variable), "attributeStatus": "Accepted"} for variable, _ in changes]
    request, _ = station.obeys("SetVariables", {"setVariableData": data}, {"setVariableResult": results})
    assert request == {"setVariableData": data}
    assert values(station) == {".".join(variable): value for variable, value in changes}


def test_tc_b_09_csms(station):
    """Set Variables - single value"""
    change(station, (THRESHOLD, "123"))


def test_tc_b_10_csms(station):
    """Set Variables - multiple values"""
    change(station, (THRESHOLD, "123"), (REMOTE_START, "false"))


# --- reports ---------------------------------------------------------------------------------


def reports(station, number, *parts):
    """Send the report with the request id `number`, whose parts are lists of (variable, value)."""
    for seq_no, part in enumerate(parts):
        data = [{**named(*variable), "variableAttribute": [{"value": value}]} for variable, value in part]
        head = {"requestId": number, "generatedAt": now(), "seqNo": seq_no, "tbc": seq_no < len(parts) - 1}
        assert station.call("NotifyReport", **head, reportData=data) == {}


def base_report(station, base):
    """The operator asks for a base report; it arrives in two parts and is shown to the operator."""
    request, task = station.obeys("GetBaseReport", {"reportBase": base})
    assert request == {"reportBase": base, "requestId": task["request_id"]} and task["request_id"] >= 0
    reports(station, task["request_id"], [(THRESHOLD, "60")], [(REMOTE_START, "true")])
    done = station.live.get(f"/api/ocpp/tasks/{task['task_id']}/?wait=30&until=completed")
    assert done["completed_at"] and len(done["report"]) == 2
    assert values(station) == {"OCPPCommCtrlr.OfflineThreshold": "60", "AuthCtrlr.AuthorizeRemoteStart": "true"}
    (shown,) = station.live.get(f"/api/ocpp/chargers/{station.path}/reports/")["results"]
    assert (shown["report_base"], shown["parts"], shown["is_complete"]) == (base, 2, True)


def test_tc_b_12_csms(station):
    """Get Base Report - ConfigurationInventory"""
    base_report(station, "ConfigurationInventory")


def test_tc_b_13_csms(station):
    """Get Base Report - FullInventory"""
    base_report(station, "FullInventory")


def test_tc_b_14_csms(station):
    """Get Base Report - SummaryInventory"""
    base_report(station, "SummaryInventory")


def test_tc_b_18_csms(station):
    """Get Custom Report - with componentCriteria and component/variables"""
    state = named("EVSE", "AvailabilityState", evse={"id": EVSE})
    empty, full = ({"componentCriteria": [criterion], "componentVariable": [state]} for criterion in PROBLEMS)
    request, task = station.obeys("GetReport", empty, {"status": "EmptyResultSet"})
    assert request == {**empty, "requestId": task["request_id"]}
    assert task["completed_at"] == task["finished_at"]
    request, task = station.obeys("GetReport", full)
    assert request == {**full, "requestId": task["request_id"]}
    data = [{**state, "variableAttribute": [{"value": "Available"}]}]
    head = {"requestId": task["request_id"], "generatedAt": now(), "seqNo": 0}
    assert station.call("NotifyReport", **head, reportData=data) == {}
    assert values(station) == {"EVSE.AvailabilityState": "Available"}
    assert station.live.finished(task)["completed_at"]


PROBLEMS = ("Problem", "Available")


# --- restarts --------------------------------------------------------------------------------


def reset(station, kind, answer, **target):
    """The operator asks for a restart; the CALL is as asked."""
    request, _ = station.obeys("Reset", {"type": kind, **target}, {"status": answer})
    assert request == {"type": kind, **target}


def charging(station):
    """Reusable state EnergyTransferStarted; the session."""
    return Scenario(station).at("charging")


def unplugged(session):
    """The driver stops and unplugs the vehicle."""
    session.send("StopAuthorized", idToken=TOKEN, info={"chargingState": "EVConnected"})
    session.ended("EVCommunicationLost", "EVDisconnected", "Idle")
    assert session.shown["stop_reason"] == "EVDisconnected"


def interrupted(session):
    """The restart ends the transaction."""
    session.ended("ResetCommand", "ImmediateReset", "EVConnected")
    assert session.shown["stop_reason"] == "ImmediateReset"


def rebooted(station, reason, *statuses):
    assert station.boot(reason)["status"] == "Accepted"
    for evse, status in enumerate(statuses, 1):
        station.status(status, evse)
    assert station.shown["boot_reason"] == reason


def test_tc_b_20_csms(station):
    """Reset Charging Station - Without ongoing transaction - OnIdle"""
    reset(station, "OnIdle", "Accepted")
    rebooted(station, "RemoteReset", "Available", "Available")


def test_tc_b_21_csms(station):
    """Reset Charging Station - With Ongoing Transaction - OnIdle"""
    session = charging(station)
    reset(station, "OnIdle", "Scheduled")
    unplugged(session)
    rebooted(station, "ScheduledReset", "Available", "Available")


def test_tc_b_22_csms(station):
    """Reset Charging Station - With Ongoing Transaction - Immediate"""
    session = charging(station)
    reset(station, "Immediate", "Accepted")
    interrupted(session)
    rebooted(station, "RemoteReset", "Occupied", "Available")


def test_tc_b_25_csms(station):
    """Reset EVSE - Without ongoing transaction"""
    reset(station, "OnIdle", "Accepted", evseId=EVSE)


def test_tc_b_26_csms(station):
    """Reset EVSE - With Ongoing Transaction - OnIdle"""
    session = charging(station)
    reset(station, "OnIdle", "Scheduled", evseId=EVSE)
    unplugged(session)


def test_tc_b_27_csms(station):
    """Reset EVSE - With Ongoing Transaction - Immediate"""
    session = charging(station)
    reset(station, "Immediate", "Accepted", evseId=EVSE)
    interrupted(session)


# --- network profiles ------------------------------------------------------------------------

CONNECTION = {
    **{"messageTimeout": 30, "ocppCsmsUrl": "wss://csms.example/ocpp", "ocppInterface": "Wired0"},
    **{"ocppTransport": "JSON", "ocppVersion": "OCPP20", "securityProfile": 2},
}


def set_network(station, answer):
    """The operator sets slot 1; the CALL is as asked. Returns the slot as the API shows it."""
    asked = {"configurationSlot": 1, "connectionData": CONNECTION}
    request, _ = station.obeys("SetNetworkProfile", asked, {"status": answer})
    assert request == asked
    (shown,) = station.live.get(f"/api/ocpp/network-profiles/?charger_id={station.path}")["results"]
    assert (shown["slot"], shown["status"]) == (1, answer)
    return shown


def test_tc_b_42_csms(station):
    """Set new NetworkConnectionProfile - Accepted"""
    assert set_network(station, "Accepted")["connection"] == CONNECTION


def test_tc_b_44_csms(station):
    """Set new NetworkConnectionProfile - Failed"""
    assert set_network(station, "Failed")["connection"] is None
