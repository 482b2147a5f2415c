"""Lenient reading: each rule on a message or an answer that breaks its schema in that way."""

from pathlib import Path

import pytest

from chargers.models.findings import KINDS
from core.ocpp import schemas, tolerance
from core.ocpp.versions import BY_SUBPROTOCOL, OCPP16, OCPP201, UNREADABLE

NOON = "2025-02-26T12:00:00Z"
START = {"connectorId": 1, "idTag": "ABC", "meterStart": 1000, "timestamp": NOON}
STOP = {"transactionId": 7, "meterStop": 26008, "timestamp": NOON}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
SAMPLE = {"value": "5000", "measurand": "Energy.Active.Import.Register"}
VALUES = "meterValue.sampledValue"


def meter_values(*samples, **members):
    return {"connectorId": 1, "meterValue": [{"timestamp": NOON, "sampledValue": list(samples)}], **members}


def read_message(name, payload, version=OCPP16, **options):
    """Read the payload of the message `name` ("Reset", "ResetResponse")."""
    action = name.removesuffix("Response")
    function = tolerance.read_request if action == name else tolerance.read_response
    return function(version, action, payload, **options)


def read(name, payload, **options):
    """Return (payload as it is used, set of (field, kind))."""
    reading = read_message(name, payload, **options)
    assert reading is not None
    return reading.payload, set(reading.findings)


@pytest.mark.parametrize("version", BY_SUBPROTOCOL.values(), ids=str)
def test_every_rule_belongs_to_a_message_or_an_answer(version):
    rules = version.essentials
    names = {name for name, _ in (*rules.derived, *rules.optional)} | set(rules.needed)
    assert names <= version.schemas.by_name.keys()


def test_a_valid_payload_is_not_read_again():
    assert tolerance.read_request(OCPP16, "StopTransaction", STOP) is None


ABSENT = object()
BASES = {
    "Authorize": {"idTag": "A"},
    "BootNotification": BOOT,
    "DataTransfer": {"vendorId": "V"},
    "Heartbeat": {},
    "ResetResponse": {"status": "Accepted"},
    "StartTransaction": START,
    "StatusNotification": STATUS,
    "StopTransaction": STOP,
    "MeterValues": {"connectorId": 1, "transactionId": 7, "meterValue": []},
}


