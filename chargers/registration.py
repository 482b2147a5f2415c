"""What may be said by and to a charger before it is accepted (OCPP 1.6 §4.2, J errata 3.10)."""

from chargers import registry
from chargers.frames import CallError
from chargers.models import NOT_ACCEPTED, Charger

# Where the central system has not accepted it, only these may be sent to a charger.
NOT_WHILE_PENDING = ("RemoteStartTransaction", "RemoteStopTransaction")

_not_accepted = set()  # primary keys of chargers that were not, when this process last heard them


class NotYetAccepted(Exception):
    """Some calls of a batch may not be made yet: `refused`, {key: CallError}. The batch is settled again without."""

    def __init__(self, refused):
        super().__init__(f"{len(refused)} calls before acceptance")
        self.refused = refused


def refused_before(calls):
    """`refused`, where it is better asked before: a charger that was not accepted of late would have all its batches
    settled twice, and what an operator's function does for a DataTransfer may not be undone by a rollback."""
    asked = {call.charger for call in calls if call.charger in _not_accepted or call.action == "DataTransfer"}
    if not asked:
        return {}
    found = Charger.objects.filter(NOT_ACCEPTED, pk__in=asked).only("boot_policy", "registration_status")
    return refused(calls, {charger.pk: charger.effective_status for charger in found})


def refused_after(calls, statuses):
    """`refused` by what `retries.remember` has found of all of them."""
    _not_accepted.difference_update({call.charger for call in calls} - statuses.keys())
    _not_accepted.update(statuses)
    return refused(calls, statuses)


def refused(calls, statuses):
    """{key: CallError} of those `calls` whose charger is not accepted, by `statuses` ({charger: its standing}), and
    was not asked for them."""
    early = [call for call in calls if call.action != "BootNotification" and call.charger in statuses]
    triggered = registry.hooks["triggered"]({(call.charger, call.action) for call in early}) if early else set()
    return {
        call.key: CallError("SecurityError", f"This charger's registration is {statuses[call.charger]}.")
        for call in early
        if (call.charger, call.action) not in triggered
    }


def reason_not_allowed(charger, action):
    """Why `action` may not be sent to `charger` now, or None."""
    if charger.effective_status == "Rejected":
        return f"Charger {charger} is Rejected: nothing may be sent to it until it boots again and is accepted."
    if charger.effective_status == "Pending" and action in NOT_WHILE_PENDING:
        return f"Charger {charger} is Pending: {action} may not be sent until it boots again and is accepted."
    return None
