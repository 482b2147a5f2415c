"""Reservations over REST, and their ends (OCPP 1.6 §5.13)."""

from datetime import UTC, datetime, timedelta

import pytest

from chargers.models import Charger
from commands.actions.ocpp16.table import ACTIONS
from core.ocpp.timestamps import to_rfc3339
from tests.support.builders import a_charger, a_command, a_start, a_tag, tell
from transactions.models import Reservation

pytestmark = pytest.mark.django_db
BASE = "/api/ocpp/reservations/"


def a_reservation(charger=None, seconds=600, **columns):
    columns = {"connector_id": 1, "id_tag": "ABC", "state": Reservation.ACTIVE, **columns}
    expiry = datetime.now(UTC) + timedelta(seconds=seconds)
    return Reservation.objects.create(charger=charger or a_charger(), expiry_date=expiry, **columns)


def test_a_reservation_is_created_changed_and_deleted(api):
    charger = a_charger("505")
    body = {"charger_id": "505", "connector_id": 1, "id_tag": "ABC", "expiry_date": "2036-01-01T00:00:00Z"}
    made = api.post(BASE, body, "application/json")
    assert (made.status_code, made.json()["status"], made.json()["charger_id"]) == (201, "Inactive", "505")
    page = f"{BASE}{made.json()['id']}/"
    assert api.patch(page, {"id_tag": "DEF"}, "application/json").json()["id_tag"] == "DEF"
    assert api.put(page, body, "application/json").json()["id_tag"] == "ABC"
    assert [r["id"] for r in api.get(f"{BASE}?charger_id=505&connector_id=1").json()["results"]] == [
        made.json()["id"]
    ]
    assert api.delete(page).status_code == 204
    assert not charger.reservations.exists()


def test_an_invalid_reservation_is_refused_with_its_fields(api):
    answer = api.post(BASE, {"charger_id": "nobody", "connector_id": -1}, "application/json")
    assert answer.status_code == 400
    assert {"charger_id", "connector_id", "id_tag", "expiry_date"} <= set(answer.json()["fields"])


def test_a_sent_reservation_is_changed_only_by_commands(api):
    page = f"{BASE}{a_reservation().pk}/"
    for answer in (api.patch(page, {"id_tag": "DEF"}, "application/json"), api.delete(page)):
        assert answer.status_code == 409
        assert "charger holds" in answer.json()["error"]


def test_a_pin_of_a_reservation_is_neither_shown_by_another_type_nor_found_by_its_parts(api):
    pin = a_reservation(state=Reservation.INACTIVE, id_tag="471147", id_token_type="KeyCode")
    other = a_reservation(id_tag="9471149", parent_id_tag="4711 and others")
    refused = api.patch(f"{BASE}{pin.pk}/", {"id_token_type": "Central"}, "application/json")
    assert refused.status_code == 400
    assert refused.json()["fields"] == {"id_token_type": ["A PIN keeps its type; make another reservation."]}
    admin = "/admin/transactions/reservation/"
    form = {"charger": pin.charger.pk, "connector_id": 2, "id_token_type": ""}
    form |= {"expiry_date_0": "2036-01-01", "expiry_date_1": "00:00:00"}
    assert api.post(f"{admin}{pin.pk}/change/", form).status_code == 302
    pin.refresh_from_db()
    assert (pin.id_token_type, pin.connector_id) == ("KeyCode", 2)
    for search, found in (("47114", [other]), ("471147", [pin]), ("4711 others", [other]), ("none", [])):
        assert list(api.get(f"{admin}?q={search}").context["cl"].queryset) == found, search
    assert pin in api.get(f"{admin}?q={pin.pk}").context["cl"].queryset


def test_a_reservation_expires_after_its_time(api):
    over, active = a_reservation(seconds=-1), a_reservation()
    for status, reservation in (("Expired", over), ("Active", active)):
        listed = api.get(f"{BASE}?status={status}").json()["results"]
        assert [(r["id"], r["status"]) for r in listed] == [(reservation.pk, status)]
    assert api.delete(f"{BASE}{over.pk}/").status_code == 204


