"""MeterValues (OCPP 1.6 §4.7)."""

from decimal import Decimal

import pytest

from tests.support.builders import NOON, a_call, a_charger, a_transaction, settle, tell
from transactions.models import MeterValue
from transactions.services import samples

pytestmark = pytest.mark.django_db


def measure(charger, *sampled, transaction_id=None, connector_id=1):
    more = {} if transaction_id is None else {"transactionId": transaction_id}
    values = [{"timestamp": NOON, "sampledValue": list(sampled)}]
    return tell(charger, "MeterValues", connectorId=connector_id, meterValue=values, **more)


def test_every_sampled_value_is_a_row_with_all_members():
    transaction = a_transaction()
    sample = {
        "value": "16.5",
        "measurand": "Current.Import",
        "unit": "A",
        "phase": "L1",
        "context": "Trigger",
        "location": "Inlet",
        "format": "Raw",
    }
    assert measure(transaction.charger, sample, {"value": "1500"}, transaction_id=transaction.pk) == {}
    current, energy = MeterValue.objects.order_by("id")
    assert {name: getattr(current, name) for name in sample} == sample
    assert (current.number, current.transaction) == (Decimal("16.5"), transaction)
    assert (energy.measurand, energy.unit, energy.context) == (
        "Energy.Active.Import.Register",
        "Wh",
        "Sample.Periodic",
    )


@pytest.mark.parametrize("value", ["", "1e999999", "NaN", "signed:0xFF", "9" * 400])
def test_a_value_that_is_no_number_is_stored_as_sent(value):
    measure(a_charger(), {"value": value})
    kept = MeterValue.objects.get()
    assert (kept.value, kept.number) == (value, None)


@pytest.mark.parametrize("transaction_id", [None, -1, 2**31 - 1])
def test_readings_of_an_unknown_transaction_are_stored_unlinked(transaction_id):
    assert measure(a_charger(), {"value": "1"}, transaction_id=transaction_id) == {}
    kept = MeterValue.objects.get()
    assert (kept.transaction, kept.reported_transaction_id) == (None, transaction_id)


def test_readings_are_not_linked_to_another_chargers_transaction():
    transaction = a_transaction()
    measure(a_charger(), {"value": "9999"}, transaction_id=transaction.pk)
    assert MeterValue.objects.get().transaction is None


@pytest.mark.parametrize(
    ("sample", "energy"),
    [
        ({"value": "1500"}, 500),
        ({"value": "1.5", "unit": "kWh"}, 500),
        ({"value": "1500", "phase": "L1"}, 500),
        ({"value": "1500", "measurand": "Power.Active.Import", "unit": "W"}, None),
        ({"value": "10"}, 0),
    ],
)
def test_the_energy_register_raises_the_energy_of_the_transaction(sample, energy):
    transaction = a_transaction()
    measure(transaction.charger, sample, transaction_id=transaction.pk)
    transaction.refresh_from_db()
    assert transaction.energy_wh == energy


def test_a_late_lower_register_does_not_reduce_the_energy():
    transaction = a_transaction()
    for register in ("2000", "1500"):
        measure(transaction.charger, {"value": register}, transaction_id=transaction.pk)
    transaction.refresh_from_db()
    assert transaction.energy_wh == 1000


def test_a_register_of_the_grid_does_not_count():
    transaction = a_transaction()
    samples = [{"value": "1500"}, {"value": "9000000", "location": "Inlet"}]
    values = [{"timestamp": NOON, "sampledValue": samples}]
    tell(transaction.charger, "MeterValues", connectorId=1, transactionId=transaction.pk, meterValue=values)
    transaction.refresh_from_db()
    assert transaction.energy_wh == 500


def test_readings_do_not_reopen_a_closed_transaction():
    transaction = a_transaction()
    charger = transaction.charger
    tell(charger, "StopTransaction", transactionId=transaction.pk, meterStop=3000, timestamp=NOON)
    measure(charger, {"value": "9000"}, transaction_id=transaction.pk)
    transaction.refresh_from_db()
    assert (transaction.status, transaction.energy_wh) == ("Completed", 2000)
    assert MeterValue.objects.get().transaction == transaction


def test_a_reading_whose_time_cannot_be_read_is_stored_once():
    transaction = a_transaction()
    values = [{"timestamp": "yesterday", "sampledValue": [{"value": "1500"}]}]
    others = [{"timestamp": "today", "sampledValue": [{"value": "1600"}]}]
    for message_id, sent in (("1", values), ("2", others), ("1", values)):
        body = {"connectorId": 1, "transactionId": transaction.pk, "meterValue": sent}
        settle(a_call(transaction.charger, "MeterValues", message_id, **body))
    transaction.refresh_from_db()
    assert [reading.value for reading in transaction.meter_values.order_by("pk")] == ["1500", "1600"]
    assert transaction.meter_newest == 1600


