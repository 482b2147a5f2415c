"""BootNotification, Heartbeat and StatusNotification of OCPP 2.0.1, at the wire and in the API."""

import pytest

from tests.support.station201 import Station201


@pytest.fixture
def station(live):
    with Station201(live) as station:
        yield station.connect()


def test_a_boot_is_accepted_and_stored(station):
    assert station.socket.subprotocol == "ocpp2.0.1"
    answer = station.boot("Watchdog", modem={"iccid": "8931", "imsi": "262"})
    assert (answer["status"], answer["interval"]) == ("Accepted", 300)
    shown = station.shown
    assert (shown["ocpp_version"], shown["vendor"], shown["firmware_version"]) == ("ocpp2.0.1", "Tool", "1.0")
    assert (shown["boot_reason"], shown["iccid"], shown["imsi"]) == ("Watchdog", "8931", "262")
    assert "currentTime" in station.call("Heartbeat")


def test_connectors_are_shown_by_evse(station):
    station.booted()
    station.status("Occupied", evse=2)
    station.status("Available", evse=2, connector=2)
    evses = {
        evse["evse_id"]: {c["connector_id"]: c["status"] for c in evse["connectors"]}
        for evse in station.shown["evses"]
    }
    assert evses == {1: {1: "Available"}, 2: {1: "Occupied", 2: "Available"}}


def test_a_command_of_2_0_1_is_sent_and_answered(station):
    station.booted()
    request, task = station.obeys("Reset", {"type": "OnIdle"}, {"status": "Scheduled"})
    assert (request, task["ocpp_version"]) == ({"type": "OnIdle"}, "ocpp2.0.1")
