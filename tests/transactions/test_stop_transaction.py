"""StopTransaction is never refused (OCPP 1.6 §4.10)."""

import json

import pytest

from tests.support.builders import NOON, a_charger, a_tag, a_transaction, tell
from transactions.models import MeterValue, OrphanStop

pytestmark = pytest.mark.django_db


def stop(charger, transaction_id, meter_stop=3000, **more):
    return tell(
        charger, "StopTransaction", transactionId=transaction_id, meterStop=meter_stop, timestamp=NOON, **more
    )


def test_a_stop_closes_its_transaction():
    transaction = a_transaction()
    assert stop(transaction.charger, transaction.pk, reason="Remote") == {}
    transaction.refresh_from_db()
    assert (transaction.status, transaction.energy_wh, transaction.stop_reason) == ("Completed", 2000, "Remote")


def test_a_missing_reason_is_local():
    transaction = a_transaction()
    stop(transaction.charger, transaction.pk)
    transaction.refresh_from_db()
    assert transaction.stop_reason == "Local"


def test_a_stop_with_a_tag_is_answered_with_its_status():
    a_tag()
    transaction = a_transaction()
    assert stop(transaction.charger, transaction.pk, idTag="ABC") == {"idTagInfo": {"status": "Accepted"}}


def test_a_second_stop_changes_nothing():
    transaction = a_transaction()
    stop(transaction.charger, transaction.pk, 3000)
    assert stop(transaction.charger, transaction.pk, 9000, reason="PowerLoss") == {}
    transaction.refresh_from_db()
    assert (transaction.meter_stop, transaction.stop_reason) == (3000, "Local")


@pytest.mark.parametrize("transaction_id", [-1, 0, 2**31 - 1])
def test_a_stop_without_a_transaction_is_acknowledged_and_stored(transaction_id):
    charger = a_charger()
    assert stop(charger, transaction_id) == {}
    orphan = OrphanStop.objects.get()
    assert (orphan.charger, orphan.reported_transaction_id) == (charger, transaction_id)
    assert json.loads(orphan.payload)["meterStop"] == 3000


def test_a_transaction_of_another_charger_cannot_be_stopped():
    transaction = a_transaction()
    assert stop(a_charger(), transaction.pk) == {}
    transaction.refresh_from_db()
    assert transaction.status == "Ongoing"
    assert OrphanStop.objects.count() == 1


def test_a_meter_that_ran_backwards_gives_zero_energy():
    transaction = a_transaction()
    stop(transaction.charger, transaction.pk, meter_stop=10)
    transaction.refresh_from_db()
    assert (transaction.meter_stop, transaction.energy_wh) == (10, 0)


def test_the_readings_in_a_stop_are_stored():
    transaction = a_transaction()
    readings = [{"timestamp": NOON, "sampledValue": [{"value": "3000", "context": "Transaction.End"}]}]
    stop(transaction.charger, transaction.pk, transactionData=readings)
    value = MeterValue.objects.get()
    assert (value.transaction, value.evse_id, value.context) == (transaction, 1, "Transaction.End")
