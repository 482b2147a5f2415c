"""Functional block G: the status of connectors, and changes of availability."""

from tests.support.scenario201 import Scenario
from tests.support.station import now
from tests.support.station201 import EVSE

EVERYTHING, ONE_EVSE, CONNECTOR = {}, {"evse": {"id": EVSE}}, {"evse": {"id": EVSE, "connectorId": 1}}
AVAILABILITY = {"Inoperative": "Unavailable", "Operative": "Available"}


def change(station, target, status, answer="Accepted"):
    """The operator asks for `status`; the CALL is as asked."""
    asked = {"operationalStatus": status, **target}
    request, _ = station.obeys("ChangeAvailability", asked, {"status": answer})
    assert request == asked


def shown(station):
    """{EVSE: status of its first connector}, as the API shows it."""
    return {evse["evse_id"]: evse["connectors"][0]["status"] for evse in station.shown["evses"]}


def changed(station, target, status):
    """The operator asks, and the station reports the connectors that changed; their status is what is shown."""
    change(station, target, status)
    evses = [EVSE] if target else [1, 2]
    for evse in evses:
        station.status(AVAILABILITY[status], evse)
    assert {shown(station)[evse] for evse in evses} == {AVAILABILITY[status]}


def changed_after_the_session(station, target):
    """The operator asks during a session; the station becomes unavailable once it is over."""
    session = Scenario(station).charging()
    change(station, target, "Inoperative", "Scheduled")
    if not target:
        station.status("Unavailable", 2)
    session.unplugged()
    station.status("Unavailable", EVSE)
    assert session.shown["status"] == "Completed"
    assert {evse["evse_id"]: evse["connectors"][0]["status"] for evse in station.shown["evses"]}[
        EVSE
    ] == "Unavailable"


def test_tc_g_03_csms(station):
    """Change Availability EVSE - Operative to inoperative"""
    changed(station, ONE_EVSE, "Inoperative")


def test_tc_g_04_csms(station):
    """Change Availability EVSE - Inoperative to operative"""
    changed(station, ONE_EVSE, "Inoperative")
    changed(station, ONE_EVSE, "Operative")


def test_tc_g_05_csms(station):
    """Change Availability Charging Station - Operative to inoperative"""
    changed(station, EVERYTHING, "Inoperative")


def test_tc_g_06_csms(station):
    """Change Availability Charging Station - Inoperative to operative"""
    changed(station, EVERYTHING, "Inoperative")
    changed(station, EVERYTHING, "Operative")


def test_tc_g_07_csms(station):
    """Change Availability Connector - Operative to inoperative"""
    changed(station, CONNECTOR, "Inoperative")


def test_tc_g_08_csms(station):
    """Change Availability Connector - Inoperative to operative"""
    changed(station, CONNECTOR, "Inoperative")
    changed(station, CONNECTOR, "Operative")


def test_tc_g_11_csms(station):
    """Change Availability EVSE - With ongoing transaction"""
    changed_after_the_session(station, ONE_EVSE)


def test_tc_g_14_csms(station):
    """Change Availability Charging Station - With ongoing transaction"""
    changed_after_the_session(station, EVERYTHING)


def test_tc_g_17_csms(station):
    """Change Availability Connector - With ongoing transaction"""
    changed_after_the_session(station, CONNECTOR)


def test_tc_g_20_csms(station):
    """Connector status Notification - Lock Failure"""
    event = {
        "eventId": 1,
        "timestamp": now(),
        "trigger": "Delta",
        "actualValue": "true",
        "eventNotificationType": "HardWiredNotification",
        "component": {"name": "ConnectorPlugRetentionLock", "evse": {"id": EVSE, "connectorId": 1}},
        "variable": {"name": "Problem"},
    }
    assert station.call("NotifyEvent", generatedAt=now(), seqNo=0, eventData=[event]) == {}
