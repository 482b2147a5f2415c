"""Superseded transactions, closing by hand, orphan stops, and impossible times."""

import pytest

from tests.support.builders import NOON, a_charger, a_transaction, tell
from transactions.models import OrphanStop

pytestmark = pytest.mark.django_db
BASE = "/api/ocpp"


def reading(transaction, value, timestamp=NOON):
    values = [{"timestamp": timestamp, "sampledValue": [{"value": str(value)}]}]
    answer = {"connectorId": 1, "transactionId": transaction.pk, "meterValue": values}
    tell(transaction.charger, "MeterValues", **answer)


def stop(charger, transaction_id, **more):
    answer = {"transactionId": transaction_id, "meterStop": 3000, "timestamp": NOON, **more}
    return tell(charger, "StopTransaction", **answer)


def close(api, transaction):
    return api.post(f"{BASE}/transactions/{transaction.charger}/{transaction.pk}/close/")


# --- superseded --------------------------------------------------------------------------------------


def test_a_start_on_a_busy_connector_flags_the_older_one():
    older = a_transaction()
    newer = a_transaction(older.charger, timestamp="2025-02-26T13:00:00Z")
    older.refresh_from_db()
    assert (older.superseded_by, older.status, newer.superseded_by) == (newer, "Ongoing", None)


def test_a_late_offline_start_is_the_older_transaction():
    newer = a_transaction()
    late = a_transaction(newer.charger, timestamp="2025-02-26T11:00:00Z")
    newer.refresh_from_db()
    late.refresh_from_db()
    assert (newer.superseded_by, late.superseded_by) == (None, newer)


def test_an_offline_start_is_older_than_one_that_is_superseded_itself():
    superseded = a_transaction()
    newest = a_transaction(superseded.charger, timestamp="2025-02-26T13:00:00Z")
    stop(newest.charger, newest.pk)
    late = a_transaction(newest.charger, timestamp="2025-02-26T11:00:00Z")
    late.refresh_from_db()
    assert late.superseded_by == superseded


def test_the_latest_of_several_supersedes_the_others():
    first = a_transaction()
    hours = [a_transaction(first.charger, timestamp=f"2025-02-26T{hour}:00:00Z") for hour in (15, 14, 16)]
    for transaction in hours:
        transaction.refresh_from_db()
    assert [transaction.superseded_by for transaction in hours] == [hours[2], hours[0], None]


@pytest.mark.parametrize("timestamp", ["1970-01-01T00:00:10Z", "2099-01-01T00:00:00Z"])
def test_an_impossible_clock_does_not_determine_the_order(timestamp):
    older = a_transaction(timestamp=timestamp)
    newer = a_transaction(older.charger, timestamp=timestamp.replace(":00Z", ":30Z").replace(":10Z", ":05Z"))
    older.refresh_from_db()
    assert (older.superseded_by, newer.superseded_by) == (newer, None)


def test_a_start_on_another_connector_flags_nothing():
    older = a_transaction()
    a_transaction(older.charger, connectorId=2, timestamp="2025-02-26T13:00:00Z")
    older.refresh_from_db()
    assert older.superseded_by is None


def test_a_late_stop_removes_the_flag():
    older = a_transaction()
    a_transaction(older.charger, timestamp="2025-02-26T13:00:00Z")
    stop(older.charger, older.pk)
    older.refresh_from_db()
    assert (older.status, older.superseded_by) == ("Completed", None)


# --- closed by hand ----------------------------------------------------------------------------------


def test_a_transaction_is_closed_with_its_last_reading(api):
    transaction = a_transaction()
    reading(transaction, 1500, "2025-02-26T12:30:00Z")
    closed = close(api, transaction).json()
    assert (closed["status"], closed["closed_by"], closed["energy_wh"]) == ("Completed", "alice", 500)
    assert (closed["end_time"], closed["meter_stop"]) == ("2025-02-26T12:30:00Z", 1500)
    assert close(api, transaction).status_code == 409


def test_a_transaction_without_a_reading_is_closed_without_energy(api):
    closed = close(api, a_transaction()).json()
    assert (closed["status"], closed["meter_stop"], closed["energy_wh"]) == ("Completed", None, None)


def test_a_later_real_stop_replaces_the_closing_by_hand(api):
    transaction = a_transaction()
    close(api, transaction)
    stop(transaction.charger, transaction.pk, reason="PowerLoss")
    transaction.refresh_from_db()
    assert (transaction.stop_reason, transaction.energy_wh, transaction.closed_by) == ("PowerLoss", 2000, "alice")


def test_a_transaction_closed_by_hand_is_not_reopened_by_readings(api):
    transaction = a_transaction()
    reading(transaction, 1500)
    close(api, transaction)
    reading(transaction, 9000)
    transaction.refresh_from_db()
    assert (transaction.status, transaction.energy_wh) == ("Completed", 500)


# --- orphan stops ------------------------------------------------------------------------------------


def attach(api, orphan, transaction_id):
    body = {"transaction_id": transaction_id}
    return api.post(f"{BASE}/orphan-stops/{orphan.pk}/attach/", body, "application/json")


def test_an_orphan_stop_is_attached_to_a_matching_transaction(api):
    transaction = a_transaction()
    a_transaction()
    stop(transaction.charger, -1, idTag="abc")
    (shown,) = api.get(f"{BASE}/orphan-stops/").json()["results"]
    assert shown["candidates"] == [transaction.pk]
    assert shown["payload"]["transactionId"] == -1
    assert attach(api, OrphanStop.objects.get(), transaction.pk).json()["transaction_id"] == transaction.pk
    transaction.refresh_from_db()
    assert (transaction.status, transaction.energy_wh) == ("Completed", 2000)


def test_an_orphan_stop_with_an_empty_tag_matches_any_tag():
    transaction = a_transaction()
    stop(transaction.charger, -1, idTag="")
    orphan = OrphanStop.objects.get()
    assert OrphanStop.candidates_of([orphan]) == {orphan.pk: [transaction.pk]}


def test_a_repeated_orphan_stop_is_stored_once():
    charger = a_charger()
    for _ in range(2):
        stop(charger, -1)
    stop(charger, -1, meterStop=4000)
    assert OrphanStop.objects.count() == 2


def test_an_orphan_stop_is_attached_once(api):
    first = a_transaction()
    second = a_transaction(first.charger, connectorId=2)
    stop(first.charger, -1)
    orphan = OrphanStop.objects.get()
    assert [attach(api, orphan, t.pk).status_code for t in (first, second)] == [200, 409]


def test_an_orphan_stop_matches_no_other_charger_and_no_ended_transaction(api):
    transaction, other = a_transaction(), a_transaction()
    stop(transaction.charger, -1)
    stop(transaction.charger, transaction.pk)
    for pk in (transaction.pk, other.pk, 2**31 - 1):
        assert attach(api, OrphanStop.objects.get(), pk).status_code == 409


# --- clocks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timestamp", ["2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "soon"])
def test_an_impossible_clock_is_flagged(timestamp):
    transaction = a_transaction(timestamp=timestamp)
    assert transaction.clock_skew
    assert not a_transaction(a_charger()).clock_skew


def test_a_stop_before_its_start_is_flagged_and_no_time_is_negative():
    transaction = a_transaction()
    stop(transaction.charger, transaction.pk, timestamp="2025-02-26T11:00:00Z")
    transaction.refresh_from_db()
    assert transaction.clock_skew and transaction.duration_seconds == 0
