"""TransactionEvents of OCPP 2.0.1: whatever their order and repetitions, the transaction is the same."""

import random
import threading
from datetime import UTC, datetime, timedelta
from itertools import permutations

import orjson
import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework.exceptions import ValidationError

from chargers.models import Event
from gateway import orphans
from tests.support.builders import a_call, a_charger, a_tag, settle, tell
from tests.support.events201 import BEGAN, an_event, in_another_process, reading, send
from transactions.models import OrphanStop, Tariff, Transaction, TransactionEvent
from transactions.services import refused_messages, transaction_events
from transactions.services.refused_messages import RefusedMessage

pytestmark = pytest.mark.django_db
TOKEN = {"idToken": "ABC", "type": "ISO14443"}


EVENTS = [
    an_event("Started", 0, 0, "CablePluggedIn", {"chargingState": "EVConnected"}),
    an_event("Updated", 1, 1, "Authorized", idToken=TOKEN, meterValue=[reading(1, 1000, "Transaction.Begin")]),
    an_event(
        "Updated", 2, 2, "ChargingStateChanged", {"chargingState": "Charging"}, evse={"id": 2, "connectorId": 1}
    ),
    an_event("Updated", 3, 30, meterValue=[reading(30, 4000)]),
    an_event(
        "Ended",
        4,
        60,
        "StopAuthorized",
        {"chargingState": "Idle", "stoppedReason": "Local"},
        idToken=TOKEN,
        meterValue=[reading(60, 9000, "Transaction.End")],
    ),
]


@pytest.fixture
def charger():
    a_tag("abc", parent_id_tag="FAMILY")
    return a_charger(ocpp_version="ocpp2.0.1")


def summary(transaction):
    names = ("own_reference", "evse_id", "connector_id", "id_tag", "id_token_type", "id_tag_status", "charging_state")
    names += ("start_time", "stop_time", "meter_start", "meter_stop", "stop_reason", "stop_id_tag", "energy_wh")
    names += ("energy_source", "missing_since", "clock_skew", "status")
    return {name: getattr(transaction, name) for name in names}


WHOLE = {
    "own_reference": "T-1",
    "evse_id": 2,
    "connector_id": 1,
    "id_tag": "ABC",
    "id_token_type": "ISO14443",
    "id_tag_status": "Accepted",
    "charging_state": "Idle",
    "start_time": BEGAN,
    "stop_time": BEGAN + timedelta(hours=1),
    "meter_start": 1000,
    "meter_stop": 9000,
    "stop_reason": "Local",
    "stop_id_tag": "ABC",
    "energy_wh": 8000,
    "energy_source": "stop",
    "missing_since": None,
    "clock_skew": False,
    "status": "Completed",
}


@pytest.mark.parametrize("order", random.Random(7).sample(list(permutations(range(5))), 12), ids=str)
def test_the_order_of_events_does_not_matter(charger, order):
    for number in order:
        send(charger, EVENTS[number])
        if random.Random(number).random() < 0.5:
            send(charger, EVENTS[number])
    transaction = Transaction.objects.get()
    assert summary(transaction) == WHOLE
    assert [event.seq_no for event in transaction.transaction_events.all()] == [0, 1, 2, 3, 4]
    assert transaction.meter_values.count() == 3
    kinds = list(Event.objects.filter(charger=charger).order_by("id").values_list("kind", flat=True))
    assert kinds.count("transaction.started") == kinds.count("transaction.stopped") == 1


def test_the_event_of_the_end_has_the_cost(charger):
    Tariff.objects.create(description="T", currency="EUR", energy_per_kwh=1)
    send(charger, *EVENTS)
    body = Event.objects.get(charger=charger, kind="transaction.stopped").body
    assert (body["cost"], body["currency"]) == ("8.00", "EUR")


def test_the_answer_has_the_verdict_and_the_group_wherever_a_token_was_sent(charger):
    answers = send(charger, *EVENTS)
    verdict = {"idTokenInfo": {"status": "Accepted", "groupIdToken": {"idToken": "FAMILY", "type": "Central"}}}
    assert answers == [{}, verdict, {}, {}, verdict]
    assert send(charger, *EVENTS) == answers


