"""Functional block N: monitors, their events, and customer information."""

from contextlib import suppress

from tests.support.live import eventually
from tests.support.station import now
from tests.support.station201 import TOKEN

EVSE = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "AvailabilityState"}}
STATION = {"component": {"name": "ChargingStation"}, "variable": {"name": "AvailabilityState"}}
POWER = {"component": {"name": "ChargingStation"}, "variable": {"name": "Power"}}
EVSE_POWER = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power"}}
DELTA = {"value": 1, "type": "Delta", "severity": 8}
CERTIFICATE = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "0" * 64,
    "issuerKeyHash": "1" * 64,
    "serialNumber": "ABC1",
}


def shown(station):
    """The monitors as the API shows them: {(component, EVSE, variable): type}."""
    rows = station.live.get(f"/api/ocpp/monitors/?charger_id={station.path}")["results"]
    return {(row["component"], row["evse_id"], row["variable"]): row["type"] for row in rows}


def asks_for_report(station, status="Accepted", **criteria):
    """The operator asks for a report; its request id. The CALL is as asked, without what was not asked for."""
    request, task = station.obeys("GetMonitoringReport", criteria, {"status": status})
    assert request == {"requestId": task["request_id"], **criteria}
    assert (task["completed_at"] is None) == (status == "Accepted")
    return task


def reports(station, task, *parts):
    """The station reports one list of monitors in each part, and the task is completed by the last."""
    for seq_no, monitors in enumerate(parts):
        more = {"tbc": True} if seq_no < len(parts) - 1 else {}
        head = {"requestId": task["request_id"], "seqNo": seq_no, "generatedAt": now()}
        assert station.call("NotifyMonitoringReport", **head, **more, monitor=monitors) == {}
    completed = station.live.get(f"/api/ocpp/tasks/{task['task_id']}/?wait=10&until=completed")
    assert completed["completed_at"]
    assert completed["report"] == [monitor for part in parts for monitor in part]


def a_monitor(variable, number, kind="Delta"):
    setting = {"id": number, "transaction": False, "value": 1, "type": kind, "severity": 4}
    return {**variable, "variableMonitoring": [setting]}


# --- reports ---------------------------------------------------------------------------------


def test_tc_n_01_csms(station):
    """Get Monitoring Report - with monitoringCriteria"""
    asks_for_report(station, "EmptyResultSet", monitoringCriteria=["DeltaMonitoring"])
    task = asks_for_report(station, monitoringCriteria=["ThresholdMonitoring"])
    upper, lower = a_monitor(POWER, 1, "UpperThreshold"), a_monitor(EVSE_POWER, 2, "LowerThreshold")
    reports(station, task, [upper], [lower])
    assert shown(station) == {
        ("ChargingStation", None, "Power"): "UpperThreshold",
        ("EVSE", 1, "Power"): "LowerThreshold",
    }


def test_tc_n_02_csms(station):
    """Get Monitoring Report - with component/variable"""
    asks_for_report(station, "EmptyResultSet", componentVariable=[POWER])
    task = asks_for_report(station, componentVariable=[EVSE])
    reports(station, task, [a_monitor(EVSE, 1)])
    assert shown(station) == {("EVSE", 1, "AvailabilityState"): "Delta"}


def test_tc_n_03_csms(station):
    """Get Monitoring Report - with component criteria and component/variable"""
    asks_for_report(station, "EmptyResultSet", monitoringCriteria=["DeltaMonitoring"], componentVariable=[EVSE])
    task = asks_for_report(station, monitoringCriteria=["ThresholdMonitoring"], componentVariable=[POWER])
    reports(station, task, [a_monitor(POWER, 1, "UpperThreshold")], [a_monitor(POWER, 2, "UpperThreshold")])
    assert shown(station) == {("ChargingStation", None, "Power"): "UpperThreshold"}


def test_tc_n_47_csms(station):
    """Get Monitoring report - Report all"""
    task = asks_for_report(station)
    reports(station, task, [a_monitor(POWER, 1, "Periodic")], [a_monitor(EVSE, 2)])
    assert len(shown(station)) == 2


