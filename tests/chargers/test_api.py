"""Chargers over REST, and the common format of errors."""

import pytest

from chargers.models import Charger
from chargers.models.charger import OPERATOR_FIELDS, REPORTED_FIELDS
from chargers.services import keys
from tests.support.builders import a_charger, a_transaction, tell

pytestmark = pytest.mark.django_db
BASE = "/api/ocpp"


def test_a_charger_is_created_with_a_key_that_is_never_shown(api):
    body = {"charger_id": "505 ", "authorization_key": "0001020304050607FFFFFFFFCCCCCCCCCCCCCCCC"}
    made = api.post(f"{BASE}/chargers/", body, "application/json")
    assert made.status_code == 201
    assert made.json()["charger_id"] == "505 "
    assert made.json()["has_authorization_key"] is True
    assert body["authorization_key"] not in made.content.decode()


def test_a_key_is_changed_and_removed(api):
    charger = a_charger()
    path = f"{BASE}/chargers/{charger}/"
    api.patch(path, {"authorization_key": "sixteen-chars-ok"}, "application/json")
    charger.refresh_from_db()
    assert keys.matches(b"sixteen-chars-ok", charger.authorization_key_hash)
    assert api.patch(path, {"authorization_key": None}, "application/json").json()["has_authorization_key"] is False


@pytest.mark.parametrize(
    "body", [{}, {"charger_id": ""}, {"charger_id": "x" * 256}, {"charger_id": "TAKEN"}, {"charger_id": "a\0"}]
)
def test_an_invalid_charger_is_refused_with_its_field(api, body):
    a_charger("TAKEN")
    answer = api.post(f"{BASE}/chargers/", body, "application/json")
    assert answer.status_code == 400
    assert "charger_id" in answer.json()["fields"]


def test_each_editable_column_is_written_by_the_operator_or_reported():
    editable = {field.name for field in Charger._meta.concrete_fields if field.editable} - {"id", "identity"}
    listed = [*OPERATOR_FIELDS, *REPORTED_FIELDS]
    assert editable <= set(listed)
    assert len(listed) == len(set(listed))


def test_values_reported_by_a_charger_are_read_only(api):
    charger = a_charger(ocpp_version="ocpp1.6")
    written = {"vendor": "mine", "ocpp_version": "ocpp2.0.1", "description": "d"}
    shown = api.patch(f"{BASE}/chargers/{charger}/", written, "application/json").json()
    charger.refresh_from_db()
    assert (charger.vendor, charger.ocpp_version, charger.description) == ("", "ocpp1.6", "d")
    assert shown["ocpp_version"] == "ocpp1.6"


