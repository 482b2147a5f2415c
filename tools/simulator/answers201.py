"""How a simulated charger answers the commands of OCPP 2.0.1, see `answers16`. Functional blocks are in brackets."""

import asyncio

from core.ocpp.timestamps import now_on_the_wire
from tools.simulator import effects, limits
from tools.simulator.connection import ACCEPTED
from tools.simulator.device import READ_ONLY, WRITE_ONLY, Name, certificate_hashes

REJECTED, UNKNOWN, EMPTY = {"status": "Rejected"}, {"status": "Unknown"}, {"status": "EmptyResultSet"}
ITEMS_PER_MESSAGE = 10  # of a report
IDLE = {"status": "Idle"}


def device_of(charger):
    return charger.messages.device


# --- transactions (E), remote control (F), availability (G), reservations (H) -----------------


def request_start(charger, payload):
    free = [c for c in charger.connectors_of(payload.get("evseId")) if c.status in ("Available", "Reserved")]
    if not free:
        return REJECTED
    start = charger.session(free[0], payload["idToken"]["idToken"], payload["remoteStartId"])
    charger.in_background(start)
    return ACCEPTED


def request_stop(charger, payload):
    running = [c for c in charger.connectors.values() if c.transaction_id == payload["transactionId"]]
    for connector in running:
        charger.stop(connector, "Remote")
    return ACCEPTED if running else REJECTED


def transaction_status(charger, payload):
    queued = any(call.action == "TransactionEvent" for call in charger.calls)
    wanted = payload.get("transactionId")
    ongoing = any(c.transaction_id == wanted for c in charger.connectors.values())
    return {"messagesInQueue": queued} | ({"ongoingIndicator": ongoing} if wanted else {})


def reset(charger, payload):
    """Restart the charger, or end the transaction of one EVSE. OnIdle waits until no transaction is ongoing (B12)."""
    connectors = charger.connectors_of(payload.get("evseId"))
    if not connectors:
        return REJECTED
    busy = payload["type"] == "OnIdle" and any(c.transaction_id for c in connectors)
    if payload.get("evseId"):
        charger.in_background(_reset_evse(charger, connectors[0], busy))
    else:
        charger.in_background(_restart(charger, busy))
    return {"status": "Scheduled" if busy else "Accepted"}


async def _restart(charger, waits):
    while waits and any(c.transaction_id for c in charger.connectors.values()):
        await asyncio.sleep(0.5)
    await charger.restart("Immediate")


async def _reset_evse(charger, connector, waits):
    if not waits:
        charger.stop(connector, "ImmediateReset")
    while connector.transaction_id:
        await asyncio.sleep(0.5)
    await charger.messages.report(connector)


def unlock(charger, payload):
    connectors = charger.connectors_of(payload["evseId"]) if payload["connectorId"] == 1 else []
    if any(connector.transaction_id for connector in connectors):
        return {"status": "OngoingAuthorizedTransaction"}
    return {"status": "Unlocked" if connectors else "UnknownConnector"}


def change_availability(charger, payload):
    connectors = charger.connectors_of(payload.get("evse", {}).get("id"))
    return {"status": charger.change_availability(connectors, payload["operationalStatus"])}


def reserve(charger, payload):
    free = [c for c in charger.connectors_of(payload.get("evseId")) if c.status == "Available"]
    if not free:
        return {"status": "Occupied"}
    charger.in_background(_reserve(charger, payload["id"], payload.get("evseId", 0), payload["expiryDateTime"]))
    return ACCEPTED


async def _reserve(charger, reservation_id, evse, until):
    if await effects.reserve(charger, reservation_id, evse, until):
        expired = {"reservationId": reservation_id, "reservationUpdateStatus": "Expired"}
        await charger.call("ReservationStatusUpdate", expired)


def cancel_reservation(charger, payload):
    if payload["reservationId"] not in charger.reservations:
        return REJECTED
    charger.in_background(effects.release(charger, payload["reservationId"]))
    return ACCEPTED


