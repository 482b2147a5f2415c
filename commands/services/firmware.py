"""Install images of the library, the same way for REST, pages and campaigns."""

import time
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import ProtectedError, Q

from chargers.services import access
from commands.actions.intents import Install
from commands.models import FINISHED, PENDING, Command, Firmware
from commands.services.files import firmware_at, firmware_url
from core.db import sealing
from core.http.errors import Conflict
from core.ocpp.schemas import Violation


def refuse_unreachable(firmware: Firmware) -> None:
    """Raise `Conflict` if chargers could not fetch `firmware`."""
    if not firmware.is_kept:
        raise Conflict(f"The file of {firmware} is missing in the storage. Upload it again.")
    if not settings.PUBLIC_URL:
        raise Conflict("Set PUBLIC_URL to the URL under which chargers reach this server over HTTP.")


# The commands that let a charger fetch an image.
FETCHING = ("UpdateFirmware", "SignedUpdateFirmware", "PublishFirmware")


def remove(firmware: Firmware, user: Any) -> None:
    """Delete `firmware` with its file; raise `Conflict` if a campaign or a command that is under way needs it.

    Images belong to no charger, so `user` may not reach the charger of the command. Then it is not named.
    """
    if command := command_that_needs(firmware):
        if not access.reaches(user, command.charger):
            raise Conflict("This image can't be deleted yet, because a command needs it.")
        raise Conflict(f"This image can't be deleted yet, because a command to {command.charger} needs it.")
    try:
        with transaction.atomic():
            firmware.delete()
    except ProtectedError as error:
        raise Conflict("This image can't be deleted, because it has campaigns.") from error


def command_that_needs(firmware: Firmware) -> Command | None:
    """Return a command that waits, or whose effect is still looked for, with a valid URL of `firmware`."""
    under_way = Command.objects.filter(~Q(state=FINISHED) | Q(confirmation=PENDING), action__in=FETCHING)
    found = (command for command in under_way.select_related("charger") if _location(command) == firmware.pk)
    return next(found, None)


def _location(command: Command) -> int | None:
    """Return the primary key of the image that `command` lets a charger fetch, None for another file."""
    try:
        payload = command.payload.opened()
    except sealing.Unreadable:  # the charger cannot be sent it either
        return None
    image = payload.get("firmware", payload)
    location = image.get("location") if isinstance(image, dict) else None
    return firmware_at(location) if isinstance(location, str) else None


def install(
    firmware: Firmware,
    signed: bool | None = None,
    retrieve_at: datetime | None = None,
    install_at: datetime | None = None,
    retries: int | None = None,
    retry_interval_s: int | None = None,
) -> Install:
    """Return the intent, signed if `firmware` has a signature, unless `signed` says otherwise.

    The URL is valid for OCPP_FILE_URL_LIFETIME from the retrieve date on. Raises `schemas.Violation` if a signature
    is wanted, and `firmware` has none.
    """
    is_signed = bool(firmware.signature) if signed is None else signed
    if is_signed and not (firmware.signature and firmware.signing_certificate):
        raise Violation("signed", "This firmware has no signature or no signing certificate.", "")
    retrieve_at = retrieve_at or datetime.now(UTC)
    expires_at = max(retrieve_at.timestamp(), time.time()) + settings.OCPP_FILE_URL_LIFETIME
    return Install(
        location=firmware_url(firmware, expires_at),
        retrieve_at=retrieve_at,
        install_at=install_at,
        signing_certificate=firmware.signing_certificate if is_signed else "",
        signature=firmware.signature if is_signed else "",
        retries=retries,
        retry_interval_s=retry_interval_s,
    )
