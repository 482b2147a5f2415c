"""Firmware that local controllers publish for other chargers (OCPP 2.0.1, L03, L04)."""

from typing import Any

from chargers.services.notifications import TransferReport
from commands.models import Command, PublishedFirmware
from commands.services import progress
from core.ocpp.redaction import without_secrets

PUBLISH = "PublishFirmware"
IDLE = "Idle"  # a charger that publishes nothing now


def record(report: TransferReport, locations: list[str]) -> None:
    """Store the status of a publication with its command, and the URLs where other chargers find the image.

    Without a command, the status belongs to firmware of an unknown checksum.
    """
    (command,) = progress.append([PUBLISH], [report])
    if report.status == IDLE:
        return
    columns: dict[str, Any] = {"status": report.status} | _columns(command)
    columns |= {"locations": without_secrets(locations)} if locations else {}
    checksum = command.payload["checksum"] if command else ""
    PublishedFirmware.objects.update_or_create(charger_id=report.charger, checksum=checksum, defaults=columns)


def _columns(command: Command | None) -> dict[str, Any]:
    return {"location": command.payload["location"], "request_id": command.request_id} if command else {}
