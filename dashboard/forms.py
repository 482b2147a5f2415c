"""Form fields of each command from its JSON schema, and the payload from the submitted fields."""

import re
from dataclasses import dataclass, field

from django.utils.translation import gettext_lazy

from core.ocpp.schemas import Schema

# Numbers in JSON syntax, with optional spaces around them.
WHOLE = re.compile(r" *-?[0-9]{1,18} *")
DECIMAL = re.compile(r" *-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})? *")
MAX_LINE = 200  # characters of a single-line input; a longer text gets a textarea
BLANK = "__n__"  # placeholder for the number of a new list item
KINDS = {"object": "object", "array": "list", "integer": "number", "number": "number", "boolean": "choice"}
BOOLEANS = {"true": gettext_lazy("Yes"), "false": gettext_lazy("No")}
EMPTY_IS_A_VALUE = ("value",)  # fields that are sent empty: ChangeConfiguration may clear a key
HINTS = {
    "date-time": gettext_lazy("e.g. 2026-01-31T18:00:00Z"),
    "uri": gettext_lazy("leave empty to use a location on this server"),
}


class NotAnObject(ValueError):
    """The text is not JSON, or not a JSON object."""


@dataclass
class Field:
    """An input, or a group of them: `kind` is text, box, number, choice, object or list."""

    name: str
    label: str
    kind: str
    is_required: bool = False
    value: str = ""
    error: str = ""
    hint: str = ""
    longest: int | None = None
    choices: list = field(default_factory=list)
    fields: list = field(default_factory=list)
    blank: "Field | None" = None

    @property
    def is_filled(self):
        return bool(self.value) or any(inner.is_filled for inner in self.fields)


def fields_of(schema: Schema, values=None, error=None):
    """Return the fields of a request with `values` ({dotted name: text}) and `error`, a `schemas.Violation`."""
    whole = _field(schema.resolved, "", "", True, values or {}, error)
    return whole.fields


def _field(tree, name, label, is_required, values, error):
    made = Field(name, label, _kind(tree), is_required, values.get(name, ""), longest=tree.get("maxLength"))
    made.error = error.message if error and error.field == name else ""
    made.hint = HINTS.get(tree.get("format"), "")
    made.choices = [(value, value) for value in tree.get("enum", [])] or [*BOOLEANS.items()]
    if made.kind == "object":
        required = tree.get("required", ())
        for inner, branch in tree.get("properties", {}).items():
            path = f"{name}.{inner}" if name else inner
            made.fields.append(_field(branch, path, inner, inner in required, values, error))
    elif made.kind == "list":
        items = [*(_numbers(name, values) or ["0"] * is_required), BLANK]
        item_fields = [_field(tree["items"], f"{name}.{n}", label, False, values, error) for n in items]
        made.fields, made.blank = item_fields[:-1], item_fields[-1]
    return made


def _kind(tree):
    if "enum" in tree:
        return "choice"
    kind = KINDS.get(tree.get("type"), "text")
    is_long = "format" not in tree and tree.get("maxLength", MAX_LINE + 1) > MAX_LINE
    return "box" if kind == "text" and is_long else kind


def _numbers(name, values):
    numbers = {key[len(name) + 1 :].partition(".")[0] for key in values if key.startswith(f"{name}.")}
    return sorted((n for n in numbers if n.isdecimal() and len(n) < 10), key=int)


NOTHING = object()


def payload_of(schema: Schema, values):
    """Return the payload of a request of `values` ({dotted name: text}) without empty fields.

    Invalid numbers remain texts, so that the schema rejects them.
    """
    payload = _read(schema.resolved, "", values)
    return {} if payload is NOTHING else payload


def _read(tree, name, values):
    kind = _kind(tree)
    if kind == "object":
        inner = {
            key: _read(branch, f"{name}.{key}" if name else key, values)
            for key, branch in tree.get("properties", {}).items()
        }
        filled = {key: value for key, value in inner.items() if value is not NOTHING}
        return filled or NOTHING
    if kind == "list":
        items = [_read(tree["items"], f"{name}.{n}", values) for n in _numbers(name, values)]
        return [item for item in items if item is not NOTHING] or NOTHING
    text = values.get(name, "")
    if text == "" and name not in EMPTY_IS_A_VALUE:
        return NOTHING
    if tree.get("type") == "boolean" and text in BOOLEANS:
        return text == "true"
    return _number(text) if kind == "number" else text


def _number(text):
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if DECIMAL.fullmatch(text) else text
