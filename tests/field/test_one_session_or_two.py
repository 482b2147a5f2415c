"""A repeated start is one session, and two sessions with one natural key are two."""

import pytest

from tests.support.field_charger import NOON

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


def billed(charger):
    return sorted(session["energy_wh"] for session in charger.transactions)


@pytest.mark.parametrize("clock", ["1970-01-01T00:00:00Z", "1970-01-01T00:00:07.123Z", "0000-00-00T00:00:00Z", None])
def test_sessions_of_a_stopped_clock_are_distinct(charger, clock):
    for energy in (7000, 9000):
        charger.stop(charger.start(meterStart=0, timestamp=clock), meterStop=energy, timestamp=clock)
    assert billed(charger) == [7000, 9000]


def test_sessions_of_a_clock_that_restarts_at_each_boot_are_distinct(charger):
    for energy in (7000, 9000, 11000):
        charger.reconnect()
        charger.call("BootNotification", BOOT, "1")
        answer = charger.call(
            "StartTransaction",
            {"connectorId": 1, "idTag": "ABC", "meterStart": 0, "timestamp": "2020-01-01T00:00:30Z"},
            "2",
        )
        charger.stop(answer["transactionId"], meterStop=energy, timestamp="2020-01-01T01:00:00Z")
    assert billed(charger) == [7000, 9000, 11000]


@pytest.mark.parametrize("clock", ["1970-01-01T00:00:00Z", NOON])
def test_a_start_whose_answer_was_lost_is_one_session(charger, clock):
    first = charger.start(meterStart=0, timestamp=clock)
    charger.reconnect()
    charger.call("BootNotification", BOOT)
    again = charger.start(meterStart=0, timestamp=clock)
    charger.stop(again, meterStop=7000, timestamp=clock)
    assert first == again and billed(charger) == [7000]


def test_a_start_repeated_after_its_stop_is_the_same_session(charger):
    first = charger.start()
    charger.stop(first)
    assert charger.start() == first


def test_a_repeated_stop_changes_nothing(charger):
    transaction_id = charger.start()
    for meter in (26008, 30000):
        charger.stop(transaction_id, meterStop=meter)
    assert billed(charger) == [25008]
