"""A charger that is updated from OCPP 1.6 to 2.0.1 keeps its history."""

import pytest

from chargers.models import Connector
from tests.support.builders import NOON, a_charger, open_socket, tell
from tests.support.live import eventually
from tests.support.station import TAG, Station
from tests.support.station201 import Station201

AVAILABLE = {"errorCode": "NoError", "status": "Available", "timestamp": NOON}


def test_an_updated_charger_keeps_its_sessions_and_its_settings(live):
    live.request("POST", "/api/ocpp/id-tags/", {"id_tag": TAG})  # 400 if another test has created it
    with Station(live) as old:
        live.request("PATCH", f"/api/ocpp/chargers/{old.path}/", {"message_log": "all"})
        old.connect()
        old.booted()
        session = old.start()["transactionId"]
        old.stop(session, "Local")
        identity = old.identity
    live.request("PATCH", f"/api/ocpp/chargers/{old.path}/", {"description": "North"})
    before = live.get(f"/api/ocpp/transactions/?charger_id={old.path}")["transaction_logs"]
    with Station201(live, identity) as new:
        new.connect()
        new.booted()
        shown = new.shown
        assert (shown["ocpp_version"], shown["description"], shown["model"]) == ("ocpp2.0.1", "North", "M")
        places = [(evse["evse_id"], c["connector_id"]) for evse in shown["evses"] for c in evse["connectors"]]
        assert places == [(1, 1), (2, 1)]
        after = live.get(f"/api/ocpp/transactions/?charger_id={old.path}")["transaction_logs"]
        assert after == before and [each["transaction_id"] for each in after] == [session]
        assert live.get(f"/api/ocpp/id-tags/?id_tag={TAG}")["results"]
        request, _ = new.obeys("Reset", {"type": "OnIdle"}, {"status": "Accepted"})
        assert request == {"type": "OnIdle"}
        log = f"/api/ocpp/messages/?charger_id={old.path}&page_size=100"
        eventually(lambda: {"StartTransaction", "Reset"} <= {each["action"] for each in live.get(log)["results"]})


@pytest.mark.django_db
@pytest.mark.parametrize(("version", "kept"), [("ocpp1.6", 2), ("ocpp2.0.1", 0)])
def test_connectors_are_forgotten_when_the_version_changes(version, kept):
    charger, other = a_charger(ocpp_version="ocpp1.6"), a_charger(ocpp_version="ocpp1.6")
    for each in (charger, other):
        open_socket(each)
        for number in (1, 2):
            tell(
                each,
                "StatusNotification",
                connectorId=number,
                errorCode="NoError",
                status="Available",
                timestamp=NOON,
            )
    charger.ocpp_version = version
    open_socket(charger)
    assert Connector.objects.filter(charger=charger).count() == kept
    assert Connector.objects.filter(charger=other).count() == 2
    charger.refresh_from_db()
    assert charger.ocpp_version == version


@pytest.mark.django_db
def test_a_new_charger_has_no_version_before_its_first_connection():
    charger = a_charger()
    tell(charger, "StatusNotification", connectorId=1, **AVAILABLE)
    open_socket(charger)
    assert charger.connectors.count() == 1
