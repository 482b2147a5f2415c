"""Handle the messages of OCPP 1.6 about the charger itself. Each function answers a batch of CALLs of one action."""

from collections.abc import Callable
from typing import Any

from django.conf import settings

from chargers.services import boots, connectors, notifications
from commands.services import progress, signing
from commands.services.submission import read_configuration
from core.ocpp.calls import Call
from core.ocpp.redaction import without_secrets
from core.ocpp.timestamps import clamp, now_on_the_wire, parse_or
from gateway import vendors
from transactions.services import reservations


def boot_notification(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer by the operator's policy for the charger (OCPP 1.6 §4.2), and read its configuration if set so."""
    statuses = boots.record([_boot(call) for call in calls])
    accepted = {call.charger for call, status in zip(calls, statuses, strict=True) if status == "Accepted"}
    read_configuration(accepted)
    return [_registration(status) for status in statuses]


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


def _registration(status: str) -> dict[str, Any]:
    """Return the answer for the registration `status`. `interval` is in seconds: between heartbeats if accepted,
    otherwise until the next BootNotification."""
    accepted = status == "Accepted"
    interval = settings.OCPP_HEARTBEAT_INTERVAL if accepted else settings.OCPP_BOOT_RETRY_INTERVAL
    return {"currentTime": now_on_the_wire(), "interval": interval, "status": status}


def heartbeat(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer with the time (OCPP 1.6 §4.6). `last_seen` is written with every batch, as for every frame."""
    return [{"currentTime": now_on_the_wire()} for _ in calls]


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


def _transfer_status(column: str, command: str) -> Callable[[list[Call]], list[dict[str, Any]]]:
    """Return the handler of the notifications of one kind of transfer, which `command` requests."""

    def handle(calls: list[Call]) -> list[dict[str, Any]]:
        reports = [
            notifications.TransferReport(c.charger, c.payload["status"], c.received_at, c.payload.get("requestId"))
            for c in calls
        ]
        notifications.record_transfer_status(column, reports)
        progress.append(command, reports)
        return [{} for _ in calls]

    handle.__qualname__ = f"status_of_{command}"
    return handle


firmware_status_notification = _transfer_status("firmware_status", "UpdateFirmware")  # OCPP 1.6 §4.5
diagnostics_status_notification = _transfer_status("diagnostics_status", "GetDiagnostics")  # OCPP 1.6 §4.4
# Security whitepaper §5.19 and §5.13.
signed_firmware_status_notification = _transfer_status("firmware_status", "SignedUpdateFirmware")
log_status_notification = _transfer_status("log_status", "GetLog")


def security_event_notification(calls: list[Call]) -> list[dict[str, Any]]:
    """Store security events (security whitepaper §5.15)."""
    notifications.record_security_events(
        [
            notifications.ReportedEvent(
                call,
                type=call.payload["type"],
                timestamp=parse_or(call.payload["timestamp"], call.received_at),
                raw_timestamp=call.payload["timestamp"][:64],
                tech_info=without_secrets(call.payload.get("techInfo", "")),
            )
            for call in calls
        ]
    )
    return [{} for _ in calls]


def data_transfer(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer by the function that is registered in `gateway.vendors`, else `UnknownVendorId` (OCPP 1.6 §4.3)."""
    messages = [
        notifications.VendorMessage(
            call, call.payload["vendorId"], call.payload.get("messageId", ""), call.payload.get("data", "")
        )
        for call in calls
    ]
    answers = notifications.answer_data_transfers(messages, vendors.answer)
    return [{"status": status} | ({"data": data} if data else {}) for status, data in answers]


def sign_certificate(calls: list[Call]) -> list[dict[str, Any]]:
    """Accept or reject requests for a certificate (security whitepaper A02)."""
    accepted = signing.accept([signing.Requested(call, call.payload["csr"]) for call in calls])
    return [{"status": "Accepted" if call.key in accepted else "Rejected"} for call in calls]
