"""Handle the notifications of OCPP 2.0.1 about firmware and logs. Each function answers CALLs of one action."""

from typing import Any

from chargers.services.notifications import TransferReport
from commands.services import published_firmware
from core.ocpp.calls import Call
from gateway import common

# L01, L02. A charger that has updated itself from OCPP 1.6 to this version completes a command of 1.6.
firmware_status_notification = common.transfer_status("firmware_status", "UpdateFirmware", "SignedUpdateFirmware")
log_status_notification = common.transfer_status("log_status", "GetLog")  # N01


def publish_firmware_status_notification(calls: list[Call]) -> list[dict[str, Any]]:
    """Store how far local controllers are with the publication of firmware, and under which URLs it is (L03)."""
    for call in calls:
        report = TransferReport(call.charger, call.payload["status"], call.received_at, call.payload.get("requestId"))
        published_firmware.record(report, call.payload.get("location", []))
    return [{} for _ in calls]
