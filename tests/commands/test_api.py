"""Commands over REST without chargers and workers."""

import pytest

from commands.models import FINISHED, Command
from tests.support.builders import a_charger, a_command, a_tag, a_transaction

BASE = "/api/ocpp"


@pytest.fixture(autouse=True)
def committing(transactional_db):
    """Have tasks queued when the command commits."""


def post(api, path, body=None, **headers):
    return api.post(f"{BASE}/{path}", body or {}, "application/json", headers=headers)


def test_start_submits_a_trigger_for_a_boot_notification(api):
    charger = a_charger()
    answer = post(api, f"start/{charger}/")
    command = Command.objects.get()
    assert answer.status_code == 202
    assert answer.json() == {
        "status": "Remote BootNotification Command Sent",
        "task_id": command.task_id,
        "task_url": f"{BASE}/tasks/{command.task_id}/",
    }
    assert answer.headers["Location"] == f"{BASE}/tasks/{command.task_id}/"
    assert (command.action, command.payload) == ("TriggerMessage", {"requestedMessage": "BootNotification"})
    assert (command.state, command.requested_by, command.timeout) == ("queued", "alice", 30.0)


def test_stop_chooses_the_ongoing_transaction(api):
    transaction = a_transaction()
    answer = post(api, f"stop/{transaction.charger}/").json()
    assert answer["status"] == "Remote Stop Command Sent"
    assert "warning" not in answer
    assert Command.objects.get().payload == {"transactionId": transaction.pk}


def test_stop_needs_an_id_if_several_transactions_are_ongoing(api):
    first = a_transaction()
    second = a_transaction(first.charger, connectorId=2)
    answer = post(api, f"stop/{first.charger}/")
    assert answer.status_code == 400
    assert str(first.pk) in answer.json()["error"]
    assert str(second.pk) in answer.json()["error"]
    post(api, f"stop/{first.charger}/", {"connector_id": 2})
    assert Command.objects.get().payload == {"transactionId": second.pk}


@pytest.mark.parametrize("transaction_id", [-1, 0, 99])
def test_stop_sends_any_given_transaction_id(api, transaction_id):
    post(api, f"stop/{a_charger()}/", {"transaction_id": transaction_id})
    assert Command.objects.get().payload == {"transactionId": transaction_id}


def test_stop_without_a_known_transaction_is_sent_anyway(api):
    answer = post(api, f"stop/{a_charger()}/")
    assert answer.status_code == 202
    assert "transactionId 0" in answer.json()["warning"]
    assert Command.objects.get().payload == {"transactionId": 0}


def test_stop_falls_back_to_the_latest_transaction(api):
    transaction = a_transaction()
    from tests.support.builders import NOON, tell

    tell(transaction.charger, "StopTransaction", transactionId=transaction.pk, meterStop=2000, timestamp=NOON)
    assert str(transaction.pk) in post(api, f"stop/{transaction.charger}/").json()["warning"]


def test_authorize_starts_remotely_and_returns_the_status_of_the_tag(api):
    a_tag("ABC")
    answer = post(api, f"authorize/{a_charger()}/", {"id_tag": "ABC"}).json()
    assert answer["status"] == "Authorization command sent for id_tag ABC"
    assert answer["id_tag_status"] == "Accepted"
    assert Command.objects.get().payload == {"idTag": "ABC"}


def test_authorize_has_a_default_tag(api):
    answer = post(api, f"authorize/{a_charger()}/").json()
    assert answer["status"] == "Authorization command sent for id_tag default-id-tag"
    assert answer["id_tag_status"] == "Invalid"


def test_any_command_keeps_the_order_of_its_members(api):
    payload = {"vendorId": "v", "data": "d", "messageId": "m"}
    body = {"charger_id": a_charger().identity, "action": "DataTransfer", "payload": payload, "timeout": 5}
    answer = post(api, "commands/", body)
    task = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == task["task_url"]
    assert list(Command.objects.get().payload) == list(payload)
    assert (task["state"], task["outcome"], task["timeout"], task["simulated"]) == ("queued", None, 5.0, False)


@pytest.mark.parametrize(
    ("action", "payload", "field"),
    [
        ("Reset", {"type": "Warm"}, "type"),
        ("Reset", {}, "type"),
        ("Reset", {"type": "Soft", "hard": 1}, "hard"),
        ("UnlockConnector", {"connectorId": "1"}, "connectorId"),
        ("Reboot", {}, "action"),
        ("ReserveNow", {"connectorId": 1, "idTag": "A", "expiryDate": "tomorrow"}, "expiryDate"),
        ("Reset", "Soft", "payload"),
    ],
)
def test_a_payload_that_breaks_its_schema_is_refused_with_its_field(api, action, payload, field):
    body = {"charger_id": a_charger().identity, "action": action, "payload": payload}
    answer = post(api, "commands/", body)
    assert answer.status_code == 400
    assert field in answer.json()["fields"]
    assert not Command.objects.exists()


def test_a_command_that_only_the_charger_can_refuse_is_sent(api):
    body = {"charger_id": a_charger().identity, "action": "UnlockConnector", "payload": {"connectorId": 99}}
    assert post(api, "commands/", body).status_code == 202


@pytest.mark.parametrize("timeout", [0, -1, 1e9, "soon"])
def test_an_invalid_timeout_is_refused(api, timeout):
    answer = post(api, f"start/{a_charger()}/", {"timeout": timeout})
    assert answer.status_code == 400
    assert "timeout" in answer.json()["fields"]