@pytest.mark.parametrize(
    ("name", "member", "sent", "used", "kind"),
    [
        ("StopTransaction", "idTag", "A" * 21, "A" * 21, "too_long"),
        ("StopTransaction", "idTag", "A" * 300, "A" * 255, "too_long"),
        ("StopTransaction", "meterStop", 26008.0, 26008, "wrong_type"),
        ("StopTransaction", "meterStop", 26008.333, 26008, "wrong_type"),
        ("StopTransaction", "meterStop", " 26008 ", 26008, "wrong_type"),
        ("StopTransaction", "meterStop", "much", ABSENT, "not_a_number"),
        ("StopTransaction", "meterStop", 2.0**70, ABSENT, "out_of_range"),
        ("StopTransaction", "meterStop", True, ABSENT, "wrong_type"),
        ("StopTransaction", "meterStop", ABSENT, ABSENT, "missing"),
        ("StopTransaction", "transactionId", "7", 7, "wrong_type"),
        ("StopTransaction", "transactionId", None, ABSENT, "null"),
        ("StopTransaction", "transactionId", 7.0, 7, "wrong_type"),
        ("StopTransaction", "transactionId", 7.4, ABSENT, "wrong_type"),
        ("StopTransaction", "transactionId", "7.4", ABSENT, "wrong_type"),
        ("StopTransaction", "connectorId", 1, ABSENT, "unknown_field"),
        ("StopTransaction", "reason", "EVFull", "EVFull", "unknown_value"),
        ("StopTransaction", "reason", "evdisconnected", "EVDisconnected", "unknown_value"),
        ("StopTransaction", "timestamp", ABSENT, "", "missing"),
        ("StartTransaction", "timestamp", None, "", "null"),
        ("StartTransaction", "timestamp", 1740571200, "1740571200", "wrong_type"),
        ("StartTransaction", "timestamp", {}, "", "wrong_type"),
        ("StartTransaction", "meterStart", 4294967295, 4294967295, "out_of_range"),
        ("StartTransaction", "meterStart", 604.213, 604, "wrong_type"),
        ("StartTransaction", "reservationId", None, ABSENT, "null"),
        ("StartTransaction", "idTag", 12345, "12345", "wrong_type"),
        ("StartTransaction", "connectorId", "1", 1, "wrong_type"),
        ("StatusNotification", "info", "x" * 80, "x" * 80, "too_long"),
        ("StatusNotification", "errorCode", "Error", "Error", "unknown_value"),
        ("StatusNotification", "errorCode", None, "NoError", "null"),
        ("StatusNotification", "status", "CHARGING", "Charging", "unknown_value"),
        ("StatusNotification", "status", "Occupied", "Occupied", "unknown_value"),
        ("BootNotification", "chargePointSerialNumber", "9" * 33, "9" * 33, "too_long"),
        ("BootNotification", "chargePointSerialNumber", 9, "9", "wrong_type"),
        ("BootNotification", "chargePointVendor", ABSENT, "", "missing"),
        ("BootNotification", "iccid", None, ABSENT, "null"),
        ("DataTransfer", "data", {"a": 1}, '{"a":1}', "wrong_type"),
        ("Authorize", "connectorId", 1, ABSENT, "unknown_field"),
        ("Heartbeat", "status", "ok", ABSENT, "unknown_field"),
        ("MeterValues", "meterValue", [], [], "missing"),
        ("MeterValues", "transactionId", 2**63 - 1, 2**63 - 1, "out_of_range"),
        ("MeterValues", "connectorId", ABSENT, ABSENT, "missing"),
        ("ResetResponse", "status", "accepted", "Accepted", "unknown_value"),
        ("ResetResponse", "info", None, ABSENT, "unknown_field"),
    ],
)
def test_a_member_is_repaired_with_a_finding(name, member, sent, used, kind):
    changed = {member: sent} if sent is not ABSENT else {}
    rest = {other: value for other, value in BASES[name].items() if other != member}
    payload, found = read(name, rest | changed)
    assert payload.get(member, ABSENT) == used
    assert (member, kind) in found


def test_a_fault_without_a_code_is_not_called_no_error():
    payload, _ = read("StatusNotification", {"connectorId": 1, "status": "Faulted"})
    assert payload["errorCode"] == ""


def test_a_member_in_another_spelling_is_read():
    payload, found = read("Authorize", {"idtag": "A"})
    assert payload == {"idTag": "A"}
    assert ("idtag", "unknown_field") in found


RAW = {"measurand": "", "format": UNREADABLE}


