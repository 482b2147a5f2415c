"""StartTransaction (OCPP 1.6 §4.8)."""

import pytest

from tests.support.builders import NOON, a_call, a_charger, a_start, a_tag, settle, tell
from transactions.models import Transaction

pytestmark = pytest.mark.django_db


def test_a_start_is_stored_with_all_members():
    a_tag()
    charger = a_charger()
    answer = tell(charger, "StartTransaction", **a_start(charger, reservationId=7))
    started = Transaction.objects.get(pk=answer["transactionId"])
    assert answer["idTagInfo"] == {"status": "Accepted"}
    assert (started.charger, started.connector_id, started.id_tag, started.meter_start) == (charger, 1, "ABC", 1000)
    assert (started.reservation_id, started.raw_start_time, started.status) == (7, NOON, "Ongoing")


def test_a_repeated_start_gets_the_same_id():
    charger = a_charger()
    ids = {tell(charger, "StartTransaction", **a_start(charger))["transactionId"] for _ in range(3)}
    assert ids == {Transaction.objects.get().pk}


def test_a_start_repeated_after_its_stop_gets_the_same_id():
    charger = a_charger()
    first = tell(charger, "StartTransaction", **a_start(charger))["transactionId"]
    tell(charger, "StopTransaction", transactionId=first, meterStop=2000, timestamp=NOON)
    assert tell(charger, "StartTransaction", **a_start(charger))["transactionId"] == first
    assert Transaction.objects.get().status == "Completed"


def test_the_same_start_twice_in_one_batch_is_one_transaction():
    charger = a_charger()
    calls = [a_call(charger, "StartTransaction", **a_start(charger)) for _ in range(2)]
    first, second = settle(*calls)
    assert first == second


def test_the_same_start_of_two_chargers_is_two_transactions():
    chargers = [a_charger(), a_charger()]
    first, second = settle(*(a_call(c, "StartTransaction", **a_start(c)) for c in chargers))
    assert first["transactionId"] != second["transactionId"]


@pytest.mark.parametrize("status", ["Blocked", "Expired", "Invalid"])
def test_a_refused_tag_still_gets_a_transaction(status):
    a_tag(status=status)
    charger = a_charger()
    answer = tell(charger, "StartTransaction", **a_start(charger))
    assert answer["idTagInfo"]["status"] == status
    assert Transaction.objects.get(pk=answer["transactionId"]).id_tag_status == status


@pytest.mark.parametrize("timestamp", ["2022-02-29T00:00:00Z", "soon", "x" * 500])
def test_an_unreadable_timestamp_is_accepted(timestamp):
    charger = a_charger()
    tell(charger, "StartTransaction", **a_start(charger, timestamp=timestamp))
    started = Transaction.objects.get()
    assert started.raw_start_time == timestamp[:64]
    assert started.start_time == started.start_received_at


def test_an_offline_start_keeps_the_time_of_the_charger():
    charger = a_charger()
    tell(charger, "StartTransaction", **a_start(charger, timestamp="2024-01-01T05:00:00+02:00"))
    assert Transaction.objects.get().start_time.isoformat() == "2024-01-01T03:00:00+00:00"