def test_a_transaction_whose_start_never_came_is_one_all_the_same(charger):
    send(charger, EVENTS[3])
    transaction = Transaction.objects.get()
    assert (transaction.status, transaction.energy_wh, transaction.meter_first) == ("Ongoing", 0, 4000)
    assert transaction.missing_since is not None
    send(charger, EVENTS[4])
    transaction.refresh_from_db()
    assert (transaction.status, transaction.energy_wh) == ("Completed", 5000)


def test_an_event_after_the_end_is_stored_and_does_not_reopen_the_transaction(charger):
    send(charger, *EVENTS)
    late = an_event("Updated", 5, 61, "Trigger", {"chargingState": "Charging"}, meterValue=[reading(61, 9100)])
    assert send(charger, late) == [{}]
    transaction = Transaction.objects.get()
    assert (transaction.status, transaction.energy_wh) == ("Completed", 8000)
    assert transaction.transaction_events.count() == 6


def test_a_gap_is_known_until_it_is_filled(charger):
    send(charger, EVENTS[0], EVENTS[2])
    assert Transaction.objects.get().missing_since is not None
    send(charger, EVENTS[1])
    assert Transaction.objects.get().missing_since is None


def test_a_charger_that_does_not_count_loses_no_event(charger):
    send(charger, *[event | {"seqNo": 0} for event in EVENTS])
    assert TransactionEvent.objects.count() == 5
    assert summary(Transaction.objects.get()) == WHOLE


def test_a_charger_that_counts_neither_events_nor_parts_of_a_second_loses_none(charger):
    info = {"chargingState": "Charging"}
    at_once = [
        an_event("Started", 0, 0, "CablePluggedIn", evse={"id": 2, "connectorId": 1}),
        an_event("Updated", 0, 0, "Authorized", idToken=TOKEN, meterValue=[reading(0, 1000, "Transaction.Begin")]),
        an_event("Updated", 0, 0, "ChargingStateChanged", info),
        an_event("Updated", 0, 0, meterValue=[reading(0, 1000)]),
        an_event("Updated", 0, 0, meterValue=[reading(0, 4000)]),
    ]
    send(charger, *at_once)
    send(charger, *[event | {"offline": True} for event in at_once])  # sent again, after a lost connection
    assert TransactionEvent.objects.count() == 5
    transaction = Transaction.objects.get()
    assert (transaction.charging_state, transaction.id_tag, transaction.energy_wh) == ("Charging", "ABC", 3000)
    assert transaction.meter_values.count() == 3


def test_an_offline_event_is_marked(charger):
    send(charger, EVENTS[0], EVENTS[1] | {"offline": True})
    assert list(TransactionEvent.objects.values_list("seq_no", "offline")) == [(0, False), (1, True)]


def test_two_sessions_with_the_same_time_and_token_are_two(charger):
    other = {"transactionInfo": {"transactionId": "T-2"}}
    send(charger, EVENTS[1], EVENTS[1] | other)
    assert Transaction.objects.count() == 2


def test_a_later_transaction_on_the_evse_supersedes_the_open_one(charger):
    place = {"evse": {"id": 1, "connectorId": 1}}
    send(charger, EVENTS[0] | place)
    later = an_event("Started", 0, 90, "Authorized") | place | {"transactionInfo": {"transactionId": "T-2"}}
    send(charger, later)
    first, second = Transaction.objects.order_by("id")
    assert (first.superseded_by, second.superseded_by) == (second, None)
    send(charger, EVENTS[4])
    first.refresh_from_db()
    assert (first.superseded_by, first.status) == (None, "Completed")


def test_an_end_without_a_known_start_supersedes_the_open_one_on_its_evse(charger):
    place = {"evse": {"id": 1, "connectorId": 1}}
    other = {"transactionInfo": {"transactionId": "T-2"}}
    send(charger, EVENTS[0] | place, EVENTS[4] | place | other)
    first, second = Transaction.objects.order_by("id")
    assert (first.superseded_by, first.status, second.status) == (second, "Ongoing", "Completed")


