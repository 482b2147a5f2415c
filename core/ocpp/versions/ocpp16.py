"""OCPP 1.6 with its security extensions."""

from pathlib import Path
from typing import Any

import ocpp.v16

from core.ocpp import timestamps
from core.ocpp.schemas import JSON, Schemas, bounded
from core.ocpp.versions.base import NAMED, UNREADABLE, Essentials, FrameCodes, Version

INT32 = 2**31 - 1
CONNECTORS = frozenset({"connectorId"})

# J §4.2.3, table 7. Spellings are those of 1.6 (J errata 5.1, 5.2).
ERROR_CODES = {
    "required": "ProtocolError",
    "type": "TypeConstraintViolation",
    "additionalProperties": "FormationViolation",
    "minItems": "OccurenceConstraintViolation",
    "maxItems": "OccurenceConstraintViolation",
}


def _amended(schemas: Schemas, name: str, tree: JSON) -> JSON:
    """Allow in readings of StopTransaction the units of MeterValues (J errata 2.1; 1.6 errata, Frequency)."""
    if name == "StopTransaction":
        readings = tree["properties"]["transactionData"]["items"]["properties"]["sampledValue"]["items"]
        reading = schemas.requests["MeterValues"].tree["properties"]["meterValue"]["items"]
        sampled = reading["properties"]["sampledValue"]["items"]
        readings["properties"]["unit"] = sampled["properties"]["unit"]
    amended: JSON = bounded(tree, CONNECTORS)
    return amended


def _unreadable_sample(text: str) -> dict[str, Any]:
    return {"value": text, "measurand": "", "unit": "", "format": UNREADABLE}


def _unreadable_reading(text: str) -> dict[str, Any]:
    return {"timestamp": "", "sampledValue": [_unreadable_sample(text)]}


ESSENTIALS = Essentials(
    compared=frozenset({"idTag", "parentIdTag", "key", "status", "timestamp"}),
    ids=frozenset({"transactionId", "connectorId", "reservationId", "requestId"}),
    bounded=CONNECTORS,
    max_lengths={"idTag": 255, "parentIdTag": 255, "key": 255},
    derived={
        # `timestamps.parse_or` replaces "" by the time of arrival.
        ("StartTransaction", "timestamp"): lambda payload: "",
        ("StopTransaction", "timestamp"): lambda payload: "",
        ("MeterValues", "timestamp"): lambda payload: "",
        ("SecurityEventNotification", "timestamp"): lambda payload: "",
        ("StatusNotification", "errorCode"): lambda payload: "" if payload.get("status") == "Faulted" else "NoError",
        ("BootNotification", "chargePointVendor"): lambda payload: "",
        ("BootNotification", "chargePointModel"): lambda payload: "",
        ("DataTransfer", "vendorId"): lambda payload: "",
        ("GetConfigurationResponse", "readonly"): lambda payload: False,
    },
    optional=frozenset(
        {
            ("StartTransaction", "meterStart"),
            ("StopTransaction", "transactionId"),
            ("StopTransaction", "meterStop"),
            ("MeterValues", "connectorId"),  # its transaction has one
        }
    ),
    needed={
        "StopTransaction": {
            "transactionId": lambda value: 0 < value <= INT32,
            "meterStop": lambda value: True,
            "timestamp": lambda value: timestamps.parse(value) is not None,
        },
        "MeterValues": {"connectorId": lambda value: True, "transactionId": lambda value: 0 < value <= INT32},
    },
    as_text={},
    renamed={},
    unreadable_items={
        "sampledValue": _unreadable_sample,
        "meterValue": _unreadable_reading,
        "transactionData": _unreadable_reading,
    },
)

OCPP16 = Version(
    subprotocol="ocpp1.6",
    schemas=Schemas(Path(ocpp.v16.__file__).parent / "schemas", "", ERROR_CODES, _amended),
    signs_messages=False,
    has_evses=False,
    error_codes=ERROR_CODES,
    # J errata 3.3 requires no answer to a frame without a message id, and the id "-1" does not exist in 1.6.
    frame_codes=FrameCodes("FormationViolation", "FormationViolation", unreadable=None, unknown_type=None),
    idempotent=frozenset({"Authorize", "BootNotification", "Heartbeat", "StatusNotification"}),
    recorded=frozenset({"MeterValues", "StartTransaction", "StopTransaction"}),
    before_acceptance=frozenset({"BootNotification"}),
    not_while_pending=frozenset({"RemoteStartTransaction", "RemoteStopTransaction"}),
    starts_and_stops=frozenset({"StartTransaction", "StopTransaction"}),
    about_transactions=frozenset({"StartTransaction", "StopTransaction", "MeterValues"}),
    answered_by_vendors=frozenset({"DataTransfer"}),
    secrets={
        "ChangeConfiguration": {"value": NAMED},
        "GetConfigurationResponse": {"configurationKey.value": NAMED},
    },
    plain=frozenset(
        {
            *("sampledValue.value", "idTag", "parentIdTag", "csr", "certificate", "certificateChain"),
            *("signature", "signingCertificate", "issuerNameHash", "issuerKeyHash"),
        }
    ),
    essentials=ESSENTIALS,
)
