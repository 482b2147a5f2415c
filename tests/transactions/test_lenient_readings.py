"""A reading that breaks the schema is stored as text, and the others are stored and counted."""

import pytest

NOON = "2025-02-26T12:30:00Z"
UNKNOWN = "unknown_value"
ENERGY = {"value": "5000", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
READING = {"timestamp": NOON, "sampledValue": [ENERGY]}


def values_of(charger, transaction_id):
    return {(row["measurand"], row["value"], row["unit"]) for row in charger.readings(transaction_id)}


@pytest.mark.parametrize(
    ("odd", "kept", "field", "kind"),
    [
        ({"value": "50", "measurand": "Frequency", "unit": "Hz"}, ("Frequency", "50", "Hz"), ".unit", UNKNOWN),
        ({"value": "31", "measurand": "Temperature", "unit": "C"}, ("Temperature", "31", "C"), ".unit", UNKNOWN),
        ({"value": "1", "measurand": "Power.Factor", "unit": ""}, ("Power.Factor", "1", ""), ".unit", UNKNOWN),
        ({"value": 231, "measurand": "Voltage"}, ("Voltage", "231", ""), ".value", "wrong_type"),
        ({"value": 16.25, "measurand": "Current.Import"}, ("Current.Import", "16.25", ""), ".value", "wrong_type"),
        ({"value": "9", "measurand": "Current.L1"}, ("Current.L1", "9", ""), ".measurand", UNKNOWN),
        ({"value": "9", "measurand": "Voltage", "phase": "L9"}, ("Voltage", "9", ""), ".phase", UNKNOWN),
        ({"value": "9", "measurand": "Voltage", "context": None}, ("Voltage", "9", ""), ".context", "null"),
        ({"value": "9", "measurand": "Voltage", "more": 1}, ("Voltage", "9", ""), ".more", "unknown_field"),
        ({"measurand": "Voltage"}, ("", '{"measurand":"Voltage"}', ""), "", "bad_item"),
        ("12", ("", '"12"', ""), "", "bad_item"),
        (None, ("", "null", ""), "", "bad_item"),
    ],
)  # fmt: skip
def test_an_odd_sample_does_not_affect_others(charger, odd, kept, field, kind):
    transaction_id = charger.start()
    sent = [{"timestamp": NOON, "sampledValue": [ENERGY, odd]}]
    charger.call("MeterValues", {"connectorId": 1, "transactionId": transaction_id, "meterValue": sent})
    assert kept in values_of(charger, transaction_id)
    session = charger.transaction(transaction_id)
    assert (session["energy_wh"], session["energy_source"]) == (4000, "readings")
    assert charger.found("MeterValues", f"meterValue.sampledValue{field}", kind)


@pytest.mark.parametrize(
    ("sent", "field", "kind"),
    [
        (READING, "meterValue", "wrong_type"),
        ([{"timestamp": NOON, "sampledValue": ENERGY}], "meterValue.sampledValue", "wrong_type"),
        ([{"timestamp": NOON, "sampledValue": []}, READING], "meterValue.sampledValue", "missing"),
        ([{"sampledValue": [ENERGY]}], "meterValue.timestamp", "missing"),
        ([{"timestamp": None, "sampledValue": [ENERGY]}], "meterValue.timestamp", "null"),
        (["x", READING], "meterValue", "bad_item"),
        ([READING, {"timestamp": NOON}], "meterValue", "bad_item"),
    ],
)  # fmt: skip
def test_readings_of_another_form_are_counted(charger, sent, field, kind):
    transaction_id = charger.start()
    charger.call("MeterValues", {"connectorId": 1, "transactionId": transaction_id, "meterValue": sent})
    assert ("Energy.Active.Import.Register", "5000", "Wh") in values_of(charger, transaction_id)
    assert charger.transaction(transaction_id)["energy_wh"] == 4000
    assert charger.found("MeterValues", field, kind)


@pytest.mark.parametrize("transaction_id", [2**63 - 1, 2**31, 4294967295])
def test_readings_with_an_impossible_transaction_id_are_stored(charger, transaction_id):
    sent = {"connectorId": 1, "transactionId": transaction_id}
    sent["meterValue"] = [READING]
    charger.call("MeterValues", sent)
    stored = charger.live.rows(
        "SELECT m.value, m.transaction_id, m.reported_transaction_id FROM transactions_metervalue m "
        "JOIN chargers_charger c ON c.id = m.charger_id WHERE c.identity = %s",
        charger.identity,
    )
    assert stored == [("5000", None, transaction_id)]
    assert charger.found("MeterValues", "transactionId", "out_of_range")


def test_readings_without_a_connector_belong_to_that_of_their_transaction(charger):
    transaction_id = charger.start(connectorId=2)
    sent = {"transactionId": transaction_id, "meterValue": [READING]}
    charger.call("MeterValues", sent)
    assert [row["connector_id"] for row in charger.readings(transaction_id)] == [2]


def test_an_odd_sample_of_a_strict_charger_is_refused(strict):
    transaction_id = strict.start()
    sent = [{"timestamp": NOON, "sampledValue": [ENERGY, {"value": "50", "unit": "Hz"}]}]
    values = {"connectorId": 1, "transactionId": transaction_id, "meterValue": sent}
    assert strict.send("MeterValues", values)[:3:2] == [4, "PropertyConstraintViolation"]
    assert strict.readings(transaction_id) == []
