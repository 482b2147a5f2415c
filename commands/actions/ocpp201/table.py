"""The table of commands of OCPP 2.0.1: one row for each action that can be sent."""

from commands.actions.base import Action
from commands.actions.ocpp201 import availability, remote_control

ACCEPTED = {"status": "Accepted"}

_TABLE = (
    # Availability (G) and provisioning (B)
    Action("ChangeAvailability", ACCEPTED, answered=availability.changed),
    Action("Reset", ACCEPTED),
    # Authorization (C)
    Action("ClearCache", ACCEPTED),
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
    Action("TriggerMessage", ACCEPTED, check=remote_control.check_trigger),
    Action("UnlockConnector", {"status": "Unlocked"}),
    # Data transfer (P)
    Action("DataTransfer", ACCEPTED),
)
ACTIONS = {action.name: action for action in _TABLE}