def test_an_end_from_before_the_open_one_supersedes_nothing(charger):
    place = {"evse": {"id": 1, "connectorId": 1}}
    other = {"transactionInfo": {"transactionId": "T-2"}}
    send(charger, an_event("Started", 0, 90, "Authorized") | place, EVENTS[4] | place | other)
    assert not Transaction.objects.exclude(superseded_by=None).exists()


# --- an id that stands for two sessions --------------------------------------------------------

OTHER_TOKEN = {"idToken": "OTHER", "type": "ISO14443"}


def shifted(event, minutes, **members):
    """`event`, `minutes` later."""
    moved = {**event, **members, "timestamp": later(event["timestamp"], minutes)}
    if "meterValue" in event:
        moved["meterValue"] = [
            value | {"timestamp": later(value["timestamp"], minutes)} for value in moved["meterValue"]
        ]
    return moved


def later(text, minutes):
    moment = datetime.fromisoformat(text) + timedelta(minutes=minutes)
    return moment.isoformat().replace("+00:00", "Z")


def next_day():
    """The events of another session with the same id and numbers, a day later, by another driver."""
    moved = [shifted(event, 24 * 60) for event in EVENTS]
    registers = {1: 9000, 3: 12_000, 4: 20_000}
    for number, wh in registers.items():
        moved[number]["meterValue"][0]["sampledValue"] = [{"value": wh, "context": CONTEXTS[number]}]
    return [event | ({"idToken": OTHER_TOKEN} if "idToken" in event else {}) for event in moved]


CONTEXTS = {1: "Transaction.Begin", 3: "Sample.Periodic", 4: "Transaction.End"}


def boot(charger):
    station = {"vendorName": "V", "model": "M"}
    tell(charger, "BootNotification", reason="PowerUp", chargingStation=station)


def both():
    sessions = Transaction.objects.order_by("recurrence")
    return [(one.id_tag, one.status, one.energy_wh, one.transaction_events.count()) for one in sessions]


@pytest.mark.parametrize("has_booted", [True, False])
def test_an_id_that_is_used_again_after_the_end_is_another_session(charger, has_booted):
    a_tag("OTHER")
    send(charger, *EVENTS)
    if has_booted:
        boot(charger)
    send(charger, *next_day())
    wanted = [("ABC", "Completed", 8000, 5), ("OTHER", "Completed", 11_000, 5)]
    assert both() == wanted
    send(charger, *EVENTS, *next_day())
    assert both() == wanted
    kinds = list(Event.objects.filter(charger=charger).values_list("kind", flat=True))
    assert kinds.count("transaction.started") == kinds.count("transaction.stopped") == 2


def test_three_sessions_with_one_id_are_three(charger):
    for day in range(3):
        send(charger, *[shifted(event, day * 24 * 60) for event in EVENTS])
    assert [number for _, _, _, number in both()] == [5, 5, 5]


def test_an_id_that_is_used_again_is_a_finding(charger):
    send(charger, *EVENTS)
    call = a_call(charger, "TransactionEvent", **next_day()[0])
    settle(call)
    assert call.findings == {("transactionInfo.transactionId", "reused"): "T-1"}


@pytest.mark.parametrize("order", random.Random(3).sample(list(permutations(range(5))), 6), ids=str)
def test_the_events_of_the_second_session_arrive_in_any_order(charger, order):
    a_tag("OTHER")
    send(charger, *EVENTS)
    boot(charger)
    second = next_day()
    for number in order:
        send(charger, second[number], EVENTS[number])
    assert both() == [("ABC", "Completed", 8000, 5), ("OTHER", "Completed", 11_000, 5)]


A_REUSE = {("transactionInfo.transactionId", "reused"): "T-1"}
ON_1, ON_2 = {"evse": {"id": 1, "connectorId": 1}}, {"evse": {"id": 2, "connectorId": 1}}
OF_AA, OF_BB = {"idToken": {"idToken": "AA", "type": "ISO14443"}}, {"idToken": {"idToken": "BB", "type": "ISO14443"}}