def start(reservation, charger=None):
    charger = charger or reservation.charger
    tell(charger, "StartTransaction", **a_start(charger, reservationId=reservation.pk))
    reservation.refresh_from_db()
    return reservation.status


def test_a_start_uses_its_reservation():
    a_tag()
    assert start(a_reservation()) == "Used"


def test_a_refused_start_uses_no_reservation():
    a_tag(status="Blocked")
    assert start(a_reservation()) == "Active"


def test_a_start_of_another_charger_uses_no_reservation():
    a_tag()
    assert start(a_reservation(), a_charger()) == "Active"


@pytest.mark.parametrize(
    ("connector", "status", "reserved", "left"),
    [
        (1, "Faulted", 1, "Cancelled"),
        (1, "Unavailable", 1, "Cancelled"),
        (0, "Faulted", 1, "Cancelled"),
        (2, "Faulted", 1, "Active"),
        (1, "Faulted", 0, "Active"),
        (1, "Reserved", 1, "Active"),
    ],
)
def test_an_unusable_connector_ends_its_reservation(connector, status, reserved, left):
    reservation = a_reservation(connector_id=reserved)
    reply = {"connectorId": connector, "errorCode": "NoError", "status": status}
    tell(reservation.charger, "StatusNotification", **reply)
    reservation.refresh_from_db()
    assert reservation.status == left


def fault(reservation, **ago):
    """Report the connector as Faulted since `ago`, and return the state of the reservation then."""
    parse_or = to_rfc3339(datetime.now(UTC) - timedelta(**ago))
    reply = {"connectorId": 1, "errorCode": "NoError", "status": "Faulted", "timestamp": parse_or}
    tell(reservation.charger, "StatusNotification", **reply)
    reservation.refresh_from_db()
    return reservation.status


def was_away(charger, **ago):
    """Make `charger` one that was offline since `ago` until a minute ago."""
    now = datetime.now(UTC)
    span = {"disconnected_at": now - timedelta(**ago), "connected_at": now - timedelta(minutes=1)}
    Charger.objects.filter(pk=charger.pk).update(**span)


def test_a_queued_fault_from_before_the_reservation_does_not_end_it():
    reservation = a_reservation()
    was_away(reservation.charger, hours=5)
    assert fault(reservation, hours=2) == "Active"


def test_a_superseded_fault_does_not_end_the_reservation():
    reservation = a_reservation()
    Reservation.objects.filter(pk=reservation.pk).update(created_at=datetime.now(UTC) - timedelta(hours=4))
    was_away(reservation.charger, hours=5)
    reply = {"connectorId": 1, "errorCode": "NoError", "status": "Reserved"}
    tell(reservation.charger, "StatusNotification", **reply)
    assert fault(reservation, hours=2) == "Active"
    assert reservation.charger.connectors.get().status == "Reserved"


@pytest.mark.parametrize("ago", [{"days": 365}, {"hours": 2}, {"hours": -2}])
def test_a_fault_by_a_wrong_clock_ends_the_reservation_like_one_by_a_right_clock(ago):
    reservation = a_reservation()
    was_away(reservation.charger, minutes=10)
    assert fault(reservation, **ago) == "Cancelled"


@pytest.mark.parametrize("said_before_it_was_recorded", ["start", "fault", "nothing"])
def test_messages_right_after_the_answer_apply_to_the_reservation(said_before_it_was_recorded):
    a_tag()
    reservation = a_reservation(state="Inactive")
    payload = {
        "reservationId": reservation.pk,
        "connectorId": 1,
        "idTag": "ABC",
        "expiryDate": "2036-01-01T00:00:00Z",
    }
    command = a_command(reservation.charger, "ReserveNow", payload, response={"status": "Accepted"})
    command.sent_at = datetime.now(UTC)
    if said_before_it_was_recorded == "start":
        start(reservation)
    if said_before_it_was_recorded == "fault":
        reply = {"connectorId": 1, "errorCode": "NoError", "status": "Faulted"}
        tell(reservation.charger, "StatusNotification", **reply)
    ACTIONS["ReserveNow"].answered(command)
    reservation.refresh_from_db()
    ends = {"start": "Used", "fault": "Cancelled", "nothing": "Active"}
    assert reservation.status == ends[said_before_it_was_recorded]
