"""Plain TransactionEvents of OCPP 2.0.1, which bring nothing but readings, are stored with these."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction

from tests.support.builders import a_call, a_charger, a_tag, open_socket, settle
from tests.support.events201 import BEGAN, an_event, at, in_another_process, reading, send
from transactions.models import Reading, RecordedEvent, Tariff, Transaction

pytestmark = pytest.mark.django_db
PLACE = {"evse": {"id": 1, "connectorId": 1}}
TOKEN = {"idToken": {"idToken": "ABC", "type": "ISO14443"}}
BEGIN = an_event(
    *("Started", 0, 0, "Authorized", {"chargingState": "Charging"}),
    meterValue=[reading(0, 1000, "Transaction.Begin")],
    **PLACE,
    **TOKEN,
)
END = an_event("Ended", 4, 60, "StopAuthorized", meterValue=[reading(60, 9000, "Transaction.End")], **TOKEN)


def plain(number, minutes, wh, **members):
    return an_event("Updated", number, minutes, meterValue=[reading(minutes, wh)], **members)


PLAIN = [plain(1, 10, 2000), plain(2, 20, 3000), plain(3, 30, 4000)]


@pytest.fixture
def charger():
    a_tag("ABC")
    return a_charger(ocpp_version="ocpp2.0.1")


def recorded():
    """The numbers of the events that have a row of their own."""
    return sorted(RecordedEvent.objects.values_list("seq_no", flat=True))


def state():
    """(energy, numbers of all events, number of readings, whether events are missing) of the only transaction."""
    one = Transaction.objects.get()
    numbers = [event.seq_no for event in one.transaction_events.all()]
    return one.energy_wh, numbers, one.readings.count(), one.missing_since is not None


def test_a_plain_event_has_no_row_of_its_own_and_is_shown(charger, api):
    send(charger, BEGIN, *PLAIN)
    assert recorded() == [0]
    assert state() == (3000, [0, 1, 2, 3], 4, False)
    one = Transaction.objects.get()
    path = f"/api/ocpp/transactions/{charger.identity}/{one.pk}/events/"
    last = api.get(path).json()["results"][-1]
    assert last.pop("received_at")
    empty = dict.fromkeys(("charging_state", "stopped_reason", "id_token", "id_token_type", "id_token_status"), "")
    nothing = ("evse_id", "connector_id", "meter_start", "meter_stop", "reservation_id", "remote_start_id")
    assert last == {
        **{"seq_no": 3, "event_type": "Updated", "trigger_reason": "MeterValuePeriodic", "timestamp": at(30)},
        **{"offline": False, "details": {}},
        **empty,
        **dict.fromkeys(nothing),
    }
    only = api.get(path, {"event_type": "Updated", "trigger_reason": "MeterValuePeriodic", "offline": "false"}).json()
    assert [event["seq_no"] for event in only["results"]] == [1, 2, 3]
    page = api.get(f"/transactions/{one.pk}/").content.decode()
    assert page.count("MeterValuePeriodic") == 3


COMPUTED = (
    *("evse_id", "connector_id", "id_tag", "id_token_type", "id_tag_status", "charging_state", "start_time"),
    *("stop_time", "raw_stop_time", "stop_reason", "stop_id_tag", "stop_id_token_type", "meter_start", "meter_stop"),
    *("meter_first", "meter_latest", "read_until", "energy_wh", "energy_source", "numbered_until", "missing_since"),
    *("clock_skew", "superseded_by"),
)
ENDS = {
    "by its token": END,
    "without a token": {name: value for name, value in END.items() if name != "idToken"},
    "without a reading": {name: value for name, value in END.items() if name != "meterValue"},
    "with a state and a reason": END
    | {"transactionInfo": {"transactionId": "T-1", "chargingState": "Idle", "stoppedReason": "EVDisconnected"}},
    "before its start": END | {"timestamp": at(-5)},
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_session_has_the_same_columns_if_its_events_arrive_in_order_and_if_all_are_folded(charger, end):
    send(charger, BEGIN, *PLAIN, end)
    assert recorded() == [0, 4]
    in_order = Transaction.objects.get()
    in_order.charger = other = a_charger(ocpp_version="ocpp2.0.1")
    send(other, end, *reversed(PLAIN), BEGIN)
    folded = Transaction.objects.get(charger=other)
    for name in COMPUTED:
        assert getattr(in_order, name) == getattr(folded, name), name
    columns = ("seq_no", "event_type", "trigger_reason", "timestamp", "raw_timestamp", "offline", "digest")
    assert [*in_order.transaction_events.values_list(*columns)] == [*folded.transaction_events.values_list(*columns)]


def test_a_token_that_is_the_first_one_of_its_session_at_the_end_begins_it(charger):
    send(charger, {name: value for name, value in BEGIN.items() if name != "idToken"}, *PLAIN, END)
    one = Transaction.objects.get()
    assert (one.id_tag, one.id_tag_status, one.stop_id_tag, one.energy_wh) == ("ABC", "Accepted", "ABC", 8000)


def test_an_end_replaces_a_close_by_hand(charger):
    send(charger, BEGIN, *PLAIN)
    assert Transaction.objects.get().close("somebody")
    send(charger, END)
    one = Transaction.objects.get()
    assert (one.stop_time, one.energy_wh, one.energy_source) == (BEGAN + timedelta(hours=1), 8000, "stop")


def test_a_repeated_plain_event_counts_once(charger):
    send(charger, BEGIN, *PLAIN[:2])
    wanted = state()
    again = a_call(charger, "TransactionEvent", "the-same-id", **PLAIN[1])
    assert settle(again) == [{}]
    again = a_call(charger, "TransactionEvent", "the-same-id", **PLAIN[1])
    again.socket = open_socket(charger)
    assert settle(again) == [{}]
    assert send(charger, PLAIN[0], PLAIN[1] | {"offline": True}, BEGIN) == [
        {},
        {},
        {"idTokenInfo": {"status": "Accepted"}},
    ]
    assert (recorded(), state()) == ([0], wanted)
    send(charger, PLAIN[2], END, *PLAIN)
    assert (recorded(), state()) == ([0, 4], (8000, [0, 1, 2, 3, 4], 5, False))


def test_a_repetition_after_the_end_and_a_boot_is_no_finding(charger):
    send(charger, BEGIN, *PLAIN, END)
    station = {"vendorName": "V", "model": "M"}
    settle(a_call(charger, "BootNotification", reason="PowerUp", chargingStation=station))
    call = a_call(charger, "TransactionEvent", **PLAIN[2])
    settle(call)
    assert call.findings == {}
    assert state() == (8000, [0, 1, 2, 3, 4], 5, False)


def test_the_same_number_with_other_content_is_kept(charger):
    send(charger, BEGIN, *PLAIN[:2], plain(2, 21, 3100), plain(1, 10, 2000, triggerReason="MeterValueClock"))
    assert recorded() == [0, 1, 2]
    assert state() == (2100, [0, 1, 1, 2, 2], 5, False)


def test_a_plain_event_behind_a_gap_has_a_row_until_the_gap_is_filled(charger):
    send(charger, BEGIN, PLAIN[1], PLAIN[2])
    assert (recorded(), state()) == ([0, 2, 3], (3000, [0, 2, 3], 3, True))
    assert Transaction.objects.get().numbered_until == 0
    send(charger, PLAIN[0])
    assert (recorded(), state()) == ([0, 1, 2, 3], (3000, [0, 1, 2, 3], 4, False))
    assert Transaction.objects.get().numbered_until == 3
    send(charger, plain(4, 40, 5000))
    assert (recorded(), state()) == ([0, 1, 2, 3], (4000, [0, 1, 2, 3, 4], 5, False))


def test_an_event_that_is_missing_between_plain_ones_is_known(charger):
    send(charger, BEGIN, PLAIN[0], PLAIN[2])
    assert (recorded(), state()) == ([0, 3], (3000, [0, 1, 3], 3, True))
    send(charger, PLAIN[1], plain(4, 40, 5000))
    assert (recorded(), state()) == ([0, 2, 3], (4000, [0, 1, 2, 3, 4], 5, False))


def test_a_plain_event_after_the_end_has_a_row(charger):
    send(charger, BEGIN, *PLAIN, END, plain(5, 61, 9100))
    assert (recorded(), state()) == ([0, 4, 5], (8000, [0, 1, 2, 3, 4, 5], 6, False))
    assert Transaction.objects.get().status == "Completed"


def test_an_id_that_is_used_again_has_rows(charger):
    later = [{**event, "timestamp": at(1440 + n)} for n, event in enumerate((BEGIN, plain(1, 1441, 9500)))]
    send(charger, BEGIN, *PLAIN, END, *later, PLAIN[1])
    sessions = Transaction.objects.order_by("recurrence")
    assert [[event.seq_no for event in one.transaction_events.all()] for one in sessions] == [[0, 1, 2, 3, 4], [0, 1]]
    assert recorded() == [0, 0, 1, 4]


def test_a_charger_that_does_not_count_loses_no_event(charger):
    send(charger, BEGIN, *[event | {"seqNo": 0} for event in PLAIN], *[event | {"seqNo": 0} for event in PLAIN])
    assert (recorded(), state()) == ([0, 0, 0, 0], (3000, [0, 0, 0, 0], 4, False))
    send(charger, *[event | {"seqNo": -1} for event in PLAIN], END | {"seqNo": -1})
    assert Transaction.objects.get().energy_wh == 8000


def test_the_time_of_an_event_is_kept_if_that_of_its_reading_differs(charger):
    event = PLAIN[0] | {"timestamp": "2026-03-01T13:10:30+01:00"}
    send(charger, BEGIN, event, event)
    assert recorded() == [0]
    stored = Transaction.objects.get().transaction_events.get(seq_no=1)
    assert (stored.timestamp, stored.raw_timestamp) == (BEGAN + timedelta(minutes=10, seconds=30), event["timestamp"])
    assert Reading.objects.get(seq_no=1).timestamp == BEGAN + timedelta(minutes=10)


def test_an_event_that_repeats_what_is_known_is_plain_and_one_that_changes_it_is_not(charger):
    known = {"transactionInfo": {"transactionId": "T-1", "chargingState": "Charging"}, "numberOfPhasesUsed": 3}
    send(charger, BEGIN, PLAIN[0] | PLACE | known | {"offline": True})
    assert recorded() == [0]
    stored = Transaction.objects.get().transaction_events.get(seq_no=1)
    assert (stored.evse_id, stored.connector_id, stored.charging_state) == (1, 1, "Charging")
    assert (stored.offline, stored.details) == (True, '{"numberOfPhasesUsed":3}')
    paused = {"transactionInfo": {"transactionId": "T-1", "chargingState": "SuspendedEV"}}
    send(charger, PLAIN[1] | paused, PLAIN[2] | {"evse": {"id": 1, "connectorId": 2}})
    assert recorded() == [0, 2, 3]
    one = Transaction.objects.get()
    assert (one.charging_state, one.connector_id, one.numbered_until) == ("SuspendedEV", 2, 3)


def test_an_event_without_a_reading_or_with_a_wrong_clock_has_a_row(charger):
    without = an_event("Updated", 1, 10, "Trigger")
    send(charger, BEGIN, without, PLAIN[1] | {"timestamp": "1970-01-01T00:00:00Z"}, PLAIN[2])
    assert recorded() == [0, 1, 2]
    assert state() == (3000, [0, 1, 2, 3], 3, False)


def test_the_readings_of_one_event_are_several_rows_and_one_event(charger):
    many = [reading(10, 2000), reading(11, 2100), {**reading(12, 2200), "sampledValue": [{"value": 1}] * 300}]
    event = PLAIN[0] | {"meterValue": many}
    send(charger, BEGIN, event, event)
    assert recorded() == [0]
    assert state()[1:] == ([0, 1], 4, False)


def test_the_answer_to_a_plain_event_has_the_cost(charger):
    Tariff.objects.create(description="T", currency="EUR", energy_per_kwh=1)
    answers = send(charger, BEGIN, *PLAIN[:2], PLAIN[1])
    assert [answer["totalCost"] for answer in answers] == [0.0, 1.0, 2.0, 2.0]


def test_an_event_whose_reading_was_deleted_is_not_missing(charger):
    send(charger, BEGIN, *PLAIN)
    Reading.objects.all().delete()
    send(charger, END)
    assert state() == (8000, [0, 4], 1, False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("content", ["the same", "other"])
def test_two_processes_with_the_same_next_number_count_it_once(charger, content):
    send(charger, BEGIN)
    other = PLAIN[0] if content == "the same" else plain(1, 11, 2500)
    is_sent, may_commit = threading.Event(), threading.Event()

    def first():
        with transaction.atomic():
            send(charger, PLAIN[0])
            is_sent.set()
            may_commit.wait(20)
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert is_sent.wait(20)
    threading.Timer(0.5, may_commit.set).start()  # the other one waits for this commit, since it needs the row
    in_another_process(lambda: send(charger, other))
    thread.join(20)
    same = (([0], (1000, [0, 1], 2, False)), ([0, 1], (1500, [0, 1, 1], 3, False)))
    assert (recorded(), state()) == same[content == "other"]
