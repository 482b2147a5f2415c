"""Repeated starts, and new sessions with the same natural key."""

from datetime import UTC, datetime, timedelta

import pytest

from core.ocpp.timestamps import to_rfc3339
from tests.support.builders import NOON, a_call, a_charger, a_start, a_tag, open_socket, settle, tell
from transactions.models import Transaction
from transactions.services.starts import Equal, next_recurrence

pytestmark = pytest.mark.django_db
EPOCH = "1970-01-01T00:00:00Z"
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


def start(charger, message_id=None, received_at=None, **members):
    call = a_call(charger, "StartTransaction", message_id, **a_start(charger, **{"meterStart": 0, **members}))
    call.received_at = received_at or call.received_at
    return settle(call)[0]["transactionId"]


def stop(charger, transaction_id, meter, timestamp):
    tell(charger, "StopTransaction", transactionId=transaction_id, meterStop=meter, timestamp=timestamp)


def boot(charger):
    tell(charger, "BootNotification", **BOOT)


def ago(**span):
    return datetime.now(UTC) - timedelta(**span)


def billed():
    return sorted(Transaction.objects.values_list("energy_wh", flat=True))


CLOCKS = [EPOCH, "1970-01-01T00:00:12.123Z", "0000-00-00T00:00:00Z", "", "soon", "2000-01-01T00:00:00Z"]


@pytest.mark.parametrize("timestamp", CLOCKS)
def test_sessions_of_a_stopped_clock_are_distinct(timestamp):
    charger = a_charger()
    for meter in (7000, 9000):
        stop(charger, start(charger, timestamp=timestamp), meter, timestamp)
    assert billed() == [7000, 9000]


def test_sessions_of_a_clock_that_restarts_at_each_boot_are_distinct():
    charger = a_charger()
    for meter in (7000, 9000, 11000):
        boot(charger)
        pk = start(charger, message_id="1", timestamp="2020-01-01T00:00:30Z")
        stop(charger, pk, meter, "2020-01-01T01:00:00Z")
    assert billed() == [7000, 9000, 11000]


def test_a_clock_stopped_at_a_plausible_date_is_recognised_by_its_stop():
    charger = a_charger()
    first = start(charger, received_at=ago(hours=1), timestamp=NOON)
    stop(charger, first, 7000, NOON)
    assert start(charger, timestamp=NOON) != first


@pytest.mark.parametrize("timestamp", [EPOCH, NOON, ""])
def test_a_start_whose_answer_was_lost_is_the_same_under_any_clock(timestamp):
    charger = a_charger()
    first = start(charger, timestamp=timestamp)
    boot(charger)
    open_socket(charger)
    assert start(charger, timestamp=timestamp) == first


def test_a_reading_that_names_the_transaction_shows_that_the_answer_arrived():
    charger = a_charger()
    first = start(charger, timestamp=EPOCH)
    values = [{"timestamp": EPOCH, "sampledValue": [{"value": "1", "measurand": "Voltage"}]}]
    tell(charger, "MeterValues", connectorId=1, transactionId=first, meterValue=values)
    assert start(charger, timestamp=EPOCH) != first


def test_a_recent_start_is_recognised_by_its_time_after_a_boot():
    charger, now = a_charger(), to_rfc3339(datetime.now(UTC))
    first = start(charger, timestamp=now)
    stop(charger, first, 7000, to_rfc3339(datetime.now(UTC) + timedelta(seconds=30)))
    boot(charger)
    assert start(charger, timestamp=now) == first


def test_an_offline_queue_sent_twice_is_one_session():
    charger = a_charger()
    first = start(charger, timestamp=NOON)
    stop(charger, first, 7000, "2025-02-26T13:00:00Z")
    open_socket(charger)
    assert start(charger, timestamp=NOON) == first


def test_the_same_message_id_on_the_same_socket_is_the_same_message():
    charger = a_charger()
    first = start(charger, message_id="7", timestamp=EPOCH)
    stop(charger, first, 7000, EPOCH)
    assert start(charger, message_id="7", timestamp=EPOCH) == first


def test_restarting_message_ids_do_not_identify_a_start():
    charger = a_charger()
    first = start(charger, message_id="1", timestamp=EPOCH)
    stop(charger, first, 7000, EPOCH)
    open_socket(charger)
    assert start(charger, message_id="1", timestamp=EPOCH) != first


