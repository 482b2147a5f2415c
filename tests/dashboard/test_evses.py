"""Chargers of OCPP 2.0.1 on the pages: EVSEs with their connectors, charging states and references."""

import pytest

from dashboard import fleet
from tests.support.builders import NOON, a_charger, a_transaction, open_socket, tell
from tests.support.dashboard import a_session_of_2_0_1, a_station, page_of
from transactions.models import Transaction
from transactions.services import export

pytestmark = pytest.mark.django_db


def state(api, charger):
    return api.get("/?search=" + charger.identity).context["tiles"][0]["charger"].state_word


def test_connectors_are_named_by_their_evse(api):
    page = api.get(page_of(a_station())).content.decode()
    assert "<b>EVSE 1 connector 1</b>" in page and "<b>EVSE 1 connector 2</b>" in page
    assert "Occupied" in page and '<span class="why">' not in page


def test_connectors_of_ocpp_1_6_are_named_by_their_number(api):
    charger = a_charger()
    for number in (0, 1):
        tell(charger, "StatusNotification", connectorId=number, errorCode="NoError", status="Available")
    page = api.get(page_of(charger)).content.decode()
    assert "<b>Charger (connector 0)</b>" in page and "<b>Connector 1</b>" in page


def test_the_page_of_a_charger_shows_its_version_and_the_reason_of_its_boot(api):
    charger = a_charger(ocpp_version="ocpp2.0.1")
    tell(charger, "BootNotification", reason="Watchdog", chargingStation={"vendorName": "V", "model": "M"})
    page = api.get(page_of(charger)).content.decode()
    assert '<span class="pill">OCPP 2.0.1</span>' in page and "(Watchdog)" in page


def test_the_session_of_a_connector_is_shown_with_its_charging_state(api):
    charger = a_station()
    session = a_session_of_2_0_1(charger, charging_state="SuspendedEV")
    context = api.get(page_of(charger)).context
    assert [connector.session for connector in context["connectors"]] == [None, session]
    page = api.get(page_of(charger)).content.decode()
    assert "SuspendedEV · " in page and "ABC · EVSE 1 connector 2 · SuspendedEV" in page


def test_a_session_that_names_only_its_evse_is_shown_at_its_connectors(api):
    charger = a_station()
    session = a_session_of_2_0_1(charger, connector_id=None)
    assert [c.session for c in api.get(page_of(charger)).context["connectors"]] == [session, session]


@pytest.mark.parametrize(
    ("charging_state", "expected"),
    [("Charging", "charging"), ("SuspendedEVSE", "charging"), ("EVConnected", "in use"), ("Idle", "in use")],
)
def test_the_state_of_a_charger_depends_on_the_charging_state_of_its_session(api, charging_state, expected):
    charger = a_station()
    charger.connectors.filter(connector_id=1).delete()
    assert state(api, charger) == "in use"
    a_session_of_2_0_1(charger, charging_state=charging_state)
    assert state(api, charger) == expected


def test_the_tile_of_a_charger_shows_which_connector_charges(api):
    charger = a_station()
    a_session_of_2_0_1(charger, power_latest=7000)
    page = api.get("/").content.decode()
    assert 'title="EVSE 1 connector 1"><i aria-hidden="true"></i>1.1 Available' in page
    assert 'class="connector s-charging" title="EVSE 1 connector 2"><i aria-hidden="true"></i>1.2 Charging' in page
    assert "7.0\N{NO-BREAK SPACE}kW" in page


@pytest.mark.parametrize("charging_state", ["EVConnected", "SuspendedEV", "SuspendedEVSE", "Idle"])
def test_a_session_that_does_not_charge_has_no_power(charging_state):
    a_session_of_2_0_1(a_station(), power_latest=7000, charging_state=charging_state)
    assert fleet.power_now(fleet.AllChargersUser) == 0


