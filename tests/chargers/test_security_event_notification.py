"""SecurityEventNotification and LogStatusNotification (security whitepaper §5.13, §5.15)."""

import pytest

from tests.support.builders import NOON, a_charger, tell

pytestmark = pytest.mark.django_db


def test_a_security_event_is_stored_with_all_members(api):
    charger = a_charger()
    assert tell(charger, "SecurityEventNotification", type="FirmwareUpdated", timestamp=NOON, techInfo="2.0") == {}
    (event,) = api.get(f"/api/ocpp/security-events/?charger_id={charger}").json()["results"]
    assert (event["type"], event["timestamp"], event["tech_info"]) == ("FirmwareUpdated", NOON, "2.0")


def test_an_event_with_an_invalid_time_is_stored():
    charger = a_charger()
    tell(charger, "SecurityEventNotification", type="X", timestamp="soon")
    event = charger.security_events.get()
    assert event.raw_timestamp == "soon"
    assert event.timestamp == event.received_at


def test_the_latest_log_status_is_stored_with_the_charger():
    charger = a_charger()
    tell(charger, "LogStatusNotification", status="Uploading", requestId=1)
    charger.refresh_from_db()
    assert charger.log_status == "Uploading"
    assert charger.log_status_at
