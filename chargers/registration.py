"""What may be said by and to a charger before it is accepted (OCPP 1.6 §4.2, J errata 3.10)."""

from chargers import registry
from chargers.frames import CallError
from chargers.models import NOT_ACCEPTED, Charger

# Where the central system has not accepted it, only these may be sent to a charger.
NOT_WHILE_PENDING = ("RemoteStartTransaction", "RemoteStopTransaction")


def refused(calls):
    """{key: CallError} of those `calls` whose charger is not accepted and was not asked for them."""
    asking = [call for call in calls if call.action != "BootNotification"]
    if not asking:
        return {}
    chargers = Charger.objects.filter(NOT_ACCEPTED, pk__in={call.charger for call in asking})
    standings = {charger.pk: charger.standing for charger in chargers}
    early = [call for call in asking if call.charger in standings]
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