def test_tc_n_60_csms(station):
    """Get Monitoring Report - with component criteria and list of components/variables"""
    asks_for_report(
        station,
        "EmptyResultSet",
        monitoringCriteria=["ThresholdMonitoring"],
        componentVariable=[POWER, EVSE_POWER],
    )
    task = asks_for_report(station, monitoringCriteria=["DeltaMonitoring"], componentVariable=[STATION, EVSE])
    reports(station, task, [a_monitor(STATION, 1), a_monitor(EVSE, 2)])
    assert shown(station) == {
        ("ChargingStation", None, "AvailabilityState"): "Delta",
        ("EVSE", 1, "AvailabilityState"): "Delta",
    }


# --- setting and clearing --------------------------------------------------------------------


def test_tc_n_05_csms(station):
    """Set Monitoring Base - success"""
    for base in ("All", "FactoryDefault", "HardWiredOnly"):
        request, _ = station.obeys("SetMonitoringBase", {"monitoringBase": base})
        assert request == {"monitoringBase": base}


def sets(station, *variables):
    """The operator sets a Delta monitor of each variable, which the station accepts."""
    asked = {"setMonitoringData": [DELTA | variable for variable in variables]}
    results = [
        {"id": number, "status": "Accepted", "type": "Delta", "severity": 8, **variable}
        for number, variable in enumerate(variables)
    ]
    request, _ = station.obeys("SetVariableMonitoring", asked, {"setMonitoringResult": results})
    assert request == asked


def test_tc_n_08_csms(station):
    """Set Variable Monitoring - One SetMonitoringData element"""
    sets(station, EVSE)
    assert shown(station) == {("EVSE", 1, "AvailabilityState"): "Delta"}


def test_tc_n_09_csms(station):
    """Set Variable Monitoring - Multiple elements on different component and variable"""
    sets(station, EVSE, STATION)
    assert len(shown(station)) == 2


def test_tc_n_16_csms(station):
    """Set Monitoring Level - Success"""
    request, _ = station.obeys("SetMonitoringLevel", {"severity": 4})
    assert request == {"severity": 4}


def test_tc_n_17_csms(station):
    """Set Monitoring Level - Out of range"""
    request, task = station.obeys("SetMonitoringLevel", {"severity": 4}, {"status": "Rejected"})
    assert request == {"severity": 4}
    assert task["completed_at"] == task["finished_at"]


def cleared(*ids, status="Accepted"):
    return {"clearMonitoringResult": [{"id": number, "status": status} for number in ids]}


def test_tc_n_18_csms(station):
    """Clear Monitoring - Too many elements"""
    limit = {
        "component": {"name": "MonitoringCtrlr"},
        "variable": {"name": "ItemsPerMessage", "instance": "ClearVariableMonitoring"},
    }
    value = {"attributeStatus": "Accepted", "attributeValue": "2"}
    station.obeys("GetVariables", {"getVariableData": [limit]}, {"getVariableResult": [limit | value]})
    request, task = station.obeys("ClearVariableMonitoring", {"id": [1, 2, 3, 4, 5]}, cleared(1, 2))
    sent = [request["id"]]
    for _ in range(2):
        sent.append(station.receive("ClearVariableMonitoring")["id"])
        station.answer(**cleared(*sent[-1], status="NotFound"))
    assert sent == [[1, 2], [3, 4], [5]]
    station.is_left_alone()


def test_tc_n_44_csms(station):
    """Clear Monitoring - Rejected"""
    sets(station, EVSE)
    request, _ = station.obeys("ClearVariableMonitoring", {"id": [0]}, cleared(0, status="Rejected"))
    assert request == {"id": [0]}
    assert len(shown(station)) == 1


# --- events ----------------------------------------------------------------------------------


def notified(station, **members):
    """The station sends two messages with one event each; the second event as the API shows it."""
    for number in (1, 2):
        event = {
            **{"eventId": number, "timestamp": now(), "trigger": "Alerting", "actualValue": "1"},
            **{"eventNotificationType": "HardWiredMonitor", "variableMonitoringId": 1, **POWER, **members},
        }
        assert station.call("NotifyEvent", generatedAt=now(), seqNo=0, eventData=[event]) == {}
    newest, _ = station.live.get(f"/api/ocpp/monitoring-events/?charger_id={station.path}")["results"]
    assert (newest["event_id"], newest["component"], newest["variable"]) == (2, "ChargingStation", "Power")
    return newest