def test_the_status_endpoint_shows_stored_state(api):
    charger = a_charger()
    tell(charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Charging")
    status = api.get(f"{BASE}/status/{charger}/").json()["status"]
    charger.refresh_from_db()
    assert (status["charger_id"], status["status"], status["connected"]) == (charger.identity, "Charging", False)
    assert status["last_seen"] == charger.last_seen.isoformat().replace("+00:00", "Z")
    assert status["connectors"][0]["connector_id"] == 1


def test_the_status_of_a_silent_charger_is_unknown(api):
    assert api.get(f"{BASE}/status/{a_charger()}/").json()["status"]["status"] == "Unknown"


def test_a_charger_with_transactions_cannot_be_deleted(api):
    charger = a_transaction().charger
    answer = api.delete(f"{BASE}/chargers/{charger}/")
    assert answer.status_code == 409
    assert "transactions" in answer.json()["error"]
    assert api.delete(f"{BASE}/chargers/{a_charger()}/").status_code == 204


@pytest.mark.parametrize("path", ["status/nobody/", "chargers/nobody/", "start/nobody/"])
def test_an_unknown_charger_is_answered_404(api, path):
    ask = api.post if path.startswith("start") else api.get
    answer = ask(f"{BASE}/{path}", content_type="application/json")
    assert (answer.status_code, answer.json()) == (404, {"error": "Charger not found"})


@pytest.mark.parametrize("path", ["/api/ocpp/nothing/", "/api/ocpp/chargers", "/api/ocpp/status/a%00b/"])
def test_an_unknown_path_is_answered_in_json(api, path):
    answer = api.get(path)
    assert answer.status_code == 404
    assert set(answer.json()) == {"error"}


def test_wrong_methods_and_bodies_have_the_common_error_format(api):
    for answer, status in (
        (api.delete(f"{BASE}/chargers/"), 405),
        (api.post(f"{BASE}/chargers/", "{", "application/json"), 400),
        (api.post(f"{BASE}/chargers/", "a=b", "text/plain"), 415),
        (api.post(f"{BASE}/chargers/", "[1]", "application/json"), 400),
    ):
        assert answer.status_code == status
        assert answer.json()["error"]


def test_the_openapi_schema_is_generated_without_a_warning(api, capsys):
    answer = api.get("/api/schema/?format=json")
    assert answer.status_code == 200
    assert "/api/ocpp/tasks/{task_id}/" in answer.json()["paths"]
    assert capsys.readouterr().err == ""


def test_the_docs_page_needs_no_internet(api):
    page = api.get("/api/docs/").content.decode()
    assert "swagger-ui" in page
    assert "https://" not in page


def test_health_and_metrics_are_served(api):
    a_charger()
    assert api.get("/healthz").status_code == api.get("/readyz").status_code == 200
    assert "ocpp_chargers_known 1" in api.get("/metrics").content.decode()


@pytest.mark.parametrize(
    "body",
    [
        '{"charger_id": "X", "action": "DataTransfer", "payload": {"vendorId": "\\ud800"}}',
        '{"charger_id": "X", "action": "\\ud800", "payload": {}}',
        '{"charger_id": "X", "action": "DataTransfer", "payload": {"vendorId": 99999999999999999999999}}',
        '{"charger_id": "X", "action": "DataTransfer", "payload": {"vendorId": ' + "[" * 300 + "]" * 300 + "}}",
        "[" * 100_000,
        '{"a": NaN}',
        "\xff",
    ],
)
def test_unstorable_json_is_a_bad_request(api, body):
    a_charger("X")
    answer = api.post(f"{BASE}/commands/", body, "application/json")
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "fields"}


def test_a_body_that_is_too_large_is_answered_413(api):
    body = '{"charger_id": "' + "x" * 3_000_000 + '"}'
    answer = api.post(f"{BASE}/chargers/", body, "application/json")
    assert answer.status_code == 413
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("path", ["/api/ocpp/start/505", "/api/nothing/", "/nothing", "/healthz/x"])
def test_a_post_to_an_unknown_path_is_answered_in_json(client, path):
    answer = client.post(path, "{}", "application/json")
    assert answer.status_code == 404
    assert set(answer.json()) == {"error"}


def test_an_unknown_host_name_is_refused_in_json(client):
    answer = client.get(f"{BASE}/chargers/", headers={"Host": "evil"})
    assert answer.status_code == 400
    assert "ALLOWED_HOSTS" in answer.json()["error"]


def test_chargers_are_filtered_by_reported_values(api):
    charger = a_charger()
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M", iccid="89")
    a_charger()
    assert api.get(f"{BASE}/chargers/?iccid=89").json()["count"] == 1


def test_a_put_needs_no_id_in_its_body(api):
    charger = a_charger()
    answer = api.put(f"{BASE}/chargers/{charger}/", {"description": "d"}, "application/json")
    assert answer.status_code == 200
    assert answer.json()["charger_id"] == charger.identity


@pytest.mark.parametrize("accepted", ["application/octet-stream", "text/html", "application/xml;q=0.1", "nonsense"])
def test_any_accept_header_is_answered(api, accepted):
    answer = api.get(f"{BASE}/chargers/?format=xml", headers={"Accept": accepted})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")


def test_a_charger_shows_its_evses(api):
    charger = a_charger()
    for connector_id in (0, 2, 1):
        tell(charger, "StatusNotification", connectorId=connector_id, errorCode="NoError", status="Available")
    shown = api.get(f"/api/ocpp/chargers/{charger}/").json()
    assert [evse["evse_id"] for evse in shown["evses"]] == [1, 2]
    assert [[c["connector_id"] for c in evse["connectors"]] for evse in shown["evses"]] == [[1], [2]]
    assert [c["connector_id"] for c in shown["connectors"]] == [0, 1, 2]
