"""One valid request of OCPP 2.0.1 for each command, with the ids that the central system gives."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = {"idToken": "DEMO-TAG", "type": "ISO14443"}
EVSE = {"id": 1, "connectorId": 1}
COMPONENT, VARIABLE = {"name": "OCPPCommCtrlr"}, {"name": "HeartbeatInterval"}
NAME = {"component": COMPONENT, "variable": VARIABLE}
PERIOD = {"startPeriod": 0, "limit": 16.0}
PROFILE = {
    "id": 7,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [PERIOD]}],
}
CONNECTION = {
    "ocppVersion": "OCPP20",
    "ocppTransport": "JSON",
    "ocppCsmsUrl": "wss://example.org/ocpp",
    "messageTimeout": 30,
    "securityProfile": 1,
    "ocppInterface": "Wired0",
}
HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "ab", "issuerKeyHash": "cd", "serialNumber": "1"}
MESSAGE = {"id": 3, "priority": "NormalCycle", "message": {"format": "UTF8", "content": "Hello"}}
MONITOR = {"value": 60, "type": "Periodic", "severity": 8, **NAME}


def a_root():
    """A certificate authority, as PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(4711).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


REQUESTS = {
    "CancelReservation": {"reservationId": 5},
    "CertificateSigned": {"certificateChain": "PEM"},
    "ChangeAvailability": {"operationalStatus": "Operative"},
    "ClearCache": {},
    "ClearChargingProfile": {"chargingProfileId": 7},
    "ClearDisplayMessage": {"id": 3},
    "ClearVariableMonitoring": {"id": [1, 99]},
    "CostUpdated": {"totalCost": 1.5, "transactionId": "none"},
    "CustomerInformation": {"requestId": 1, "report": True, "clear": False, "idToken": TOKEN},
    "DataTransfer": {"vendorId": "com.example"},
    "DeleteCertificate": {"certificateHashData": HASHES},
    "GetBaseReport": {"requestId": 1, "reportBase": "FullInventory"},
    "GetChargingProfiles": {"requestId": 1, "chargingProfile": {"chargingProfilePurpose": "TxDefaultProfile"}},
    "GetCompositeSchedule": {"evseId": 1, "duration": 60},
    "GetDisplayMessages": {"requestId": 1},
    "GetInstalledCertificateIds": {},
    "GetLocalListVersion": {},
    "GetLog": {"requestId": 1, "logType": "SecurityLog", "log": {"remoteLocation": "ftp://example.org/"}},
    "GetMonitoringReport": {"requestId": 1},
    "GetReport": {"requestId": 1, "componentVariable": [NAME]},
    "GetTransactionStatus": {"transactionId": "none"},
    "GetVariables": {"getVariableData": [NAME, {"component": {"name": "Nonsense"}, "variable": VARIABLE}]},
    "InstallCertificate": {"certificateType": "CSMSRootCertificate", "certificate": a_root()},
    "PublishFirmware": {"requestId": 1, "location": "ftp://example.org/fw", "checksum": "a" * 32},
    "RequestStartTransaction": {"remoteStartId": 4, "idToken": TOKEN, "evseId": 2},
    "RequestStopTransaction": {"transactionId": "none"},
    "ReserveNow": {"id": 5, "expiryDateTime": "2035-01-01T00:00:00Z", "idToken": TOKEN, "evseId": 1},
    "Reset": {"type": "OnIdle"},
    "SendLocalList": {"versionNumber": 9, "updateType": "Full"},
    "SetChargingProfile": {"evseId": 1, "chargingProfile": PROFILE},
    "SetDisplayMessage": {"message": MESSAGE},
    "SetMonitoringBase": {"monitoringBase": "All"},
    "SetMonitoringLevel": {"severity": 4},
    "SetNetworkProfile": {"configurationSlot": 1, "connectionData": CONNECTION},
    "SetVariableMonitoring": {"setMonitoringData": [MONITOR]},
    "SetVariables": {"setVariableData": [NAME | {"attributeValue": "60"}]},
    "TriggerMessage": {"requestedMessage": "MeterValues"},
    "UnlockConnector": {"evseId": 1, "connectorId": 1},
    "UnpublishFirmware": {"checksum": "a" * 32},
    "UpdateFirmware": {
        "requestId": 1,
        "firmware": {"location": "ftp://example.org/fw", "retrieveDateTime": "2030-01-01T00:00:00Z"},
    },
}


def asked(action):
    """What an operator asks for: the request without the id of a reservation, which must be free."""
    return {name: value for name, value in REQUESTS[action].items() if action != "ReserveNow" or name != "id"}
