"""Rules for messages from a charger that is not accepted (OCPP 1.6 §4.2, J errata 3.10)."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from chargers.models import NOT_ACCEPTED, Charger
from commands.services import delivery
from core.ocpp.calls import Call, CallKey
from core.ocpp.frames import CallError

_not_accepted: set[int] = set()  # primary keys of chargers that were not accepted at their last CALL to this process


def refused_before(calls: Sequence[Call]) -> dict[CallKey, CallError]:
    """Return `refused` for calls that are checked before they are processed.

    Calls of chargers that were not accepted before are checked here, so that their batches are not processed twice.
    So are calls that a vendor's function answers, because a rollback cannot undo the effects of the function.
    """
    checked = {
        call.charger
        for call in calls
        if call.charger in _not_accepted or call.action in call.version.answered_by_vendors
    }
    return refused(calls, _statuses(checked)) if checked else {}


def _statuses(chargers: Collection[int]) -> dict[int, str]:
    """Return {primary key: effective status} of those `chargers` (primary keys) that are not accepted."""
    rows = Charger.objects.filter(NOT_ACCEPTED, pk__in=chargers).only("boot_policy", "registration_status")
    return {charger.pk: charger.effective_status for charger in rows}


class BeforeLookup(NamedTuple):
    """A call whose handler needs the answer of another server."""

    call: Call

    @property
    def charger(self) -> int:
        return self.call.charger


def may_look_up(waiting: list[BeforeLookup]) -> list[bool]:
    """Return for each call whether it is allowed, so that no other charger causes a request to a server."""
    calls = [one.call for one in waiting]
    refusals = refused(calls, _statuses({call.charger for call in calls}))
    return [call.key not in refusals for call in calls]


def refused_after(calls: Sequence[Call], statuses: Mapping[int, str]) -> dict[CallKey, CallError]:
    """Return `refused` by the `statuses` that `retries.check` has returned for all `calls`."""
    _not_accepted.difference_update({call.charger for call in calls} - statuses.keys())
    _not_accepted.update(statuses)
    return refused(calls, statuses)


def refused(calls: Sequence[Call], statuses: Mapping[int, str]) -> dict[CallKey, CallError]:
    """Return {key: CallError} of those `calls` that are not allowed before acceptance.

    `statuses` is {primary key: effective status} of the chargers that are not accepted. A BootNotification is
    allowed, and so is a message that a TriggerMessage has requested.
    """
    unaccepted = [
        call for call in calls if call.charger in statuses and call.action not in call.version.before_acceptance
    ]
    requested = {(call.charger, call.action) for call in unaccepted}
    triggered = delivery.triggered(requested) if unaccepted else set()
    return {
        call.key: CallError("SecurityError", f"This charger's registration is {statuses[call.charger]}.")
        for call in unaccepted
        if (call.charger, call.action) not in triggered
    }
