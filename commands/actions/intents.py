"""Intents of an operator, in terms of no OCPP version; each version encodes them as its own commands."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from chargers.services.variables import VariableName
from core.ocpp.schemas import JSON, Schema, bounded
from core.ocpp.timestamps import to_rfc3339

Encoded = tuple[str, dict[str, Any]]  # action and payload
Encoder = Callable[[Any], Encoded]
Encoders = Mapping[type, Encoder]
# Those that every version can trigger.
Message = Literal["BootNotification", "FirmwareStatusNotification", "Heartbeat", "MeterValues", "StatusNotification"]


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

    message: Message
    evse_id: int | None = None


@dataclass(frozen=True)
class Limit:
    """Limit the power of each session on an EVSE, or of the whole charger (0), to `amount` of `unit`, "A" or "W"."""

    amount: float
    unit: Literal["A", "W"] = "A"
    evse_id: int = 0


@dataclass(frozen=True)
class SetProfile:
    """Install the charging profile `profile_id` for each session on an EVSE, or for the whole charger (0).

    Its `periods` are pairs of the seconds after `begins_at` and the limit in `unit` from then on. The profile repeats
    daily or weekly and ends after `duration_s` in each repetition; None is its whole length. Without `repeats` it has
    one period, which is always valid. It replaces a profile with the same id.
    """

    profile_id: int
    stack_level: int
    periods: tuple[tuple[int, float], ...]
    unit: Literal["A", "W"] = "A"
    evse_id: int = 0
    repeats: Literal["", "Daily", "Weekly"] = ""
    begins_at: datetime | None = None
    duration_s: int | None = None

    @property
    def kind(self) -> str:
        """The chargingProfileKind, whose names are the same in every version."""
        if self.repeats:
            return "Recurring"
        return "Relative" if self.evse_id else "Absolute"

    @property
    def recurrence(self) -> JSON:
        """The member about the repetition, which is the same in every version."""
        return {"recurrencyKind": self.repeats} if self.repeats else {}

    @property
    def schedule(self) -> JSON:
        """The schedule, whose members are the same in every version."""
        begin = {"startSchedule": to_rfc3339(self.begins_at)} if self.begins_at else {}
        duration = {"duration": self.duration_s} if self.duration_s is not None else {}
        periods = [{"startPeriod": start, "limit": limit} for start, limit in self.periods]
        return begin | duration | {"chargingRateUnit": self.unit, "chargingSchedulePeriod": periods}


@dataclass(frozen=True)
class ClearProfile:
    """Delete the charging profile `profile_id` of the charger."""

    profile_id: int


@dataclass(frozen=True)
class ReadConfiguration:
    """Let the charger report all that can be configured: the keys of OCPP 1.6, or the device model."""


@dataclass(frozen=True)
class FetchLog:
    """Let the charger upload its diagnostics, or its log of security events."""

    kind: Literal["diagnostics", "security"] = "diagnostics"


@dataclass(frozen=True)
class RenewCertificate:
    """Let the charger request a new certificate of its own."""


@dataclass(frozen=True)
class SetVariable:
    """Set a variable of the charger to `value`."""

    name: VariableName
    value: str


@dataclass(frozen=True)
class Install:
    """Fetch the firmware at `location` from `retrieve_at` on, and install it from `install_at` on, or at once (None).

    A signed image has its PEM `signing_certificate` and base64 `signature`. The charger repeats
    a failed download `retries` times, `retry_interval_s` apart; None leaves that to the charger.
    """

    location: str = field(repr=False)  # hidden from logs, because its token gives access to the file
    retrieve_at: datetime
    install_at: datetime | None = None
    signing_certificate: str = ""
    signature: str = ""
    retries: int | None = None
    retry_interval_s: int | None = None

    @property
    def attempts(self) -> JSON:
        """The members about retries, which have these names in every version."""
        members = {"retries": self.retries, "retryInterval": self.retry_interval_s}
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True)
class Verbatim:
    """Send the action `action` of OCPP with `payload`; only the versions that have the action can express it."""

    action: str
    payload: JSON = field(default_factory=dict, repr=False)  # hidden from logs, because it may hold secrets


# The intents by their names in REST and on the pages. An action of OCPP has a name that begins with a capital letter.
# `SetVariable` has no name here, because each version names its variables differently. `Install` has none, because
# each charger needs its own URL. `SetProfile` and `ClearProfile` have none, because `commands.services.power_limits`
# keeps account of them.
BY_NAME: Mapping[str, type] = {
    "start": Start,
    "stop": Stop,
    "reset": Reset,
    "unlock": Unlock,
    "availability": Availability,
    "trigger": Trigger,
    "limit": Limit,
    "read_configuration": ReadConfiguration,
    "fetch_log": FetchLog,
    "renew_certificate": RenewCertificate,
}
TYPES: Mapping[type, JSON] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}


def _schema(intent: type) -> Schema:
    """Return the JSON schema of the parameters of `intent`, which are the fields of the dataclass."""
    types = get_type_hints(intent)
    required = [each.name for each in fields(intent) if each.default is MISSING]
    tree = {
        "type": "object",
        "description": intent.__doc__,
        "properties": {each.name: _schema_of_type(types[each.name]) for each in fields(intent)},
        "additionalProperties": False,
        **({"required": required} if required else {}),  # because the list must not be empty
    }
    return Schema(intent.__name__, lambda: bounded(tree, frozenset({"evse_id", "connector_id"})), {})


def _schema_of_type(kind: Any) -> JSON:
    if get_origin(kind) is Literal:
        return {"type": "string", "enum": list(get_args(kind))}
    # A parameter that may be None is left out.
    return TYPES[get_args(kind)[0] if isinstance(kind, UnionType) else kind]


SCHEMAS = {name: _schema(intent) for name, intent in BY_NAME.items()}


def intent_of(name: str, payload: JSON) -> object:
    """Return the intent `name` with the parameters `payload`, or the action `name` of OCPP as `Verbatim`.

    Raises `Violation` for invalid parameters.
    """
    if name not in BY_NAME:
        return Verbatim(name, payload)
    SCHEMAS[name].check(payload)
    return BY_NAME[name](**payload)


def name_and_payload(intent: object) -> tuple[str, JSON]:
    """Return the arguments from which `intent_of` makes `intent`."""
    if isinstance(intent, Verbatim):
        return intent.action, intent.payload
    name = next(name for name, kind in BY_NAME.items() if type(intent) is kind)
    return name, {name: value for name, value in vars(intent).items() if value is not None}
