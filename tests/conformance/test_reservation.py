"""Reservations (10 cases)."""

from datetime import UTC, datetime, timedelta

from tests.support.live import eventually
from tests.support.station import ACCEPTED, CONNECTOR, TAG, TAG_OF_SAME_PARENT


def reserve(station, answer="Accepted", seconds=600, connector=CONNECTOR, **more):
    """ReserveNow: (request at the wire, the reservation as the API then shows it)."""
    expiry = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    payload = {"connectorId": connector, "expiryDate": expiry.replace("+00:00", "Z"), "idTag": TAG, **more}
    request, _ = station.obeys("ReserveNow", payload, {"status": answer})
    assert {name: request[name] for name in payload} == payload and request["reservationId"] > 0
    return request, shown(station, request)


def shown(station, request):
    return station.live.get(f"/api/ocpp/reservations/{request['reservationId']}/")


def accepted(station, **more):
    request, reservation = reserve(station, **more)
    assert reservation["status"] == "Active"
    station.status("Reserved", request["connectorId"])
    return request


def test_tc_046_a_reserved_connector_is_used(station, admin):
    request = accepted(station)
    transaction_id = station.charging(reservationId=request["reservationId"])
    reservation = shown(station, request)
    assert (reservation["status"], reservation["ended_because"]) == ("Used", f"transaction {transaction_id}")
    assert "Used" in admin.page(f"transactions/reservation/?q={request['reservationId']}")


def test_tc_047_a_reservation_expires(station):
    request = accepted(station, seconds=1.5)
    eventually(lambda: shown(station, request)["status"] == "Expired")
    station.status("Available")
    listed = station.live.get(f"/api/ocpp/reservations/?status=Expired&charger_id={station.identity}")
    assert [row["id"] for row in listed["results"]] == [request["reservationId"]]


def refused(station, answer):
    _, reservation = reserve(station, answer)
    assert reservation["status"] == "Inactive"
    active = station.live.get(f"/api/ocpp/reservations/?status=Active&charger_id={station.identity}")
    assert active["count"] == 0


def test_tc_048_1_the_connector_is_faulted(station):
    refused(station, "Faulted")


def test_tc_048_2_the_connector_is_occupied(station):
    station.status("Preparing")
    refused(station, "Occupied")


def test_tc_048_3_the_connector_is_unavailable(station):
    payload = {"connectorId": CONNECTOR, "type": "Inoperative"}
    request, _ = station.obeys("ChangeAvailability", payload)
    assert request == payload
    station.status("Unavailable")
    refused(station, "Unavailable")


def test_tc_048_4_the_reservation_is_rejected(station):
    refused(station, "Rejected")


def test_tc_049_the_whole_charge_point(station):
    request = accepted(station, connector=0)
    station.charging(reservationId=request["reservationId"])
    assert shown(station, request)["status"] == "Used"


def cancel(station, request, answer):
    asked, _ = station.obeys("CancelReservation", {"reservationId": request["reservationId"]}, answer)
    assert asked == {"reservationId": request["reservationId"]}
    return shown(station, request)["status"]


def test_tc_051_a_reservation_is_cancelled(station):
    request = accepted(station)
    assert request["connectorId"] != 0 and cancel(station, request, ACCEPTED) == "Cancelled"
    station.status("Available")


def test_tc_052_a_cancellation_is_rejected(station):
    assert cancel(station, accepted(station), {"status": "Rejected"}) == "Active"


def test_tc_053_another_tag_of_the_same_parent(station):
    request = accepted(station, parentIdTag="CONF-GROUP")
    assert request["connectorId"] != 0
    body = station.call("Authorize", idTag=TAG_OF_SAME_PARENT)["idTagInfo"]
    assert body == {"status": "Accepted", "parentIdTag": "CONF-GROUP"}
    station.charging(TAG_OF_SAME_PARENT, reservationId=request["reservationId"])
    assert shown(station, request)["status"] == "Used"
