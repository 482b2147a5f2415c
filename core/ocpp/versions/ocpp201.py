"""OCPP 2.0.1."""

from pathlib import Path
from typing import Any

import ocpp.v201

from core.ocpp.schemas import JSON, Schemas, bounded
from core.ocpp.versions.base import ALWAYS, NAMED, UNREADABLE, Essentials, FrameCodes, Version

AC_PARAMETERS = ("energyAmount", "evMinCurrent", "evMaxCurrent", "evMaxVoltage")  # those that the schema requires
DC_PARAMETERS = ("evMaxCurrent", "evMaxVoltage")
CONNECTORS = frozenset({"connectorId", "evseId"})
COUNTED = CONNECTORS | {"seqNo"}  # numbers from 0 on, which the JSON schemas do not bound

# Part 4, §4.2.3. A member that is absent violates its cardinality.
ERROR_CODES = {
    "required": "OccurrenceConstraintViolation",
    "type": "TypeConstraintViolation",
    "additionalProperties": "FormatViolation",
    "minItems": "OccurrenceConstraintViolation",
    "maxItems": "OccurrenceConstraintViolation",
}


def _amended(schemas: Schemas, name: str, tree: JSON) -> JSON:
    """Bound the numbers, and require an id of the transaction of an event, without which it cannot be stored."""
    amended: JSON = bounded(tree, COUNTED)
    if evse := amended.get("definitions", {}).get("EVSEType"):
        evse["properties"]["id"]["minimum"] = 0
    if name == "TransactionEvent" and "TransactionType" in amended["definitions"]:
        amended["definitions"]["TransactionType"]["properties"]["transactionId"]["minLength"] = 1
    return amended


def _event_type(payload: dict[str, Any]) -> str:
    """Return the type of a TransactionEvent without one: only an end has a reason."""
    return "Ended" if "stoppedReason" in payload.get("transactionInfo", {}) else "Updated"


def _unreadable_sample(text: str) -> dict[str, Any]:
    return {"value": text, "measurand": "", "format": UNREADABLE}


def _unreadable_reading(text: str) -> dict[str, Any]:
    return {"timestamp": "", "sampledValue": [_unreadable_sample(text)]}


ESSENTIALS = Essentials(
    compared=frozenset({"idToken", "type", "transactionId", "name", "instance", "status", "eventType", "timestamp"}),
    ids=frozenset({"evseId", "connectorId", "id", "reservationId", "requestId", "remoteStartId", "seqNo"}),
    bounded=COUNTED | {"evse.id"},
    max_lengths={"idToken": 255, "type": 255, "transactionId": 255, "name": 255, "instance": 255},
    derived={
        # `timestamps.parse_or` replaces "" by the time of arrival.
        ("TransactionEvent", "timestamp"): lambda payload: "",
        ("MeterValues", "timestamp"): lambda payload: "",
        ("StatusNotification", "timestamp"): lambda payload: "",
        ("SecurityEventNotification", "timestamp"): lambda payload: "",
        ("NotifyEvent", "timestamp"): lambda payload: "",
        ("NotifyEvent", "generatedAt"): lambda payload: "",
        ("NotifyEvent", "trigger"): lambda payload: "",
        ("NotifyEvent", "actualValue"): lambda payload: "",
        ("NotifyEvent", "eventNotificationType"): lambda payload: "",
        ("NotifyEvent", "component"): lambda payload: {"name": ""},
        ("NotifyEvent", "variable"): lambda payload: {"name": ""},
        ("NotifyEvent", "name"): lambda payload: "",
        ("NotifyMonitoringReport", "generatedAt"): lambda payload: "",
        ("NotifyMonitoringReport", "transaction"): lambda payload: False,
        ("NotifyMonitoringReport", "type"): lambda payload: "",
        ("NotifyMonitoringReport", "component"): lambda payload: {"name": ""},
        ("NotifyMonitoringReport", "variable"): lambda payload: {"name": ""},
        ("NotifyMonitoringReport", "name"): lambda payload: "",
        ("NotifyCustomerInformation", "generatedAt"): lambda payload: "",
        ("Authorize", "type"): lambda payload: "",
        ("BootNotification", "vendorName"): lambda payload: "",
        ("BootNotification", "model"): lambda payload: "",
        ("BootNotification", "reason"): lambda payload: "Unknown",
        ("DataTransfer", "vendorId"): lambda payload: "",
        ("TransactionEvent", "eventType"): _event_type,
        ("TransactionEvent", "triggerReason"): lambda payload: "",
        ("TransactionEvent", "seqNo"): lambda payload: -1,
        ("TransactionEvent", "type"): lambda payload: "",
        ("NotifyDisplayMessages", "priority"): lambda payload: "",
        ("NotifyDisplayMessages", "message"): lambda payload: {},
        ("NotifyDisplayMessages", "format"): lambda payload: "",
        ("NotifyDisplayMessages", "content"): lambda payload: "",
        ("NotifyReport", "generatedAt"): lambda payload: "",
        ("NotifyReport", "variableAttribute"): lambda payload: [],
        ("NotifyReport", "dataType"): lambda payload: "",
        ("NotifyReport", "supportsMonitoring"): lambda payload: False,
        ("ReportChargingProfiles", "evseId"): lambda payload: 0,
        ("ReportChargingProfiles", "chargingLimitSource"): lambda payload: "",
        ("ReportChargingProfiles", "chargingProfileKind"): lambda payload: "",
        ("NotifyChargingLimit", "chargingLimit"): lambda payload: {"chargingLimitSource": ""},
        ("NotifyChargingLimit", "chargingLimitSource"): lambda payload: "",
        ("NotifyChargingLimit", "id"): lambda payload: 0,
        ("ClearedChargingLimit", "chargingLimitSource"): lambda payload: "",
        # It is derived from the parameters of the vehicle.
        ("NotifyEVChargingNeeds", "requestedEnergyTransfer"): lambda payload: "",
        ("NotifyEVChargingSchedule", "timeBase"): lambda payload: "",
        ("NotifyEVChargingSchedule", "id"): lambda payload: 0,
    },
    # The content of reports is stored without their request, too.
    optional=frozenset(
        {
            ("Get15118EVCertificate", "iso15118SchemaVersion"),
            ("NotifyDisplayMessages", "requestId"),
            ("NotifyReport", "requestId"),
            ("NotifyReport", "seqNo"),
            ("NotifyEvent", "seqNo"),
            ("NotifyEvent", "eventData.eventId"),
            ("NotifyMonitoringReport", "requestId"),
            ("NotifyMonitoringReport", "seqNo"),
            ("NotifyMonitoringReport", "monitor.variableMonitoring.value"),
            ("NotifyMonitoringReport", "monitor.variableMonitoring.severity"),
            ("NotifyCustomerInformation", "seqNo"),
            ("ReportChargingProfiles", "requestId"),
            ("ReportChargingProfiles", "chargingProfile"),
            *(("NotifyEVChargingNeeds", f"chargingNeeds.acChargingParameters.{name}") for name in AC_PARAMETERS),
            *(("NotifyEVChargingNeeds", f"chargingNeeds.dcChargingParameters.{name}") for name in DC_PARAMETERS),
        }
    ),
    needed={"TransactionEvent": {"transactionInfo": lambda info: bool(info["transactionId"])}},
    as_text={"idToken": "idToken", "unitOfMeasure": "unit"},
    renamed={"idTag": "idToken", "unit": "unitOfMeasure"},
    unreadable_items={"sampledValue": _unreadable_sample, "meterValue": _unreadable_reading},
)

