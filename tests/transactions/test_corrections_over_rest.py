"""Corrections of sessions with a wrong energy, and applying refused messages, over REST."""

import json

import pytest

from tests.support.field_charger import LATER, NOON


def correct(charger, transaction_id, **changes):
    path = f"/api/ocpp/transactions/{charger.identity}/{transaction_id}/"
    return charger.live.request("PATCH", path, changes)


def corrected(charger, transaction_id, **changes):
    status, session, _ = correct(charger, transaction_id, **changes)
    assert status == 200, session
    return session


def close(charger, transaction_id):
    status, session, _ = charger.live.request(
        "POST", f"/api/ocpp/transactions/{charger.identity}/{transaction_id}/close/"
    )
    assert status == 200, session
    return session


def apply(charger, orphan, **members):
    return charger.live.request("POST", f"/api/ocpp/orphan-stops/{orphan['id']}/attach/", members)


# --- corrections -----------------------------------------------------------------------------


def test_a_corrected_meter_value_is_billed_and_the_original_is_shown(charger):
    transaction_id = charger.start()
    charger.stop(transaction_id, meterStop=4_000_000)
    session = corrected(charger, transaction_id, meter_stop=5000, end_time="2025-02-26T12:45:00Z", note="seen")
    assert (session["meter_stop"], session["energy_wh"], session["energy_source"]) == (5000, 4000, "corrected")
    assert (session["reported_meter_stop"], session["reported_end_time"]) == (4_000_000, LATER)
    assert (session["end_time"], session["duration_seconds"]) == ("2025-02-26T12:45:00Z", 2700)
    assert session["note"] == "seen"
    assert session["corrected_at"]
    (event,) = charger.live.get(f"/api/ocpp/events/?charger_id={charger.identity}&kind=transaction.corrected")[
        "results"
    ]
    assert event["body"]["energy_wh"] == 4000
    assert event["body"]["energy_source"] == "corrected"


def test_null_removes_a_correction(charger):
    transaction_id = charger.start()
    charger.stop(transaction_id)
    corrected(charger, transaction_id, meter_start=2000)
    session = corrected(charger, transaction_id, meter_start=None)
    assert (session["meter_start"], session["energy_wh"], session["energy_source"]) == (1000, 25008, "stop")
    assert session["corrected_at"] is None


def test_a_session_under_way_is_closed_first_but_may_have_a_note(charger):
    transaction_id = charger.start()
    status, error, _ = correct(charger, transaction_id, meter_stop=5000)
    assert status == 409
    assert "close it first" in error["error"]
    assert corrected(charger, transaction_id, note="its cable is stuck")["note"] == "its cable is stuck"


def test_a_correction_stays_when_the_real_stop_comes_later(charger):
    transaction_id = charger.start()
    close(charger, transaction_id)
    corrected(charger, transaction_id, meter_stop=5000)
    charger.stop(transaction_id)
    session = charger.transaction(transaction_id)
    assert (session["reported_meter_stop"], session["energy_wh"], session["energy_source"]) == (
        26008,
        4000,
        "corrected",
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"meter_stop": 999}, "below the start at 1000 Wh"),
        ({"meter_start": 30000}, "above the stop at 26008 Wh"),
        ({"meter_stop": -1}, "greater than or equal to 0"),
        ({"meter_stop": 2**31}, "less than or equal to 2147483647"),
        ({"end_time": "2025-02-26T11:59:59Z"}, "before the start"),
        ({"end_time": "2999-01-01T00:00:00Z"}, "in the future"),
        ({"energy_wh": 5}, "Known: meter_start, meter_stop, end_time, note"),
    ],
)
def test_an_impossible_correction_is_refused_with_the_reason(charger, changes, said):
    transaction_id = charger.start()
    charger.stop(transaction_id)
    status, error, _ = correct(charger, transaction_id, **changes)
    assert status == 400
    assert said in error["fields"][next(iter(changes))][0]
    assert charger.transaction(transaction_id)["energy_source"] == "stop"


def test_a_corrected_stop_needs_a_meter_value_at_the_start(charger):
    transaction_id = charger.start(meterStart=None)
    charger.stop(transaction_id)
    status, error, _ = correct(charger, transaction_id, meter_stop=5000)
    assert status == 400
    assert "meter_start" in error["fields"]
    assert corrected(charger, transaction_id, meter_start=0, meter_stop=5000)["energy_wh"] == 5000


