"""StatusNotification (OCPP 1.6 §4.9)."""

from datetime import UTC, datetime

import pytest

from chargers.models import Connector, telling_status
from tests.builders import a_charger, tell

pytestmark = pytest.mark.django_db


def notify(charger, status="Available", connector=1, **more):
    return tell(charger, "StatusNotification", connectorId=connector, errorCode="NoError", status=status, **more)


def test_status_is_kept_with_all_it_says():
    charger = a_charger()
    said = {"info": "i", "vendorId": "v", "vendorErrorCode": "e", "timestamp": "2025-02-26T12:00:00Z"}
    assert notify(charger, "Faulted", **said) == {}
    connector = charger.connectors.get()
    assert (connector.status, connector.info, connector.vendor_id, connector.vendor_error_code) == (
        "Faulted",
        "i",
        "v",
        "e",
    )
    assert connector.timestamp == datetime(2025, 2, 26, 12, tzinfo=UTC)


def test_a_late_notification_does_not_overwrite_a_newer_one():
    charger = a_charger()
    notify(charger, "Charging", timestamp="2025-02-26T12:00:00Z")
    notify(charger, "Preparing", timestamp="2025-02-26T11:00:00Z")
    assert charger.connectors.get().status == "Charging"


def test_of_two_at_the_same_moment_the_later_arrival_wins():
    charger = a_charger()
    notify(charger, "Preparing", timestamp="2025-02-26T12:00:00Z")
    notify(charger, "Charging", timestamp="2025-02-26T12:00:00Z")
    assert charger.connectors.get().status == "Charging"


def test_a_clock_in_the_future_does_not_freeze_the_status():
    charger = a_charger()
    notify(charger, "Charging", timestamp="2099-01-01T00:00:00Z")
    notify(charger, "Available")
    assert charger.connectors.get().status == "Available"


def test_an_unreadable_timestamp_is_kept_as_text():
    charger = a_charger()
    notify(charger, timestamp="2022-02-29T00:00:00Z")
    assert charger.connectors.get().raw_timestamp == "2022-02-29T00:00:00Z"


def test_connector_0_is_a_row_of_its_own():
    charger = a_charger()
    notify(charger, "Charging", connector=1)
    notify(charger, "Available", connector=0)
    assert [c.status for c in charger.connectors.all()] == ["Available", "Charging"]


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        ({}, "Unknown"),
        ({1: "Available", 2: "Charging"}, "Charging"),
        ({0: "Faulted", 1: "Charging"}, "Faulted"),
        ({0: "Unavailable", 1: "Faulted"}, "Unavailable"),
        ({0: "Available", 1: "Unavailable"}, "Unavailable"),
        ({1: "SuspendedEV", 2: "Finishing"}, "SuspendedEV"),
    ],
)
def test_the_most_telling_status_stands_for_the_charger(statuses, told):
    connectors = [Connector(connector_id=number, status=status) for number, status in statuses.items()]
    assert telling_status(connectors) == told
