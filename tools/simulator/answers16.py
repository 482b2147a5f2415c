"""How a simulated charger answers the commands of OCPP 1.6.

The answer is a CALLRESULT's payload for each action, or a function of the charger and the payload of the command that
returns it. The effect of a command begins after its answer was sent.
"""

from tools.simulator import effects, limits
from tools.simulator.connection import ACCEPTED

REJECTED = {"status": "Rejected"}
FREE = ("Available", "Reserved")
READ_ONLY = ("Number", "Supported")  # beginnings of the names of keys


# --- charging --------------------------------------------------------------------------------


def remote_start(charger, payload):
    wanted = payload.get("connectorId")
    free = next((c for c in charger.connectors_of(wanted) if c.status in FREE), None)
    if free is None:
        return REJECTED
    charger.in_background(charger.session(free, payload["idTag"], remote_start_id=0))
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
    return {"status": charger.change_availability(connectors, payload["type"])}


def reserve(charger, payload):
    """Connector 0 stands for any (OCPP 1.6 §5.13)."""
    free = [c for c in charger.connectors_of(payload["connectorId"]) if c.status == "Available"]
    if not free:
        return {"status": "Occupied"}
    wanted = payload["reservationId"], payload["connectorId"], payload["expiryDate"]
    charger.in_background(effects.reserve(charger, *wanted))
    return ACCEPTED


def cancel_reservation(charger, payload):
    if payload["reservationId"] not in charger.reservations:
        return REJECTED
    charger.in_background(effects.release(charger, payload["reservationId"]))
    return ACCEPTED


# --- smart charging --------------------------------------------------------------------------


def set_charging_profile(charger, payload):
    profile, connector = payload["csChargingProfiles"], payload["connectorId"]
    if connector and not charger.connectors_of(connector):
        return REJECTED
    charger.profiles[profile["chargingProfileId"]] = (connector, profile)
    return ACCEPTED


def clear_charging_profile(charger, payload):
    members = {name: payload.get(name) for name in ("chargingProfilePurpose", "stackLevel")}
    found = limits.clear(charger, payload.get("id"), payload.get("connectorId"), members)
    return ACCEPTED if found else {"status": "Unknown"}


def get_composite_schedule(charger, payload):
    connector, unit = payload["connectorId"], payload.get("chargingRateUnit", "A")
    if connector and not charger.connectors_of(connector):
        return REJECTED
    schedule = limits.composite(charger, connector, payload["duration"], unit)
    return ACCEPTED | {
        "connectorId": connector,
        "scheduleStart": schedule.pop("start"),
        "chargingSchedule": schedule,
    }


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
        await charger.call("SignCertificate", {"csr": effects.certificate_request(charger.identity)})
    elif wanted == "StatusNotification":
        for connector in connectors:
            await charger.report_status(connector, connector.status)
    elif wanted == "MeterValues":
        for connector in connectors:
            charger.measure(connector)
    else:
        action = firmware if wanted == "FirmwareStatusNotification" else wanted
        await charger.call(action, {} if action == "Heartbeat" else idle)


# --- files -----------------------------------------------------------------------------------


def get_diagnostics(charger, payload):
    statuses = "DiagnosticsStatusNotification", {}, "UploadFailed"
    charger.in_background(effects.upload(charger, payload["location"], *statuses))
    return {"fileName": effects.log_name()}


def get_log(charger, payload):
    statuses = "LogStatusNotification", {"requestId": payload["requestId"]}, "UploadFailure"
    charger.in_background(effects.upload(charger, payload["log"]["remoteLocation"], *statuses))
    return ACCEPTED | {"filename": effects.log_name()}


def update_firmware(charger, payload):
    charger.in_background(
        effects.install(charger, payload["location"], "FirmwareStatusNotification", {}, ["Installing"])
    )
    return {}


def signed_update_firmware(charger, payload):
    request, steps = {"requestId": payload["requestId"]}, ["SignatureVerified", "Installing"]
    location = payload["firmware"]["location"]
    charger.in_background(effects.install(charger, location, "SignedFirmwareStatusNotification", request, steps))
    return ACCEPTED


ANSWERS = {
    "CancelReservation": cancel_reservation,
    "CertificateSigned": ACCEPTED,
    "ChangeAvailability": change_availability,
    "ChangeConfiguration": change_configuration,
    "ClearCache": ACCEPTED,
    "ClearChargingProfile": clear_charging_profile,
    "DataTransfer": {"status": "UnknownVendorId"},
    "DeleteCertificate": {"status": "NotFound"},
    "ExtendedTriggerMessage": extended_trigger,
    "GetCompositeSchedule": get_composite_schedule,
    "GetConfiguration": get_configuration,
    "GetDiagnostics": get_diagnostics,
    "GetInstalledCertificateIds": {"status": "NotFound"},
    "GetLocalListVersion": lambda charger, payload: {"listVersion": charger.list_version},
    "GetLog": get_log,
    "InstallCertificate": REJECTED,
    "RemoteStartTransaction": remote_start,
    "RemoteStopTransaction": remote_stop,
    "ReserveNow": reserve,
    "Reset": reset,
    "SendLocalList": send_local_list,
    "SetChargingProfile": set_charging_profile,
    "SignedUpdateFirmware": signed_update_firmware,
    "TriggerMessage": trigger,
    "UnlockConnector": unlock,
    "UpdateFirmware": update_firmware,
}
