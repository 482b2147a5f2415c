"""Transactions and id tags over REST."""

import pytest

from tests.support.builders import NOON, a_charger, a_transaction, tell
from transactions.models import Transaction

pytestmark = pytest.mark.django_db
BASE = "/api/ocpp"


def test_transactions_have_the_field_names_of_the_contract(api):
    transaction = a_transaction()
    page = api.get(f"{BASE}/transactions/{transaction.charger}/").json()
    log = page["transaction_logs"][0]
    assert (page["count"], page["next"], page["previous"]) == (1, None, None)
    assert log["transaction_id"] == transaction.pk
    assert log["charger_id"] == transaction.charger.identity
    assert log["start_time"] == NOON
    assert log["end_time"] is None
    assert log["status"] == "Ongoing"
    assert (log["id_tag"], log["connector_id"], log["meter_start"]) == ("ABC", 1, 1000)
    assert (log["meter_stop"], log["energy_wh"], log["stop_reason"]) == (None, None, None)


def test_a_transaction_is_found_by_its_reference(api):
    transaction = a_transaction()
    other = a_transaction()
    Transaction.objects.filter(pk=other.pk).update(own_reference="a-7")
    (log,) = api.get(f"{BASE}/transactions/?reference={transaction.pk}").json()["transaction_logs"]
    assert (log["reference"], log["evse_id"], log["charging_state"]) == (str(transaction.pk), 1, "")
    (log,) = api.get(f"{BASE}/transactions/?reference=a-7").json()["transaction_logs"]
    assert (log["reference"], log["transaction_id"]) == ("a-7", other.pk)
    for unknown in (other.pk, f"0{transaction.pk}", "9" * 30, "\u0661"):
        assert api.get(f"{BASE}/transactions/?reference={unknown}").json()["transaction_logs"] == []


def test_transactions_are_newest_first_and_filtered_exactly(api):
    charger = a_charger()
    first = a_transaction(charger, idTag="A", timestamp="2025-01-01T00:00:00Z")
    second = a_transaction(charger, idTag="AB", connectorId=2)
    tell(charger, "StopTransaction", transactionId=first.pk, meterStop=2000, timestamp=NOON)

    def found(query):
        return [t["transaction_id"] for t in api.get(f"{BASE}/transactions/?{query}").json()["transaction_logs"]]

    assert found("") == [second.pk, first.pk]
    assert found("id_tag=A") == found("status=Completed") == found("connector_id=1") == [first.pk]
    assert found("started_after=2025-02-01T00:00:00Z") == [second.pk]
    assert found("started_before=2025-02-01T00:00:00Z") == [first.pk]


def test_a_wrong_filter_names_the_field(api):
    answer = api.get(f"{BASE}/transactions/?status=Running")
    assert answer.status_code == 400
    assert "status" in answer.json()["fields"]


def test_the_readings_of_a_transaction_are_listed(api):
    transaction = a_transaction()
    values = [{"timestamp": NOON, "sampledValue": [{"value": "1500"}, {"value": "7", "measurand": "SoC"}]}]
    tell(transaction.charger, "MeterValues", connectorId=1, transactionId=transaction.pk, meterValue=values)
    path = f"{BASE}/transactions/{transaction.charger}/{transaction.pk}/"
    assert api.get(path).json()["energy_wh"] == 500
    readings = api.get(f"{path}meter-values/").json()["results"]
    assert [reading["value"] for reading in readings] == ["1500", "7"]


def test_another_chargers_transaction_is_not_found_here(api):
    transaction = a_transaction()
    answer = api.get(f"{BASE}/transactions/{a_charger()}/{transaction.pk}/")
    assert (answer.status_code, answer.json()) == (404, {"error": "Transaction not found"})


def test_an_unknown_charger_has_no_transactions(api):
    answer = api.get(f"{BASE}/transactions/nobody/")
    assert (answer.status_code, answer.json()) == (404, {"error": "Charger not found"})


def test_a_tag_is_created_changed_and_deleted(api):
    made = api.post(f"{BASE}/id-tags/", {"id_tag": "#Free"}, "application/json").json()
    path = f"{BASE}/id-tags/{made['id']}/"
    assert api.patch(path, {"status": "Blocked"}, "application/json").json()["status"] == "Blocked"
    assert api.get(f"{BASE}/id-tags/?status=Blocked").json()["count"] == 1
    assert api.delete(path).status_code == 204


@pytest.mark.parametrize("id_tag", ["", "x" * 256, "ABC", "abc", "ä"])
def test_an_invalid_tag_is_refused_with_its_field(api, id_tag):
    api.post(f"{BASE}/id-tags/", {"id_tag": "AbC"}, "application/json")
    answer = api.post(f"{BASE}/id-tags/", {"id_tag": id_tag}, "application/json")
    assert answer.status_code == 400
    assert "id_tag" in answer.json()["fields"]
