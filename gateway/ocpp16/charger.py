"""Handle the messages of OCPP 1.6 about the charger itself. Each function answers a batch of CALLs of one action."""

from typing import Any

from chargers.services import boots, connectors
from commands.services import signing
from commands.services.submission import read_configuration
from core.ocpp.calls import Call
from core.ocpp.redaction import without_secrets
from core.ocpp.timestamps import clamp
from gateway import common
from transactions.services import reservations


def boot_notification(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer by the operator's policy for the charger (OCPP 1.6 §4.2), and read its configuration if set so."""
    statuses = boots.record([_boot(call) for call in calls])
    accepted = {call.charger for call, status in zip(calls, statuses, strict=True) if status == "Accepted"}
    read_configuration(accepted)
    return [common.registration(status) for status in statuses]


def _boot(call: Call) -> boots.Boot:
    member = call.payload.get
    return boots.Boot(
        id=call.charger,
        received_at=call.received_at,
        vendor=member("chargePointVendor", ""),
        model=member("chargePointModel", ""),
        serial_number=member("chargePointSerialNumber", ""),
        charge_box_serial_number=member("chargeBoxSerialNumber", ""),
        firmware_version=member("firmwareVersion", ""),
        iccid=member("iccid", ""),
        imsi=member("imsi", ""),
        meter_type=member("meterType", ""),
        meter_serial_number=member("meterSerialNumber", ""),
    )


def status_notification(calls: list[Call]) -> list[dict[str, Any]]:
    """Store the status of connectors (OCPP 1.6 §4.9), and end reservations of those that cannot be used (§5.13)."""
    reported = [(call, _connector_status(call)) for call in calls]
    connectors.record(reported)
    reservations.end_unusable([status for _, status in reported])
    return [{} for _ in calls]


def _connector_status(call: Call) -> connectors.ConnectorStatus:
    member = call.payload.get
    return connectors.ConnectorStatus(
        charger=call.charger,
        evse_id=call.payload["connectorId"],
        connector_id=call.payload["connectorId"],
        status=call.payload["status"],
        error_code=call.payload["errorCode"],
        info=without_secrets(member("info", "")),
        vendor_id=member("vendorId", ""),
        vendor_error_code=member("vendorErrorCode", ""),
        timestamp=clamp(member("timestamp"), call.received_at),
        raw_timestamp=member("timestamp", "")[:64],
        received_at=call.received_at,
    )


firmware_status_notification = common.transfer_status("firmware_status", "UpdateFirmware")  # OCPP 1.6 §4.5
diagnostics_status_notification = common.transfer_status("diagnostics_status", "GetDiagnostics")  # OCPP 1.6 §4.4
# Security whitepaper §5.19 and §5.13.
signed_firmware_status_notification = common.transfer_status("firmware_status", "SignedUpdateFirmware")
log_status_notification = common.transfer_status("log_status", "GetLog")


def sign_certificate(calls: list[Call]) -> list[dict[str, Any]]:
    """Accept or reject requests for a certificate (security whitepaper A02)."""
    accepted = signing.accept([signing.Requested(call, call.payload["csr"]) for call in calls])
    return [{"status": "Accepted" if call.key in accepted else "Rejected"} for call in calls]
