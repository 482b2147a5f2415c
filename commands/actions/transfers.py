"""Firmware, diagnostics and logs (OCPP 1.6 §5.7, §5.19; security whitepaper §3, §4), followed to their end."""

from chargers import schemas
from commands.files import fingerprint, upload_token, upload_url
from commands.models import Upload, next_request_id

# After these nothing more comes. A failure may be followed by another try.
ENDS = {"Installed", "Uploaded"}
# Which commands a notification tells of.
TELLS_OF = {
    "FirmwareStatusNotification": "UpdateFirmware",
    "DiagnosticsStatusNotification": "GetDiagnostics",
    "SignedFirmwareStatusNotification": "SignedUpdateFirmware",
    "LogStatusNotification": "GetLog",
}


def complete_request(payload, charger):
    if "requestId" not in payload:
        payload["requestId"] = next_request_id()


def complete_diagnostics(payload, charger):
    """Where nobody says where to, the charger uploads to us."""
    if "location" not in payload:
        payload["location"] = _own_place("location")


def complete_log(payload, charger):
    complete_request(payload, charger)
    log = payload.setdefault("log", {})
    if isinstance(log, dict) and "remoteLocation" not in log:
        payload["log"] = {"remoteLocation": _own_place("log.remoteLocation"), **log}


def without_id(payload):
    return {name: value for name, value in payload.items() if name != "requestId"}


def afresh_diagnostics(payload):
    return {name: value for name, value in payload.items() if name != "location" or not upload_token(value)}


def afresh_log(payload):
    log = payload["log"]
    kept = {name: value for name, value in log.items() if name != "remoteLocation" or not upload_token(value)}
    return without_id(payload) | {"log": kept}


def _own_place(field):
    url = upload_url()
    if url is None:
        raise schemas.Violation(field, "Say where to, or set PUBLIC_URL so that chargers can upload here.", "")
    return url


def check_diagnostics(payload, charger):
    _check_place("location", payload["location"])
    return ()


def check_log(payload, charger):
    _check_place("log.remoteLocation", payload["log"]["remoteLocation"])
    return ()


def _check_place(field, url):
    """A place of ours is for one command."""
    try:
        token = upload_token(url)
    except ValueError as error:
        raise schemas.Violation(field, f"Leave it out: {error}.", "") from error
    if token and Upload.objects.filter(token_hash=fingerprint(token)).exists():
        raise schemas.Violation(field, "Leave it out: this place was made for another command.", "")


def asked_diagnostics(command):
    Upload.expect(command, command.payload.opened()["location"])


def asked_log(command):
    asked_request(command)
    Upload.expect(command, command.payload.opened()["log"]["remoteLocation"])


def asked_request(command):
    type(command).objects.filter(pk=command.pk).update(request_id=command.payload["requestId"])