def test_the_status_of_a_connector_of_another_evse_is_not_that_of_a_session(api):
    charger = a_station()
    session = a_session_of_2_0_1(charger, power_latest=7000)
    tell(charger, "StatusNotification", evseId=2, connectorId=2, connectorStatus="Available", timestamp=NOON)
    (marked,) = fleet.mark_charging(fleet.AllChargersUser, [session])
    assert (marked.is_charging, marked.is_stuck) == (True, False)
    assert not Transaction.objects.in_doubt("free").exists()


def test_a_session_without_a_stop_on_a_free_connector_is_stuck_unless_it_is_idle():
    charger = a_station()
    session = a_session_of_2_0_1(charger)
    idle = a_session_of_2_0_1(charger, own_reference="idle", charging_state="Idle", connector_id=1)
    tell(charger, "StatusNotification", evseId=1, connectorId=2, connectorStatus="Available", timestamp=NOON)
    marked = fleet.mark_charging(fleet.AllChargersUser, [session, idle])
    assert [each.is_stuck for each in marked] == [True, False]
    assert list(Transaction.objects.in_doubt("free")) == [session]


def test_the_page_of_a_session_shows_what_ocpp_2_0_1_adds(api):
    session = a_session_of_2_0_1(a_station(), stop_reason="SOCLimitReached", total_cost="1.50", currency="EUR")
    page = api.get(f"/transactions/{session.pk}/").content.decode()
    for text in (session.own_reference, "EVSE 1 connector 2", "<dd>Charging</dd>", "(ISO14443)", "EUR"):
        assert text in page
    assert "EVSE 1 connector 2" in api.get("/transactions/").content.decode()
    assert f"/submit/stop/?reference={session.own_reference}" in page


def test_the_sessions_from_before_an_update_keep_their_connector(api):
    session = a_transaction()
    charger = session.charger
    charger.ocpp_version = "ocpp2.0.1"
    charger.save()
    open_socket(charger)
    for path in ("/transactions/", page_of(charger)):
        page = api.get(path).content.decode()
        assert '<td data-label="Connector">1</td>' in page and "EVSE" not in page.partition("<tbody>")[2]


def test_the_events_of_a_session_are_listed_by_their_number(api):
    charger, at = a_station(), "2025-02-26T12:0{}:00Z"
    for number, kind, members in (
        (1, "Updated", {"offline": True}),
        (0, "Started", {"idToken": {"idToken": "ABC", "type": "Central"}}),
        (3, "Ended", {"info": {"stoppedReason": "Local"}}),
    ):
        info = {"transactionId": "x", "chargingState": "Charging"} | (
            {"stoppedReason": "Local"} if number == 3 else {}
        )
        event = {"eventType": kind, "triggerReason": "Trigger", "seqNo": number, "timestamp": at.format(number)}
        tell(charger, "TransactionEvent", **event, transactionInfo=info, evse={"id": 1, "connectorId": 2}, **members)
    session = Transaction.objects.get()
    page = api.get(f"/transactions/{session.pk}/")
    assert [event.seq_no for event in page.context["events"]] == [0, 1, 3]
    text = page.content.decode()
    assert "Ended · Local" in text and '<span class="pill">Offline</span>' in text
    assert "Events missing" in text
    live = api.get(f"/transactions/{session.pk}/", HTTP_X_LIVE="1").content.decode()
    assert "Ended · Local" in live and "<header" not in live


def test_a_session_of_ocpp_1_6_has_no_list_of_events(api):
    page = api.get(f"/transactions/{a_transaction().pk}/").content.decode()
    assert 'aria-labelledby="events-h" hidden>' in page


def test_an_export_has_the_reference_and_the_evse():
    session = a_session_of_2_0_1(a_station(), own_reference="a-reference")
    expected = {"reference": "a-reference", "evse_id": 1, "connector_id": 2, "id_token_type": "ISO14443"}
    assert {name: export.COLUMNS[name](session) for name in expected} == expected
