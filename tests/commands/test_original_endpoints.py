"""The six original endpoints: with a bare client that offers no subprotocol and never answers, and for OCPP 2.0.1."""

import json

import pytest

from commands.models import Command
from tests.support.builders import a_charger, a_tag, a_transaction
from tests.support.dashboard import a_session_of_2_0_1
from tests.support.live import an_id
from tests.support.station201 import Station201


def test_the_six_endpoints_with_a_client_that_never_answers(live):
    charger_id = an_id()
    with live.socket(charger_id, subprotocols=None) as socket:
        assert charger_id in live.get("/api/ocpp/chargers/")["active_chargers"]

        started = live.post(f"/api/ocpp/start/{charger_id}/")
        assert started["status"] == "Remote BootNotification Command Sent"
        frame = json.loads(socket.recv(5))
        assert frame == [2, started["task_id"], "TriggerMessage", {"requestedMessage": "BootNotification"}]

        live.request("POST", f"/api/ocpp/stop/{charger_id}/", {"timeout": 0.5})
        authorized = live.post(f"/api/ocpp/authorize/{charger_id}/", {"id_tag": "ABC", "timeout": 0.5})
        assert authorized["status"] == "Authorization command sent for id_tag ABC"

        status = live.get(f"/api/ocpp/status/{charger_id}/")["status"]
        assert (status["charger_id"], status["status"], status["connected"]) == (charger_id, "Unknown", True)
        assert live.get(f"/api/ocpp/transactions/{charger_id}/")["transaction_logs"] == []

        # Nothing came back, so the socket's end finishes what was asked: believed by nobody.
    task = live.finished(started)
    assert (task["outcome"], task["simulated"], task["response"]) == ("connection_lost", True, None)
    assert task["result"] == {"status": "Accepted"}


def test_the_endpoints_send_the_commands_of_ocpp_2_0_1(live):
    with Station201(live) as station:
        station.connect()
        station.booted()
        started = live.post(f"/api/ocpp/start/{station.path}/")
        assert started["status"] == "Remote BootNotification Command Sent"
        sent = station.receive("TriggerMessage")
        station.answer(status="Accepted")
        assert sent == {"requestedMessage": "BootNotification"}
        assert live.finished(started)["outcome"] == "answered"
        authorized = live.post(f"/api/ocpp/authorize/{station.path}/", {"id_tag": "ABC", "connector_id": 2})
        sent = station.receive("RequestStartTransaction")
        station.answer(status="Accepted")
        assert (sent["idToken"]["idToken"], sent["evseId"]) == ("ABC", 2)
        assert live.finished(authorized)["outcome"] == "answered"
        status = live.get(f"/api/ocpp/status/{station.path}/")["status"]
        assert (status["status"], status["connected"]) == ("Available", True)


def post(api, path, body=None):
    return api.post(f"/api/ocpp/{path}/", body or {}, "application/json")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "reference"),
    [
        ({"evse_id": 1, "connector_id": 2}, "first"),
        ({"evse_id": 2}, "second"),
        ({"connector_id": 1}, "second"),
        ({"reference": "second"}, "second"),
        ({"reference": "unknown"}, "unknown"),
    ],
)
def test_a_stop_finds_the_transaction_by_its_place_and_sends_its_reference(api, body, reference):
    charger = a_charger(ocpp_version="ocpp2.0.1")
    a_session_of_2_0_1(charger, own_reference="first")
    a_session_of_2_0_1(charger, own_reference="second", evse_id=2, connector_id=1)
    a_session_of_2_0_1(a_charger(ocpp_version="ocpp2.0.1"), own_reference="of another")
    assert post(api, f"stop/{charger}", body).status_code == 202
    command = Command.objects.get()
    assert (command.action, command.payload) == ("RequestStopTransaction", {"transactionId": reference})


@pytest.mark.django_db
def test_a_stop_names_a_transaction_by_its_id_in_the_api(api):
    charger = a_charger(ocpp_version="ocpp2.0.1")
    session = a_session_of_2_0_1(charger, own_reference="first")
    a_session_of_2_0_1(charger, own_reference="second", evse_id=2)
    answer = post(api, f"stop/{charger}")
    assert answer.status_code == 400
    assert str(session.pk) in answer.json()["error"]
    assert post(api, f"stop/{charger}", {"transaction_id": session.pk}).status_code == 202
    assert Command.objects.get().payload == {"transactionId": "first"}


@pytest.mark.django_db
def test_a_stop_without_a_transaction_under_way_sends_the_latest_reference_with_a_warning(api):
    charger = a_charger(ocpp_version="ocpp2.0.1")
    assert "transactionId 0 is sent" in post(api, f"stop/{charger}").json()["warning"]
    session = a_session_of_2_0_1(charger, own_reference="ended")
    session.close("alice")
    warning = "No ongoing transaction is known; transactionId ended is sent and the charger decides."
    assert post(api, f"stop/{charger}").json()["warning"] == warning


@pytest.mark.django_db
def test_a_stop_of_a_charger_that_now_speaks_1_6_passes_over_its_transactions_of_2_0_1(api):
    charger = a_charger(ocpp_version="ocpp1.6")
    former = a_session_of_2_0_1(charger, own_reference="of 2.0.1")
    answer = post(api, f"stop/{charger}")
    assert (answer.status_code, Command.objects.get().payload) == (202, {"transactionId": 0})
    unnamed = f"No ongoing transaction can be named: {former.pk} is superseded or of another OCPP version; "
    assert answer.json()["warning"] == f"{unnamed}transactionId 0 is sent and the charger decides."
    present = a_transaction(charger=charger, connector_id=2)
    assert post(api, f"stop/{charger}").status_code == 202
    assert Command.objects.order_by("id").last().payload == {"transactionId": present.pk}
    assert post(api, f"stop/{charger}", {"transaction_id": former.pk}).status_code == 400


@pytest.mark.django_db
def test_a_stop_of_ocpp_1_6_sends_the_id(api):
    session = a_transaction()
    assert post(api, f"stop/{session.charger}", {"connector_id": 1}).status_code == 202
    assert Command.objects.get().payload == {"transactionId": session.pk}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "type_sent", "verdict"),
    [({}, "eMAID", "Accepted"), ({"id_token_type": "Central"}, "Central", "Invalid")],
)
def test_an_authorization_sends_the_type_of_the_tag(api, body, type_sent, verdict):
    a_tag("A-TAG-OF-MORE-THAN-20-CHARACTERS", type="eMAID")
    charger = a_charger(ocpp_version="ocpp2.0.1")
    asked = {"id_tag": "A-TAG-OF-MORE-THAN-20-CHARACTERS", "evse_id": 1} | body
    answer = post(api, f"authorize/{charger}", asked)
    assert (answer.status_code, answer.json()["id_tag_status"]) == (202, verdict)
    payload = Command.objects.get().payload
    assert payload["idToken"] == {"idToken": asked["id_tag"], "type": type_sent}
    assert payload["evseId"] == 1


@pytest.mark.django_db
def test_a_tag_that_is_too_long_for_ocpp_1_6_is_refused(api):
    answer = post(api, f"authorize/{a_charger()}", {"id_tag": "x" * 21})
    assert answer.status_code == 400
    assert not Command.objects.exists()
