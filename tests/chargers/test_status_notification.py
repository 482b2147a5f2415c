"""StatusNotification (OCPP 1.6 §4.9)."""

from datetime import UTC, datetime
from itertools import product

import pytest

from chargers.models import Connector, Event, summary_status
from tests.support.builders import a_charger, tell

pytestmark = pytest.mark.django_db


def notify(charger, status="Available", connector=1, **more):
    return tell(charger, "StatusNotification", connectorId=connector, errorCode="NoError", status=status, **more)


def test_status_is_stored_with_all_members():
    charger = a_charger()
    members = {"info": "i", "vendorId": "v", "vendorErrorCode": "e", "timestamp": "2025-02-26T12:00:00Z"}
    assert notify(charger, "Faulted", **members) == {}
    connector = charger.connectors.get()
    assert (connector.status, connector.info, connector.vendor_id, connector.vendor_error_code) == (
        "Faulted",
        "i",
        "v",
        "e",
    )
    assert connector.timestamp == datetime(2025, 2, 26, 12, tzinfo=UTC)


def offline(since, until):
    """Create a charger that was offline between two hours of a day."""
    return a_charger(
        disconnected_at=datetime(2025, 2, 26, since, tzinfo=UTC),
        connected_at=datetime(2025, 2, 26, until, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("connector", "when"), [*product((0, 1), ("2024-02-26T12", "2025-02-26T11", "2099-01-01T00"))]
)
def test_the_status_received_last_is_shown_although_the_clock_is_wrong(connector, when):
    charger = offline(7, 9)
    notify(charger, "Faulted", connector, timestamp="2025-02-26T12:00:00Z")
    notify(charger, "Available", connector, timestamp=f"{when}:00:00Z")
    assert charger.connectors.get().status == "Available"


@pytest.mark.parametrize(("hour", "shown"), [(6, "Charging"), (7, "Available"), (8, "Available"), (9, "Charging")])
def test_a_status_queued_while_offline_does_not_overwrite_a_newer_one(hour, shown):
    charger = offline(7, 9)
    notify(charger, "Available", timestamp="2025-02-26T12:00:00Z")
    notify(charger, "Charging", timestamp=f"2025-02-26T{hour:02}:00:00Z")
    assert charger.connectors.get().status == shown
    statuses = [event.body["status"] for event in Event.objects.filter(kind="connector.status").order_by("pk")]
    assert statuses == (["Available", "Charging"] if shown == "Charging" else ["Available"])


def test_a_status_from_the_minute_before_the_ping_timeout_counts_as_queued():
    charger = offline(7, 9)
    notify(charger, "Available", timestamp="2025-02-26T12:00:00Z")
    notify(charger, "Charging", timestamp="2025-02-26T06:59:30Z")
    assert charger.connectors.get().status == "Available"


@pytest.mark.parametrize("timestamp", [None, "", "yesterday", "0000-00-00T00:00:00Z"])
def test_the_time_of_receipt_replaces_a_missing_time(timestamp):
    charger = offline(7, 9)
    notify(charger, "Charging", timestamp="2025-02-26T12:00:00Z")
    notify(charger, "Available", **({} if timestamp is None else {"timestamp": timestamp}))
    assert charger.connectors.get().status == "Available"


def test_a_status_received_by_a_socket_that_has_ended_is_shown():
    """The status is being stored while the charger is offline, but the charger was online when it sent it."""
    charger = offline(since=10, until=7)
    notify(charger, "Charging", timestamp="2025-02-26T12:00:00Z")
    notify(charger, "Available", timestamp="2025-02-26T09:00:00Z")
    assert charger.connectors.get().status == "Available"


def test_queued_statuses_are_shown_in_order_until_a_newer_one_is_received():
    charger = offline(7, 9)
    for hour, status in ((6, "Preparing"), (7, "Charging"), (8, "Finishing")):
        notify(charger, status, timestamp=f"2025-02-26T{hour:02}:00:00Z")
        assert charger.connectors.get().status == status


def test_a_clock_in_the_future_does_not_freeze_the_status():
    charger = a_charger()
    notify(charger, "Charging", timestamp="2099-01-01T00:00:00Z")
    notify(charger, "Available")
    assert charger.connectors.get().status == "Available"


def test_an_unreadable_timestamp_is_stored_as_text():
    charger = a_charger()
    notify(charger, timestamp="2022-02-29T00:00:00Z")
    assert charger.connectors.get().raw_timestamp == "2022-02-29T00:00:00Z"


def test_connector_0_is_a_row_of_its_own():
    charger = a_charger()
    notify(charger, "Charging", connector=1)
    notify(charger, "Available", connector=0)
    assert [c.status for c in charger.connectors.all()] == ["Available", "Charging"]


@pytest.mark.parametrize(
    ("statuses", "shown"),
    [
        ({}, "Unknown"),
        ({1: "Available", 2: "Charging"}, "Charging"),
        ({0: "Faulted", 1: "Charging"}, "Faulted"),
        ({0: "Unavailable", 1: "Faulted"}, "Unavailable"),
        ({0: "Available", 1: "Unavailable"}, "Unavailable"),
        ({1: "SuspendedEV", 2: "Finishing"}, "SuspendedEV"),
    ],
)
def test_the_most_summary_status_stands_for_the_charger(statuses, shown):
    connectors = [Connector(connector_id=number, status=status) for number, status in statuses.items()]
    assert summary_status(connectors) == shown


def test_a_repeated_status_changes_nothing():
    charger = a_charger()
    notify(charger, timestamp="2025-02-26T12:00:00Z")
    first = charger.connectors.get().received_at
    notify(charger, timestamp="2025-02-26T12:00:00Z")
    assert charger.connectors.get().received_at == first
    assert Event.objects.filter(kind="connector.status").count() == 1
    notify(charger, "Charging", timestamp="2025-02-26T12:00:00Z")
    assert Event.objects.filter(kind="connector.status").count() == 2