def findings(charger, event):
    call = a_call(charger, "TransactionEvent", **event)
    settle(call)
    return call.findings


def at_register(kind, number, minutes, wh, **members):
    return an_event(kind, number, minutes, meterValue=[reading(minutes, wh)], **members)


@pytest.fixture
def two_at_once(charger):
    """A charger that counts the sessions of each EVSE, with one session on each of two."""
    a_tag("AA")
    a_tag("BB")
    send(charger, at_register("Started", 0, 0, 100, **ON_1, **OF_AA))
    assert findings(charger, at_register("Started", 0, 10, 5000, **ON_2, **OF_BB)) == A_REUSE
    return charger


THE_ENDS = {
    "AA": (at_register("Ended", 2, 60, 1100, **ON_1, **OF_AA), [("AA", "Completed", 1000, 2)]),
    "BB": (at_register("Ended", 2, 61, 6000, **ON_2, **OF_BB), [("BB", "Completed", 1000, 2)]),
}


def without(member, event):
    return {name: value for name, value in event.items() if name != member}


@pytest.mark.parametrize("missing", ["idToken", "evse", ""])
@pytest.mark.parametrize("order", ["AABB", "BBAA"])
def test_sessions_with_one_id_on_two_evses_at_once_are_told_apart(two_at_once, order, missing):
    ends = [without(missing, THE_ENDS[order[n : n + 2]][0]) for n in (0, 2)]
    assert [findings(two_at_once, end) for end in [*ends, *ends]] == [{}] * 4
    assert both() == THE_ENDS["AA"][1] + THE_ENDS["BB"][1]


@pytest.mark.parametrize("token", [OF_AA, {}], ids=["same", "none"])
def test_a_start_on_another_evse_is_a_session_whatever_its_token(charger, token):
    a_tag("AA")
    send(charger, an_event("Started", 0, 0, **ON_1, **OF_AA), an_event("Started", 0, 0, **ON_2, **token))
    send(charger, an_event("Ended", 1, 60, **ON_1))
    sessions = [(t.evse_id, t.status, t.superseded_by) for t in Transaction.objects.order_by("recurrence")]
    assert sessions == [(1, "Completed", None), (2, "Ongoing", None)]


def test_an_event_that_may_be_of_either_of_two_sessions_is_found(two_at_once):
    assert findings(two_at_once, an_event("Updated", 1, 20)) == A_REUSE
    assert findings(two_at_once, an_event("Updated", 1, 21, **ON_1)) == {}
    assert findings(two_at_once, an_event("Updated", 1, 5)) == {}  # from before the second one


def test_an_event_on_another_evse_than_the_only_session_is_found(charger):
    send(charger, an_event("Started", 0, 0, **ON_1))
    assert findings(charger, an_event("Updated", 1, 20, **ON_2)) == A_REUSE


def test_events_after_the_end_and_a_boot_are_another_session_without_its_start(charger):
    send(
        charger, at_register("Started", 0, 0, 0), at_register("Updated", 1, 1, 500), at_register("Ended", 2, 2, 1000)
    )
    boot(charger)
    later_ones = at_register("Updated", 5, 17, 1200), at_register("Ended", 6, 18, 1400)
    assert [findings(charger, event) for event in later_ones] == [A_REUSE, {}]
    send(charger, *later_ones)
    assert both() == [("", "Completed", 1000, 3), ("", "Completed", 200, 2)]
    assert [one.missing_since is not None for one in Transaction.objects.order_by("recurrence")] == [False, True]


def test_a_second_end_with_other_content_is_found(charger):
    ends = [at_register("Ended", 2, 2, wh) for wh in (1100, 1600)]
    send(charger, at_register("Started", 0, 0, 100))
    assert [findings(charger, end) for end in [*ends, *ends]] == [{}, A_REUSE, {}, {}]
    session = Transaction.objects.get()
    assert (session.meter_stop, session.energy_wh) == (1100, 1500)


