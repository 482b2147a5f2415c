"""The table of commands of OCPP 1.6 and its security extensions: one row for each action that can be sent."""

from commands.actions import certificates, requests, transfers
from commands.actions.base import Action
from commands.actions.effects import CANCEL_RESERVATION, UNLOCK
from commands.actions.ocpp16 import (
    charging,
    configuration,
    diagnostics,
    effects,
    local_list,
    remote_trigger,
    reservations,
)
from commands.actions.ocpp16.certificates import reported

ACCEPTED = {"status": "Accepted"}

_TABLE = (
    # Core
    Action(
        "ChangeAvailability", ACCEPTED, answered=configuration.availability_changed, confirmation=effects.AVAILABILITY
    ),
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
        confirmation=effects.SETTING,
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
        confirmation=effects.START,
    ),
    Action("RemoteStopTransaction", ACCEPTED, confirmation=effects.STOP),
    Action("Reset", ACCEPTED, confirmation=effects.RESET),
    Action("UnlockConnector", {"status": "Unlocked"}, confirmation=UNLOCK),
    # Local authorisation list
    Action("GetLocalListVersion", {"listVersion": 0}, answered=local_list.version_reported),
    Action(
        "SendLocalList",
        ACCEPTED,
        local_list.complete,
        local_list.check,
        answered=local_list.was_sent,
        payload_for_retry=local_list.payload_for_retry,
        confirmation=effects.LOCAL_LIST,
    ),
    # Reservation
    Action("CancelReservation", ACCEPTED, answered=reservations.cancelled, confirmation=CANCEL_RESERVATION),
    Action(
        "ReserveNow",
        ACCEPTED,
        reservations.complete,
        reservations.check,
        reservations.submitted,
        reservations.reserved,
        confirmation=effects.RESERVE,
    ),
    # Smart charging
    Action("ClearChargingProfile", ACCEPTED, answered=charging.was_cleared, confirmation=effects.CLEAR_PROFILE),
    Action("GetCompositeSchedule", ACCEPTED),
    Action(
        "SetChargingProfile",
        ACCEPTED,
        charging.complete_set,
        charging.check_set,
        answered=charging.was_set,
        confirmation=effects.SET_PROFILE,
    ),
    # Firmware, diagnostics and logs
    Action(
        "GetDiagnostics",
        {},
        diagnostics.complete,
        diagnostics.check,
        diagnostics.submitted,
        payload_for_retry=diagnostics.for_retry,
        delivery=diagnostics.DELIVERY,
        confirmation=effects.DIAGNOSTICS,
    ),
    Action(
        "GetLog",
        ACCEPTED,
        transfers.complete_log,
        transfers.check_log,
        transfers.log_submitted,
        payload_for_retry=transfers.log_for_retry,
        delivery=transfers.LOG,
        confirmation=effects.LOG,
    ),
    Action("UpdateFirmware", {}, delivery=transfers.FIRMWARE, confirmation=effects.FIRMWARE),
    Action(
        "SignedUpdateFirmware",
        ACCEPTED,
        requests.complete,
        submitted=requests.submitted,
        payload_for_retry=requests.for_retry,
        delivery=transfers.SIGNED_FIRMWARE,
        confirmation=effects.SIGNED_FIRMWARE,
    ),
    # Remote trigger
    Action("TriggerMessage", ACCEPTED, triggers=remote_trigger.requested, confirmation=effects.TRIGGER),
    Action(
        "ExtendedTriggerMessage",
        ACCEPTED,
        triggers=remote_trigger.requested_by_extended,
        confirmation=effects.EXTENDED_TRIGGER,
    ),
    # Certificates
    Action("InstallCertificate", ACCEPTED, check=certificates.check_install, answered=certificates.installed),
    Action(
        "DeleteCertificate",
        ACCEPTED,
        certificates.complete_delete,
        certificates.check_delete,
        answered=certificates.deleted,
    ),
    Action("GetInstalledCertificateIds", ACCEPTED, answered=reported),
    Action("CertificateSigned", ACCEPTED, answered=certificates.signed),
)
ACTIONS = {action.name: action for action in _TABLE}