@pytest.mark.parametrize(
    ("sample", "used", "field", "kind"),
    [
        (SAMPLE | {"unit": "Hz"}, {"unit": "Hz"}, ".unit", "unknown_value"),
        (SAMPLE | {"unit": ""}, {"unit": None}, ".unit", "unknown_value"),
        (SAMPLE | {"unit": "KWH"}, {"unit": "kWh"}, ".unit", "unknown_value"),
        (SAMPLE | {"value": 5000}, {"value": "5000"}, ".value", "wrong_type"),
        (SAMPLE | {"value": 5000.5}, {"value": "5000.5"}, ".value", "wrong_type"),
        (SAMPLE | {"measurand": "Current.L1"}, {"measurand": "Current.L1"}, ".measurand", "unknown_value"),
        (SAMPLE | {"phase": None}, {"phase": None}, ".phase", "null"),
        ({"measurand": "Voltage"}, RAW | {"value": '{"measurand":"Voltage"}'}, "", "bad_item"),
        ("12", RAW | {"value": '"12"'}, "", "bad_item"),
        (None, RAW | {"value": "null"}, "", "bad_item"),
    ],
)
def test_an_odd_sample_leaves_the_others_as_they_are(sample, used, field, kind):
    payload, found = read("MeterValues", meter_values(SAMPLE, sample))
    first, second = payload["meterValue"][0]["sampledValue"]
    assert first == SAMPLE
    assert {member: second.get(member) for member in used} == used
    assert (f"{VALUES}{field}", kind) in found


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ({"timestamp": NOON, "sampledValue": [SAMPLE]}, "wrong_type"),
        ([{"timestamp": NOON, "sampledValue": SAMPLE}], "wrong_type"),
        ([{"sampledValue": [SAMPLE]}], "missing"),
        ([{"timestamp": NOON, "sampledValue": [SAMPLE]}, {"timestamp": NOON, "sampledValue": []}], "missing"),
        ([{"timestamp": NOON, "sampledValue": [SAMPLE]}, "x"], "bad_item"),
        ([{"timestamp": NOON, "sampledValue": [SAMPLE]}, {"timestamp": NOON}], "bad_item"),
    ],
)
@pytest.mark.parametrize(("name", "rest"), [("MeterValues", {"connectorId": 1}), ("StopTransaction", STOP)])
def test_readings_of_another_form_keep_their_samples(name, rest, sent, kind):
    member = {"MeterValues": "meterValue", "StopTransaction": "transactionData"}[name]
    reading = read_message(name, rest | {member: sent})
    if reading is None:  # the schema of StopTransaction allows an empty list
        assert name == "StopTransaction"
        assert kind == "missing"
        return
    samples = [sample for value in reading.payload[member] for sample in value["sampledValue"]]
    assert SAMPLE in samples
    assert kind in {found for _, found in reading.findings} or name == "StopTransaction"


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("StartTransaction", {name: value for name, value in START.items() if name != "connectorId"}),
        ("StartTransaction", START | {"connectorId": "left"}),
        ("StartTransaction", START | {"connectorId": -1}),
        ("StartTransaction", START | {"idTag": None}),
        ("StartTransaction", START | {"idTag": {"idTag": "ABC"}}),
        ("StopTransaction", {}),
        ("StopTransaction", {"transactionId": -1, "reason": "Local"}),
        ("StopTransaction", {"transactionId": None, "meterStop": None, "timestamp": "soon"}),
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError"}),
        ("StatusNotification", STATUS | {"status": ""}),
        ("StatusNotification", {"status": "Available", "errorCode": "NoError"}),
        ("MeterValues", {"connectorId": 1}),
        ("MeterValues", {"meterValue": [{"timestamp": NOON, "sampledValue": [SAMPLE]}]}),
        ("Authorize", {}),
        ("FirmwareStatusNotification", {}),
        ("ResetResponse", {}),
        ("ResetResponse", {"status": "Perhaps"}),
    ],
)
def test_a_message_without_its_essential_member_is_refused(name, payload):
    with pytest.raises(schemas.Violation):
        read_message(name, payload)


def test_a_strict_charger_gets_the_first_violation():
    with pytest.raises(schemas.Violation) as found:
        tolerance.read_request(OCPP16, "StopTransaction", STOP | {"meterStop": 26008.5}, lenient=False)
    assert (found.value.field, found.value.code) == ("meterStop", "TypeConstraintViolation")


def test_a_rounded_number_is_also_stored_as_sent():
    assert tolerance.read_request(OCPP16, "StopTransaction", STOP | {"meterStop": 26008.333}).as_sent == {
        "meterStop": "26008.333"
    }


@pytest.mark.parametrize("behind", ["\0", "\0\0\0", "\x03", "\r\n"])
def test_control_characters_behind_a_tag_are_removed(behind):
    payload, found = read("StopTransaction", STOP | {"idTag": f"ABC{behind}"}, clean=False)
    assert payload["idTag"] == "ABC"
    assert ("idTag", "unreadable") in found


