"""How a simulated charger answers commands: a CALLRESULT's payload for each action, or a function that returns it.

A function has the charger and the payload of the command. The effect of a command begins after its answer was sent.
"""

import asyncio
import logging
import urllib.request
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tools.simulator.connection import ACCEPTED

logger = logging.getLogger("simulator")

REJECTED = {"status": "Rejected"}
READ_ONLY = ("Number", "Supported")  # beginnings of the names of keys


# --- charging --------------------------------------------------------------------------------


def remote_start(charger, payload):
    wanted = payload.get("connectorId")
    free = next((c for c in charger.connectors_of(wanted) if c.status == "Available"), None)
    if free is None:
        return REJECTED
    charger.in_background(charger.session(free, payload["idTag"], remote=True))
    return ACCEPTED


def remote_stop(charger, payload):
    running = [c for c in charger.connectors.values() if c.transaction_id == payload["transactionId"]]
    for connector in running:
        charger.stop(connector, "Remote")
    return ACCEPTED if running else REJECTED


def reset(charger, payload):
    charger.in_background(charger.restart(payload["type"]))
    return ACCEPTED


def unlock(charger, payload):
    connectors = charger.connectors_of(payload["connectorId"])
    for connector in connectors:
        charger.stop(connector, "UnlockCommand")
    return {"status": "Unlocked" if connectors else "NotSupported"}


def change_availability(charger, payload):
    """Connector 0 stands for all (OCPP 1.6 §5.2)."""
    connectors = charger.connectors_of(payload["connectorId"])
    status = "Available" if payload["type"] == "Operative" else "Unavailable"
    for connector in connectors:
        if not connector.transaction_id:
            charger.in_background(charger.report_status(connector, status))
    busy = any(connector.transaction_id for connector in connectors)
    return {"status": "Scheduled" if busy else "Accepted" if connectors else "Rejected"}


# --- configuration and lists -----------------------------------------------------------------


def get_configuration(charger, payload):
    known, wanted = charger.configuration, payload.get("key", [])
    keys = [
        {"key": name, "readonly": name.startswith(READ_ONLY), "value": known[name]}
        for name in wanted or known
        if name in known
    ]
    return {"configurationKey": keys, "unknownKey": [name for name in wanted if name not in known]}


def change_configuration(charger, payload):
    if payload["key"] not in charger.configuration:
        return {"status": "NotSupported"}
    charger.configuration[payload["key"]] = payload["value"]
    return ACCEPTED


def send_local_list(charger, payload):
    charger.list_version = payload["listVersion"]
    return ACCEPTED


# --- messages on request ---------------------------------------------------------------------


def trigger(charger, payload):
    charger.in_background(_send_triggered(charger, payload, signed=False))
    return ACCEPTED


def extended_trigger(charger, payload):
    charger.in_background(_send_triggered(charger, payload, signed=True))
    return ACCEPTED


async def _send_triggered(charger, payload, signed):
    wanted, connectors = payload["requestedMessage"], charger.connectors_of(payload.get("connectorId"))
    firmware = "SignedFirmwareStatusNotification" if signed else "FirmwareStatusNotification"
    idle = {"status": "Idle"}
    if wanted == "BootNotification":
        await charger.boot()
    elif wanted == "SignChargePointCertificate":
        await charger.call("SignCertificate", {"csr": _certificate_request(charger.identity)})
    elif wanted == "StatusNotification":
        for connector in connectors:
            await charger.report_status(connector, connector.status)
    elif wanted == "MeterValues":
        for connector in connectors:
            charger.measure(connector)
    else:
        action = firmware if wanted == "FirmwareStatusNotification" else wanted
        await charger.call(action, {} if action == "Heartbeat" else idle)


def _certificate_request(charger_id):
    """A request for a new key, which is not stored, so the charger does not use the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, charger_id)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


# --- files -----------------------------------------------------------------------------------


def get_diagnostics(charger, payload):
    statuses = "DiagnosticsStatusNotification", {}, "UploadFailed"
    charger.in_background(_upload(charger, payload["location"], *statuses))
    return {"fileName": _log_name()}


def get_log(charger, payload):
    statuses = "LogStatusNotification", {"requestId": payload["requestId"]}, "UploadFailure"
    charger.in_background(_upload(charger, payload["log"]["remoteLocation"], *statuses))
    return ACCEPTED | {"filename": _log_name()}


async def _upload(charger, location, action, request, failure):
    await charger.call(action, {"status": "Uploading"} | request)
    log = f"{datetime.now(UTC).isoformat()} simulated charger {charger.identity}: nothing to report\n"
    done = await _http("PUT", location.rstrip("/") + "/" + _log_name(), log.encode())
    await charger.call(action, {"status": "Uploaded" if done else failure} | request)


def _log_name():
    return f"diagnostics-{datetime.now(UTC):%Y%m%d}.log"


def update_firmware(charger, payload):
    charger.in_background(_install(charger, payload["location"], "FirmwareStatusNotification", {}, ["Installing"]))
    return {}


def signed_update_firmware(charger, payload):
    request, steps = {"requestId": payload["requestId"]}, ["SignatureVerified", "Installing"]
    location = payload["firmware"]["location"]
    charger.in_background(_install(charger, location, "SignedFirmwareStatusNotification", request, steps))
    return ACCEPTED


async def _install(charger, location, action, request, steps):
    fetched = await _http("GET", location)
    for status in ["Downloading", *(["Downloaded", *steps, "Installed"] if fetched else ["DownloadFailed"])]:
        await charger.call(action, {"status": status} | request)
        await asyncio.sleep(1)


async def _http(method, location, body=None):
    """Whether the transfer succeeded; always true if `location` is not HTTP(S)."""
    if not location.startswith(("http://", "https://")):
        return True
    request = urllib.request.Request(location, body, {"Content-Type": "application/octet-stream"}, method=method)
    try:
        await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=30).read())
    except OSError as error:
        logger.warning("%s %s failed: %s", method, location, error)
        return False
    return True


ANSWERS = {
    "CancelReservation": ACCEPTED,
    "CertificateSigned": ACCEPTED,
    "ChangeAvailability": change_availability,
    "ChangeConfiguration": change_configuration,
    "ClearCache": ACCEPTED,
    "ClearChargingProfile": ACCEPTED,
    "DataTransfer": {"status": "UnknownVendorId"},
    "DeleteCertificate": {"status": "NotFound"},
    "ExtendedTriggerMessage": extended_trigger,
    "GetCompositeSchedule": REJECTED,
    "GetConfiguration": get_configuration,
    "GetDiagnostics": get_diagnostics,
    "GetInstalledCertificateIds": {"status": "NotFound"},
    "GetLocalListVersion": lambda charger, payload: {"listVersion": charger.list_version},
    "GetLog": get_log,
    "InstallCertificate": REJECTED,
    "RemoteStartTransaction": remote_start,
    "RemoteStopTransaction": remote_stop,
    "ReserveNow": ACCEPTED,
    "Reset": reset,
    "SendLocalList": send_local_list,
    "SetChargingProfile": ACCEPTED,
    "SignedUpdateFirmware": signed_update_firmware,
    "TriggerMessage": trigger,
    "UnlockConnector": unlock,
    "UpdateFirmware": update_firmware,
}
