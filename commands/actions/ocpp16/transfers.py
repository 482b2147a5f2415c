"""Firmware, diagnostics and logs (OCPP 1.6 §5.7, §5.19; security whitepaper §3, §4)."""

from chargers.models import Charger
from commands.actions import requests
from commands.actions.base import Delivery
from commands.models import Command, Upload
from commands.services.files import fingerprint, upload_token, upload_url
from core.ocpp import schemas
from core.ocpp.schemas import JSON

UPLOADED, INSTALLED = frozenset({"Uploaded"}), frozenset({"Installed"})
# A charger without diagnostics answers without a file name (§6.26).
DIAGNOSTICS = Delivery(UPLOADED, frozenset({"UploadFailed"}), lambda answer: not answer.get("fileName"))
LOG = Delivery(UPLOADED, frozenset({"BadMessage", "NotSupportedOperation", "PermissionDenied", "UploadFailure"}))
FIRMWARE = Delivery(INSTALLED, frozenset({"DownloadFailed", "InstallationFailed"}))
SIGNED_FIRMWARE = Delivery(INSTALLED, FIRMWARE.failed | {"InstallVerificationFailed", "InvalidSignature"})


def complete_diagnostics(payload: JSON, charger: Charger) -> None:
    """Without a location, let the charger upload to this system."""
    if "location" not in payload:
        payload["location"] = _upload_url("location")


def complete_log(payload: JSON, charger: Charger) -> None:
    requests.complete(payload, charger)
    log = payload.setdefault("log", {})
    if isinstance(log, dict) and "remoteLocation" not in log:
        payload["log"] = {"remoteLocation": _upload_url("log.remoteLocation"), **log}


def diagnostics_for_retry(payload: JSON) -> JSON:
    return {name: value for name, value in payload.items() if name != "location" or not upload_token(value)}


def log_for_retry(payload: JSON) -> JSON:
    log = payload["log"]
    members = {name: value for name, value in log.items() if name != "remoteLocation" or not upload_token(value)}
    return requests.for_retry(payload) | {"log": members}


def _upload_url(field: str) -> str:
    url = upload_url()
    if url is None:
        raise schemas.Violation(field, "Give a location, or set PUBLIC_URL so that chargers can upload here.", "")
    return url


def check_diagnostics(payload: JSON, charger: Charger) -> tuple[()]:
    _check_location("location", payload["location"])
    return ()


def check_log(payload: JSON, charger: Charger) -> tuple[()]:
    _check_location("log.remoteLocation", payload["log"]["remoteLocation"])
    return ()


def _check_location(field: str, url: str) -> None:
    """Raise `schemas.Violation` for an upload URL of this system that was made for another command."""
    try:
        token = upload_token(url)
    except ValueError as error:
        raise schemas.Violation(field, f"Leave it out: {error}.", "") from error
    if token and Upload.objects.filter(token_hash=fingerprint(token)).exists():
        raise schemas.Violation(field, "Leave it out: this URL was made for another command.", "")


def diagnostics_submitted(command: Command) -> None:
    Upload.expect(command, command.payload.opened()["location"])


def log_submitted(command: Command) -> None:
    requests.submitted(command)
    Upload.expect(command, command.payload.opened()["log"]["remoteLocation"])
