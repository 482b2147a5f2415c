"""Functional block H: reservations."""

from datetime import UTC, datetime, timedelta

from tests.support.station import TAG
from tests.support.station201 import TOKEN


def soon(seconds=600):
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def reserve(station, answer="Accepted", **members):
    """Reusable state Reserved: the request on the wire."""
    wanted = {"idToken": TOKEN, "expiryDateTime": soon(), **members}
    request, _ = station.obeys("ReserveNow", wanted, {"status": answer})
    assert request["id"] > 0 and {**request, "id": 0} == {"id": 0, **wanted}
    return request


def shown(station, request):
    return station.live.get(f"/api/ocpp/reservations/{request['id']}/")


def update(station, request, status):
    body = {"reservationId": request["id"], "reservationUpdateStatus": status}
    assert station.call("ReservationStatusUpdate", **body) == {}


def test_tc_h_01_csms(station):
    """Reserve a specific EVSE - Accepted - Valid idToken"""
    request = reserve(station, evseId=1)
    station.status("Reserved")
    row = shown(station, request)
    assert (row["status"], row["evse_id"], row["id_tag"], row["id_token_type"]) == ("Active", 1, TAG, "ISO14443")
    station.session().start(info={"chargingState": "Charging"}, reservationId=request["id"])
    assert shown(station, request)["status"] == "Used"


def test_tc_h_07_csms(station):
    """Reserve a specific EVSE - Reservation Ended / not used"""
    request = reserve(station, evseId=1)
    station.status("Reserved")
    station.status("Available")
    update(station, request, "Expired")
    row = shown(station, request)
    assert (row["status"], row["ended_because"]) == ("Expired", "ReservationStatusUpdate Expired")


def test_tc_h_08_csms(station):
    """Reserve an unspecified EVSE - Accepted"""
    request = reserve(station)
    row = shown(station, request)
    assert ("evseId" in request, row["status"], row["evse_id"]) == (False, "Active", 0)


def test_tc_h_14_csms(station):
    """Reserve an unspecified EVSE - Amount of EVSEs available equals the amount of reservations"""
    requests = [reserve(station) for _ in range(2)]
    for evse in (1, 2):
        station.status("Reserved", evse)
    assert len({request["id"] for request in requests}) == 2
    assert [shown(station, request)["status"] for request in requests] == ["Active", "Active"]


def test_tc_h_15_csms(station):
    """Reserve a connector with a specific type - Success"""
    request = reserve(station, connectorType="cCCS2")
    station.status("Reserved")
    assert "evseId" not in request
    assert (shown(station, request)["connector_type"], shown(station, request)["status"]) == ("cCCS2", "Active")


def test_tc_h_17_csms(station):
    """Cancel reservation of an EVSE - Success"""
    request = reserve(station, evseId=1)
    station.status("Reserved")
    cancelled, _ = station.obeys("CancelReservation", {"reservationId": request["id"]})
    assert cancelled == {"reservationId": request["id"]}
    station.status("Available")
    assert shown(station, request)["status"] == "Cancelled"


def test_tc_h_19_csms(station):
    """Reserve a specific EVSE - Use a reserved EVSE with GroupId"""
    request = reserve(station, evseId=1, groupIdToken={"idToken": "CONF-GROUP", "type": "Central"})
    station.status("Reserved")
    assert shown(station, request)["parent_id_tag"] == "CONF-GROUP"


def test_tc_h_20_csms(station):
    """Charging Station cancels reservation when Faulted"""
    request = reserve(station, evseId=1)
    other = reserve(station, evseId=2)
    station.status("Reserved")
    station.status("Faulted")
    update(station, request, "Removed")
    assert [shown(station, r)["status"] for r in (request, other)] == ["Cancelled", "Active"]


def test_tc_h_22_csms(station):
    """Reserve a specific EVSE - Configured to Reject"""
    request = reserve(station, answer="Rejected", evseId=1)
    assert shown(station, request)["status"] == "Inactive"