def test_one_bad_configuration_key_leaves_the_others():
    sent = [
        {"key": "A", "readonly": "true", "value": "1"},
        {"key": "B", "readonly": False, "value": "x" * 551},
        {"key": "C", "readonly": False, "value": None},
        {"readonly": False},
        {"key": "D", "readonly": False, "value": 5},
    ]
    payload, found = read("GetConfigurationResponse", {"configurationKey": sent, "unknownKey": "E"})
    assert payload == {
        "configurationKey": [
            {"key": "A", "readonly": True, "value": "1"},
            {"key": "B", "readonly": False, "value": "x" * 551},
            {"key": "C", "readonly": False},
            {"key": "D", "readonly": False, "value": "5"},
        ],
        "unknownKey": ["E"],
    }
    assert {kind for _, kind in found} == {"wrong_type", "too_long", "null", "missing", "bad_item"}


def test_the_document_has_every_rule_and_every_kind():
    document = (Path(__file__).parents[2] / "docs" / "tolerance.md").read_text()
    rules = [(rule.kind, rule.says) for rule in tolerance.CONVERSIONS.values()] + [*tolerance.CONSTRAINTS.values()]
    assert [says for kind, says in rules if f"| {says} | `{kind}` |" not in document] == []
    assert [kind for kind, meaning in KINDS.items() if f"| `{kind}` | {meaning} |" not in document] == []


# --- OCPP 2.0.1 ------------------------------------------------------------------------------


def test_extensions_of_a_message_are_kept():
    custom = {"vendorId": "V", "colour": {"name": "red"}}
    sent = {"evseId": "1", "connectorId": 1, "connectorStatus": "available", "timestamp": NOON, "customData": custom}
    reading = read_message("StatusNotification", sent, version=OCPP201)
    assert reading.payload == sent | {"evseId": 1, "connectorStatus": "Available"}
    assert set(reading.findings) == {("evseId", "wrong_type"), ("connectorStatus", "unknown_value")}


@pytest.mark.parametrize("data", ["text", 7, ["a"], {"a": None}])
def test_data_of_a_data_transfer_may_be_any_json(data):
    reading = read_message("DataTransfer", {"vendorId": "V" * 256, "data": data}, version=OCPP201)
    assert reading.payload == {"vendorId": "V" * 256, "data": data}


def test_a_missing_member_has_the_code_of_the_version():
    with pytest.raises(schemas.Violation) as found:
        read_message("StatusNotification", {"evseId": 1, "connectorId": 1, "timestamp": NOON}, version=OCPP201)
    assert found.value.code == "OccurrenceConstraintViolation"


@pytest.mark.parametrize("sent", [{"unit": "kWh"}, {"unitOfMeasure": "kWh"}, {"unit": {"unit": "kWh"}}])
def test_a_unit_in_the_form_of_another_version_is_read(sent):
    values = [{"timestamp": NOON, "sampledValue": [{"value": 1.5, **sent}]}]
    reading = read_message("MeterValues", {"evseId": 1, "meterValue": values}, version=OCPP201)
    (value,) = reading.payload["meterValue"]
    assert value["sampledValue"] == [{"value": 1.5, "unitOfMeasure": {"unit": "kWh"}}]
    assert reading.findings


@pytest.mark.parametrize("sent", [{"idToken": "ABC"}, {"idTag": "ABC"}, {"idToken": {"idToken": "ABC"}}])
def test_a_token_in_the_form_of_another_version_is_read(sent):
    reading = read_message("Authorize", sent, version=OCPP201)
    assert reading.payload == {"idToken": {"idToken": "ABC", "type": ""}}


def test_no_other_text_is_read_as_an_object():
    sent = {"evseId": 1, "meterValue": [{"timestamp": NOON, "sampledValue": ["1500"]}]}
    reading = read_message("MeterValues", sent, version=OCPP201)
    assert [kind for _, kind in reading.findings] == ["bad_item"]
