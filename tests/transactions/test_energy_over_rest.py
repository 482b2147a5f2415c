"""The energy of a session without a valid stop: the best evidence is billed, and the transaction names it."""

import pytest

from tests.support.field_charger import LATER


def evidence(charger, transaction_id):
    session = charger.transaction(transaction_id)
    return session["energy_wh"], session["energy_source"]


@pytest.mark.parametrize("meter_stop", [-1, 0, 4294967295, None, "unknown"])
def test_the_last_reading_is_billed_instead_of_an_impossible_stop(charger, meter_stop):
    transaction_id = charger.start(meterStart=0)
    charger.read(transaction_id, 5000)
    charger.stop(transaction_id, meterStop=meter_stop)
    assert evidence(charger, transaction_id) == (5000, "readings")


@pytest.mark.parametrize("meter_stop", [5000, 1234567, 1239567])
def test_a_register_may_count_from_the_start_of_the_session(charger, meter_stop):
    transaction_id = charger.start(meterStart=1234567)
    charger.read(transaction_id, 100)
    charger.read(transaction_id, 5000)
    charger.stop(transaction_id, meterStop=meter_stop)
    assert evidence(charger, transaction_id)[0] == 5000


def test_energy_by_phase_is_added(charger):
    transaction_id = charger.start(meterStart=0)
    charger.read(transaction_id, *({"value": "1000", "phase": phase} for phase in ("L1", "L2", "L3")))
    charger.stop(transaction_id, meterStop=0)
    assert evidence(charger, transaction_id) == (3000, "readings")


@pytest.mark.parametrize("named", [None, 0, -1, 2**31 - 1, 2**63 - 1])
def test_readings_without_a_transaction_id_belong_to_the_ongoing_one(charger, named):
    transaction_id = charger.start()
    charger.read(named, 3500)
    assert evidence(charger, transaction_id) == (2500, "readings")
    charger.stop(transaction_id, meterStop=-1)
    assert evidence(charger, transaction_id) == (2500, "readings")


@pytest.mark.parametrize(
    ("value", "wh"),
    [
        (" 2200.0", 1200),
        ("2200.0000000000002", 1200),
        ("2.2e3", 1200),
        ("2200.", 1200),
        ("2 200", 1200),
        ("2200,0", 1200),
        ("+2200", 1200),
    ],
)
def test_a_number_in_another_spelling_is_counted(charger, value, wh):
    transaction_id = charger.start()
    charger.read(transaction_id, value)
    assert evidence(charger, transaction_id) == (wh, "readings")


@pytest.mark.parametrize("value", ["1,234", "much", "", "0x8A", "NaN"])
def test_a_reading_that_is_no_number_is_stored_with_a_finding(charger, value):
    transaction_id = charger.start()
    charger.read(transaction_id, value)
    assert [row["value"] for row in charger.readings(transaction_id)] == [value]
    assert evidence(charger, transaction_id) == (None, "none")
    assert charger.found("MeterValues", "meterValue.sampledValue.value", "not_a_number")


def test_events_and_lists_show_the_same_energy(charger):
    transaction_id = charger.start(meterStart=0)
    charger.read(transaction_id, 5000)
    charger.stop(transaction_id, meterStop=-1)
    found = charger.live.get(f"/api/ocpp/events/?charger_id={charger.identity}&kind=transaction.stopped")
    (stopped,) = (event["body"] for event in found["results"])
    assert (stopped["energy_wh"], stopped["energy_source"]) == (5000, "readings")
    (listed,) = charger.transactions
    assert (listed["energy_wh"], listed["energy_source"]) == (5000, "readings")
    assert listed["end_time"] == LATER