def test_an_event_after_the_end_is_found(charger):
    send(charger, *EVENTS[:3], EVENTS[4])
    assert findings(charger, EVENTS[3]) == {}  # it is only late
    assert findings(charger, an_event("Updated", 5, 61, "Trigger")) == A_REUSE


def test_a_late_event_of_the_first_session_stays_with_it(charger):
    a_tag("OTHER")
    send(charger, *EVENTS[:3], EVENTS[4], *next_day())
    late = an_event("Updated", 5, 61, "Trigger")
    send(charger, EVENTS[3], late)
    assert both() == [("ABC", "Completed", 8000, 6), ("OTHER", "Completed", 11_000, 5)]


def test_a_start_with_other_content_from_before_the_end_is_kept_and_found(charger):
    send(charger, *EVENTS)
    call = a_call(charger, "TransactionEvent", **an_event("Started", 0, 3, "Authorized"))
    settle(call)
    assert call.findings == {("transactionInfo.transactionId", "reused"): "T-1"}
    assert [number for _, _, _, number in both()] == [6]


def test_an_id_that_is_used_again_while_the_former_session_is_open_supersedes_it(charger):
    a_tag("OTHER")
    send(charger, *EVENTS[:4])
    boot(charger)
    send(charger, *[event | {"evse": {"id": 2, "connectorId": 1}} for event in next_day()])
    assert both() == [("ABC", "Ongoing", 3000, 4), ("OTHER", "Completed", 11_000, 5)]
    first, second = Transaction.objects.order_by("recurrence")
    assert first.superseded_by == second


def test_a_start_that_is_sent_again_with_another_time_before_it_was_used_is_the_same(charger):
    send(charger, EVENTS[0])
    boot(charger)
    send(charger, shifted(EVENTS[0], 5))
    assert Transaction.objects.count() == 1


@pytest.mark.parametrize(("has_booted", "sessions"), [(True, 2), (False, 1)])
def test_a_clock_that_stands_still_is_no_evidence_but_a_boot_is(charger, has_booted, sessions):
    stopped = [event | {"timestamp": "1970-01-01T00:00:05Z"} for event in EVENTS]
    send(charger, *stopped)
    if has_booted:
        boot(charger)
    send(charger, *stopped)
    assert both() == [("ABC", "Completed", 8000, 5)] * sessions


def test_the_newest_session_with_an_id_is_the_one_that_is_named(charger):
    send(charger, *EVENTS, *next_day())
    newest = Transaction.objects.get(recurrence=1)
    assert Transaction.objects.named([(charger.pk, "T-1")]) == {(charger.pk, "T-1"): newest}


def test_a_token_of_another_group_ends_no_transaction(charger):
    a_tag("OTHER")
    send(charger, *EVENTS[:4])
    (answer,) = send(charger, EVENTS[4] | {"idToken": {"idToken": "OTHER", "type": "ISO14443"}})
    assert answer["idTokenInfo"]["status"] == "Invalid"
    transaction = Transaction.objects.get()
    assert (transaction.status, transaction.id_tag, transaction.stop_id_tag) == ("Completed", "ABC", "OTHER")


def test_a_token_is_limited_in_its_open_transactions(charger):
    a_tag("ONE", concurrent_limit=1)
    token = {"idToken": "one", "type": "ISO14443"}
    first = an_event("Started", 0, 0, "Authorized", idToken=token, evse={"id": 1})
    second = first | {"evse": {"id": 2}, "transactionInfo": {"transactionId": "T-2"}}
    statuses = [answer["idTokenInfo"]["status"] for answer in send(charger, first, second, first, second)]
    assert statuses == ["Accepted", "ConcurrentTx"] * 2


