"""Reservations of OCPP 2.0.1: ReserveNow, and the reports that end them (H)."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from chargers.models import Connector
from commands.actions.ocpp201.table import ACTIONS
from commands.models import Command
from tests.support.builders import NOON, a_charger, a_tag, tell
from transactions.models import Reservation

pytestmark = pytest.mark.django_db
CARD = {"idToken": "ABC", "type": "ISO14443"}


@pytest.fixture
def charger():
    return a_charger(ocpp_version="ocpp2.0.1")


def soon():
    return datetime.now(UTC) + timedelta(hours=1)


def submit(api, charger, **payload):
    body = {"charger_id": charger.identity, "action": "ReserveNow", "payload": payload}
    return api.post("/api/ocpp/commands/", body, "application/json")


def sent(api, charger, **payload):
    """A ReserveNow that the charger has not answered yet."""
    wanted = {"expiryDateTime": soon().isoformat(), "idToken": CARD} | payload
    submitted = submit(api, charger, **wanted)
    assert submitted.status_code == 202, submitted.json()
    command = Command.objects.first()
    command.sent_at = datetime.now(UTC)
    return command


def answered(command, status="Accepted"):
    """The reservation of `command` after this answer."""
    command.response = {"status": status}
    ACTIONS["ReserveNow"].answered(command)
    return Reservation.objects.get(pk=command.payload["id"])


def reserved(api, charger, status="Accepted", **payload):
    """The reservation of a ReserveNow that the charger has answered."""
    return answered(sent(api, charger, **payload), status)


def status_of(charger, status, evse):
    body = {"timestamp": datetime.now(UTC).isoformat(), "connectorStatus": status, "evseId": evse, "connectorId": 1}
    tell(charger, "StatusNotification", **body)


def test_a_token_gets_its_type_and_the_reservation_its_id(api, charger):
    a_tag("abc", type="eMAID")
    row = reserved(
        api, charger, idToken={"idToken": "ABC"}, groupIdToken={"idToken": "G", "type": "Central"}, evseId=2
    )
    assert (row.id_tag, row.id_token_type, row.parent_id_tag, row.evse_id) == ("ABC", "eMAID", "G", 2)
    assert (row.state, row.connector_id) == ("Active", 0)


def test_a_stored_reservation_is_sent_by_its_id_alone(api, charger):
    body = {
        "charger_id": charger.identity,
        "evse_id": 1,
        "id_tag": "ABC",
        "expiry_date": soon(),
        "parent_id_tag": "G",
    }
    made = api.post("/api/ocpp/reservations/", body, "application/json").json()
    assert (made["evse_id"], made["connector_id"], made["status"]) == (1, 0, "Inactive")
    payload = submit(api, charger, id=made["id"]).json()["payload"]
    assert (payload["evseId"], payload["idToken"], payload["groupIdToken"]["idToken"]) == (1, CARD, "G")


def test_a_reservation_for_ocpp_1_6_needs_a_connector(api):
    body = {"charger_id": a_charger().identity, "id_tag": "ABC", "expiry_date": soon()}
    answer = api.post("/api/ocpp/reservations/", body, "application/json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["connector_id"])
    made = api.post("/api/ocpp/reservations/", body | {"connector_id": 2}, "application/json").json()
    assert (made["evse_id"], made["connector_id"]) == (2, 2)


def test_evse_0_is_refused(api, charger):
    answer = submit(api, charger, expiryDateTime=soon().isoformat(), idToken=CARD, evseId=0)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["evseId"])


def test_an_evse_that_is_not_available_is_a_warning(api, charger):
    status_of(charger, "Occupied", 1)
    answer = submit(api, charger, expiryDateTime=soon().isoformat(), idToken=CARD, evseId=1)
    assert "is Occupied" in answer.json()["warning"]


@pytest.mark.parametrize("status", ["Faulted", "Unavailable"])
def test_only_the_reservation_of_an_evse_that_cannot_be_used_ends(api, charger, status):
    first, second, any_evse = (reserved(api, charger, **evse) for evse in ({"evseId": 1}, {"evseId": 2}, {}))
    status_of(charger, status, 1)
    states = [Reservation.objects.get(pk=row.pk).state for row in (first, second, any_evse)]
    assert states == ["Cancelled", "Active", "Active"]


@pytest.mark.parametrize(
    ("status", "state"), [("Expired", "Expired"), ("Removed", "Cancelled"), ("Lost", "Cancelled")]
)
def test_a_reported_end_is_stored_once(api, charger, status, state):
    row = reserved(api, charger)
    other = a_charger(ocpp_version="ocpp2.0.1")
    tell(other, "ReservationStatusUpdate", reservationId=row.pk, reservationUpdateStatus=status)
    assert Reservation.objects.get(pk=row.pk).state == "Active"
    for one in (status, "Removed"):
        tell(charger, "ReservationStatusUpdate", reservationId=row.pk, reservationUpdateStatus=one)
    row.refresh_from_db()
    assert (row.status, row.ended_because) == (state, f"ReservationStatusUpdate {status}")
    (listed,) = api.get(f"/api/ocpp/reservations/?status={state}").json()["results"]
    assert listed["id"] == row.pk


def test_the_end_of_a_reservation_may_be_stored_before_the_answer(api, charger):
    command = sent(api, charger)
    ended = {"reservationId": command.payload["id"], "reservationUpdateStatus": "Removed"}
    tell(charger, "ReservationStatusUpdate", **ended)
    row = answered(command)
    assert (row.state, row.ended_because) == ("Cancelled", "ReservationStatusUpdate Removed")
    again = sent(api, charger, id=row.pk)  # the end that was reported before it is not its own
    assert answered(again).state == "Active"
    again = sent(api, charger, id=row.pk)
    tell(charger, "ReservationStatusUpdate", **ended)
    assert answered(again).state == "Cancelled"


def test_a_status_that_overtook_the_answer_ends_the_reservation(api, charger):
    Connector.objects.create(
        charger=charger,
        evse_id=1,
        connector_id=1,
        status="Faulted",
        timestamp=NOON,
        raw_timestamp=NOON,
        received_at=datetime.now(UTC) + timedelta(minutes=1),
    )
    assert reserved(api, charger, evseId=1).state == "Cancelled"


def test_a_pin_is_hidden_in_a_reservation(api, charger):
    columns = {"id_tag": "4711", "id_token_type": "KeyCode", "expiry_date": soon().isoformat(), "evse_id": 1}
    body = {"charger_id": charger.identity, **columns}
    assert "4711" not in api.post("/api/ocpp/reservations/", body, "application/json").content.decode()
    row = Reservation.objects.get()
    assert row.id_tag == "4711"
    assert submit(api, charger, id=row.pk).status_code == 202
    command = Command.objects.get()
    pages = [
        f"/api/ocpp/reservations/{row.pk}/",
        f"/api/ocpp/reservations/?charger_id={charger}",
        f"/api/ocpp/tasks/{command.task_id}/",
        f"/api/ocpp/commands/?charger_id={charger}",
        reverse("admin:transactions_reservation_changelist"),
        reverse("admin:transactions_reservation_change", args=[row.pk]),
        reverse("admin:commands_command_change", args=[command.pk]),
        "/api/ocpp/audit/",
    ]
    for page in pages:
        answer = api.get(page)
        assert answer.status_code == 200, page
        assert "4711" not in answer.content.decode(), page
    assert api.get(pages[0]).json()["id_tag"] == "(hidden)"


def test_a_pin_of_a_reservation_is_kept_when_the_charger_accepts_it(api, charger):
    token = {"idToken": "4711", "type": "KeyCode"}
    row = reserved(api, charger, evseId=1, idToken=token)
    assert (row.state, row.id_tag, row.id_token_type) == ("Active", "4711", "KeyCode")
    assert submit(api, charger, id=row.pk).status_code == 202
    assert Command.objects.first().payload.opened()["idToken"] == token
