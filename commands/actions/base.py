"""One action that can be sent to a charger, of any OCPP version."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from chargers.models import Charger
from commands.models import NOT_SEEN, Command
from core.ocpp.schemas import JSON


class FollowUp(NamedTuple):
    """A command of the system itself that an answer requires, to the same charger."""

    action: str
    payload: JSON


Warnings = Iterable[str]
Change = Callable[[Command], FollowUp | list[FollowUp] | None]


def nothing(command: Command) -> None:
    """Default for actions whose answers change no rows."""


def _unchanged(payload: JSON) -> JSON:
    return payload


def _whole(payload: JSON, charger: Charger) -> list[JSON]:
    return [payload]


@dataclass(frozen=True)
class Delivery:
    """What a charger delivers after its answer, and reports by later notifications.

    `done` and `failed` are the statuses that end it; after a failed one the charger may try again.
    `is_empty(answer)` says that there is nothing to deliver.
    """

    done: frozenset[str]
    failed: frozenset[str]
    is_empty: Callable[[JSON], bool] = lambda answer: False


class Look(NamedTuple):
    """What the records show of the effect of a command; `detail` is a sentence about it.

    `result` is a confirmation. While it is pending, `at_end` is the one for the case that its time runs out.
    """

    result: str
    detail: str
    at_end: str = NOT_SEEN


ACCEPTING = ("", "Accepted", "AcceptedCanceled", "RebootRequired", "Scheduled")  # statuses; some answers have none


def _unless_refused(command: Command) -> str | None:
    return None if command.status in ACCEPTING else ""


@dataclass(frozen=True)
class Confirmation:
    """How the effect of an accepted command is seen in the records (decision 0032).

    `look(command)` reads `command.charger` with its connectors, `command.transaction`, `command.read_backs` and
    `command.noted_transaction`, which are loaded for many commands at once.
    `within_s(command)` is the number of seconds from the answer within which the effect is to be seen.
    `read_back(command)` is a command that reads what was changed, None if there is nothing to read now.
    `note(command)` is what `look` has to know of the time before the answer was applied, as JSON.
    `excluded(command)` is the reason why the effect of an answered command is not looked for, "" for a refused one;
    None if it is looked for.
    `sets(command)` names what a command has set if the charger accepted it. What a later command has set again is in
    `command.set_again`, which `look` may read.
    """

    look: Callable[[Command], Look]
    within_s: Callable[[Command], float]
    read_back: Callable[[Command], FollowUp | None] = nothing
    note: Callable[[Command], Any] = nothing
    excluded: Callable[[Command], str | None] = _unless_refused
    sets: Callable[[Command], Iterable[Hashable]] | None = None


@dataclass(frozen=True)
class Action:
    """One action and its functions.

    `simulated` is a schema-valid reply, recorded and marked as simulated if the charger gave none.
    `complete(payload, charger)` adds members that the client may leave out to `payload`; it may return warnings.
    `check(payload, charger)` yields warnings; it raises `schemas.Violation` for payloads that OCPP forbids.
    `submitted(command)` makes the changes that hold from submission on, in the transaction of the row.
    `answered(command)` applies a real answer, in the transaction that records it; `command.status` is its status. It
    may return a `FollowUp` or several, which are created in the same transaction.
    `not_answered(command)` reverts the changes of `submitted` if there was no answer; `command.outcome` says why.
    `payload_for_retry(payload)` drops the members that were generated for one command.
    `delivery` is what follows the answer, None if nothing does.
    `portions(payload, charger)` are the payloads by which a request is sent that is too long for one message. If they
    are `dependent`, each builds on the one before, so those after one that was not accepted are cancelled.
    `hide(payload)` is the part of a payload with a secret that may be stored after the command is finished.
    `confirmation` says how its effect is seen; None if nothing shows it.
    `triggers(payload)` is the action of the message that it requests; None for commands that request none.
    """

    name: str
    simulated: JSON
    complete: Callable[[JSON, Charger], Warnings | None] = lambda payload, charger: None
    check: Callable[[JSON, Charger], Warnings] = lambda payload, charger: ()
    submitted: Callable[[Command], None] = nothing
    answered: Change = nothing
    not_answered: Callable[[Command], None] = nothing
    hide: Callable[[JSON], JSON] | None = None
    payload_for_retry: Callable[[JSON], JSON] = _unchanged
    delivery: Delivery | None = None
    portions: Callable[[JSON, Charger], list[JSON]] = _whole
    dependent: bool = False
    triggers: Callable[[JSON], str] | None = None
    confirmation: Confirmation | None = None

    def stored(self, payload: JSON) -> JSON:
        """Return the part of `payload` that may be stored after the command is finished."""
        return self.hide(payload) if self.hide else payload
