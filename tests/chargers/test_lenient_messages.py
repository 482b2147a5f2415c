"""Boots, statuses and other messages that break the schema in descriptive members only."""

import json

import pytest

from tests.support.live import eventually

BOOT = {"chargePointVendor": "Schneider Electric", "chargePointModel": "EVlink"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}


@pytest.mark.parametrize(
    ("odd", "column", "kept", "kind"),
    [
        ({"chargePointSerialNumber": "3N1" + "0" * 23}, "serial_number", "3N1" + "0" * 23, "too_long"),
        ({"chargeBoxSerialNumber": "7" * 33}, "charge_box_serial_number", "7" * 33, "too_long"),
        ({"chargePointVendor": "V" * 29}, "vendor", "V" * 29, "too_long"),
        ({"firmwareVersion": "F" * 3000}, "firmware_version", "F" * 3000, "too_long"),
        ({"chargePointSerialNumber": 123456}, "serial_number", "123456", "wrong_type"),
        ({"iccid": None}, "iccid", "", "null"),
        ({"imsi": 262011234567890}, "imsi", "262011234567890", "wrong_type"),
        ({"chargePointVendor": None}, "vendor", "", "null"),
        ({"hardwareVersion": "2"}, "model", "EVlink", "unknown_field"),
    ],
)
def test_a_boot_with_an_odd_label_is_accepted(charger, odd, column, kept, kind):
    assert charger.call("BootNotification", BOOT | odd)["status"] == "Accepted"
    assert charger.shown[column] == kept
    assert charger.found("BootNotification", next(iter(odd)), kind)


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        ({"info": "x" * 80}, "too_long"),
        ({"errorCode": "0x1F"}, "unknown_value"),
        ({"errorCode": 17}, "wrong_type"),
        ({"errorCode": None}, "null"),
        ({"timestamp": None}, "null"),
        ({"timestamp": 1740571200}, "wrong_type"),
        ({"vendorErrorCode": "y" * 51}, "too_long"),
        ({"vendorErrorCode": {"code": 1}}, "wrong_type"),
        ({"temperature": 31}, "unknown_field"),
        ({"connectorId": "1"}, "wrong_type"),
        ({"status": "charging"}, "unknown_value"),
    ],
)
def test_a_status_with_an_odd_comment_is_shown(charger, odd, kind):
    charger.call("StatusNotification", STATUS | odd)
    assert charger.status["status"] == "Charging"
    assert charger.found("StatusNotification", next(iter(odd)), kind)


def test_a_vendor_status_is_shown_unchanged(charger):
    charger.call("StatusNotification", STATUS | {"status": "Occupied"})
    assert charger.status["status"] == "Occupied"


@pytest.mark.parametrize("odd", [{"connectorId": None}, {"status": None}, {"status": ""}, {"connectorId": -1}])
def test_a_status_notification_without_a_status_is_refused(charger, odd):
    assert charger.send("StatusNotification", STATUS | odd)[0] == 4
    assert charger.status["status"] == "Unknown"
    assert charger.found("StatusNotification", next(iter(odd)), "rejected")


@pytest.mark.parametrize(
    ("action", "payload", "field", "kind"),
    [
        ("Authorize", {"idTag": "ABC", "connectorId": 1}, "connectorId", "unknown_field"),
        ("Authorize", {"idTag": "A" * 25}, "idTag", "too_long"),
        ("Authorize", {"idTag": 5}, "idTag", "wrong_type"),
        ("DataTransfer", {"vendorId": "V", "data": {"a": [1]}}, "data", "wrong_type"),
        ("DataTransfer", {"vendorId": "V", "messageId": None}, "messageId", "null"),
        ("DataTransfer", {"vendorId": "V", "messageId": "m" * 51}, "messageId", "too_long"),
        ("Heartbeat", {"status": 1}, "status", "unknown_field"),
        ("FirmwareStatusNotification", {"status": "Paused"}, "status", "unknown_value"),
        ("DiagnosticsStatusNotification", {"status": "Uploaded", "fileName": "x"}, "fileName", "unknown_field"),
        ("LogStatusNotification", {"status": "Uploaded", "requestId": "7"}, "requestId", "wrong_type"),
        ("SecurityEventNotification", {"type": "T" * 51, "timestamp": "2025-02-26T12:00:00Z"}, "type", "too_long"),
        ("SecurityEventNotification", {"type": "Boot"}, "timestamp", "missing"),
    ],
)
def test_an_odd_message_is_accepted(charger, action, payload, field, kind):
    charger.call(action, payload)
    assert charger.found(action, field, kind)


