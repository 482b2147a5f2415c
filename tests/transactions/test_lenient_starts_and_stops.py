"""Starts and stops that break the schema in members that do not matter to the bill."""

import pytest

from tests.support.field_charger import LATER, NOON

BAD_SAMPLE = {"timestamp": LATER, "sampledValue": [{"value": "25000"}, {"measurand": "Voltage"}]}

ODD_STOPS = [
    ({"idTag": "A" * 21}, "idTag", "too_long", "PropertyConstraintViolation"),
    ({"meterStop": 26008.0}, "meterStop", "wrong_type", None),
    ({"meterStop": 26008.333}, "meterStop", "wrong_type", "TypeConstraintViolation"),
    ({"meterStop": "26008"}, "meterStop", "wrong_type", "TypeConstraintViolation"),
    ({"connectorId": 1}, "connectorId", "unknown_field", "FormationViolation"),
    ({"disconnectReason": "x"}, "disconnectReason", "unknown_field", "FormationViolation"),
    ({"reason": "StoppedByEV"}, "reason", "unknown_value", "PropertyConstraintViolation"),
    ({"reason": None}, "reason", "null", "TypeConstraintViolation"),
    ({"transactionData": [BAD_SAMPLE]}, "transactionData.sampledValue", "bad_item", "ProtocolError"),
    ({"transactionData": BAD_SAMPLE}, "transactionData", "wrong_type", "TypeConstraintViolation"),
    ({"timestamp": None}, "timestamp", "null", "TypeConstraintViolation"),
]


@pytest.mark.parametrize(("odd", "field", "kind", "code"), ODD_STOPS)
def test_an_odd_stop_ends_its_session_with_its_energy(charger, odd, field, kind, code):
    transaction_id = charger.start()
    charger.stop(transaction_id, **odd)
    session = charger.transaction(transaction_id)
    assert (session["status"], session["meter_stop"], session["energy_wh"]) == ("Completed", 26008, 25008)
    assert session["energy_source"] == "stop"
    assert charger.found("StopTransaction", field, kind)


@pytest.mark.parametrize(("odd", "field", "kind", "code"), [row for row in ODD_STOPS if row[3]])
def test_an_odd_stop_of_a_strict_charger_is_refused(strict, odd, field, kind, code):
    usual = {"transactionId": strict.start(), "meterStop": 26008, "timestamp": LATER}
    answer = strict.send("StopTransaction", usual | odd)
    assert (answer[0], answer[2]) == (4, code)
    assert strict.transactions[0]["status"] == "Ongoing"
    assert strict.orphans[0]["refused_because"].startswith(code)


@pytest.mark.parametrize(
    "behind", ["\\u0000", "\\u0000\\u0000\\u0000", "\\u0003", "\x03", "\\r\\n", "\\t", "\\u007f"]
)
def test_control_bytes_after_a_tag_are_removed(charger, behind):
    transaction_id = charger.start(idTag="ABC")
    text = f'[2,"s","StopTransaction",{{"transactionId":{transaction_id},"idTag":"ABC{behind}",'
    answer = charger.send_text(text + f'"meterStop":26008,"timestamp":"{LATER}"}}]')
    assert answer[0] == 3
    session = charger.transaction(transaction_id)
    assert (session["stop_id_tag"], session["energy_wh"]) == ("ABC", 25008)
    assert charger.found("StopTransaction", "idTag", "unreadable")


@pytest.mark.parametrize("transaction_id", [None, "", "none", 0, -1, 2**40])
def test_a_stop_without_a_usable_id_is_an_orphan_stop(charger, transaction_id):
    charger.start()
    charger.stop(transaction_id)
    (orphan,) = charger.orphans
    assert orphan["payload"]["meterStop"] == 26008
    assert orphan["candidates"]


