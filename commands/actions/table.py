"""The table of commands: one row for each action of OCPP 1.6 and its security extensions that we may send."""

from collections.abc import Callable
from dataclasses import dataclass

from commands.actions import certificates, charging, configuration, local_list, reservations, transfers


def nothing(command):
    """What most answers change."""


@dataclass(frozen=True)
class Action:
    """`simulated`: a schema-valid reply, recorded (and marked) where the charger gave none.

    `complete(payload, charger)` adds what the central system owns and a client may leave out; it may return warnings.
    `check(payload, charger)` yields warnings; it raises `schemas.Violation` for what OCPP forbids us to send.
    `asked(command)` notes what holds from the moment it is asked for, with the row.
    `answered(command)` changes what a real answer changes, with its record; `command.status` is its status.
    `not_taken(command)` takes back what was noted, where there was no answer; `command.outcome` says why.
    `afresh(payload)` is what of it may be asked for again, without what was made for one command alone.
    `hide(payload)` is what may be kept of a payload that may hold a secret once it is over.
    """

    name: str
    simulated: dict
    complete: Callable = lambda payload, charger: None
    check: Callable = lambda payload, charger: ()
    asked: Callable = nothing
    answered: Callable = nothing
    not_taken: Callable = nothing
    hide: Callable | None = None
    payload_for_retry: Callable = lambda payload: payload

    def kept(self, payload):
        return self.hide(payload) if self.hide else payload


ACCEPTED = {"status": "Accepted"}

_TABLE = (
    # Core
    Action("ChangeAvailability", ACCEPTED, answered=configuration.availability_changed),
    Action(
        "ChangeConfiguration",
        ACCEPTED,
        configuration.complete_change,
        configuration.check_change,
        configuration.asked_change,
        configuration.changed,
        configuration.not_changed,
        configuration.hide,
        payload_for_retry=configuration.payload_for_retry,
    ),
    Action("ClearCache", ACCEPTED),
    Action("DataTransfer", ACCEPTED),
    Action(
        "GetConfiguration",
        {"configurationKey": [], "unknownKey": []},
        answered=configuration.told,
    ),
    Action(
        "RemoteStartTransaction",
        ACCEPTED,
        charging.complete_start,
        charging.check_start,
        answered=charging.started,
        not_taken=charging.not_started,
    ),
    Action("RemoteStopTransaction", ACCEPTED),
    Action("Reset", ACCEPTED),
    Action("UnlockConnector", {"status": "Unlocked"}),
    # Local authorisation list
    Action("GetLocalListVersion", {"listVersion": 0}, answered=local_list.version_told),
    Action(
        "SendLocalList",
        ACCEPTED,
        local_list.complete,
        local_list.check,
        answered=local_list.was_sent,
        payload_for_retry=local_list.payload_for_retry,
    ),
    # Reservation
    Action("CancelReservation", ACCEPTED, answered=reservations.cancelled),
    Action(
        "ReserveNow",
        ACCEPTED,
        reservations.complete,
        reservations.check,
        reservations.asked,
        reservations.reserved,
    ),
    # Smart charging
    Action("ClearChargingProfile", ACCEPTED, answered=charging.was_cleared),
    Action("GetCompositeSchedule", ACCEPTED),
    Action("SetChargingProfile", ACCEPTED, charging.complete_set, charging.check_set, answered=charging.was_set),
    # Firmware, diagnostics and logs
    Action(
        "GetDiagnostics",
        {},
        transfers.complete_diagnostics,
        transfers.check_diagnostics,
        transfers.asked_diagnostics,
        payload_for_retry=transfers.afresh_diagnostics,
    ),
    Action(
        "GetLog",
        ACCEPTED,
        transfers.complete_log,
        transfers.check_log,
        transfers.asked_log,
        payload_for_retry=transfers.afresh_log,
    ),
    Action("UpdateFirmware", {}),
    Action(
        "SignedUpdateFirmware",
        ACCEPTED,
        transfers.complete_request,
        asked=transfers.asked_request,
        payload_for_retry=transfers.without_id,
    ),
    # Remote trigger
    Action("TriggerMessage", ACCEPTED),
    Action("ExtendedTriggerMessage", ACCEPTED),
    # Certificates
    Action("InstallCertificate", ACCEPTED, check=certificates.check_install, answered=certificates.installed),
    Action("DeleteCertificate", ACCEPTED, answered=certificates.deleted),
    Action("GetInstalledCertificateIds", ACCEPTED, answered=certificates.told),
    Action("CertificateSigned", ACCEPTED, answered=certificates.signed),
)
ACTIONS = {action.name: action for action in _TABLE}