def test_an_object_in_a_data_transfer_is_stored_as_json(charger):
    charger.call("DataTransfer", {"vendorId": "V", "data": {"a": [1]}})
    (kept,) = charger.live.get(f"/api/ocpp/data-transfers/?charger_id={charger.identity}")["results"]
    assert kept["data"] == '{"a":[1]}'


def test_strict_validation_applies_to_an_open_socket(charger):
    charger.call("Heartbeat", {"more": 1})
    status, _, _ = charger.live.request("PATCH", f"/api/ocpp/chargers/{charger.identity}/", {"validation": "strict"})
    assert status == 200
    answers = (charger.send("Heartbeat", {"more": 1})[0] for _ in range(200))
    assert 4 in answers


def test_findings_are_counted_shown_filtered_and_exported(charger):
    for number in range(5):
        charger.call("Heartbeat", {"more": f"value {number}"})
    charger.call("StatusNotification", STATUS | {"info": "x" * 80})
    assert charger.found("StatusNotification", "info", "too_long")
    assert charger.findings["Heartbeat", "more", "unknown_field"] == 5
    found = f"/api/ocpp/findings/?charger_id={charger.identity}"
    (row,) = charger.live.get(f"{found}&kind=unknown_field&action=Heartbeat&field=more")["results"]
    assert json.loads(row["example"]) == "value 4"
    assert row["first_seen"] < row["last_seen"]


def test_a_secret_in_a_finding_is_hidden(charger):
    charger.call("Heartbeat", {"password": "do-not-show", "more": {"authorizationKey": "do-not-show"}})
    assert charger.found("Heartbeat", "password", "unknown_field")
    shown = json.dumps(charger.live.get(f"/api/ocpp/findings/?charger_id={charger.identity}"))
    assert "do-not-show" not in shown
    assert "(hidden)" in shown


def test_the_first_odd_frame_is_in_a_message_log_of_errors(live, charger):
    path = f"/api/ocpp/chargers/{charger.identity}/"
    assert live.request("PATCH", path, {"message_log": "errors"})[0] == 200
    charger.reconnect()
    for number in range(3):
        charger.call("Heartbeat", {"colour": f"red {number}"})
    assert charger.found("Heartbeat", "colour", "unknown_field")
    logged = f"/api/ocpp/messages/?charger_id={charger.identity}&search=colour"
    kept = eventually(lambda: live.get(logged)["results"])
    assert ["red 0" in row["frame"] for row in kept] == [True]
    assert not kept[0]["is_error"]


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("BootNotification", BOOT | {"chargePointSerialNumber": "9" * 26}, "PropertyConstraintViolation"),
        ("BootNotification", BOOT | {"iccid": None}, "TypeConstraintViolation"),
        ("BootNotification", BOOT | {"more": 1}, "FormationViolation"),
        ("StatusNotification", STATUS | {"info": "x" * 80}, "PropertyConstraintViolation"),
        ("StatusNotification", STATUS | {"errorCode": "0x1F"}, "PropertyConstraintViolation"),
        ("StatusNotification", STATUS | {"timestamp": None}, "TypeConstraintViolation"),
        ("Authorize", {"idTag": "ABC", "connectorId": 1}, "FormationViolation"),
        ("DataTransfer", {"vendorId": "V", "data": {}}, "TypeConstraintViolation"),
    ],
)
def test_an_odd_message_of_a_strict_charger_is_refused(strict, action, payload, code):
    assert strict.send(action, payload)[:3:2] == [4, code]
    assert strict.status["status"] == "Unknown"
    assert strict.shown["vendor"] == ""
