"""Firmware, diagnostics and logs (OCPP 1.6 §5.7, §5.19; security whitepaper §3, §4), followed to their end."""

from chargers import schemas
from commands.files import upload_url
from commands.models import Upload, next_request_id

# The last status of each transfer that can be, whoever told it.
ENDS = {
    *("Installed", "InstallationFailed", "DownloadFailed", "InstallVerificationFailed", "InvalidSignature"),
    *("Uploaded", "UploadFailed", "UploadFailure", "BadMessage", "NotSupportedOperation", "PermissionDenied"),
}
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


def _own_place(field):
    url = upload_url()
    if url is None:
        raise schemas.Violation(field, "Say where to, or set PUBLIC_URL so that chargers can upload here.", "")
    return url


def asked_diagnostics(command):
    Upload.expect(command, command.payload["location"])


def asked_log(command):
    asked_request(command)
    Upload.expect(command, command.payload["log"]["remoteLocation"])


def asked_request(command):
    type(command).objects.filter(pk=command.pk).update(request_id=command.payload["requestId"])
