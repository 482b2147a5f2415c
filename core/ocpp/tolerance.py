"""Lenient validation: repair a payload that violates its schema by the rules below, or refuse it.

The compiled schema is checked first, so a valid payload costs the same as in strict validation. Each repair is a
finding. A message is refused only if its essential members are missing. Which members are essential is a fact of the
OCPP version, see `versions.base.Essentials`. docs/tolerance.md has the rules for operators; a test compares it with
this module.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

import orjson

from core.ocpp import numerals, schemas
from core.ocpp.schemas import Schema, Violation
from core.ocpp.versions import Version

INT64 = 2**63 - 1
MAX_FINDINGS = 50  # of one message, since further findings of a message with so many errors say little


class Unusable(Exception):
    """A value cannot be used; `kind` is the finding, `keyword` is the keyword of the schema that it violates."""

    def __init__(self, kind: str, keyword: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.keyword = kind, keyword


# --- the rules -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """Convert a value of another type than its schema requires. `convert` raises `Unusable`."""

    kind: str
    says: str
    convert: Callable[[Any], Any]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _rounded(value: Any) -> int:
    if not math.isfinite(value) or abs(value) > INT64:
        raise Unusable("out_of_range", "type", "is a number that cannot be stored")
    rounded: int = round(value)
    return rounded


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
        raise Unusable("out_of_range", "type", "is a number that cannot be stored")
    return number


def _boolean_in(value: Any) -> bool:
    known = BOOLEANS.get(str(value).strip().lower())
    if known is None:
        raise Unusable("wrong_type", "type", "is neither true nor false")
    return known


def _only_one(values: list[Any]) -> Any:
    if len(values) != 1 or not isinstance(values[0], dict):
        raise Unusable("wrong_type", "type", "is a list where one object is expected")
    return values[0]


BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}

# (type in the schema, type as sent): the rule. Converting any other pair would be a guess.
CONVERSIONS = {
    ("string", "integer"): Rule("wrong_type", "The number is read as its text.", _json),
    ("string", "number"): Rule("wrong_type", "The number is read as its text.", _json),
    ("string", "boolean"): Rule("wrong_type", "It is read as the text true or false.", _json),
    ("string", "object"): Rule("wrong_type", "The object is stored as its JSON text.", _json),
    ("string", "array"): Rule("wrong_type", "The list is stored as its JSON text.", _json),
    ("integer", "string"): Rule(
        "wrong_type", "A number in a text is read and rounded. An id has to be whole.", _integer_in
    ),
    ("integer", "number"): Rule(
        "wrong_type", "It is rounded; the value as sent is stored, too. An id has to be whole.", _rounded
    ),
    ("number", "string"): Rule("wrong_type", "A number in a text is read.", _decimal_in),
    ("boolean", "string"): Rule("wrong_type", "true, false, yes, no, 1 and 0 are read, in any case.", _boolean_in),
    ("boolean", "integer"): Rule("wrong_type", "1 and 0 are read.", _boolean_in),
    ("array", "object"): Rule("wrong_type", "The object is read as a list of one.", lambda value: [value]),
    ("array", "string"): Rule("wrong_type", "The text is read as a list of one.", lambda value: [value]),
    ("object", "string"): Rule("wrong_type", "The text of a token or a unit is read as the object with it.", str),
    ("object", "array"): Rule("wrong_type", "The only object of the list is used.", _only_one),
}

# Keyword of the schema: the kind of the finding, and the treatment of the value.
CONSTRAINTS = {
    "maxLength": ("too_long", "The whole text is stored; of an id tag or the name of a key, 255 characters."),
    "enum": ("unknown_value", "Another spelling of a known value is read as that; any other is stored as text."),
    "minItems": ("missing", "The empty list is accepted."),
    "minimum": (
        "out_of_range",
        "It is stored up to 64 bits; that of a connector, EVSE or event is not used.",
    ),
    "maximum": (
        "out_of_range",
        "It is stored up to 64 bits; that of a connector, EVSE or event is not used.",
    ),
    "multipleOf": ("out_of_range", "The number is stored unchanged."),
    "additionalProperties": (
        "unknown_field",
        "It is ignored; another spelling, or the name in another version, of a missing member is read as "
        "that member.",
    ),
    "null": ("null", "The member counts as absent."),
    "items": ("bad_item", "The other items are used; a sample is stored as raw text."),
    "controls": ("unreadable", "Control characters around an id tag are removed, and U+0000 anywhere."),
}


# --- reading ---------------------------------------------------------------------------------


@dataclass
class Reading:
    """A repaired payload, its findings {(path, kind): value as sent}, and {path: text as sent} of rounded numbers."""

    payload: dict[str, Any]
    findings: dict[tuple[str, str], Any] = field(default_factory=dict)
    as_sent: dict[str, str] = field(default_factory=dict)


def read_request(
    version: Version, action: str, payload: dict[str, Any], lenient: bool = True, clean: bool = True
) -> Reading | None:
    """Read the `payload` of a request: return None if it is valid as it is, else the repaired one.

    `clean` is False where its texts may contain control characters. Raises `Violation`: in strict validation for the
    first error, in lenient validation if nothing usable remains.
    """
    schema = version.schemas.requests[action]
    return None if clean and schema.is_valid(payload) else _read(version, schema, payload, lenient)


def read_response(
    version: Version, action: str, payload: dict[str, Any], lenient: bool = True, clean: bool = True
) -> Reading | None:
    """Read the `payload` of a response, see `read_request`."""
    schema = version.schemas.responses[action]
    return None if clean and schema.is_valid(payload) else _read(version, schema, payload, lenient)


def _read(version: Version, schema: Schema, payload: dict[str, Any], lenient: bool) -> Reading | None:
    if not lenient:
        schema.check(payload)
        return None
    reading = Reading({})
    _Reader(version, schema, reading).whole(payload)
    return reading


class _Reader:
    def __init__(self, version: Version, schema: Schema, reading: Reading) -> None:
        self.essentials, self.schema, self.reading = version.essentials, schema, reading

    def whole(self, payload: dict[str, Any]) -> None:
        self.reading.payload = self._object(self.schema.resolved, payload, "")
        needed = self.essentials.needed.get(self.schema.name, {})
        used = self.reading.payload
        if needed and not any(member in used and is_usable(used[member]) for member, is_usable in needed.items()):
            raise Violation("", f"one of {', '.join(needed)} is needed", "ProtocolError")

    def find(self, path: str, kind: str, value: Any) -> None:
        if len(self.reading.findings) < MAX_FINDINGS:
            self.reading.findings.setdefault((path, kind), value)

    def _value(self, schema: dict[str, Any], value: Any, path: str) -> Any:
        """Return `value` converted to the type of `schema`; raise `Unusable` if that is impossible."""
        if "type" not in schema:  # any JSON, as in DataTransfer of 2.0.1
            return value
        expected, sent = schema["type"], _type_of(value)
        if expected != sent and (expected, sent) != ("number", "integer"):
            value = self._converted(expected, sent, value, path)
        return getattr(self, f"_{expected}")(schema, value, path)

    def _converted(self, expected: str, sent: str, value: Any, path: str) -> Any:
        rule, name = CONVERSIONS.get((expected, sent)), _last(path)
        is_whole = name not in self.essentials.compared or sent not in ("object", "array")
        is_text_of_object = (expected, sent) == ("object", "string")
        if rule is None or not is_whole or (is_text_of_object and name not in self.essentials.as_text):
            raise Unusable("wrong_type", "type", f"is of type {sent} where {expected} is expected")
        converted = rule.convert(value)
        if is_text_of_object:
            converted = {self.essentials.as_text[name]: converted}
        if expected == "integer":
            self._keep_exact(value, converted, path)
        self.find(path, rule.kind, value)
        return converted

    def _keep_exact(self, value: Any, rounded: int, path: str) -> None:
        number = numerals.read(value) if isinstance(value, str) else value
        if _last(path) in self.essentials.ids and number != rounded:
            raise Unusable("wrong_type", "type", "is not an id, since it is not whole")
        self.reading.as_sent[path] = value if isinstance(value, str) else _json(value)

    # --- one function for each type ----------------------------------------------------------

    def _object(self, schema: dict[str, Any], value: dict[str, Any], path: str) -> dict[str, Any]:
        """Return the members that the schema defines, in the order in which they were sent."""
        known = schema["properties"]
        used: dict[str, Any] = {}
        for member, sent in self._named(schema, value, path).items():
            inner = f"{path}.{member}" if path else member
            try:
                if sent is None:
                    self.find(inner, "null", None)
                elif member not in known:  # an extension, as in customData of 2.0.1
                    used[member] = sent
                else:
                    used[member] = self._value(known[member], sent, inner)
            except Unusable as unusable:
                self._leave_out(schema, member, unusable, sent, inner)
        for member in schema.get("required", ()):
            if member not in used:
                self._derive(member, used, f"{path}.{member}" if path else member)
        return used

    def _named(self, schema: dict[str, Any], value: dict[str, Any], path: str) -> dict[str, Any]:
        """Return the members of `value` that the schema allows, also those that it defines in another spelling."""
        known = schema["properties"]
        if schema.get("additionalProperties") is not False:
            return value
        named = {member: sent for member, sent in value.items() if member in known}
        for member in [name for name in value if name not in named]:
            meant = _spellings(tuple(known)).get(_squashed(member)) or self.essentials.renamed.get(member, "")
            self.find(f"{path}.{member}" if path else member, "unknown_field", value[member])
            if meant in known and named.get(meant) is None:
                named[meant] = value[member]
        return named

    def _leave_out(self, schema: dict[str, Any], member: str, unusable: Unusable, sent: Any, path: str) -> None:
        """Treat an unusable member as absent; raise `Violation` if the message is useless without it."""
        self.find(path, unusable.kind, sent)
        is_needed = member in schema.get("required", ()) and (self.schema.name, member) not in self.essentials.derived
        if is_needed and "." not in path and not self._may_lack(path):
            code = self.schema.error_code(unusable.keyword)
            raise Violation(path, f"{_short(sent)} {unusable}", code) from unusable

    def _derive(self, member: str, used: dict[str, Any], path: str) -> None:
        if not any(found == path for found, _ in self.reading.findings):
            self.find(path, "missing", None)
        if derived := self.essentials.derived.get((self.schema.name, member)):
            used[member] = derived(used)
        elif self._may_lack(path):
            return
        elif "." in path:
            raise Unusable("bad_item", "required", f"has no {member}")
        else:
            raise Violation(path, f'"{member}" is a required property', self.schema.error_code("required"))

    def _may_lack(self, path: str) -> bool:
        return (self.schema.name, path) in self.essentials.optional

    def _array(self, schema: dict[str, Any], value: list[Any], path: str) -> list[Any]:
        if len(value) < schema.get("minItems", 0):
            self.find(path, "missing", value)
        return [kept for item in value for kept in self._item(schema["items"], item, path)]

    def _item(self, schema: dict[str, Any], item: Any, path: str) -> Iterable[Any]:
        try:
            yield self._value(schema, item, path)
        except Unusable:
            self.find(path, "bad_item", item)
            yield from self._raw(item, path)

    def _raw(self, item: Any, path: str) -> Iterable[dict[str, Any]]:
        """Yield an item with the text of one that cannot be read, in lists of readings."""
        if stand_in := self.essentials.unreadable_items.get(_last(path)):
            yield stand_in(_json(item))

    def _string(self, schema: dict[str, Any], value: str, path: str) -> str:
        name = _last(path)
        value = self._without_controls(value, name, path)
        longest = self.essentials.max_lengths.get(name, len(value))
        if len(value) > schema.get("maxLength", longest):
            self.find(path, "too_long", value)
            value = value[:longest]
        if "enum" in schema and value not in schema["enum"]:
            return self._spelled(schema["enum"], value, path)
        return value

    def _without_controls(self, value: str, name: str, path: str) -> str:
        cleaned = value.rstrip("\0")
        if name in self.essentials.compared:
            cleaned = cleaned.strip(CONTROLS)
        cleaned = cleaned.replace("\0", "\N{REPLACEMENT CHARACTER}")
        if cleaned != value or not value.isprintable() and set(value) & UNPRINTABLE:
            self.find(path, "unreadable", value)
        return cleaned

    def _spelled(self, known: list[str], value: str, path: str) -> str:
        """Return the spelling of the enum for `value`, or `value` itself where it is descriptive only."""
        meant = _spellings(tuple(known)).get(_squashed(value))
        if value == "":
            raise Unusable("unknown_value", "enum", "is empty")
        if meant is None and self.schema.is_response:  # because an answer without a known status has no meaning
            raise Unusable("unknown_value", "enum", f"is none of {', '.join(known)}")
        self.find(path, "unknown_value", value)
        return value if meant is None else meant

    def _integer(self, schema: dict[str, Any], value: int, path: str) -> int:
        minimum, maximum = schema.get("minimum", -INT64 - 1), schema.get("maximum", INT64)
        if minimum <= value <= maximum:
            return value
        if {_last(path), _last_two(path)} & self.essentials.bounded or self.schema.is_response or abs(value) > INT64:
            raise Unusable("out_of_range", "maximum" if value > maximum else "minimum", "is out of range")
        self.find(path, "out_of_range", value)
        return value

    def _number(self, schema: dict[str, Any], value: float, path: str) -> float:
        if "multipleOf" in schema and not schemas.is_multiple(value, schema["multipleOf"]):
            self.find(path, "out_of_range", value)
        return value

    def _boolean(self, schema: dict[str, Any], value: bool, path: str) -> bool:
        return value


CONTROLS = "".join(map(chr, (*range(32), 127)))
UNPRINTABLE = frozenset(CONTROLS) - set("\t\n\r")


def _type_of(value: Any) -> str:
    if isinstance(value, bool):  # first, because a bool is an int
        return "boolean"
    return TYPES.get(type(value), "null")


TYPES = {str: "string", int: "integer", float: "number", dict: "object", list: "array"}


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _last_two(path: str) -> str:
    return ".".join(path.split(".")[-2:])


def _squashed(name: str) -> str:
    return "".join(character for character in name if character.isalnum()).lower()


@cache
def _spellings(names: tuple[str, ...]) -> dict[str, str]:
    return {_squashed(name): name for name in names}


def _short(value: Any) -> str:
    text = _json(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
