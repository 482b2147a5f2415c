"""A form for every command, made from its JSON schema; what is filled in becomes its payload."""

import re
from dataclasses import dataclass, field

from core.ocpp import schemas

# Numbers as JSON has them, with spaces around them.
WHOLE = re.compile(r" *-?[0-9]{1,18} *")
DECIMAL = re.compile(r" *-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})? *")
LONG = 200  # characters, past which a text gets a box of its own
BLANK = "__n__"  # where the number of an item goes that is added to a list
KINDS = {"object": "object", "array": "list", "integer": "number", "number": "number"}
EMPTY_IS_A_VALUE = ("value",)  # of ChangeConfiguration
HINTS = {"date-time": "e.g. 2026-01-31T18:00:00Z", "uri": "left empty: a place here"}


class NotAnObject(ValueError):
    """What was written as JSON is none, or no object."""


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


def fields_of(action, told=None, error=None):
    """The fields of `action`, filled with `told` ({dotted name: text}); `error`: a `schemas.Violation` to show."""
    schema = schemas.schema(action)
    whole = _field(schema, schema, "", "", True, told or {}, error)
    return whole.fields


def _field(root, tree, name, label, is_required, told, error):
    tree = _resolved(root, tree)
    made = Field(name, label, _kind(tree), is_required, told.get(name, ""), longest=tree.get("maxLength"))
    made.error = error.message if error and error.field == name else ""
    made.hint = HINTS.get(tree.get("format"), "")
    made.choices = tree.get("enum", [])
    if made.kind == "object":
        required = tree.get("required", ())
        for inner, branch in tree.get("properties", {}).items():
            path = f"{name}.{inner}" if name else inner
            made.fields.append(_field(root, branch, path, inner, inner in required, told, error))
    elif made.kind == "list":
        items = [*(_numbers(name, told) or ["0"] * is_required), BLANK]
        each = [_field(root, tree["items"], f"{name}.{n}", label, False, told, error) for n in items]
        made.fields, made.blank = each[:-1], each[-1]
    return made


def _resolved(root, tree):
    reference = tree.get("$ref")
    return root["definitions"][reference.rpartition("/")[2]] if reference else tree


def _kind(tree):
    if "enum" in tree:
        return "choice"
    kind = KINDS.get(tree.get("type"), "text")
    is_long = "format" not in tree and tree.get("maxLength", LONG + 1) > LONG
    return "box" if kind == "text" and is_long else kind


def _numbers(name, told):
    numbers = {key[len(name) + 1 :].partition(".")[0] for key in told if key.startswith(f"{name}.")}
    return sorted((n for n in numbers if n.isdecimal() and len(n) < 10), key=int)


NOTHING = object()


def payload_of(action, told):
    """The payload that `told` ({dotted name: text}) spells; what was left empty is not in it. Numbers that are none
    stay texts, for the schema to refuse.
    """
    schema = schemas.schema(action)
    payload = _read(schema, schema, "", told)
    return {} if payload is NOTHING else payload


def _read(root, tree, name, told):
    tree = _resolved(root, tree)
    kind = _kind(tree)
    if kind == "object":
        inner = {
            key: _read(root, branch, f"{name}.{key}" if name else key, told)
            for key, branch in tree.get("properties", {}).items()
        }
        filled = {key: value for key, value in inner.items() if value is not NOTHING}
        return filled or NOTHING
    if kind == "list":
        items = [_read(root, tree["items"], f"{name}.{n}", told) for n in _numbers(name, told)]
        return [item for item in items if item is not NOTHING] or NOTHING
    text = told.get(name, "")
    if text == "" and name not in EMPTY_IS_A_VALUE:
        return NOTHING
    return _number(text) if kind == "number" else text


def _number(text):
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if DECIMAL.fullmatch(text) else text
