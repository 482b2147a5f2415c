"""Firmware that local controllers publish for other chargers (OCPP 2.0.1, L03, L04)."""

from typing import Any

from django.db.models.functions import Now

from chargers.services.notifications import TransferReport
from commands.actions.ocpp201.firmware import PUBLICATION, PUBLISHED, UNPUBLISHED
from commands.models import Command, PublishedFirmware
from commands.services import progress
from core.ocpp.redaction import without_secrets

PUBLISH = "PublishFirmware"
IDLE = "Idle"  # a charger that publishes nothing now
# Statuses of a publication that is not under way; "" before the first one.
AT_REST = ("", IDLE, UNPUBLISHED, *PUBLICATION.done, *PUBLICATION.failed)


def record(report: TransferReport, locations: list[str]) -> None:
    """Store the status of a publication with its command, and the URLs where other chargers find the image.

    Without a command, the status belongs to firmware of an unknown checksum.
    """
    (command,) = progress.append([PUBLISH], [report])
    if report.status == IDLE:
        _record_idle(report.charger)
        return
    columns: dict[str, Any] = {"status": report.status} | _columns(command)
    columns |= {"locations": without_secrets(locations)} if locations else {}
    checksum = command.payload["checksum"] if command else ""
    PublishedFirmware.objects.update_or_create(charger_id=report.charger, checksum=checksum, defaults=columns)


def _record_idle(charger: int) -> None:
    """Store that a charger (primary key) publishes nothing now: publications that were under way have ended.

    Without any it is the status of firmware of an unknown checksum, unless some of that is published.
    """
    rows = PublishedFirmware.objects.filter(charger=charger)
    if not rows.exclude(status__in=AT_REST).update(status=IDLE, updated_at=Now()):
        unknown, is_new = rows.get_or_create(charger_id=charger, checksum="", defaults={"status": IDLE})
        if not is_new and unknown.status != PUBLISHED:
            unknown.status = IDLE
            unknown.save()


def _columns(command: Command | None) -> dict[str, Any]:
    return {"location": command.payload["location"], "request_id": command.request_id} if command else {}
