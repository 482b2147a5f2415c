"""The energy of a session, by the best evidence."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.builders import NOON, a_call, a_charger, a_start, a_transaction, settle, tell
from transactions.models import MeterValue, Reading, Transaction
from transactions.services import curves

pytestmark = pytest.mark.django_db
PAST_NOON = "2025-02-26T12:30:00Z"
END = "2025-02-26T13:00:00Z"


def values(*samples, timestamp=PAST_NOON):
    samples = [sample if isinstance(sample, dict) else {"value": str(sample)} for sample in samples]
    return [{"timestamp": timestamp, "sampledValue": samples}]


def measure(transaction, *samples, timestamp=PAST_NOON, **members):
    body = {"connectorId": transaction.connector_id, "transactionId": transaction.pk} | members
    body = {name: value for name, value in body.items() if value is not None}
    tell(transaction.charger, "MeterValues", **body, meterValue=values(*samples, timestamp=timestamp))


def stop(transaction, meter, **members):
    body = {"transactionId": transaction.pk, "meterStop": meter, "timestamp": END, **members}
    tell(transaction.charger, "StopTransaction", **{name: value for name, value in body.items() if value is not None})


def evidence(transaction):
    transaction.refresh_from_db()
    return transaction.energy_wh, transaction.energy_source


@pytest.mark.parametrize(
    ("start", "read", "meter_stop", "expected"),
    [
        (1000, [], 3000, (2000, "stop")),
        (1000, [2000], 3000, (2000, "stop")),
        (1000, [3050], 3000, (2000, "stop")),
        (0, [5000], -1, (5000, "readings")),
        (0, [5000], 0, (5000, "readings")),
        (0, [5000], None, (5000, "readings")),
        (0, [5000], 4294967295, (5000, "readings")),
        (0, [], -1, (None, "none")),
        (0, [], None, (None, "none")),
        (0, [], 0, (0, "stop")),
        (1234567, [5000], 6000, (5000, "readings")),
        (1234567, [5000], 1239567, (5000, "stop")),
        (1234567, [5000], 1234567, (5000, "readings")),
        (1000499, [1000000], None, (0, "readings")),
        (4294967295, [100000, 105000], 105000, (5000, "stop")),
        (-1, [100000, 105000], -1, (5000, "readings")),
        (None, [100000, 105000], 106000, (6000, "stop")),
        (1000, [2000, 4294967295, 3000], None, (2000, "readings")),
        (1000, [2000, 999999999, 3000], None, (2000, "readings")),
        (1000, [2000, 400000, 3000], 3500, (2500, "stop")),
    ],
)
def test_the_energy_has_the_best_evidence(start, read, meter_stop, expected):
    transaction = a_transaction(meterStart=start) if start is not None else _without_meter()
    for register in read:
        measure(transaction, register)
    stop(transaction, meter_stop)
    assert evidence(transaction) == expected


def _without_meter():
    charger = a_charger()
    start = a_start(charger)
    del start["meterStart"]
    return Transaction.objects.get(pk=tell(charger, "StartTransaction", **start)["transactionId"])


@pytest.mark.parametrize("reported", [None, 0, -1, 2**31 - 1, 2**31, 2**63 - 1])
def test_readings_without_a_transaction_id_belong_to_the_ongoing_one(reported):
    transaction = a_transaction()
    measure(transaction, 1500, transactionId=reported)
    assert evidence(transaction) == (500, "readings")
    assert MeterValue.objects.get().transaction == transaction
    assert MeterValue.objects.get().reported_transaction_id == reported
    assert not transaction.is_id_used


def test_readings_of_another_connector_or_time_do_not_belong_to_it():
    transaction = a_transaction()
    measure(transaction, 1500, transactionId=None, connectorId=2)
    measure(transaction, 1500, transactionId=None, connectorId=0)
    measure(transaction, 1500, transactionId=None, timestamp="2025-02-26T11:59:00Z")
    stop(transaction, 2000)
    measure(transaction, 1500, transactionId=None)
    assert MeterValue.objects.filter(transaction=None).count() == 4


def test_readings_without_a_connector_belong_to_that_of_their_transaction():
    transaction = a_transaction(connectorId=2)
    measure(transaction, 1500, connectorId=None)
    assert MeterValue.objects.get().evse_id == 2
    assert evidence(transaction) == (500, "readings")


def test_registers_by_phase_are_added():
    transaction = a_transaction()
    measure(transaction, *({"value": "1000", "phase": phase} for phase in ("L1", "L2", "L3")))
    stop(transaction, 0)
    assert evidence(transaction) == (2000, "readings")
    assert curves.of(transaction)["energy"] == [2.0]


def test_readings_received_before_the_start_count_without_a_valid_stop():
    charger = a_charger()
    for minute, register in ((10, 1500), (20, 2500)):
        body = values(register, timestamp=f"2025-02-26T12:{minute}:00Z")
        tell(charger, "MeterValues", connectorId=1, meterValue=body)
    transaction = a_transaction(charger)
    stop(transaction, -1)
    assert evidence(transaction) == (1500, "readings")
    assert transaction.meter_values.count() == 2


def test_readings_within_a_stop_count():
    transaction = a_transaction()
    stop(transaction, 0, transactionData=values(1200, timestamp=NOON) + values(3000, timestamp=END))
    assert evidence(transaction) == (2000, "readings")


def test_late_readings_of_an_ended_session_improve_it_and_do_not_reopen_it():
    transaction = a_transaction()
    stop(transaction, -1)
    measure(transaction, 4000)
    measure(transaction, 9000, timestamp="2025-02-26T14:00:00Z")
    assert evidence(transaction) == (3000, "readings")
    assert transaction.status == "Completed"


@pytest.mark.parametrize("value", [" 2200.0", "2.2e3", "2200.", "2200,0", "2 200", "2200.0000000000002"])
def test_an_oddly_written_register_counts(value):
    transaction = a_transaction()
    measure(transaction, value)
    assert evidence(transaction) == (1200, "readings")
    assert (MeterValue.objects.get().value, int(MeterValue.objects.get().number)) == (value, 2200)


def test_an_odd_number_is_a_finding():
    transaction = a_transaction()
    odd = a_call(transaction.charger, "MeterValues", connectorId=1, meterValue=values("2.2e3", "1,234"))
    signed = values({"value": "OCMF|{}", "format": "SignedData"}, "2200")
    plain = a_call(a_charger(), "MeterValues", connectorId=1, meterValue=signed)
    settle(odd, plain)
    assert (list(odd.findings), plain.findings) == ([("meterValue.sampledValue.value", "not_a_number")], {})


def test_impossible_meters_and_wrong_clocks_are_findings():
    transaction = a_transaction()
    start = a_call(
        a_charger(), "StartTransaction", **a_start(None, meterStart=4294967295, timestamp="1970-01-01T00:00:00Z")
    )
    end = a_call(transaction.charger, "StopTransaction", transactionId=transaction.pk, meterStop=-1, timestamp="soon")
    settle(start, end)
    assert set(start.findings) == {("meterStart", "out_of_range"), ("timestamp", "clock")}
    assert set(end.findings) == {("meterStop", "out_of_range"), ("timestamp", "clock")}


def test_an_unreadable_sample_is_stored_as_text_and_not_counted():
    transaction = a_transaction()
    measure(transaction, {"value": '{"value": 9}', "measurand": "", "format": "unreadable"}, {"value": "1500"})
    odd, good = MeterValue.objects.order_by("id")
    assert (odd.value, odd.number, odd.measurand) == ('{"value": 9}', None, "")
    assert good.number == 1500
    assert evidence(transaction) == (500, "readings")


def test_unknown_labels_of_samples_are_stored():
    transaction = a_transaction()
    measure(transaction, {"value": "50", "measurand": "Net\tFrequency\\", "unit": "Hz" * 100})
    kept = MeterValue.objects.get()
    assert (kept.measurand, kept.unit) == ("Net\tFrequency\\", "Hz" * 100)


def test_numbers_are_stored_rounded_and_as_sent():
    charger = a_charger()
    start = a_call(charger, "StartTransaction", **a_start(charger, meterStart=604))
    start.as_sent["meterStart"] = "604.213"
    started = settle(start)[0]
    end = a_call(charger, "StopTransaction", transactionId=started["transactionId"], meterStop=26008, timestamp=END)
    end.as_sent["meterStop"] = "26008.333"
    settle(end)
    kept = Transaction.objects.get()
    assert (kept.raw_meter_start, kept.raw_meter_stop, kept.energy_wh) == ("604.213", "26008.333", 25404)


def test_numbers_beyond_an_integer_do_not_break_a_session():
    charger = a_charger()
    start = a_start(charger, meterStart=2**63 - 1, reservationId=-(2**63), timestamp="")
    started = tell(charger, "StartTransaction", **start)
    tell(charger, "StopTransaction", transactionId=2**63 - 1, meterStop=-(2**63), timestamp="", reason="x" * 300)
    tell(charger, "StopTransaction", meterStop=5, timestamp=END)
    tell(charger, "StopTransaction", transactionId=started["transactionId"], timestamp="", reason="x" * 300)
    assert Transaction.objects.get().status == "Completed"


def test_a_wrong_clock_does_not_claim_readings_of_other_times():
    charger = a_charger()
    for month in (1, 6):
        body = values(5000 * month, timestamp=f"2025-0{month}-26T12:00:00Z")
        tell(charger, "MeterValues", connectorId=1, meterValue=body)
    transaction = a_transaction(charger, timestamp="1970-01-01T00:00:00Z", meterStart=4294967295)
    stop(transaction, -1, timestamp="2025-09-01T00:00:00Z")
    assert evidence(transaction) == (None, "none")
    assert MeterValue.objects.filter(transaction=None).count() == 2


def test_a_number_with_too_many_digits_does_not_break_a_message():
    transaction = a_transaction()
    measure(transaction, {"value": "999999999999999.9999999999", "measurand": "Voltage"}, 1500)
    assert [value.number for value in MeterValue.objects.order_by("id")] == [None, 1500]


def test_a_session_closed_by_hand_claims_readings_received_before_its_start():
    charger = a_charger()
    tell(charger, "MeterValues", connectorId=1, meterValue=values(2500))
    transaction = a_transaction(charger, timestamp="2025-02-26T12:00:00Z")
    Transaction.objects.filter(pk=transaction.pk).update(start_time=datetime.now(UTC) - timedelta(hours=1))
    Reading.objects.update(timestamp=datetime.now(UTC))
    assert transaction.close("alice")
    assert evidence(transaction) == (1500, "readings")


@pytest.mark.parametrize(
    ("samples", "wh"),
    [
        ([{"value": "9000", "context": "Transaction.End"}, {"value": "1000", "context": "Transaction.Begin"}], 8000),
        ([{"value": "2000", "phase": phase} for phase in ("L1", "L2", "L3", "L1-N", "L2-N", "L3-N")], 5000),
        ([{"value": "0"}, *({"value": "2000", "phase": phase} for phase in ("L1", "L2", "L3"))], 5000),
    ],
)
def test_registers_of_one_moment_count_once(samples, wh):
    transaction = a_transaction()
    measure(transaction, *samples)
    stop(transaction, 0)
    assert evidence(transaction) == (wh, "readings")