def test_transactions_are_filtered_by_the_source_of_their_energy(charger):
    transaction_id = charger.start()
    charger.stop(transaction_id)
    corrected(charger, transaction_id, meter_stop=5000)
    path = f"/api/ocpp/transactions/{charger.identity}/?energy_source="
    assert charger.live.get(path + "corrected")["count"] == 1
    assert charger.live.get(path + "stop")["count"] == 0


# --- what was refused ------------------------------------------------------------------------


def test_a_refused_message_is_stored_once_and_applied_once(strict):
    transaction_id = strict.start()
    stop = {"transactionId": transaction_id, "meterStop": 26008.5, "timestamp": LATER, "idTag": "ABC"}
    for _ in range(2):
        assert strict.send("StopTransaction", stop)[0] == 4
    (kept,) = strict.orphans
    assert (kept["action"], kept["reported_transaction_id"]) == ("StopTransaction", transaction_id)
    assert kept["payload"] == stop
    assert kept["candidates"] == [transaction_id]
    status, applied, _ = apply(strict, kept)
    assert status == 200, applied
    assert applied["transaction_id"] == transaction_id, applied
    session = strict.transaction(transaction_id)
    assert (session["status"], session["energy_wh"], session["raw_meter_stop"]) == ("Completed", 25008, "26008.5")
    assert apply(strict, kept)[0] == 409


def test_refused_readings_are_applied_to_a_transaction(charger):
    transaction_id = charger.start()
    values = [{"timestamp": NOON, "sampledValue": [{"value": "1500"}]}]
    assert charger.send("MeterValues", {"meterValue": values})[0] == 4
    (kept,) = charger.orphans
    assert kept["action"] == "MeterValues"
    assert kept["candidates"] == [transaction_id]
    status, error, _ = apply(charger, kept)
    assert status == 400
    assert "transaction_id" in error["fields"]
    assert apply(charger, kept, transaction_id=transaction_id)[0] == 200
    assert charger.transaction(transaction_id)["energy_wh"] == 500
    assert [reading["value"] for reading in charger.readings(transaction_id)] == ["1500"]


def test_a_refused_start_is_applied_with_its_missing_member(charger):
    start = {"idTag": "ABC", "meterStart": 1000, "timestamp": NOON}
    assert charger.send("StartTransaction", start)[0] == 4
    (kept,) = charger.orphans
    assert kept["candidates"] == []
    status, error, _ = apply(charger, kept, meter_start=5)
    assert status == 400, error
    assert "connector_id" in error["fields"], error
    status, error, _ = apply(charger, kept, connector_id=1, meter_stop=5)
    assert status == 400
    assert "has no meterStop" in error["fields"]["meter_stop"][0]
    status, applied, _ = apply(charger, kept, connector_id=1)
    (session,) = charger.transactions
    assert status == 200
    assert applied["transaction_id"] == session["transaction_id"]
    kinds = [
        event["kind"] for event in charger.live.get(f"/api/ocpp/events/?charger_id={charger.identity}")["results"]
    ]
    assert "transaction.started" in kinds


@pytest.mark.parametrize(
    "payload", ["[1]", '"\\u0000"', "{", f"{'[' * 900}{']' * 900}", '{"transactionId":4711,"reason":"Local"},1']
)
def test_a_malformed_call_is_stored_unchanged(charger, payload):
    transaction_id = charger.start()
    frame = f'[2,"x","StopTransaction",{payload}]'
    if payload == "{":  # no JSON: there is no message id to answer
        charger.socket.send(frame)
        charger.call("Heartbeat", {})
        assert charger.orphans == []
        return
    assert charger.send_text(frame)[:3] == [4, "x", "FormationViolation"]
    (kept,) = charger.orphans
    assert kept["payload"] == json.loads(frame)
    assert kept["candidates"] == [transaction_id]
    members = {"transaction_id": transaction_id, "meter_stop": 2000, "timestamp": LATER}
    status, applied, _ = apply(charger, kept, **members)
    assert status == 200, applied
    session = charger.transaction(transaction_id)
    assert (session["energy_wh"], session["end_time"], session["stop_reason"]) == (1000, LATER, "Local")


def test_stored_messages_are_filtered_by_action_and_refusal(charger):
    charger.stop(charger.start() + 2**20)
    charger.send("StartTransaction", {})
    path = f"/api/ocpp/orphan-stops/?charger_id={charger.identity}&"
    found = [charger.live.get(path + query)["count"] for query in ("action=StopTransaction", "is_refused=true", "")]
    assert found == [1, 1, 2]