def test_a_repeated_idempotency_key_and_body_return_the_same_task(api):
    charger = a_charger()
    first, second = (post(api, f"start/{charger}/", Idempotency_Key="k").json() for _ in range(2))
    assert first["task_id"] == second["task_id"]
    assert Command.objects.count() == 1
    assert post(api, f"start/{charger}/", {"timeout": 5}, Idempotency_Key="k").status_code == 409
    assert post(api, f"stop/{charger}/", Idempotency_Key="k").status_code == 409


def test_too_many_waiting_commands_are_refused(api, settings):
    charger = a_charger()
    for _ in range(settings.OCPP_QUEUE_LIMIT):
        a_command(charger)
    answer = post(api, f"start/{charger}/")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert post(api, f"start/{a_charger()}/").status_code == 202


def test_an_unknown_task_is_not_found(api):
    answer = api.get(f"{BASE}/tasks/8c1/")
    assert (answer.status_code, answer.json()) == (404, {"error": "Task not found"})


def test_a_task_separates_a_simulated_result_from_a_response(api):
    made = a_command(state=FINISHED, outcome="timed_out", simulated=True, simulated_response={"status": "Accepted"})
    task = api.get(f"{BASE}/tasks/{made.task_id}/").json()
    assert (task["response"], task["result"], task["simulated"]) == (None, {"status": "Accepted"}, True)
    assert (task["outcome"], task["error"], task["transaction_id"], task["late_response"]) == (
        "timed_out",
        None,
        None,
        None,
    )


def test_a_wait_that_is_too_long_is_refused(api):
    assert api.get(f"{BASE}/tasks/{a_command().task_id}/?wait=31").status_code == 400


def test_commands_are_listed_newest_first_and_filtered(api, django_assert_max_num_queries):
    old = a_command(state=FINISHED, outcome="answered")
    new = a_command(action="Reset", payload={"type": "Soft"})

    def found(query):
        return [task["task_id"] for task in api.get(f"{BASE}/commands/?{query}").json()["results"]]

    with django_assert_max_num_queries(5):
        assert found("") == [new.task_id, old.task_id]
    assert found(f"charger_id={new.charger}") == found("action=Reset") == found("state=queued") == [new.task_id]
    assert found("outcome=answered") == [old.task_id]
    assert found("simulated=true") == []
    assert api.get(f"{BASE}/commands/?action=Nonsense").status_code == 400


# --- what is odd -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("ReserveNow", {"connectorId": 1, "expiryDate": "2036-01-01T00:00:00Z", "idTag": "a\0b"}),
        ("ReserveNow", {"reservationId": "abc"}),
        ("ReserveNow", {"reservationId": {}}),
        ("ChangeConfiguration", {"key": "a\0b", "value": "1"}),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": {"chargingProfileId": 999_999}}),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": []}),
        ("GetLog", {"logType": "SecurityLog", "log": 5}),
        ("GetDiagnostics", {"location": 5}),
        ("SendLocalList", {"updateType": "Full", "localAuthorizationList": [5]}),
    ],
)
def test_an_odd_payload_is_refused_and_nothing_is_stored(api, action, payload):
    body = {"charger_id": a_charger().identity, "action": action, "payload": payload}
    answer = api.post(f"{BASE}/commands/", body, "application/json")
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert not Command.objects.exists()


def test_a_repeated_stop_returns_the_same_task_after_another_start(api):
    transaction = a_transaction()
    path = f"{BASE}/stop/{transaction.charger}/"
    first = api.post(path, {}, "application/json", headers={"Idempotency-Key": "k"})
    a_transaction(transaction.charger, connectorId=2)
    again = api.post(path, {}, "application/json", headers={"Idempotency-Key": "k"})
    assert (first.status_code, again.json()) == (202, first.json())


def test_stop_chooses_the_transaction_that_superseded_another(api):
    stuck = a_transaction()
    real = a_transaction(stuck.charger, timestamp="2025-02-26T13:00:00Z")
    api.post(f"{BASE}/stop/{stuck.charger}/", {}, "application/json")
    assert Command.objects.get().payload == {"transactionId": real.pk}


def test_an_error_of_a_nested_member_has_its_dotted_path(api):
    answer = api.post(f"{BASE}/local-lists/{a_charger()}/", {"id_tags": ["A", ""]}, "application/json")
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == ["id_tags.1"]
    assert "ErrorDetail" not in answer.json()["error"]


@pytest.mark.parametrize("path", ["id-tags/99/", "reservations/99/", "uploads/99/file/", "firmware/99/install/"])
def test_unknown_ids_are_answered_404(api, path):
    ask = api.post if path.endswith("install/") else api.get
    answer = ask(f"{BASE}/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"].endswith("not found")


def test_lists_compare_ids_as_sent(api):
    for charger_id in ("505", "505 ", " "):
        a_command(a_charger(charger_id))
    for charger_id in ("505", "505 ", " "):
        for path in ("commands", "chargers"):
            listed = api.get(f"{BASE}/{path}/", {"charger_id": charger_id}).json()["results"]
            assert [row["charger_id"] for row in listed] == [charger_id]


@pytest.mark.parametrize(
    "path", ["commands/?simulated=maybe", "messages/?is_error=maybe", "webhooks/?is_enabled=maybe"]
)
def test_an_invalid_boolean_is_refused(api, path):
    answer = api.get(f"/api/ocpp/{path}")
    assert answer.status_code == 400
    assert "Say true or false." in str(answer.json()["fields"])


def test_transactions_are_filtered_by_their_charger(api):
    transaction, _ = a_transaction(), a_transaction()
    listed = api.get(f"{BASE}/transactions/?charger_id={transaction.charger}").json()["transaction_logs"]
    assert [row["transaction_id"] for row in listed] == [transaction.pk]
