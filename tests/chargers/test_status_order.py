"""The status received last is shown, whatever the clock of the charger says."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from core.ocpp.timestamps import to_rfc3339
from tests.support.live import eventually


def now(**later):
    return to_rfc3339(datetime.now(UTC) + timedelta(**later))


def notify(charger, status, timestamp=None, connector=1):
    payload = {"connectorId": connector, "errorCode": "NoError", "status": status}
    charger.call("StatusNotification", payload | ({"timestamp": timestamp} if timestamp else {}))


def shown(charger):
    return [connector["status"] for connector in charger.shown["connectors"]]


def events_of(charger):
    path = f"/api/ocpp/events/?charger_id={charger.identity}&kind=connector.status"
    return [event["body"]["status"] for event in charger.live.get(path)["results"]][::-1]


@pytest.mark.parametrize("connector", [0, 1])
@pytest.mark.parametrize(
    "clock",
    [{"days": -365}, {"hours": -2}, {"hours": 2}, {"hours": -1}, {"hours": 1}],
    ids=["last year", "west", "east", "summer time", "winter time"],
)
def test_the_status_after_a_reboot_is_shown_despite_a_wrong_clock(charger, connector, clock):
    notify(charger, "Charging", now(), connector)
    charger.reconnect()
    charger.call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    notify(charger, "Available", now(**clock), connector)
    assert shown(charger) == ["Available"]
    notify(charger, "Charging", now(**clock), connector)
    notify(charger, "Available", connector=connector)
    assert shown(charger) == ["Available"]
    eventually(lambda: events_of(charger) == ["Charging", "Available"] * 2)


@pytest.mark.parametrize("closes", [True, False], ids=["with a close", "without a close"])
def test_a_status_queued_offline_does_not_replace_a_newer_one(charger, closes):
    """Without a close, the socket is still open here when the charger reconnects."""
    notify(charger, "Preparing", now())
    eventually(lambda: charger.shown["last_seen"] > charger.shown["connected_at"])
    if closes:
        charger.open.close()
        eventually(lambda: not charger.shown["connected"])
    time.sleep(0.1)
    while_offline = now()
    charger.connect()
    notify(charger, "Available", now())
    notify(charger, "Charging", while_offline)
    assert shown(charger) == ["Available"]
    notify(charger, "Finishing", "2020-01-01T00:00:00Z")
    assert shown(charger) == ["Finishing"]
    eventually(lambda: events_of(charger) == ["Preparing", "Available", "Finishing"])
