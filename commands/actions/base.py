"""One action that can be sent to a charger, of any OCPP version."""

from collections.abc import Callable
from dataclasses import dataclass


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
