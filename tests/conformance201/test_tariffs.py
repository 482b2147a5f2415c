"""Functional block I: tariff and cost."""

import pytest

from tests.support.station201 import TOKEN


@pytest.fixture
def tariff(station):
    """A tariff of 0.50 for each kWh at the station."""
    body = {"description": station.identity, "currency": "EUR", "energy_per_kwh": "0.5"}
    return station.live.post("/api/ocpp/tariffs/", body | {"chargers": [station.identity]})


def test_tc_i_01_csms(station, tariff):
    """Show EV Driver running total cost during charging - costUpdatedRequest"""
    station.authorized()
    session = station.session()
    started = session.start(TOKEN, wh=1000)
    assert started["idTokenInfo"]["status"] == "Accepted"
    assert [session.update(wh=wh)["totalCost"] for wh in (2000, 5000)] == [0.5, 2.0]
    request, _ = station.obeys("CostUpdated", {"transactionId": session.reference}, {})
    assert request == {"transactionId": session.reference, "totalCost": 2.0}


def test_tc_i_02_csms(station, tariff):
    """Show EV Driver Final Total Cost After Charging"""
    session = station.session()
    session.start(TOKEN, wh=1000)
    station.status("Available")
    answer = session.end(
        wh=4000, trigger="EVCommunicationLost", reason="EVDisconnected", info={"chargingState": "Idle"}
    )
    assert answer["totalCost"] == 1.5
    assert (session.shown["cost"], session.shown["currency"], session.shown["tariff"]) == (
        "1.50",
        "EUR",
        tariff["id"],
    )