def trigger(charger, payload):
    wanted = payload["requestedMessage"]
    if wanted == "TransactionEvent" and not any(c.transaction_id for c in charger.connectors.values()):
        return REJECTED
    charger.in_background(_send_triggered(charger, wanted, payload.get("evse", {}).get("id")))
    return ACCEPTED


async def _send_triggered(charger, wanted, evse):
    connectors = charger.connectors_of(evse)
    if wanted == "BootNotification":
        charger.messages.boot_reason = "Triggered"
        await charger.boot()
    elif wanted.startswith("Sign"):
        kind = "V2GCertificate" if wanted == "SignV2GCertificate" else "ChargingStationCertificate"
        request = effects.certificate_request(charger.identity)
        await charger.call("SignCertificate", {"csr": request, "certificateType": kind})
    elif wanted == "Heartbeat":
        await charger.call("Heartbeat", {})
    elif wanted in ("StatusNotification", "MeterValues", "TransactionEvent"):
        for connector in connectors:
            await _send_triggered_of(charger, wanted, connector)
    else:
        await charger.call(wanted, IDLE)


async def _send_triggered_of(charger, wanted, connector):
    messages = charger.messages
    if wanted == "StatusNotification":
        await messages.report(connector)
        return
    readings = [messages.reading(connector, 0.0, None, "Trigger")]
    if wanted == "MeterValues":
        await charger.call("MeterValues", {"evseId": connector.number, "meterValue": readings})
    elif connector.transaction_id:
        await messages.event(connector, "Updated", "Trigger", "Charging", meterValue=readings)


# --- device model (B) -------------------------------------------------------------------------


def get_variables(charger, payload):
    return {"getVariableResult": [_read(charger, asked) for asked in payload["getVariableData"]]}


def _read(charger, asked):
    name, variable, status = device_of(charger).find(asked)
    if variable and asked.get("attributeType", "Actual") != "Actual":
        status = "NotSupportedAttributeType"
    elif variable and variable.mutability == WRITE_ONLY:
        status = "Rejected"
    value = {"attributeValue": variable.value} if variable and status == "Accepted" else {}
    return {"attributeStatus": status, **_attribute_type(asked), **value, **name.members}


def set_variables(charger, payload):
    return {"setVariableResult": [_write(charger, asked) for asked in payload["setVariableData"]]}


def _write(charger, asked):
    name, variable, status = device_of(charger).find(asked)
    if variable and asked.get("attributeType", "Actual") != "Actual":
        status = "NotSupportedAttributeType"
    elif variable and variable.mutability == READ_ONLY:
        status = "Rejected"
    elif variable:
        variable.value = asked["attributeValue"]
    return {"attributeStatus": status, **_attribute_type(asked), **name.members}


def _attribute_type(asked):
    return {"attributeType": asked["attributeType"]} if "attributeType" in asked else {}


def get_base_report(charger, payload):
    return _report(charger, payload, device_of(charger).report(payload["reportBase"]))


def get_report(charger, payload):
    found = device_of(charger).matching(payload.get("componentVariable", []))
    criteria = payload.get("componentCriteria", [])
    if criteria:
        components = {n.component for n, v in device_of(charger).variables.items() if _meets(n, v, criteria)}
        found = {name: variable for name, variable in found.items() if name.component in components}
    return _report(charger, payload, found)


def _meets(name, variable, criteria):
    return name.variable in criteria and variable.value == "true"


def _report(charger, payload, variables):
    data = [name.members | variable.members for name, variable in variables.items()]
    return _in_parts(charger, "NotifyReport", payload["requestId"], "reportData", data)


def _in_parts(charger, action, request_id, member, items):
    """Send `items` in several messages after the answer, which is returned."""
    if not items:
        return EMPTY
    charger.in_background(_send_parts(charger, action, request_id, member, items))
    return ACCEPTED


