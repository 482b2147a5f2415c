"""The status that arrives last is shown, whatever the clock of the charger says."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.live import an_id, eventually, exchange


def notify(socket, status, timestamp=None, connector=1):
    payload = {"connectorId": connector, "errorCode": "NoError", "status": status}
    payload |= {"timestamp": timestamp} if timestamp else {}
    assert exchange(socket, f"{status} {datetime.now(UTC).timestamp()}", "StatusNotification", payload)[0] == 3


def shown(live, charger_id):
    return [connector["status"] for connector in live.get(f"/api/ocpp/chargers/{charger_id}/")["connectors"]]


def wire(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.mark.parametrize("connector", [0, 1])
@pytest.mark.parametrize("hours", [-366 * 24, -2, -1, 1, 5, None])
def test_after_a_reboot_the_clock_may_be_anything(live, connector, hours):
    charger_id, now = an_id(), datetime.now(UTC)
    with live.socket(charger_id) as socket:
        notify(socket, "Charging", wire(now), connector)
    eventually(lambda: not live.get(f"/api/ocpp/chargers/{charger_id}/")["connected"])
    with live.socket(charger_id) as socket:
        notify(socket, "Available", hours and wire(now + timedelta(hours=hours)), connector)
    assert shown(live, charger_id) == ["Available"]


def test_what_was_queued_offline_does_not_overwrite_what_is_newer(live):
    charger_id = an_id()
    with live.socket(charger_id) as socket:
        notify(socket, "Preparing", wire(datetime.now(UTC)))
    (left,) = eventually(lambda: live.rows(ENDED, charger_id))
    with live.socket(charger_id) as socket:
        notify(socket, "Available", wire(datetime.now(UTC)))
        notify(socket, "Charging", wire(left[0] + timedelta(milliseconds=1)))
        assert shown(live, charger_id) == ["Available"]
        notify(socket, "Finishing", "2020-01-01T00:00:00Z")
    assert shown(live, charger_id) == ["Finishing"]
    told = live.get(f"/api/ocpp/events/?charger_id={charger_id}&kind=connector.status")["results"]
    assert sorted(event["body"]["status"] for event in told) == ["Available", "Finishing", "Preparing"]


ENDED = "SELECT disconnected_at FROM chargers_charger WHERE charger_id = %s AND disconnected_at > connected_at"
