"""The table of commands: one row for each action of OCPP 1.6 and its security extensions that can be sent."""

from collections.abc import Callable
from dataclasses import dataclass

from commands.actions import certificates, charging, configuration, local_list, reservations, transfers


def nothing(command):
    """Default for actions whose answers change no rows."""


@dataclass(frozen=True)
class Action:
    """One action and its functions.

    `simulated` is a schema-valid reply, recorded and marked as simulated if the charger gave none.
    `complete(payload, charger)` adds members that the client may leave out to `payload`; it may return warnings.
    `check(payload, charger)` yields warnings; it raises `schemas.Violation` for payloads that OCPP forbids.
    `submitted(command)` makes the changes that hold from submission on, in the transaction of the row.
    `answered(command)` applies a real answer, in the transaction that records it; `command.status` is its status.
    `not_answered(command)` reverts the changes of `submitted` if there was no answer; `command.outcome` says why.
    `payload_for_retry(payload)` drops the members that were generated for one command.
    `hide(payload)` is the part of a payload with a secret that may be stored after the command is finished.
    """

    name: str
    simulated: dict
    complete: Callable = lambda payload, charger: None
    check: Callable = lambda payload, charger: ()
    submitted: Callable = nothing
    answered: Callable = nothing
    not_answered: Callable = nothing
    hide: Callable | None = None
    payload_for_retry: Callable = lambda payload: payload

    def stored(self, payload):
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
        configuration.change_submitted,
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
        answered=configuration.reported,
    ),
    Action(
        "RemoteStartTransaction",
        ACCEPTED,
        charging.complete_start,
        charging.check_start,
        answered=charging.started,
        not_answered=charging.not_started,
    ),
    Action("RemoteStopTransaction", ACCEPTED),
    Action("Reset", ACCEPTED),
    Action("UnlockConnector", {"status": "Unlocked"}),
    # Local authorisation list
    Action("GetLocalListVersion", {"listVersion": 0}, answered=local_list.version_reported),
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
        reservations.submitted,
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
        transfers.diagnostics_submitted,
        payload_for_retry=transfers.diagnostics_for_retry,
    ),
    Action(
        "GetLog",
        ACCEPTED,
        transfers.complete_log,
        transfers.check_log,
        transfers.log_submitted,
        payload_for_retry=transfers.log_for_retry,
    ),
    Action("UpdateFirmware", {}),
    Action(
        "SignedUpdateFirmware",
        ACCEPTED,
        transfers.complete_request,
        submitted=transfers.request_submitted,
        payload_for_retry=transfers.without_request_id,
    ),
    # Remote trigger
    Action("TriggerMessage", ACCEPTED),
    Action("ExtendedTriggerMessage", ACCEPTED),
    # Certificates
    Action("InstallCertificate", ACCEPTED, check=certificates.check_install, answered=certificates.installed),
    Action("DeleteCertificate", ACCEPTED, answered=certificates.deleted),
    Action("GetInstalledCertificateIds", ACCEPTED, answered=certificates.reported),
    Action("CertificateSigned", ACCEPTED, answered=certificates.signed),
)
ACTIONS = {action.name: action for action in _TABLE}
