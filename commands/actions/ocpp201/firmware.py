"""UpdateFirmware (L01, L02), PublishFirmware (L03) and UnpublishFirmware (L04)."""

from collections.abc import Iterator

from chargers.models import Charger
from commands.actions import requests
from commands.actions.base import Delivery
from commands.models import Command, Firmware, PublishedFirmware
from commands.services.files import firmware_at
from core.ocpp.schemas import JSON
from core.ocpp.timestamps import now_on_the_wire

PUBLISHED, UNPUBLISHED = "Published", "Unpublished"
PUBLICATION = Delivery(frozenset({PUBLISHED}), frozenset({"DownloadFailed", "InvalidChecksum", "PublishFailed"}))


def complete_update(payload: JSON, charger: Charger) -> None:
    """Without an id, give the next free one; without a time, let the charger fetch it now.

    An image of the library is sent with its signing certificate and signature (L01.FR.11).
    """
    requests.complete(payload, charger)
    firmware = payload.get("firmware")
    if isinstance(firmware, dict):
        payload["firmware"] = {"retrieveDateTime": now_on_the_wire(), **_signature_of(firmware), **firmware}


def _signature_of(firmware: JSON) -> JSON:
    image = _image(firmware.get("location"))
    if image is None or not (image.signature and image.signing_certificate):
        return {}
    return {"signingCertificate": image.signing_certificate, "signature": image.signature}


def _image(location: object) -> Firmware | None:
    """Return the image of the library that a charger fetches at `location`, None if it is none of them."""
    number = firmware_at(location) if isinstance(location, str) else None
    return None if number is None else Firmware.objects.filter(pk=number).first()


def check_update(payload: JSON, charger: Charger) -> Iterator[str]:
    firmware = payload["firmware"]
    if ("signature" in firmware) != ("signingCertificate" in firmware):
        yield "The charger can verify a signature only by its signing certificate: send both, or neither."


def complete_publication(payload: JSON, charger: Charger) -> None:
    """Without an id, give the next free one; without a checksum, give that of an image of the library (L03.FR.02)."""
    requests.complete(payload, charger)
    image = _image(payload.get("location"))
    if "checksum" not in payload and image and image.is_kept:
        payload["checksum"] = image.md5()


def publication_answered(command: Command) -> None:
    """Store an accepted publication, unless the charger has already notified its status."""
    if command.status != "Accepted":
        return
    key = {"charger": command.charger, "checksum": command.payload["checksum"]}
    PublishedFirmware.objects.filter(**key, updated_at__lt=command.sent_at).delete()
    columns = {"location": command.payload["location"], "request_id": command.payload["requestId"]}
    PublishedFirmware.objects.get_or_create(**key, defaults=columns)


def unpublished(command: Command) -> None:
    """Store that the charger does not publish it any more, or never did (L04.FR.02, L04.FR.03)."""
    if command.status in (UNPUBLISHED, "NoFirmware"):
        rows = PublishedFirmware.objects.filter(charger=command.charger, checksum=command.payload["checksum"])
        for row in rows:
            row.status, row.locations = UNPUBLISHED, []
            row.save()
