"""The table of commands of OCPP 2.0.1: one row for each action that can be sent."""

from commands.actions import certificates, requests, transfers
from commands.actions.base import Action
from commands.actions.ocpp201 import (
    availability,
    charging,
    customers,
    device_model,
    display_messages,
    firmware,
    local_list,
    monitoring,
    network,
    remote_control,
    reservations,
    tariffs,
    vehicles,
)
from commands.actions.ocpp201.certificates import reported

ACCEPTED = {"status": "Accepted"}

_TABLE = (
    # Availability (G) and provisioning (B)
    Action("ChangeAvailability", ACCEPTED, answered=availability.changed),
    Action("Reset", ACCEPTED),
    Action(
        "GetBaseReport",
        ACCEPTED,
        requests.complete,
        submitted=requests.submitted,
        payload_for_retry=requests.for_retry,
        delivery=requests.REPORT,
    ),
    Action(
        "GetReport",
        ACCEPTED,
        requests.complete,
        device_model.check_report,
        requests.submitted,
        payload_for_retry=requests.for_retry,
        delivery=requests.REPORT,
        portions=device_model.portions_of_report,
    ),
    Action(
        "GetVariables",
        device_model.NO_VALUES,
        check=device_model.check_get,
        answered=device_model.was_read,
        portions=device_model.portions_of_get,
    ),
    Action(
        "SetVariables",
        device_model.NOTHING_SET,
        device_model.complete_set,
        device_model.check_set,
        device_model.set_submitted,
        device_model.was_set,
        device_model.not_set,
        device_model.hide,
        payload_for_retry=device_model.set_for_retry,
        portions=device_model.portions_of_set,
    ),
    Action("SetNetworkProfile", ACCEPTED, check=network.check, answered=network.was_set),
    # Authorization (C)
    Action("ClearCache", ACCEPTED),
    # Local authorization list (D)
    Action("GetLocalListVersion", {"versionNumber": 0}, answered=local_list.version_reported),
    Action(
        "SendLocalList",
        ACCEPTED,
        local_list.complete,
        local_list.check,
        answered=local_list.was_sent,
        payload_for_retry=local_list.payload_for_retry,
        portions=local_list.portions_of_list,
        dependent=True,
    ),
    # Transactions (E) and remote control (F)
    Action("GetTransactionStatus", {"messagesInQueue": False}),
    Action(
        "RequestStartTransaction",
        ACCEPTED,
        remote_control.complete_start,
        remote_control.check_start,
        remote_control.start_submitted,
        remote_control.started,
        payload_for_retry=remote_control.start_for_retry,
    ),
    Action("RequestStopTransaction", ACCEPTED),
    Action("TriggerMessage", ACCEPTED, check=remote_control.check_trigger, triggers=remote_control.requested),
    Action("UnlockConnector", {"status": "Unlocked"}),
    # Smart charging (K)
    Action("ClearChargingProfile", ACCEPTED, check=charging.check_clear, answered=vehicles.was_cleared),
    Action(
        "GetChargingProfiles",
        {"status": "NoProfiles"},
        requests.complete,
        charging.check_get,
        requests.submitted,
        charging.were_requested,
        payload_for_retry=requests.for_retry,
        delivery=requests.REPORT,
    ),
    Action("GetCompositeSchedule", ACCEPTED),
    Action("SetChargingProfile", ACCEPTED, charging.complete_set, charging.check_set, answered=vehicles.was_set),
    # Reservation (H)
    Action("CancelReservation", ACCEPTED, answered=reservations.cancelled),
    Action(
        "ReserveNow",
        ACCEPTED,
        reservations.complete,
        reservations.check,
        reservations.submitted,
        reservations.reserved,
    ),
    # Tariff and cost (I)
    Action("CostUpdated", {}, tariffs.complete),
    # Firmware (L)
    Action(
        "UpdateFirmware",
        ACCEPTED,
        firmware.complete_update,
        firmware.check_update,
        requests.submitted,
        payload_for_retry=requests.for_retry,
        delivery=transfers.SIGNED_FIRMWARE,
    ),
    Action(
        "PublishFirmware",
        ACCEPTED,
        firmware.complete_publication,
        submitted=requests.submitted,
        answered=firmware.publication_answered,
        payload_for_retry=requests.for_retry,
        delivery=firmware.PUBLICATION,
    ),
    Action("UnpublishFirmware", {"status": "Unpublished"}, answered=firmware.unpublished),
    # Logs (N01)
    Action(
        "GetLog",
        ACCEPTED,
        transfers.complete_log,
        transfers.check_log,
        transfers.log_submitted,
        payload_for_retry=transfers.log_for_retry,
        delivery=transfers.LOG,
    ),
    # Display messages (O)
    Action(
        "SetDisplayMessage",
        ACCEPTED,
        display_messages.complete_set,
        display_messages.check_set,
        answered=display_messages.was_set,
    ),
    Action(
        "GetDisplayMessages",
        ACCEPTED,
        requests.complete,
        submitted=requests.submitted,
        answered=display_messages.were_read,
        payload_for_retry=requests.for_retry,
        delivery=requests.REPORT,
    ),
    Action("ClearDisplayMessage", ACCEPTED, answered=display_messages.was_cleared),
    # Monitoring and customer information (N)
    Action(
        "ClearVariableMonitoring",
        monitoring.NOTHING_CLEARED,
        monitoring.complete_clear,
        answered=monitoring.were_cleared,
        portions=monitoring.portions_of_clear,
    ),
    Action(
        "CustomerInformation",
        ACCEPTED,
        requests.complete,
        customers.check,
        requests.submitted,
        customers.cleared,
        payload_for_retry=requests.for_retry,
        delivery=requests.REPORT,
    ),
    Action(
        "GetMonitoringReport",
        ACCEPTED,
        requests.complete,
        submitted=requests.submitted,
        answered=monitoring.report_answered,
        payload_for_retry=requests.for_retry,
        delivery=requests.REPORT,
        portions=monitoring.portions_of_report,
    ),
    Action("SetMonitoringBase", ACCEPTED, answered=monitoring.base_set),
    Action("SetMonitoringLevel", ACCEPTED, check=monitoring.check_level, answered=monitoring.level_set),
    Action(
        "SetVariableMonitoring",
        monitoring.NOTHING_SET,
        check=monitoring.check_set,
        answered=monitoring.were_set,
        portions=monitoring.portions_of_set,
    ),
    # Certificates (A, M)
    Action("CertificateSigned", ACCEPTED, answered=certificates.signed),
    Action(
        "DeleteCertificate",
        ACCEPTED,
        certificates.complete_delete,
        certificates.check_delete,
        answered=certificates.deleted,
    ),
    Action("GetInstalledCertificateIds", ACCEPTED, answered=reported),
    Action("InstallCertificate", ACCEPTED, check=certificates.check_install, answered=certificates.installed),
    # Data transfer (P)
    Action("DataTransfer", ACCEPTED),
)
ACTIONS = {action.name: action for action in _TABLE}