@pytest.mark.parametrize("payload", [{}, {"transactionId": -1}, {"transactionId": None, "reason": "Local"}])
def test_a_stop_without_usable_members_is_refused_and_stored(charger, payload):
    transaction_id = charger.start()
    answer = charger.send("StopTransaction", payload)
    assert answer[0] == 4
    (kept,) = charger.orphans
    assert kept["action"] == "StopTransaction"
    assert kept["refused_because"]
    attached = charger.live.request(
        "POST", f"/api/ocpp/orphan-stops/{kept['id']}/attach/", {"transaction_id": transaction_id, "meter_stop": 9000}
    )
    assert attached[0] == 200, attached
    assert charger.transaction(transaction_id)["energy_wh"] == 8000


@pytest.mark.parametrize(
    ("odd", "field", "kind"),
    [
        ({"idTag": "B" * 22}, "idTag", "too_long"),
        ({"idTag": 4711}, "idTag", "wrong_type"),
        ({"meterStart": 604.213}, "meterStart", "wrong_type"),
        ({"meterStart": "604"}, "meterStart", "wrong_type"),
        ({"meterStart": None}, "meterStart", "null"),
        ({"meterStart": 4294967295}, "meterStart", "out_of_range"),
        ({"reservationId": None}, "reservationId", "null"),
        ({"reservationId": 2**40}, "reservationId", "out_of_range"),
        ({"timestamp": None}, "timestamp", "null"),
        ({"timestamp": "yesterday"}, "timestamp", "clock"),
        ({"connectorId": "1"}, "connectorId", "wrong_type"),
        ({"vendor": {"a": 1}}, "vendor", "unknown_field"),
    ],
)
def test_an_odd_start_gets_a_transaction_id(charger, odd, field, kind):
    transaction_id = charger.start(**odd)
    assert transaction_id > 0
    session = charger.transaction(transaction_id)
    assert (session["status"], session["connector_id"]) == ("Ongoing", 1)
    assert session["id_tag"] == str(odd.get("idTag", "ABC"))
    assert charger.found("StartTransaction", field, kind)


def test_a_start_without_a_timestamp_has_its_time_of_receipt(charger):
    start = {"connectorId": 1, "idTag": "ABC", "meterStart": 0}
    first = charger.call("StartTransaction", start)["transactionId"]
    session = charger.transaction(first)
    assert session["start_time"] == session["start_received_at"]
    assert charger.call("StartTransaction", start)["transactionId"] == first


@pytest.mark.parametrize("odd", [{"connectorId": None}, {"idTag": None}, {"idTag": {}}, {"connectorId": "left"}])
def test_a_start_without_connector_or_tag_is_refused_and_can_be_applied_by_hand(charger, odd):
    usual = {"connectorId": 1, "idTag": "ABC", "meterStart": 1000, "timestamp": NOON}
    assert charger.send("StartTransaction", usual | odd)[0] == 4
    (kept,) = charger.orphans
    missing = {"connector_id": 1} if "connectorId" in odd else {"id_tag": "ABC"}
    status, applied, _ = charger.live.request("POST", f"/api/ocpp/orphan-stops/{kept['id']}/attach/", missing)
    assert status == 200, applied
    (session,) = charger.transactions
    assert (session["connector_id"], session["id_tag"], session["meter_start"]) == (1, "ABC", 1000)


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        ({"idTag": "B" * 22}, "PropertyConstraintViolation"),
        ({"meterStart": 604.213}, "TypeConstraintViolation"),
        ({"meterStart": 4294967295}, "PropertyConstraintViolation"),
        ({"reservationId": None}, "TypeConstraintViolation"),
        ({"vendor": 1}, "FormationViolation"),
    ],
)
def test_an_odd_start_of_a_strict_charger_is_refused(strict, odd, code):
    usual = {"connectorId": 1, "idTag": "ABC", "meterStart": 1000, "timestamp": NOON}
    assert strict.send("StartTransaction", usual | odd)[:3:2] == [4, code]
    assert strict.transactions == []


def test_a_start_with_a_reused_message_id_is_stored(charger):
    charger.start()
    again = {"connectorId": 1, "idTag": "ABC", "meterStart": 9000, "timestamp": LATER}
    assert charger.send("StartTransaction", again, "m1")[2] == "GenericError"
    (kept,) = charger.orphans
    assert (kept["action"], kept["payload"]["meterStart"]) == ("StartTransaction", 9000)
