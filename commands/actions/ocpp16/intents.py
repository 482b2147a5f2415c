"""Encode intents as commands of OCPP 1.6, where EVSE n is connector n."""

import re
from typing import Any

from chargers.services.variables import VariableName
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
from commands.actions.ocpp16.certificates import RENEWALS
from core.ocpp.schemas import Violation
from core.ocpp.timestamps import to_rfc3339
from core.ocpp.versions import OCPP16

NUMBER = re.compile(r"-?[0-9]{1,10}")


def _of_connector(evse_id: int | None) -> dict[str, Any]:
    return {} if evse_id is None else {"connectorId": evse_id}


def _start(start: Start) -> Encoded:
    return "RemoteStartTransaction", {"idTag": start.id_tag} | _of_connector(start.evse_id)


def _stop(stop: Stop) -> Encoded:
    if not NUMBER.fullmatch(stop.reference):
        raise Violation("reference", "The id of a transaction of OCPP 1.6 is a number.", "")
    return "RemoteStopTransaction", {"transactionId": int(stop.reference)}


def _reset(reset: Reset) -> Encoded:
    return "Reset", {"type": "Hard" if reset.is_immediate else "Soft"}


def _unlock(unlock: Unlock) -> Encoded:
    if unlock.connector_id != 1:
        raise Violation("connector_id", "An EVSE of OCPP 1.6 has one connector: leave it out.", "")
    return "UnlockConnector", {"connectorId": unlock.evse_id}


def _availability(availability: Availability) -> Encoded:
    kind = "Operative" if availability.is_operative else "Inoperative"
    return "ChangeAvailability", {"connectorId": availability.evse_id, "type": kind}


def _trigger(trigger: Trigger) -> Encoded:
    return "TriggerMessage", {"requestedMessage": trigger.message} | _of_connector(trigger.evse_id)


def _limit(limit: Limit) -> Encoded:
    """Encode a profile that is always valid (OCPP 1.6 §3.13.1); its id is given at submission."""
    periods = [{"startPeriod": 0, "limit": limit.amount}]
    profile = {
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile" if limit.evse_id else "ChargePointMaxProfile",
        "chargingProfileKind": "Relative" if limit.evse_id else "Absolute",
        "chargingSchedule": {"chargingRateUnit": limit.unit, "chargingSchedulePeriod": periods},
    }
    return "SetChargingProfile", {"connectorId": limit.evse_id, "csChargingProfiles": profile}


def _set_profile(wanted: SetProfile) -> Encoded:
    """Encode a profile, which may repeat (OCPP 1.6 §3.13.1)."""
    profile = {
        "chargingProfileId": wanted.profile_id,
        "stackLevel": wanted.stack_level,
        "chargingProfilePurpose": "TxDefaultProfile" if wanted.evse_id else "ChargePointMaxProfile",
        "chargingProfileKind": wanted.kind,
        **wanted.recurrence,
        "chargingSchedule": wanted.schedule,
    }
    return "SetChargingProfile", {"connectorId": wanted.evse_id, "csChargingProfiles": profile}


def _clear_profile(cleared: ClearProfile) -> Encoded:
    return "ClearChargingProfile", {"id": cleared.profile_id}


def _read_configuration(_: ReadConfiguration) -> Encoded:
    return "GetConfiguration", {}


def _fetch_log(log: FetchLog) -> Encoded:
    return ("GetLog", {"logType": "SecurityLog"}) if log.kind == "security" else ("GetDiagnostics", {})


def _renew_certificate(_: RenewCertificate) -> Encoded:
    return RENEWALS[False]


def _set_variable(change: SetVariable) -> Encoded:
    key = change.name.variable
    if change.name != VariableName(key):
        raise Violation("variable", "A variable of OCPP 1.6 is a configuration key: send its name alone.", "")
    return "ChangeConfiguration", {"key": key, "value": change.value}


def _install(install: Install) -> Encoded:
    """Encode an update by the secure command if the image is signed, which alone can be installed at a set time."""
    if install.signature:
        firmware = {
            "location": install.location,
            "retrieveDateTime": to_rfc3339(install.retrieve_at),
            "signingCertificate": install.signing_certificate,
            "signature": install.signature,
        } | ({"installDateTime": to_rfc3339(install.install_at)} if install.install_at else {})
        return "SignedUpdateFirmware", {"firmware": firmware} | install.attempts
    if install.install_at:
        raise Violation("install_date", f"The charger speaks {OCPP16}, which has no command for this.", "")
    update = {"location": install.location, "retrieveDate": to_rfc3339(install.retrieve_at)}
    return "UpdateFirmware", update | install.attempts


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