async def _send_parts(charger, action, request_id, member, items):
    parts = [items[first : first + ITEMS_PER_MESSAGE] for first in range(0, len(items), ITEMS_PER_MESSAGE)]
    for number, part in enumerate(parts):
        more = {"tbc": True} if number + 1 < len(parts) else {}
        head = {"requestId": request_id, "seqNo": number, "generatedAt": now_on_the_wire()}
        await charger.call(action, head | more | {member: part})


# --- authorization and local lists (C, D) -----------------------------------------------------


def send_local_list(charger, payload):
    device, entries = device_of(charger), payload.get("localAuthorizationList", [])
    if payload["updateType"] == "Full":
        device.list_entries = set()
    elif payload["versionNumber"] <= device.list_version:
        return {"status": "VersionMismatch"}
    device.list_version = payload["versionNumber"] if entries or payload["updateType"] != "Full" else 0
    added = {entry["idToken"]["idToken"] for entry in entries if "idTokenInfo" in entry}
    removed = {entry["idToken"]["idToken"] for entry in entries} - added
    device.list_entries = (device.list_entries | added) - removed
    device.variables[Name("LocalAuthListCtrlr", "Entries")].value = str(len(device.list_entries))
    return ACCEPTED


# --- smart charging (K) -----------------------------------------------------------------------


def set_charging_profile(charger, payload):
    profile = payload["chargingProfile"]
    if payload["evseId"] and not charger.connectors_of(payload["evseId"]):
        return REJECTED
    charger.profiles[profile["id"]] = (payload["evseId"], profile)
    return ACCEPTED


def clear_charging_profile(charger, payload):
    criteria = payload.get("chargingProfileCriteria", {})
    found = limits.clear(charger, payload.get("chargingProfileId"), criteria.get("evseId"), _members(criteria))
    return ACCEPTED if found else UNKNOWN


def _members(criteria):
    return {name: criteria.get(name) for name in ("chargingProfilePurpose", "stackLevel")}


def get_charging_profiles(charger, payload):
    criterion = payload["chargingProfile"]
    evse, members = payload.get("evseId"), _members(criterion)
    ids, sources = criterion.get("chargingProfileId"), criterion.get("chargingLimitSource", ["CSO"])
    held = {
        key: (of_evse, profile)
        for key, (of_evse, profile) in charger.profiles.items()
        if (ids is None or key in ids)
        and evse in (None, of_evse)
        and limits.has(profile, members)
        and "CSO" in sources
    }
    if not held or "CSO" not in sources:
        return {"status": "NoProfiles"}
    charger.in_background(_report_profiles(charger, payload["requestId"], list(held.values())))
    return ACCEPTED


async def _report_profiles(charger, request_id, profiles):
    by_evse = {evse: [p for other, p in profiles if other == evse] for evse, _ in profiles}
    for number, (evse, of_evse) in enumerate(by_evse.items(), 1):
        more = {"tbc": True} if number < len(by_evse) else {}
        report = {"requestId": request_id, "chargingLimitSource": "CSO", "evseId": evse, "chargingProfile": of_evse}
        await charger.call("ReportChargingProfiles", report | more)


def get_composite_schedule(charger, payload):
    evse, unit = payload["evseId"], payload.get("chargingRateUnit", "A")
    if evse and not charger.connectors_of(evse):
        return REJECTED
    schedule = limits.composite(charger, evse, payload["duration"], unit)
    return ACCEPTED | {"schedule": {"evseId": evse, "scheduleStart": schedule.pop("start"), **schedule}}


# --- firmware and logs (L, N) -----------------------------------------------------------------


def get_log(charger, payload):
    request = {"requestId": payload["requestId"]}
    location = payload["log"]["remoteLocation"]
    charger.in_background(effects.upload(charger, location, "LogStatusNotification", request, "UploadFailure"))
    return ACCEPTED | {"filename": effects.log_name()}


