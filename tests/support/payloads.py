"""Payloads of messages and of requests over REST."""

from tests.support.builders import NOON

PERIOD = {"startPeriod": 0, "limit": 10}
PROFILE = {
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [PERIOD]},
}
# All that a charger reports, in this order.
REPORTED = [
    ("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}),
    ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}),
    ("MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": NOON, "sampledValue": [{"value": "1"}]}]}),
    ("StopTransaction", {"transactionId": -1, "meterStop": 1, "timestamp": NOON}),
    ("DataTransfer", {"vendorId": "V", "data": "D"}),
    ("SecurityEventNotification", {"type": "T", "timestamp": NOON}),
    ("SignCertificate", {"csr": "none"}),
    ("StartTransaction", {"connectorId": 1, "idTag": "unknown", "meterStart": 0, "timestamp": NOON}),
]
_NAMED = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power"}}
# What a charger of OCPP 2.0.1 reports.
STATION = [
    ("BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}),
    (
        "NotifyReport",
        {
            "requestId": 1,
            "seqNo": 0,
            "generatedAt": NOON,
            "reportData": [_NAMED | {"variableAttribute": [{"value": "11000"}, {"type": "MaxSet"}]}],
        },
    ),
]
