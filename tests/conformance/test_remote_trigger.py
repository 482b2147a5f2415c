"""Triggers (2 cases)."""

import pytest

from tests.support.station import ACCEPTED, CONNECTOR, now


def trigger(station, message, answer="Accepted", **more):
    payload = {"requestedMessage": message, **more}
    request, _ = station.obeys("TriggerMessage", payload, {"status": answer})
    assert request == payload


@pytest.mark.parametrize("firmware", ["Accepted", "NotImplemented"])
def test_tc_054_each_message_that_can_be_triggered(station, firmware):
    trigger(station, "MeterValues", connectorId=CONNECTOR)
    values = [{"timestamp": now(), "sampledValue": [{"value": "1500", "context": "Trigger"}]}]
    assert station.call("MeterValues", connectorId=CONNECTOR, meterValue=values) == {}
    trigger(station, "Heartbeat")
    assert station.call("Heartbeat")["currentTime"]
    trigger(station, "StatusNotification", connectorId=CONNECTOR)
    station.status("Available")
    trigger(station, "DiagnosticsStatusNotification")
    assert station.call("DiagnosticsStatusNotification", status="Idle") == {}
    trigger(station, "FirmwareStatusNotification", firmware)
    if firmware == "Accepted":
        assert station.call("FirmwareStatusNotification", status="Idle") == {}
    kept = station.live.rows(
        "SELECT context FROM transactions_metervalue WHERE charger_id = %s", station.primary_key()
    )
    assert kept == [("Trigger",)] and station.shown["diagnostics_status"] == "Idle"


def test_tc_055_a_trigger_is_rejected(station):
    trigger(station, "MeterValues", "Rejected")
    station.is_left_alone()
    assert station.obeys("ClearCache", {})[1]["response"] == ACCEPTED
