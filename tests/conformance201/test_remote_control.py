"""Functional block F: remote starts, unlocking, and triggered messages."""

from contextlib import contextmanager

from tests.support.scenario201 import Scenario
from tests.support.station201 import EVSE, TOKEN, a_meter_value

CONNECTOR = {"id": EVSE, "connectorId": 1}


def started_remotely(station, session=None):
    """The operator starts a transaction; the task, and the remoteStartId of the CALL."""
    asked = {"idToken": TOKEN, "evseId": EVSE}
    answer = {"status": "Accepted"} | ({"transactionId": session.reference} if session else {})
    request, task = station.obeys("RequestStartTransaction", asked, answer)
    assert request == {**asked, "remoteStartId": request["remoteStartId"]}
    return task, request["remoteStartId"]


def is_of(task, station, session):
    """The transaction is linked to the command by the remoteStartId."""
    shown = session.shown
    assert (shown["status"], shown["id_tag"]) == ("Ongoing", TOKEN["idToken"])
    assert station.live.get(f"/api/ocpp/tasks/{task['task_id']}/")["transaction_id"] == shown["transaction_id"]


@contextmanager
def triggered(station, message, evse=None):
    """The operator triggers `message`, and the station sends it in the block."""
    asked = {"requestedMessage": message} | ({"evse": evse} if evse else {})
    request, _ = station.obeys("TriggerMessage", asked)
    assert request == asked
    yield
    station.is_left_alone()


def meter_values(station, *evses):
    for evse in evses:
        assert station.call("MeterValues", evseId=evse, meterValue=[a_meter_value(500 + evse, "Trigger")]) == {}


def transaction_event(session):
    session.send("Trigger", info={"chargingState": "Charging"}, meterValue=[a_meter_value(1500, "Trigger")])
    shown = session.shown
    assert (shown["status"], shown["charging_state"]) == ("Ongoing", "Charging")
    readings = session.station.readings(shown["transaction_id"])
    assert "Trigger" in {reading["context"] for reading in readings}


def test_tc_f_01_csms(station):
    """Remote start transaction - Cable plugin first"""
    session = Scenario(station)
    session.plugged_in()
    task, start_id = started_remotely(station, session)
    info = {"remoteStartId": start_id}
    answer = session.send("RemoteStart", info=info, idToken=TOKEN)
    assert answer["idTokenInfo"]["status"] == "Accepted"
    session.reached.add("authorized")
    session.charging()
    is_of(task, station, session)


def test_tc_f_02_csms(station):
    """Remote start transaction - Remote start first - AuthorizeRemoteStart is true"""
    session = Scenario(station)
    task, start_id = started_remotely(station)
    station.authorized()
    session.send("RemoteStart", info={"remoteStartId": start_id}, idToken=TOKEN)
    session.reached.add("authorized")
    session.charging()
    is_of(task, station, session)


def test_tc_f_03_csms(station):
    """Remote start transaction - Remote start first - AuthorizeRemoteStart is false"""
    session = Scenario(station)
    task, start_id = started_remotely(station)
    session.send("RemoteStart", info={"remoteStartId": start_id}, idToken=TOKEN)
    session.reached.add("authorized")
    session.charging()
    is_of(task, station, session)


def test_tc_f_04_csms(station):
    """Remote start transaction - Remote start first - Cable plugin timeout"""
    session = Scenario(station)
    task, start_id = started_remotely(station)
    session.send("RemoteStart", info={"remoteStartId": start_id}, idToken=TOKEN)
    session.send("EVConnectTimeout")
    is_of(task, station, session)


def test_tc_f_06_csms(station):
    """Remote unlock Connector - Without ongoing transaction - Accepted"""
    asked = {"evseId": EVSE, "connectorId": 1}
    request, _ = station.obeys("UnlockConnector", asked, {"status": "Unlocked"})
    assert request == asked


def test_tc_f_11_csms(station):
    """Trigger message - MeterValues - Specific EVSE"""
    with triggered(station, "MeterValues", {"id": EVSE}):
        meter_values(station, EVSE)


def test_tc_f_12_csms(station):
    """Trigger message - MeterValues - All EVSE"""
    with triggered(station, "MeterValues"):
        meter_values(station, 1, 2)


def test_tc_f_13_csms(station):
    """Trigger message - TransactionEvent - Specific EVSE"""
    session = Scenario(station).charging()
    with triggered(station, "TransactionEvent", {"id": EVSE}):
        transaction_event(session)


def test_tc_f_14_csms(station):
    """Trigger message - TransactionEvent - All EVSE"""
    session = Scenario(station).charging()
    with triggered(station, "TransactionEvent"):
        transaction_event(session)


def test_tc_f_15_csms(station):
    """Trigger message - LogStatusNotification - Idle"""
    with triggered(station, "LogStatusNotification"):
        assert station.call("LogStatusNotification", status="Idle") == {}
    assert station.shown["log_status"] == "Idle"


def test_tc_f_18_csms(station):
    """Trigger message - FirmwareStatusNotification - Idle"""
    with triggered(station, "FirmwareStatusNotification"):
        assert station.call("FirmwareStatusNotification", status="Idle") == {}
    assert station.shown["firmware_status"] == "Idle"


def test_tc_f_20_csms(station):
    """Trigger message - Heartbeat"""
    with triggered(station, "Heartbeat"):
        assert station.call("Heartbeat")["currentTime"].endswith("Z")


def test_tc_f_23_csms(station):
    """Trigger message - StatusNotification - Specific EVSE - Available"""
    with triggered(station, "StatusNotification", CONNECTOR):
        station.status("Available")
    assert station.shown["evses"][0]["connectors"][0]["status"] == "Available"


def test_tc_f_24_csms(station):
    """Trigger message - StatusNotification - Specific EVSE - Occupied"""
    station.status("Occupied")
    with triggered(station, "StatusNotification", CONNECTOR):
        station.status("Occupied")
    assert station.shown["evses"][0]["connectors"][0]["status"] == "Occupied"


def test_tc_f_27_csms(station):
    """Trigger message - NotImplemented"""
    answer = {"status": "NotImplemented"}
    _, task = station.obeys("TriggerMessage", {"requestedMessage": "SignCombinedCertificate"}, answer)
    assert task["result"] == answer