def test_the_limits_of_all_tokens_of_a_batch_are_counted_by_one_query():
    others = [a_charger(ocpp_version="ocpp2.0.1") for _ in range(3)]
    for n in range(3):
        a_tag(f"T{n}", concurrent_limit=1)
    calls = [
        a_call(other, "TransactionEvent", **an_event("Started", 0, 0, "Authorized", evse={"id": 1}), idToken=token)
        for n, other in enumerate(others)
        for token in [{"idToken": f"t{n}", "type": "ISO14443"}]
    ]
    with CaptureQueriesContext(connection) as captured:
        answers = settle(*calls)
    assert {answer["idTokenInfo"]["status"] for answer in answers} == {"Accepted"}
    counts = [query["sql"] for query in captured if 'superseded_by_id" IS NULL' in query["sql"]]
    assert len(counts) == 1


def test_units_and_multipliers_are_read_and_signed_data_is_kept(charger):
    signed = {"signedMeterData": "QQ==", "signingMethod": "S", "encodingMethod": "OCMF", "publicKey": "K"}
    kilo = reading(1, 1.5, "Transaction.Begin", unitOfMeasure={"unit": "kWh"}, signedMeterValue=signed)
    mega = reading(60, 2.5, "Transaction.End", unitOfMeasure={"unit": "Wh", "multiplier": 3})
    send(charger, EVENTS[0] | {"meterValue": [kilo]}, EVENTS[4] | {"meterValue": [mega]})
    transaction = Transaction.objects.get()
    assert (transaction.meter_start, transaction.meter_stop, transaction.energy_wh) == (1500, 2500, 1000)
    (kept,) = transaction.meter_values.filter(format="SignedData")
    assert '"signedMeterData":"QQ=="' in kept.value


def test_a_value_with_an_implausible_multiplier_is_kept_and_not_counted(charger):
    huge = reading(60, 5, "Transaction.End", unitOfMeasure={"unit": "Wh", "multiplier": 31})
    call = a_call(charger, "TransactionEvent", **EVENTS[4] | {"meterValue": [huge, reading(60, 9000)]})
    send(charger, *EVENTS[:4])
    settle(call)
    assert call.findings == {("meterValue.sampledValue.unitOfMeasure.multiplier", "out_of_range"): 31}
    transaction = Transaction.objects.get()
    assert (transaction.meter_stop, transaction.energy_wh) == (9000, 8000)
    kept = transaction.meter_values.get(unit="Wh*10^31")
    assert (kept.value, kept.number) == ("5", 5)


@pytest.mark.parametrize(("unit", "value"), [("kwh", 1.5), ("KWH", 1.5), ("KWh", 1.5), ("WH", 1500), ("MWh", 0.0015)])
def test_a_unit_is_read_in_other_spellings(charger, unit, value):
    begun, ended = (
        reading(0, 0, "Transaction.Begin"),
        reading(60, value, "Transaction.End", unitOfMeasure={"unit": unit}),
    )
    send(charger, EVENTS[0] | {"meterValue": [begun]}, EVENTS[4] | {"meterValue": [ended]})
    assert Transaction.objects.get().energy_wh == 1500


def test_members_without_a_column_are_kept(charger):
    more = {"numberOfPhasesUsed": 3, "cableMaxCurrent": 32, "customData": {"vendorId": "V", "x": 1}}
    info = {"transactionInfo": {"transactionId": "T-1", "timeSpentCharging": 7}}
    send(charger, EVENTS[0] | more | info)
    details = TransactionEvent.objects.get().details
    for text in ('"numberOfPhasesUsed":3', '"cableMaxCurrent":32', '"x":1', '"timeSpentCharging":7'):
        assert text in details


def test_meter_values_belong_to_the_transaction_on_their_evse(charger):
    send(charger, EVENTS[0] | {"evse": {"id": 1, "connectorId": 1}}, EVENTS[1])
    assert tell(charger, "MeterValues", evseId=1, meterValue=[reading(5, 2000)]) == {}
    assert tell(charger, "MeterValues", evseId=0, meterValue=[reading(5, 7000)]) == {}
    transaction = Transaction.objects.get()
    assert (transaction.meter_latest, transaction.energy_wh) == (2000, 1000)