def update_firmware(charger, payload):
    firmware, request = payload["firmware"], {"requestId": payload["requestId"]}
    verified = ["SignatureVerified"] if "signature" in firmware else []
    steps = [*verified, "Installing"]
    charger.in_background(
        effects.install(charger, firmware["location"], "FirmwareStatusNotification", request, steps)
    )
    return ACCEPTED


def publish_firmware(charger, payload):
    charger.in_background(_publish(charger, payload))
    return ACCEPTED


async def _publish(charger, payload):
    """Report the steps, and at the end where other chargers find the firmware."""
    action, request = "PublishFirmwareStatusNotification", {"requestId": payload["requestId"]}
    await effects.install(charger, payload["location"], action, request, ["ChecksumVerified"])
    device_of(charger).published.add(payload["checksum"])
    where = {"location": [f"http://{payload['checksum']}.local/firmware"]}
    await charger.call(action, {"status": "Published"} | request | where)


def unpublish_firmware(charger, payload):
    known = payload["checksum"] in device_of(charger).published
    device_of(charger).published.discard(payload["checksum"])
    return {"status": "Unpublished" if known else "NoFirmware"}


# --- certificates (M) -------------------------------------------------------------------------


def install_certificate(charger, payload):
    hashes = certificate_hashes(payload["certificate"])
    if hashes is None:
        return REJECTED
    held, entry = device_of(charger).certificates, (payload["certificateType"], hashes)
    if entry not in held:
        held.append(entry)
    return ACCEPTED


def installed_certificates(charger, payload):
    wanted = payload.get("certificateType")
    chains = [
        {"certificateType": kind, "certificateHashData": hashes}
        for kind, hashes in device_of(charger).certificates
        if wanted is None or kind in wanted
    ]
    return {"status": "Accepted", "certificateHashDataChain": chains} if chains else {"status": "NotFound"}


def delete_certificate(charger, payload):
    device, wanted = device_of(charger), payload["certificateHashData"]
    kept = [held for held in device.certificates if held[1] != wanted]
    found, device.certificates = len(kept) < len(device.certificates), kept
    return {"status": "Accepted" if found else "NotFound"}


# --- monitoring and customers (N) -------------------------------------------------------------


def set_monitoring(charger, payload):
    return {"setMonitoringResult": [_set_monitor(charger, asked) for asked in payload["setMonitoringData"]]}


def _set_monitor(charger, asked):
    device = device_of(charger)
    name, _, status = device.find(asked)
    result = {"status": status, "type": asked["type"], "severity": asked["severity"], **name.members}
    if status != "Accepted":
        return result
    monitor_id = asked["id"] if "id" in asked else next(device.monitor_ids)
    monitor = {"id": monitor_id, "transaction": asked.get("transaction", False)}
    device.monitors[monitor_id] = (name, monitor | {key: asked[key] for key in ("value", "type", "severity")})
    if asked["type"].startswith("Periodic"):
        charger.in_background(_notify(charger, monitor_id))
    return result | {"id": monitor_id}


async def _notify(charger, monitor_id):
    """Report a monitor that has been triggered."""
    device = device_of(charger)
    name, _ = device.monitors[monitor_id]
    event = {
        "eventId": next(device.event_ids),
        "timestamp": now_on_the_wire(),
        "trigger": "Periodic",
        "actualValue": device.variables[name].value,
        "eventNotificationType": "CustomMonitor",
        "variableMonitoringId": monitor_id,
        **name.members,
    }
    await charger.call("NotifyEvent", {"generatedAt": now_on_the_wire(), "seqNo": 0, "eventData": [event]})


def clear_monitoring(charger, payload):
    monitors = device_of(charger).monitors
    results = [{"id": each, "status": "Accepted" if each in monitors else "NotFound"} for each in payload["id"]]
    for each in payload["id"]:
        monitors.pop(each, None)
    return {"clearMonitoringResult": results}