def test_a_reading_repeated_after_its_start_became_known_is_stored_once():
    charger = a_charger()
    reading = {"timestamp": "2025-02-26T12:05:00Z", "sampledValue": [{"value": "1500"}]}
    for message_id in ("1", "other", "1"):
        if message_id == "other":
            a_transaction(charger)
        else:
            settle(a_call(charger, "MeterValues", message_id, connectorId=1, meterValue=[reading]))
    assert MeterValue.objects.filter(charger=charger).count() == 1


def test_a_repeated_reading_without_a_connector_of_an_unknown_transaction_is_stored_once():
    charger = a_charger()
    values = [{"timestamp": NOON, "sampledValue": [{"value": "1"}]}]
    for _ in range(2):
        settle(a_call(charger, "MeterValues", "m", transactionId=12345, meterValue=values))
        tell(charger, "FirmwareStatusNotification", status="Idle")
    assert MeterValue.objects.count() == 1


def test_a_repeated_reading_without_a_time_is_stored_once_also_after_other_messages():
    charger = a_charger()
    values = [{"timestamp": "soon", "sampledValue": [{"value": "1"}]}]
    for _ in range(2):
        settle(a_call(charger, "MeterValues", "m", connectorId=1, meterValue=values))
        tell(charger, "FirmwareStatusNotification", status="Idle")
    assert MeterValue.objects.count() == 1


def stored_values(charger):
    return list(MeterValue.objects.filter(charger=charger).values_list("value", flat=True))


def test_a_repeated_message_adds_only_samples_that_are_not_stored():
    transaction = a_transaction()
    for values in (["1", "2"], ["1"], ["3", "1", "2"], ["2", "3"]):
        sent = [{"timestamp": NOON, "sampledValue": [{"value": value} for value in values]}]
        body = {"connectorId": 1, "transactionId": transaction.pk, "meterValue": sent}
        settle(a_call(transaction.charger, "MeterValues", "same", **body))
    assert stored_values(transaction.charger) == ["1", "2", "3"]


@pytest.mark.parametrize("text", ["a\tb\\n\"'\n\r", "\\N", "\\.", "ä€\U0001f600\u2028", "[1]", "x" * 100_000])
def test_texts_are_stored_to_the_letter(text):
    charger = a_charger()
    sample = {"value": text, "measurand": text, "unit": text, "phase": text, "context": text, "location": text}
    for _ in range(2):
        body = {"connectorId": 1, "meterValue": [{"timestamp": NOON, "sampledValue": [sample]}]}
        settle(a_call(charger, "MeterValues", "same", **body))
    kept = MeterValue.objects.get()
    assert {name: getattr(kept, name) for name in sample} == sample
    assert kept.format == "Raw"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("+5", 5),
        ("-0.5", Decimal("-0.5")),
        ("2200,5", Decimal("2200.5")),
        ("1e3", 1000),
        ("1.0000000005", 1),
        ("999999999999999", 999999999999999),
        ("1000000000000000", None),
        ("٣", None),
        ("5\n", 5),
    ],
)
@pytest.mark.parametrize("members", [{}, {"measurand": "Power.Active.Import", "unit": "W", "location": "Cable"}])
def test_the_number_of_a_value_is_known(value, number, members):
    measure(a_charger(), {"value": value} | members)
    kept = MeterValue.objects.get()
    assert (kept.value, kept.number) == (value, number)
    assert {name: getattr(kept, name) for name in members} == members


def test_meter_values_are_in_the_order_of_receipt_and_of_the_message(settings):
    settings.OCPP_MOST_SAMPLES = 0
    charger = a_charger()
    values = [str(number) for number in range(samples.MOST * 2 + 1)]
    measure(charger, *({"value": value} for value in values))
    measure(charger, {"value": "last"})
    assert stored_values(charger) == [*values, "last"]
    assert stored_values(charger) == list(MeterValue.objects.order_by("pk").values_list("value", flat=True))
    assert MeterValue.objects.values("pk").distinct().count() == len(values) + 1


def test_readings_are_deleted_with_their_transaction():
    transaction, other = a_transaction(), a_transaction()
    for one in (transaction, other):
        measure(one.charger, {"value": "1"}, transaction_id=one.pk)
    transaction.delete()
    assert MeterValue.objects.get().transaction == other