def test_a_repeated_second_session_is_not_a_third():
    charger = a_charger()
    first = start(charger, timestamp=EPOCH)
    stop(charger, first, 7000, EPOCH)
    second = start(charger, timestamp=EPOCH)
    assert start(charger, timestamp=EPOCH) == second != first
    assert Transaction.objects.get(pk=first).superseded_by is None


def test_a_repeated_start_without_a_meter_value_is_recognised():
    charger = a_charger()
    call = [a_call(charger, "StartTransaction", connectorId=1, idTag="ABC", timestamp=EPOCH) for _ in range(2)]
    first, again = (settle(one)[0]["transactionId"] for one in call)
    assert first == again


def test_a_new_session_with_an_old_timestamp_counts_towards_the_limit():
    a_tag(concurrent_limit=1)
    charger = a_charger()
    first = start(charger, timestamp=EPOCH)
    stop(charger, first, 7000, EPOCH)
    elsewhere = tell(a_charger(), "StartTransaction", **a_start(None))
    assert elsewhere["idTagInfo"]["status"] == "Accepted"
    again = tell(charger, "StartTransaction", **a_start(charger, meterStart=0, timestamp=EPOCH))
    assert again["transactionId"] != first
    assert again["idTagInfo"]["status"] == "ConcurrentTx"


@pytest.mark.parametrize("unknown", [-1, 4294967295])
def test_an_unknown_meter_value_does_not_identify_a_start(unknown):
    charger = a_charger()
    for meter in (7000, 9000):
        pk = start(charger, meterStart=unknown, timestamp=EPOCH)
        values = [{"timestamp": EPOCH, "sampledValue": [{"value": str(value)}]} for value in (1000, 1000 + meter)]
        tell(charger, "MeterValues", connectorId=1, transactionId=pk, meterValue=values)
        stop(charger, pk, -1, EPOCH)
    assert billed() == [7000, 9000]


def test_sessions_of_a_stopped_clock_are_distinct_for_any_meter_value():
    charger = a_charger()
    for meter in (8000, 10000):
        stop(charger, start(charger, meterStart=1000, timestamp=EPOCH), meter, EPOCH)
    assert billed() == [7000, 9000]


# --- over sockets ----------------------------------------------------------------------------


def energies(charger):
    return sorted(session["energy_wh"] for session in charger.transactions)


def test_sessions_without_timestamps_are_distinct(charger):
    for energy in (7000, 9000):
        charger.stop(charger.start(meterStart=0, timestamp=None), meterStop=energy, timestamp=None)
    assert energies(charger) == [7000, 9000]


def test_sessions_after_reboots_with_equal_times_and_message_ids_are_distinct(charger):
    for energy in (7000, 9000, 11000):
        charger.reconnect()
        charger.call("BootNotification", BOOT, "1")
        answer = charger.call(
            "StartTransaction",
            {"connectorId": 1, "idTag": "ABC", "meterStart": 0, "timestamp": "2020-01-01T00:00:30Z"},
            "2",
        )
        charger.stop(answer["transactionId"], meterStop=energy, timestamp="2020-01-01T01:00:00Z")
    assert energies(charger) == [7000, 9000, 11000]


def test_a_session_after_a_power_loss_with_an_equal_time_and_message_id_is_distinct(charger):
    """The start is the last CALL before the power loss that is not a reading."""
    payload = {"connectorId": 1, "idTag": "ABC", "meterStart": 0, "timestamp": EPOCH}
    first = charger.call("StartTransaction", payload, "2")["transactionId"]
    charger.read(first, {"value": "500"})
    charger.reconnect()
    assert charger.call("StartTransaction", payload, "2")["transactionId"] != first


@pytest.mark.parametrize("clock", [EPOCH, NOON])
def test_a_start_repeated_after_a_reboot_is_one_session(charger, clock):
    first = charger.start(meterStart=0, timestamp=clock)
    charger.reconnect()
    charger.call("BootNotification", BOOT)
    again = charger.start(meterStart=0, timestamp=clock)
    charger.stop(again, meterStop=7000, timestamp=clock)
    assert first == again
    assert energies(charger) == [7000]


def test_an_equal_start_that_is_committed_meanwhile_gets_the_next_recurrence():
    """The subquery of the statement does not see a row that was committed after it began, so its result is NULL."""
    unseen = Equal(1, False, True, "m", NOON, NOON, "", None, None, None, None, newest_recurrence=None)
    assert next_recurrence({"recurrence": 0}, unseen) == 1