def test_tc_n_21_csms(station):
    """Alert Event - HardWiredMonitor"""
    assert notified(station)["notification_type"] == "HardWiredMonitor"


def test_tc_n_24_csms(station):
    """Set Variable Monitoring - Periodic event"""
    periodic = {"trigger": "Periodic", "eventNotificationType": "CustomMonitor"}
    assert notified(station, **periodic)["trigger"] == "Periodic"


def test_tc_n_48_csms(station):
    """Alert Event - Variable monitoring on write only"""
    assert notified(station, actualValue="")["actual_value"] == ""


def test_tc_n_49_csms(station):
    """Alert Event - LowerThreshold/UpperThreshold cleared after reboot"""
    assert notified(station, cleared=True)["cleared"] is True


def test_tc_n_50_csms(station):
    """Alert Event - Periodic Triggered"""
    assert notified(station, trigger="Periodic")["trigger"] == "Periodic"


# --- customer information --------------------------------------------------------------------


def asks_for_customer(station, status="Accepted", report=True, clear=False, **customer):
    customer = customer or {"idToken": TOKEN}
    asked = {"report": report, "clear": clear, **customer}
    request, task = station.obeys("CustomerInformation", asked, {"status": status})
    assert request == {"requestId": task["request_id"], **asked}
    return task


def informs(station, task, *texts):
    """The station sends each text in a message, and the task shows all."""
    for seq_no, text in enumerate(texts):
        more = {"tbc": True} if seq_no < len(texts) - 1 else {}
        head = {"requestId": task["request_id"], "seqNo": seq_no, "generatedAt": now()}
        assert station.call("NotifyCustomerInformation", **head, **more, data=text) == {}
    completed = station.live.get(f"/api/ocpp/tasks/{task['task_id']}/?wait=10&until=completed")
    assert completed["completed_at"]
    assert completed["report"] == "".join(texts)


def test_tc_n_27_csms(station):
    """Get Customer Information - Accepted + data"""
    informs(station, asks_for_customer(station), "Jane ", "Doe")


def test_tc_n_28_csms(station):
    """Get Customer Information - Accepted + no data"""
    informs(station, asks_for_customer(station), "")


def test_tc_n_29_csms(station):
    """Get Customer Information - Not Accepted"""
    task = asks_for_customer(station, "Rejected")
    assert task["completed_at"] == task["finished_at"]


def test_tc_n_30_csms(station):
    """Clear Customer Information - Clear and report + data"""
    informs(station, asks_for_customer(station, clear=True), "Jane Doe")


def test_tc_n_31_csms(station):
    """Clear Customer Information - Clear and report + no data"""
    informs(station, asks_for_customer(station, clear=True), "")


def test_tc_n_32_csms(station):
    """Clear Customer Information - Clear and no report"""
    informs(station, asks_for_customer(station, report=False, clear=True), "cleared")


def test_tc_n_62_csms(station):
    """Clear Customer Information - Clear and report - customerIdentifier"""
    informs(station, asks_for_customer(station, clear=True, customerIdentifier="OpenChargeAlliance"), "Jane Doe")


def test_tc_n_63_csms(station):
    """Clear Customer Information - Clear and report - customerCertificate"""
    informs(station, asks_for_customer(station, clear=True, customerCertificate=CERTIFICATE), "Jane Doe")


def test_tc_n_46_csms(station):
    """Clear Customer Information - Update Local Authorization List"""
    path = f"/api/ocpp/local-lists/{station.path}/"
    listed = [{"idToken": TOKEN, "idTokenInfo": {"status": "Accepted"}}]
    full = {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": listed}
    station.obeys("SendLocalList", full)
    assert len(station.live.get(path)["entries"]) == 1
    informs(station, asks_for_customer(station, clear=True), "Jane Doe")
    removed = [{"idToken": TOKEN}]
    update = station.receive("SendLocalList")
    assert update == {"versionNumber": 2, "updateType": "Differential", "localAuthorizationList": removed}
    station.answer(status="Accepted")
    eventually(lambda: station.live.get(path)["entries"] == [])
    with suppress(TimeoutError):  # the central system reads the version back, and sends nothing else
        while station.receive("GetLocalListVersion", timeout=2) == {}:
            station.answer(versionNumber=2)
