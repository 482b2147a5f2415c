"""Lenient reading: a payload that breaks its schema is repaired by the rules below, or refused.

The compiled schema decides first, so a valid payload costs what it costs in strict validation. Each repair is a
finding. A message is refused only where the fact itself is missing, see `NEEDED`. docs/tolerance.md has the rules
for operators; a test compares it with this module.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

import orjson

from chargers import numerals, schemas, times
from chargers.schemas import Violation

INT32, INT64 = 2**31 - 1, 2**63 - 1
UNREADABLE = "unreadable"  # the `format` of a sample that stands for an item which could not be read
MOST_FINDINGS = 50  # of one message; the rest of a message that breaks its schema everywhere says nothing new


class Unusable(Exception):
    """A value cannot be used; `kind` is the finding, `keyword` the part of the schema that it breaks."""

    def __init__(self, kind: str, keyword: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.keyword = kind, keyword


# --- the rules -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """What becomes of a value of another type than its schema wants. `convert` raises `Unusable`."""

    kind: str
    says: str
    convert: Callable[[Any], Any]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _rounded(value: float | Decimal) -> int:
    if not math.isfinite(value) or abs(value) > INT64:
        raise Unusable("out_of_range", "type", "is no number that can be kept")
    return round(value)


def _integer_in(text: str) -> int:
    return _rounded(_number_in(text))


def _number_in(text: str) -> Decimal:
    number = numerals.read(text)
    if number is None:
        raise Unusable("not_a_number", "type", "is not a number")
    return number


def _decimal_in(text: str) -> float:
    number = float(_number_in(text))
    if not math.isfinite(number):
        raise Unusable("out_of_range", "type", "is no number that can be kept")
    return number


def _boolean_in(value: Any) -> bool:
    known = BOOLEANS.get(str(value).strip().lower())
    if known is None:
        raise Unusable("wrong_type", "type", "is neither true nor false")
    return known


def _only_one(values: list) -> Any:
    if len(values) != 1 or not isinstance(values[0], dict):
        raise Unusable("wrong_type", "type", "is a list where one object is due")
    return values[0]


BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}

# (type in the schema, type as sent): the rule. A pair that is not here cannot be converted without a guess.
CONVERSIONS = {
    ("string", "integer"): Rule("wrong_type", "The number is taken as its text.", _json),
    ("string", "number"): Rule("wrong_type", "The number is taken as its text.", _json),
    ("string", "boolean"): Rule("wrong_type", "It is taken as the text true or false.", _json),
    ("string", "object"): Rule("wrong_type", "The object is kept as its JSON text.", _json),
    ("string", "array"): Rule("wrong_type", "The list is kept as its JSON text.", _json),
    ("integer", "string"): Rule(
        "wrong_type", "A number in a text is read and rounded. An id has to be whole.", _integer_in
    ),
    ("integer", "number"): Rule(
        "wrong_type", "It is rounded; the value as sent is kept. An id has to be whole.", _rounded
    ),
    ("number", "string"): Rule("wrong_type", "A number in a text is read.", _decimal_in),
    ("boolean", "string"): Rule("wrong_type", "true, false, yes, no, 1 and 0 are read, in any case.", _boolean_in),
    ("boolean", "integer"): Rule("wrong_type", "1 and 0 are read.", _boolean_in),
    ("array", "object"): Rule("wrong_type", "The object is taken as a list of one.", lambda value: [value]),
    ("array", "string"): Rule("wrong_type", "The text is taken as a list of one.", lambda value: [value]),
    ("object", "array"): Rule("wrong_type", "The only object of a list is taken.", _only_one),
}
# What a charger calls itself by, and the central system compares: an object is no such thing.
NAMES = frozenset({"idTag", "parentIdTag", "key", "status", "timestamp"})

# Numbers that name something: rounded, they would name something else.
IDS = frozenset({"transactionId", "connectorId", "reservationId", "requestId"})

# Keyword of the schema: the kind of the finding, and what becomes of the value.
CONSTRAINTS = {
    "maxLength": ("too_long", "The text is kept whole; of an id tag or the name of a key, 255 characters."),
    "enum": ("unknown_value", "Another spelling of a known value is read as that; any other is kept as text."),
    "minItems": ("missing", "The empty list is taken as it is."),
    "minimum": ("out_of_range", "The number is kept up to 64 bits; a connector id has to be one."),
    "maximum": ("out_of_range", "The number is kept up to 64 bits; a connector id has to be one."),
    "multipleOf": ("out_of_range", "The number is kept as it is."),
    "additionalProperties": ("unknown_field", "It is ignored; another spelling of a missing member is read as that."),
    "null": ("null", "The member is taken as absent."),
    "items": ("bad_item", "The other items are kept; a sample is kept as raw text."),
    "controls": ("unreadable", "Control characters around an id tag are removed, and U+0000 anywhere."),
}
# The most characters of a member that is looked up by an index.
LONGEST = {"idTag": 255, "parentIdTag": 255, "key": 255}

# Required by the schema, and derived where it is absent: (action, member): from the payload.
DERIVED: dict[tuple[str, str], Callable[[dict], Any]] = {
    # "" is read as the time of arrival (`times.parse_or`).
    ("StartTransaction", "timestamp"): lambda payload: "",
    ("StopTransaction", "timestamp"): lambda payload: "",
    ("MeterValues", "timestamp"): lambda payload: "",
    ("SecurityEventNotification", "timestamp"): lambda payload: "",
    ("StatusNotification", "errorCode"): lambda payload: "" if payload.get("status") == "Faulted" else "NoError",
    ("BootNotification", "chargePointVendor"): lambda payload: "",
    ("BootNotification", "chargePointModel"): lambda payload: "",
    ("DataTransfer", "vendorId"): lambda payload: "",
    ("GetConfigurationResponse", "readonly"): lambda payload: False,
}
# Required by the schema, and left absent: what reads the payload does without.
OPTIONAL = frozenset(
    {
        ("StartTransaction", "meterStart"),
        ("StopTransaction", "transactionId"),
        ("StopTransaction", "meterStop"),
        ("MeterValues", "connectorId"),  # its transaction is on one
    }
)
# The fact itself: one of these members must be there and usable, or the message is refused.
NEEDED: dict[str, dict[str, Callable[[Any], bool]]] = {
    "StopTransaction": {
        "transactionId": lambda value: 0 < value <= INT32,
        "meterStop": lambda value: True,
        "timestamp": lambda value: times.parse(value) is not None,
    },
    "MeterValues": {"connectorId": lambda value: True, "transactionId": lambda value: 0 < value <= INT32},
}
LISTS_OF_SAMPLES = ("sampledValue",)
LISTS_OF_READINGS = ("meterValue", "transactionData")


# --- reading ---------------------------------------------------------------------------------


@dataclass
class Reading:
    """A payload as it can be used, the findings {(path, kind): value as sent}, and {member: text} of numbers that
    were rounded."""

    payload: dict
    findings: dict = field(default_factory=dict)
    as_sent: dict = field(default_factory=dict)


def read(name: str, payload: dict, lenient: bool = True, clean: bool = True) -> Reading | None:
    """What `payload` says by schema `name` ("Reset", "ResetResponse"); None where it is valid as it is.

    `clean` is False where its texts may hold control characters. Raises `Violation`: in strict validation for the
    first fault, else where nothing usable remains.
    """
    if clean and schemas.is_valid(name, payload):
        return None
    if not lenient:
        schemas.check(name, payload)
        return None
    reading = Reading({})
    _Reader(name, reading).whole(payload)
    return reading


class _Reader:
    def __init__(self, name: str, reading: Reading) -> None:
        self.name, self.reading = name, reading
        self.is_answer = name.endswith("Response")

    def whole(self, payload: dict) -> None:
        schema = _resolved(self.name)
        self.reading.payload = self._object(schema, payload, "")
        needed = NEEDED.get(self.name, {})
        used = self.reading.payload
        if needed and not any(member in used and is_usable(used[member]) for member, is_usable in needed.items()):
            raise Violation("", f"one of {', '.join(needed)} is needed", "ProtocolError")

    def find(self, path: str, kind: str, value: Any) -> None:
        if len(self.reading.findings) < MOST_FINDINGS:
            self.reading.findings.setdefault((path, kind), value)

    def _value(self, schema: dict, value: Any, path: str) -> Any:
        """`value` as `schema` wants it. Raises `Unusable`."""
        wanted, sent = schema["type"], _type_of(value)
        if wanted != sent and (wanted, sent) != ("number", "integer"):
            value = self._converted(wanted, sent, value, path)
        return getattr(self, f"_{wanted}")(schema, value, path)

    def _converted(self, wanted: str, sent: str, value: Any, path: str) -> Any:
        rule = CONVERSIONS.get((wanted, sent))
        if rule is None or (_last(path) in NAMES and sent in ("object", "array")):
            raise Unusable("wrong_type", "type", f"is of type {sent} where {wanted} is due")
        converted = rule.convert(value)
        if wanted == "integer":
            self._keep_exact(value, converted, path)
        self.find(path, rule.kind, value)
        return converted

    def _keep_exact(self, value: Any, rounded: int, path: str) -> None:
        number = numerals.read(value) if isinstance(value, str) else value
        if _last(path) in IDS and number != rounded:
            raise Unusable("wrong_type", "type", "is no id, since it is not whole")
        self.reading.as_sent[path] = value if isinstance(value, str) else _json(value)

    # --- one function a type -----------------------------------------------------------------

    def _object(self, schema: dict, value: dict, path: str) -> dict:
        """The members that the schema knows, in the order they were sent."""
        known = schema["properties"]
        used = {}
        for member, sent in self._named(known, value, path).items():
            inner = f"{path}.{member}" if path else member
            try:
                if sent is None:
                    self.find(inner, "null", None)
                else:
                    used[member] = self._value(known[member], sent, inner)
            except Unusable as unusable:
                self._give_up(schema, member, unusable, sent, inner)
        for member in schema.get("required", ()):
            if member not in used:
                self._derive(member, used, f"{path}.{member}" if path else member)
        return used

    def _named(self, known: dict, value: dict, path: str) -> dict:
        """The members of `value` that are known, also by another spelling."""
        named = {member: sent for member, sent in value.items() if member in known}
        for member in [name for name in value if name not in named]:
            meant = _spellings(tuple(known)).get(_squashed(member))
            self.find(f"{path}.{member}" if path else member, "unknown_field", value[member])
            if meant is not None and named.get(meant) is None:
                named[meant] = value[member]
        return named

    def _give_up(self, schema: dict, member: str, unusable: Unusable, sent: Any, path: str) -> None:
        """A member that cannot be used counts as absent, unless the message is nothing without it."""
        self.find(path, unusable.kind, sent)
        is_missed = member in schema.get("required", ()) and (self.name, member) not in DERIVED
        if is_missed and "." not in path and not self._may_lack(path):
            code = schemas.ERROR_CODES.get(unusable.keyword, "PropertyConstraintViolation")
            raise Violation(path, f"{_short(sent)} {unusable}", code) from unusable

    def _derive(self, member: str, used: dict, path: str) -> None:
        if not any(found == path for found, _ in self.reading.findings):
            self.find(path, "missing", None)
        if derived := DERIVED.get((self.name, member)):
            used[member] = derived(used)
        elif self._may_lack(path):
            return
        elif "." in path:
            raise Unusable("bad_item", "required", f"has no {member}")
        else:
            raise Violation(path, f'"{member}" is a required property', "ProtocolError")

    def _may_lack(self, path: str) -> bool:
        return (self.name, path) in OPTIONAL

    def _array(self, schema: dict, value: list, path: str) -> list:
        if len(value) < schema.get("minItems", 0):
            self.find(path, "missing", value)
        return [kept for item in value for kept in self._item(schema["items"], item, path)]

    def _item(self, schema: dict, item: Any, path: str) -> Iterable[Any]:
        try:
            yield self._value(schema, item, path)
        except Unusable:
            self.find(path, "bad_item", item)
            yield from self._raw(item, path)

    @staticmethod
    def _raw(item: Any, path: str) -> Iterable[dict]:
        """What stands for an item that cannot be read: its text, where there is a place for it."""
        sample = {"value": _json(item), "measurand": "", "unit": "", "format": UNREADABLE}
        if _last(path) in LISTS_OF_SAMPLES:
            yield sample
        elif _last(path) in LISTS_OF_READINGS:
            yield {"timestamp": "", "sampledValue": [sample]}

    def _string(self, schema: dict, value: str, path: str) -> str:
        name = _last(path)
        value = self._without_controls(value, name, path)
        if len(value) > schema.get("maxLength", len(value)):
            self.find(path, "too_long", value)
            value = value[: LONGEST.get(name, len(value))]
        if "enum" in schema and value not in schema["enum"]:
            return self._spelled(schema["enum"], value, path)
        return value

    def _without_controls(self, value: str, name: str, path: str) -> str:
        cleaned = value.rstrip("\0")
        if name in NAMES:
            cleaned = cleaned.strip(CONTROLS)
        cleaned = cleaned.replace("\0", "\N{REPLACEMENT CHARACTER}")
        if cleaned != value or not value.isprintable() and set(value) & UNPRINTABLE:
            self.find(path, "unreadable", value)
        return cleaned

    def _spelled(self, known: list[str], value: str, path: str) -> str:
        """A value that is not in the enum: as it is spelt there, or as text where it only describes."""
        meant = _spellings(tuple(known)).get(_squashed(value))
        if value == "":
            raise Unusable("unknown_value", "enum", "says nothing")
        if meant is None and self.is_answer:  # what an answer means hangs on its status
            raise Unusable("unknown_value", "enum", f"is none of {', '.join(known)}")
        self.find(path, "unknown_value", value)
        return value if meant is None else meant

    def _integer(self, schema: dict, value: int, path: str) -> int:
        least, most = schema.get("minimum", -INT64 - 1), schema.get("maximum", INT64)
        if least <= value <= most:
            return value
        if _last(path) == "connectorId" or self.is_answer or abs(value) > INT64:
            raise Unusable("out_of_range", "maximum" if value > most else "minimum", "is out of range")
        self.find(path, "out_of_range", value)
        return value

    def _number(self, schema: dict, value: float, path: str) -> float:
        if "multipleOf" in schema and not schemas.is_multiple(value, schema["multipleOf"]):
            self.find(path, "out_of_range", value)
        return value

    def _boolean(self, schema: dict, value: bool, path: str) -> bool:
        return value


CONTROLS = "".join(map(chr, (*range(32), 127)))
UNPRINTABLE = frozenset(CONTROLS) - set("\t\n\r")


def _type_of(value: Any) -> str:
    if isinstance(value, bool):  # before int, which it is, too
        return "boolean"
    return TYPES.get(type(value), "null")


TYPES = {str: "string", int: "integer", float: "number", dict: "object", list: "array"}


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _squashed(name: str) -> str:
    return "".join(character for character in name if character.isalnum()).lower()


@cache
def _spellings(names: tuple[str, ...]) -> dict[str, str]:
    return {_squashed(name): name for name in names}


def _short(value: Any) -> str:
    text = _json(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


@cache
def _resolved(name: str) -> dict:
    """The schema `name` without `$ref`."""
    tree = schemas.schema(name)
    definitions = tree.get("definitions", {})

    def resolved(branch: Any) -> Any:
        if isinstance(branch, dict):
            if "$ref" in branch:
                return resolved(definitions[_last(branch["$ref"].replace("/", "."))])
            return {key: resolved(inner) for key, inner in branch.items() if key != "definitions"}
        return [resolved(inner) for inner in branch] if isinstance(branch, list) else branch

    return resolved(tree)
