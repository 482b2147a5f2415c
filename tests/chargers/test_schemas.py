"""The schemas, with errata, and the error code of each violation (J §4.2.3, table 7)."""

import pytest

from core.ocpp import schemas
from core.ocpp.versions import OCPP16, OCPP201

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


@pytest.mark.parametrize(
    ("action", "payload", "code", "field"),
    [
        ("BootNotification", {"chargePointModel": "M"}, "ProtocolError", "chargePointVendor"),
        ("BootNotification", BOOT | {"chargePointModel": 5}, "TypeConstraintViolation", "chargePointModel"),
        ("BootNotification", BOOT | {"colour": "red"}, "FormationViolation", "colour"),
        ("BootNotification", BOOT | {"iccid": "1" * 21}, "PropertyConstraintViolation", "iccid"),
        ("StatusNotification", STATUS | {"status": "Busy"}, "PropertyConstraintViolation", "status"),
        ("StatusNotification", STATUS | {"connectorId": -1}, "PropertyConstraintViolation", "connectorId"),
        ("StatusNotification", STATUS | {"connectorId": 2**31}, "PropertyConstraintViolation", "connectorId"),
        ("MeterValues", {"connectorId": 1, "meterValue": []}, "OccurenceConstraintViolation", "meterValue"),
    ],
)
def test_each_violation_has_its_code_and_names_the_field(action, payload, code, field):
    with pytest.raises(schemas.Violation) as found:
        OCPP16.schemas.check_request(action, payload)
    assert (found.value.code, found.value.field) == (code, field)


def test_a_stop_without_reason_is_valid():
    OCPP16.schemas.check_request(
        "StopTransaction", {"meterStop": 1, "timestamp": "2025-02-26T12:00:00Z", "transactionId": 1}
    )


@pytest.mark.parametrize("unit", ["Celsius", "Celcius", "Hertz"])
@pytest.mark.parametrize("action", ["MeterValues", "StopTransaction"])
def test_both_spellings_of_celsius_are_valid(action, unit):
    readings = [{"timestamp": "2025-02-26T12:00:00Z", "sampledValue": [{"value": "1", "unit": unit}]}]
    payload = {
        "MeterValues": {"connectorId": 1, "meterValue": readings},
        "StopTransaction": {"meterStop": 1, "timestamp": "x", "transactionId": 1, "transactionData": readings},
    }
    OCPP16.schemas.check_request(action, payload[action])


def test_a_charging_limit_has_one_decimal():
    periods = [{"startPeriod": 0, "limit": 21.4}]
    payload = {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": periods},
        },
    }
    OCPP16.schemas.check_request("SetChargingProfile", payload)
    periods[0]["limit"] = 21.44
    with pytest.raises(schemas.Violation):
        OCPP16.schemas.check_request("SetChargingProfile", payload)


EVSE_STATUS = {"timestamp": "2025-02-26T12:00:00Z", "connectorStatus": "Available", "evseId": 1, "connectorId": 1}


@pytest.mark.parametrize(
    ("payload", "code", "field"),
    [
        ({"evseId": 1}, "OccurrenceConstraintViolation", "connectorId"),
        (EVSE_STATUS | {"evseId": "1"}, "TypeConstraintViolation", "evseId"),
        (EVSE_STATUS | {"colour": "red"}, "FormatViolation", "colour"),
        (EVSE_STATUS | {"connectorStatus": "Busy"}, "PropertyConstraintViolation", "connectorStatus"),
        (EVSE_STATUS | {"evseId": -1}, "PropertyConstraintViolation", "evseId"),
        (EVSE_STATUS | {"evseId": 2**31}, "PropertyConstraintViolation", "evseId"),
    ],
)
def test_codes_of_ocpp_2_0_1_have_their_own_spelling(payload, code, field):
    rest = {} if "timestamp" in payload else {name: EVSE_STATUS[name] for name in ("timestamp", "connectorStatus")}
    with pytest.raises(schemas.Violation) as found:
        OCPP201.schemas.check_request("StatusNotification", payload | rest)
    assert (found.value.code, found.value.field) == (code, field)


def test_an_action_has_the_schema_of_its_version():
    versions = [
        version for version in (OCPP16, OCPP201) if version.schemas.requests["StatusNotification"].is_valid(STATUS)
    ]
    assert versions == [OCPP16]
    assert OCPP201.schemas.requests["StatusNotification"].is_valid(EVSE_STATUS)
