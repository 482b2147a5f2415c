"""Encode intents as commands of OCPP 2.0.1."""

from typing import Any

from commands.actions.intents import (
    Availability,
    ClearProfile,
    Encoded,
    Encoders,
    FetchLog,
    Install,
    Limit,
    ReadConfiguration,
    RenewCertificate,
    Reset,
    SetProfile,
    SetVariable,
    Start,
    Stop,
    Trigger,
    Unlock,
)
from commands.actions.ocpp201 import names
from commands.actions.ocpp201.certificates import RENEWALS
from core.ocpp.schemas import Violation
from core.ocpp.timestamps import to_rfc3339


def _start(start: Start) -> Encoded:
    """The type of a token without one, and the id of the start, are added at submission."""
    token = {"idToken": start.id_tag} | ({"type": start.id_token_type} if start.id_token_type else {})
    return "RequestStartTransaction", {"idToken": token} | ({"evseId": start.evse_id} if start.evse_id else {})


def _stop(stop: Stop) -> Encoded:
    return "RequestStopTransaction", {"transactionId": stop.reference}


def _reset(reset: Reset) -> Encoded:
    return "Reset", {"type": "Immediate" if reset.is_immediate else "OnIdle"}


def _unlock(unlock: Unlock) -> Encoded:
    return "UnlockConnector", {"evseId": unlock.evse_id, "connectorId": unlock.connector_id}


def _availability(availability: Availability) -> Encoded:
    status = {"operationalStatus": "Operative" if availability.is_operative else "Inoperative"}
    return "ChangeAvailability", status | ({"evse": {"id": availability.evse_id}} if availability.evse_id else {})


def _trigger(trigger: Trigger) -> Encoded:
    """A StatusNotification is about a connector (F06.FR.13): the first one of the EVSE."""
    evse: dict[str, Any] = {} if trigger.evse_id is None else {"id": trigger.evse_id}
    if trigger.message == "StatusNotification":
        evse = {"id": trigger.evse_id or 1, "connectorId": 1}
    return "TriggerMessage", {"requestedMessage": trigger.message} | ({"evse": evse} if evse else {})


def _limit(limit: Limit) -> Encoded:
    """Encode a profile that is always valid (K01); ids and the start are added at submission."""
    periods = [{"startPeriod": 0, "limit": limit.amount}]
    profile = {
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile" if limit.evse_id else "ChargingStationMaxProfile",
        "chargingProfileKind": "Relative" if limit.evse_id else "Absolute",
        "chargingSchedule": [{"chargingRateUnit": limit.unit, "chargingSchedulePeriod": periods}],
    }
    return "SetChargingProfile", {"evseId": limit.evse_id, "chargingProfile": profile}


def _set_profile(wanted: SetProfile) -> Encoded:
    """Encode a profile, which may repeat (K01); the ids of its schedules are added at submission."""
    profile = {
        "id": wanted.profile_id,
        "stackLevel": wanted.stack_level,
        "chargingProfilePurpose": "TxDefaultProfile" if wanted.evse_id else "ChargingStationMaxProfile",
        "chargingProfileKind": wanted.kind,
        **wanted.recurrence,
        "chargingSchedule": [wanted.schedule],
    }
    return "SetChargingProfile", {"evseId": wanted.evse_id, "chargingProfile": profile}


def _clear_profile(cleared: ClearProfile) -> Encoded:
    return "ClearChargingProfile", {"chargingProfileId": cleared.profile_id}


def _read_configuration(_: ReadConfiguration) -> Encoded:
    return "GetBaseReport", {"reportBase": "FullInventory"}


def _fetch_log(log: FetchLog) -> Encoded:
    return "GetLog", {"logType": "SecurityLog" if log.kind == "security" else "DiagnosticsLog"}


def _renew_certificate(_: RenewCertificate) -> Encoded:
    return RENEWALS[False]


def _set_variable(change: SetVariable) -> Encoded:
    if not change.name.component:
        raise Violation("component", "A variable of OCPP 2.0.1 belongs to a component: name it.", "")
    return "SetVariables", {"setVariableData": [{"attributeValue": change.value} | names.write(change.name)]}


def _install(install: Install) -> Encoded:
    """Encode an update with the certificate and the signature of a signed image (L01.FR.11), else without (L02)."""
    firmware = {
        "location": install.location,
        "retrieveDateTime": to_rfc3339(install.retrieve_at),
        "installDateTime": to_rfc3339(install.install_at) if install.install_at else "",
        "signingCertificate": install.signing_certificate,
        "signature": install.signature,
    }
    firmware = {name: value for name, value in firmware.items() if value}
    return "UpdateFirmware", {"firmware": firmware} | install.attempts


ENCODERS: Encoders = {
    Start: _start,
    Stop: _stop,
    Reset: _reset,
    Unlock: _unlock,
    Availability: _availability,
    Trigger: _trigger,
    Limit: _limit,
    SetProfile: _set_profile,
    ClearProfile: _clear_profile,
    ReadConfiguration: _read_configuration,
    FetchLog: _fetch_log,
    RenewCertificate: _renew_certificate,
    SetVariable: _set_variable,
    Install: _install,
}
