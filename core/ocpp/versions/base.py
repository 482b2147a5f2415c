"""The facts by which one OCPP version differs from another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.ocpp.schemas import Schemas


@dataclass(frozen=True)
class FrameCodes:
    """The error codes for frames that are not as OCPP-J requires.

    `malformed` is for a CALL with a message id whose elements are wrong, `payload` for a payload that is no object.
    `unreadable` is for a frame without a usable message id, and `unknown_type` for a message type that does not
    exist; where they are None, such frames are not answered.
    """

    malformed: str
    payload: str
    unreadable: str | None
    unknown_type: str | None


@dataclass(frozen=True)
class Essentials:
    """The members that matter for lenient validation, see `core.ocpp.tolerance`.

    A message is named by its action, an answer by its action and "Response".
    """

    compared: frozenset[str]  # members that the central system compares; an object in them is not converted to text
    ids: frozenset[str]  # numbers that identify something; a rounded one would identify something else
    # Numbers of connectors, EVSEs and events; one out of range is not used. "evse.id" is the `id` in an `evse`.
    bounded: frozenset[str]
    max_lengths: Mapping[str, int]  # of members that are looked up by an index
    # (message, member) that the schema requires: how it is derived from the payload where it is absent.
    derived: Mapping[tuple[str, str], Callable[[dict[str, Any]], Any]]
    # (message, member) that the schema requires, but that may be absent, since the handlers do not need it.
    optional: frozenset[tuple[str, str]]
    # Essential members: a message without any usable one of these is refused.
    needed: Mapping[str, Mapping[str, Callable[[Any], bool]]]
    # Objects that chargers send as a text: the member which that text is.
    as_text: Mapping[str, str]
    # Members of another version: the member of this one that has the same meaning.
    renamed: Mapping[str, str]
    # Lists of readings: the item that stands for one that cannot be read, from the JSON text of that one.
    unreadable_items: Mapping[str, Callable[[str], dict[str, Any]]]


UNREADABLE = "unreadable"  # the `format` of a sample that stands for an item which could not be read

# When a member of a message is secret.
ALWAYS = "always"
NAMED = "named"  # if the configuration key, component or variable to which it belongs has the name of a secret


@dataclass(frozen=True, eq=False)
class Version:
    """One OCPP version. Sets of actions are those of messages from a charger, unless they say otherwise."""

    subprotocol: str  # of the WebSocket
    schemas: Schemas
    signs_messages: bool  # may send a message as a JWS, under its action and "-Signed"
    has_evses: bool  # connectors are numbered within their EVSE; without EVSEs each connector is one
    error_codes: Mapping[str, str]  # schema keyword: error code; other keywords have `schemas.OTHER`
    frame_codes: FrameCodes
    # Idempotent messages are processed again when they are repeated, since their answers depend on the time. Recorded
    # ones leave records by which a repetition is found. The last one of the others is stored with its answer.
    idempotent: frozenset[str]
    recorded: frozenset[str]
    before_acceptance: frozenset[str]  # allowed before the charger is accepted, also unless they were requested
    not_while_pending: frozenset[str]  # commands that may not be sent while the charger is Pending
    starts_and_stops: frozenset[str]  # begin or end a transaction
    about_transactions: frozenset[str]  # have data that a bill needs
    # Are answered by functions of vendors. A rollback cannot undo their effects; an answer may hold a secret.
    answered_by_vendors: frozenset[str]
    # Message: {path of a member: ALWAYS or NAMED}. A path has no numbers for the items of lists.
    secrets: Mapping[str, Mapping[str, str]]
    # Ends of the paths of texts that hold no secret, though they may look so. In all others secrets are searched for.
    plain: frozenset[str]
    essentials: Essentials

    def __str__(self) -> str:
        return self.subprotocol

    @cached_property
    def unlocked(self) -> frozenset[str]:
        """Actions that do not lock the row of their charger, because the rows that they write keep them in order.

        Starts and stops lock it, because they depend on those of other transactions (decision 0026).
        """
        return (self.idempotent | self.recorded) - self.starts_and_stops

    @cached_property
    def actions_with_secrets(self) -> frozenset[str]:
        """Actions whose request or response has a member that is declared secret."""
        return frozenset(name.removesuffix("Response") for name in self.secrets)
