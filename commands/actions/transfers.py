"""Firmware updates and logs. All OCPP versions share these functions."""

from chargers.models import Charger
from commands.actions import requests
from commands.actions.base import Delivery
from commands.models import Command, Upload
from commands.services.files import fingerprint, upload_token, upload_url
from core.ocpp import schemas
from core.ocpp.schemas import JSON

UPLOADED, INSTALLED = frozenset({"Uploaded"}), frozenset({"Installed"})
LOG = Delivery(UPLOADED, frozenset({"BadMessage", "NotSupportedOperation", "PermissionDenied", "UploadFailure"}))
FIRMWARE = Delivery(INSTALLED, frozenset({"DownloadFailed", "InstallationFailed"}))
SIGNED_FIRMWARE = Delivery(INSTALLED, FIRMWARE.failed | {"InstallVerificationFailed", "InvalidSignature"})


def complete_log(payload: JSON, charger: Charger) -> None:
    """Give a request without an id the next free one; without a location, let the charger upload to this system."""
    requests.complete(payload, charger)
    log = payload.setdefault("log", {})
    if isinstance(log, dict) and "remoteLocation" not in log:
        payload["log"] = {"remoteLocation": new_upload_url("log.remoteLocation"), **log}


def check_log(payload: JSON, charger: Charger) -> tuple[()]:
    check_location("log.remoteLocation", payload["log"]["remoteLocation"])
    return ()


def log_submitted(command: Command) -> None:
    requests.submitted(command)
    Upload.expect(command, command.payload.opened()["log"]["remoteLocation"])


def log_for_retry(payload: JSON) -> JSON:
    log = payload["log"]
    members = {name: value for name, value in log.items() if name != "remoteLocation" or not upload_token(value)}
    return requests.for_retry(payload) | {"log": members}


def new_upload_url(field: str) -> str:
    """Return a new upload URL of this system for the member `field`; raise `schemas.Violation` without PUBLIC_URL."""
    url = upload_url()
    if url is None:
        raise schemas.Violation(field, "Give a location, or set PUBLIC_URL so that chargers can upload here.", "")
    return url


def check_location(field: str, url: str) -> None:
    """Raise `schemas.Violation` for an upload URL of this system that was made for another command."""
    try:
        token = upload_token(url)
    except ValueError as error:
        raise schemas.Violation(field, f"Leave it out: {error}.", "") from error
    if token and Upload.objects.filter(token_hash=fingerprint(token)).exists():
        raise schemas.Violation(field, "Leave it out: this URL was made for another command.", "")
