"""What may be said by and to a charger before it is accepted (OCPP 1.6 §4.2, J errata 3.10)."""

from chargers import registry
from chargers.frames import CallError

# Where the central system has not accepted it, only these may be sent to a charger.
NOT_WHILE_PENDING = ("RemoteStartTransaction", "RemoteStopTransaction")


class TooEarly(Exception):
    """Some calls of a batch may not be made yet: `refused`, {key: CallError}. The batch is settled again without."""

    def __init__(self, refused):
        super().__init__(f"{len(refused)} calls before acceptance")
        self.refused = refused


def refused(calls, standings):
    """{key: CallError} of those `calls` whose charger is not accepted, by `standings` ({charger: its standing}), and
    was not asked for them."""
    early = [call for call in calls if call.action != "BootNotification" and call.charger in standings]
    triggered = registry.hooks["triggered"]({(call.charger, call.action) for call in early}) if early else set()
    return {
        call.key: CallError("SecurityError", f"This charger's registration is {standings[call.charger]}.")
        for call in early
        if (call.charger, call.action) not in triggered
    }


def objection(charger, action):
    """Why `action` may not be sent to `charger` now, or None."""
    if charger.standing == "Rejected":
        return f"Charger {charger} is Rejected: nothing may be sent to it until it boots again and is accepted."
    if charger.standing == "Pending" and action in NOT_WHILE_PENDING:
        return f"Charger {charger} is Pending: {action} may not be sent until it boots again and is accepted."
    return None
