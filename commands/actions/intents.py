"""Intents of an operator, in terms of no OCPP version; each version encodes them as its own commands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chargers.services.variables import VariableName

Encoded = tuple[str, dict[str, Any]]  # action and payload
Encoder = Callable[[Any], Encoded]
Encoders = Mapping[type, Encoder]


@dataclass(frozen=True)
class Start:
    """Begin a session for an id token, on any EVSE if `evse_id` is None."""

    id_tag: str
    id_token_type: str = ""
    evse_id: int | None = None


@dataclass(frozen=True)
class Stop:
    """End the transaction that the charger knows by `reference`, see `Transaction.reference`."""

    reference: str


@dataclass(frozen=True)
class Reset:
    """Restart the charger: at once, or else after its sessions have been stopped in order."""

    is_immediate: bool = False


@dataclass(frozen=True)
class Unlock:
    """Release the cable of a connector."""

    evse_id: int
    connector_id: int = 1


@dataclass(frozen=True)
class Availability:
    """Make an EVSE, or the whole charger (0), usable or unusable."""

    is_operative: bool
    evse_id: int = 0


@dataclass(frozen=True)
class Trigger:
    """Let the charger send the message `message`, named as in OCPP, about an EVSE or all of them (None)."""

    message: str
    evse_id: int | None = None


@dataclass(frozen=True)
class Limit:
    """Limit the power of each session on an EVSE, or of the whole charger (0), to `amount` of `unit`, "A" or "W"."""

    amount: float
    unit: str = "A"
    evse_id: int = 0


@dataclass(frozen=True)
class SetVariable:
    """Set a variable of the charger to `value`."""

    name: VariableName
    value: str