def test_an_event_without_a_transaction_waits_for_an_operator(charger):
    send(charger, *EVENTS[:4])
    transaction = Transaction.objects.get()
    payload = {name: value for name, value in EVENTS[4].items() if name != "transactionInfo"}
    text = orjson.dumps(payload | {"transactionInfo": {"stoppedReason": "Local"}}).decode()
    now = datetime.now(UTC)
    message = RefusedMessage(charger.pk, "TransactionEvent", text, "it has no transactionId", now, "ocpp2.0.1")
    refused_messages.store([message])
    orphan = OrphanStop.objects.get()
    with pytest.raises(ValidationError):
        orphans.apply(orphan, {})
    with pytest.raises(ValidationError, match="A TransactionEvent has no meter_stop"):
        orphans.apply(orphan, {"meter_stop": 1})
    assert orphans.apply(orphan, {"transaction_id": transaction.pk}) == transaction
    transaction.refresh_from_db()
    assert (transaction.status, transaction.energy_wh) == ("Completed", 8000)


def test_a_number_beyond_32_bits_is_stored(charger):
    send(charger, EVENTS[0] | {"seqNo": 2**40})
    assert TransactionEvent.objects.get().seq_no == 2**40


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("second", [0, 1, 4], ids=["the same start", "an update", "the end"])
def test_two_processes_that_begin_a_transaction_at_once_store_it_once(charger, second):
    is_started, may_commit = threading.Event(), threading.Event()

    def begin():
        with transaction.atomic():
            send(charger, EVENTS[0])
            is_started.set()
            may_commit.wait(20)
        connection.close()

    first = threading.Thread(target=begin)
    first.start()
    assert is_started.wait(20)
    threading.Timer(0.5, may_commit.set).start()  # the other one waits for this commit, since the insertion conflicts
    send(charger, EVENTS[second])
    first.join(20)
    (stored,) = Transaction.objects.all()
    assert sorted({0, second}) == sorted(stored.transaction_events.values_list("seq_no", flat=True))
    assert (stored.start_time, stored.is_under_way) == (BEGAN, second != 4)


@pytest.mark.django_db(transaction=True)
def test_two_processes_lock_the_sessions_of_one_reference_in_the_same_order(charger):
    """One has looked up the newest session before the other one begins a newer one, and needs that one afterwards."""
    row = {"n": 0, "charger": charger.pk, "reference": "T-1", "seq_no": 1, "changes": True}
    columns = {"charger": charger, "own_reference": "T-1", "start_received_at": BEGAN}
    older = Transaction.objects.create(start_time=BEGAN, **columns)
    began, errors = threading.Event(), []

    def find_the_newer_and_then_the_older():
        try:
            with transaction.atomic():
                transaction_events._find_known([row])
                began.set()
                transaction_events._find_known([row | {"recurrence": 0}])
        except OperationalError as error:
            errors.append(error)
        finally:
            connection.close()

    other = threading.Thread(target=find_the_newer_and_then_the_older)
    with transaction.atomic():
        assert transaction_events._find_known([row])[0].transaction_id == older.pk
        newer = in_another_process(lambda: Transaction.objects.create(start_time=BEGAN, recurrence=1, **columns))
        other.start()
        began.wait(1)
        assert transaction_events._find_known([row | {"recurrence": 1}])[0].transaction_id == newer.pk
    other.join(20)
    assert errors == []


def test_a_pin_that_ends_a_session_of_a_card_is_hidden(charger, api):
    a_tag("1234", type="KeyCode")
    pin = {"idToken": "1234", "type": "KeyCode"}
    send(charger, *EVENTS[:4], EVENTS[4] | {"idToken": pin})
    stored = Transaction.objects.get()
    assert (stored.id_token_type, stored.stop_id_token_type) == ("ISO14443", "KeyCode")
    path = f"/api/ocpp/transactions/{charger.identity}/{stored.pk}/"
    for shown in (api.get(path), api.get(f"{path}events/"), api.get(f"/transactions/{stored.pk}/")):
        assert shown.status_code == 200
        assert b"1234" not in shown.content
    assert api.get(path).json()["id_tag"] == "ABC"