OCPP201 = Version(
    subprotocol="ocpp2.0.1",
    schemas=Schemas(Path(ocpp.v201.__file__).parent / "schemas", "Request", ERROR_CODES, _amended),
    signs_messages=True,
    has_evses=True,
    error_codes=ERROR_CODES,
    frame_codes=FrameCodes("RpcFrameworkError", "FormatViolation", "RpcFrameworkError", "MessageTypeNotSupported"),
    idempotent=frozenset(
        {"Authorize", "BootNotification", "GetCertificateStatus", "Heartbeat", "StatusNotification"}
    ),
    recorded=frozenset(
        {
            "MeterValues",
            "NotifyEvent",
            "NotifyMonitoringReport",
            "NotifyReport",
            "ReservationStatusUpdate",
            "TransactionEvent",
        }
    ),
    # A NotifyReport answers GetBaseReport or GetReport, which may be sent to a charger that is Pending (B02.FR.02).
    before_acceptance=frozenset({"BootNotification", "NotifyReport"}),
    not_while_pending=frozenset({"RequestStartTransaction", "RequestStopTransaction"}),  # B02.FR.05
    # A TransactionEvent names its transaction, so no other one matters, and its charger needs no lock.
    starts_and_stops=frozenset(),
    about_transactions=frozenset({"TransactionEvent", "MeterValues"}),
    answered_by_vendors=frozenset({"DataTransfer"}),
    secrets={
        "SetVariables": {"setVariableData.attributeValue": NAMED},
        # The reason of a refusal may quote the value.
        "SetVariablesResponse": {"setVariableResult.attributeStatusInfo.additionalInfo": NAMED},
        "GetVariablesResponse": {"getVariableResult.attributeValue": NAMED},
        "NotifyReport": {"reportData.variableAttribute.value": NAMED},
        "NotifyEvent": {"eventData.actualValue": NAMED},
        "SetNetworkProfile": {
            "connectionData.apn.apnPassword": ALWAYS,
            "connectionData.apn.simPin": ALWAYS,
            "connectionData.vpn.password": ALWAYS,
            "connectionData.vpn.key": ALWAYS,
        },
        "NotifyCustomerInformation": {"data": ALWAYS},  # personal data of a driver, who may have it deleted
    },
    plain=frozenset(
        {
            *("idToken", "additionalIdToken", "csr", "certificate", "certificateChain"),
            *("signature", "signingCertificate", "issuerNameHash", "issuerKeyHash", "ocspResult", "signedMeterData"),
            *("publicKey", "exiRequest", "exiResponse"),
        }
    ),
    essentials=ESSENTIALS,
)