def get_monitoring_report(charger, payload):
    device = device_of(charger)
    named = device.matching(payload.get("componentVariable", []))
    criteria = {criterion.removesuffix("Monitoring") for criterion in payload.get("monitoringCriteria", [])}
    data = [
        name.members | {"variableMonitoring": [monitor]}
        for name, monitor in device.monitors.values()
        if name in named and (not criteria or any(criterion in monitor["type"] for criterion in criteria))
    ]
    return _in_parts(charger, "NotifyMonitoringReport", payload["requestId"], "monitor", data)


def set_monitoring_base(charger, payload):
    if payload["monitoringBase"] != "All":
        device_of(charger).monitors.clear()
    return ACCEPTED


def customer_information(charger, payload):
    if payload["report"]:
        charger.in_background(_send_customer(charger, payload))
    return ACCEPTED


async def _send_customer(charger, payload):
    data = "" if payload["clear"] else "A driver who has charged here."
    part = {"requestId": payload["requestId"], "seqNo": 0, "generatedAt": now_on_the_wire(), "data": data}
    await charger.call("NotifyCustomerInformation", part)


# --- display messages (O) ---------------------------------------------------------------------


def set_display_message(charger, payload):
    message = payload["message"]
    running = {connector.transaction_id for connector in charger.connectors.values()}
    if "transactionId" in message and message["transactionId"] not in running:
        return {"status": "UnknownTransaction"}
    device_of(charger).displays[message["id"]] = message
    return ACCEPTED


def get_display_messages(charger, payload):
    members = {name: payload[name] for name in ("priority", "state") if name in payload}
    found = [
        message
        for key, message in device_of(charger).displays.items()
        if key in payload.get("id", [key]) and all(message.get(name) == value for name, value in members.items())
    ]
    if not found:
        return UNKNOWN
    charger.in_background(
        charger.call("NotifyDisplayMessages", {"requestId": payload["requestId"], "messageInfo": found})
    )
    return ACCEPTED


def clear_display_message(charger, payload):
    found = device_of(charger).displays.pop(payload["id"], None)
    return ACCEPTED if found else UNKNOWN


ANSWERS = {
    "CancelReservation": cancel_reservation,
    "CertificateSigned": ACCEPTED,
    "ChangeAvailability": change_availability,
    "ClearCache": ACCEPTED,
    "ClearChargingProfile": clear_charging_profile,
    "ClearDisplayMessage": clear_display_message,
    "ClearVariableMonitoring": clear_monitoring,
    "CostUpdated": {},
    "CustomerInformation": customer_information,
    "DataTransfer": {"status": "UnknownVendorId"},
    "DeleteCertificate": delete_certificate,
    "GetBaseReport": get_base_report,
    "GetChargingProfiles": get_charging_profiles,
    "GetCompositeSchedule": get_composite_schedule,
    "GetDisplayMessages": get_display_messages,
    "GetInstalledCertificateIds": installed_certificates,
    "GetLocalListVersion": lambda charger, payload: {"versionNumber": device_of(charger).list_version},
    "GetLog": get_log,
    "GetMonitoringReport": get_monitoring_report,
    "GetReport": get_report,
    "GetTransactionStatus": transaction_status,
    "GetVariables": get_variables,
    "InstallCertificate": install_certificate,
    "PublishFirmware": publish_firmware,
    "RequestStartTransaction": request_start,
    "RequestStopTransaction": request_stop,
    "ReserveNow": reserve,
    "Reset": reset,
    "SendLocalList": send_local_list,
    "SetChargingProfile": set_charging_profile,
    "SetDisplayMessage": set_display_message,
    "SetMonitoringBase": set_monitoring_base,
    "SetMonitoringLevel": ACCEPTED,
    "SetNetworkProfile": ACCEPTED,
    "SetVariableMonitoring": set_monitoring,
    "SetVariables": set_variables,
    "TriggerMessage": trigger,
    "UnlockConnector": unlock,
    "UnpublishFirmware": unpublish_firmware,
    "UpdateFirmware": update_firmware,
}
