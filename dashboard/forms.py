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
HIDDEN = ("customData",)  # members for which a form has no fields
# Members that the schema requires, and that are completed at submission: the path without the numbers of list items,
# after the action where it is the name of a member that other actions need.
COMPLETED = frozenset(
    {
        *("requestId", "remoteStartId", "versionNumber", "listVersion", "ReserveNow.id", "ReserveNow.reservationId"),
        *("chargingProfile.id", "chargingProfile.chargingProfileId", "csChargingProfiles.chargingProfileId"),
        *("chargingProfile.chargingSchedule.id", "SetDisplayMessage.message.id", "log.remoteLocation"),
    }
)
ITEM = re.compile(r"\.(\d+|__n__)(?=\.|$)")  # the number of a list item in a path
BOOLEANS = {"true": gettext_lazy("Yes"), "false": gettext_lazy("No")}
# Members that are sent empty if another member of their object is not: a value may be cleared.
EMPTY_IS_A_VALUE = ("value", "attributeValue")
HINTS = {
    "date-time": gettext_lazy("e.g. 2026-01-31T18:00:00Z"),
    "uri": gettext_lazy("leave empty to use a location on this server"),
}
COMPLETED_HINT = gettext_lazy("filled in if empty")


class NotAnObject(ValueError):
    """The text is not JSON, or not a JSON object."""


@dataclass
class Field:
    """An input, or a group of them: `kind` is text, box, number, choice, file, object or list."""

    name: str
    label: str
    kind: str
    is_required: bool = False
    value: str = ""
    error: str = ""
    hint: str = ""
    longest: int | None = None
    picker: str = ""  # the name of the suggestions for it, see `dashboard.pickers`
    is_item: bool = False  # of a list
    fills: str = ""  # the member beside it that a chosen suggestion sets
    choices: list = field(default_factory=list)
    fields: list = field(default_factory=list)
    blank: "Field | None" = None

    @property
    def is_filled(self):
        """Return whether it, or a field in it, has a value or an error."""
        return bool(self.value or self.error) or any(inner.is_filled for inner in self.fields)


def fields_of(schema: Schema, values=None, error=None):
    """Return the fields of a request with `values` ({dotted name: text}) and `error`, a `schemas.Violation`."""
    whole = _field(schema.resolved, "", "", True, values or {}, error)
    for leaf in leaves(whole.fields):
        path = path_of(leaf.name)
        if {path, f"{schema.name}.{path}"} & COMPLETED:
            leaf.is_required, leaf.hint = False, leaf.hint or COMPLETED_HINT
    return whole.fields


def path_of(name):
    """Return the path of a field without the numbers of list items."""
    return ITEM.sub("", name)


def leaves(fields):
    """Yield all fields that are no groups, those of new list items included."""
    for each in fields:
        if each.kind in ("object", "list"):
            yield from leaves([*each.fields, *([each.blank] if each.blank else [])])
        else:
            yield each


def _field(tree, name, label, is_required, values, error):
    made = Field(name, label, _kind(tree), is_required, values.get(name, ""), longest=tree.get("maxLength"))
    made.error = error.message if error and error.field == name else ""
    made.hint = HINTS.get(tree.get("format"), "")
    made.choices = [(value, value) for value in tree.get("enum", [])] or [*BOOLEANS.items()]
    if made.kind == "object":
        required = tree.get("required", ())
        for inner, branch in _members(tree):
            path = f"{name}.{inner}" if name else inner
            made.fields.append(_field(branch, path, inner, inner in required, values, error))
    elif made.kind == "list":
        items = [*(_numbers(name, values) or ["0"] * is_required), BLANK]
        item_fields = [_field(tree["items"], f"{name}.{n}", label, False, values, error) for n in items]
        for item in item_fields:
            item.is_item = True
        made.fields, made.blank = item_fields[:-1], item_fields[-1]
    return made


def _members(tree):
    """Return the pairs of name and schema of the members of a form, the required ones first."""
    members = [(name, branch) for name, branch in tree.get("properties", {}).items() if name not in HIDDEN]
    return sorted(members, key=lambda member: member[0] not in tree.get("required", ()))


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
    return _read(schema.resolved, "", values)


def _read(tree, name, values):
    kind = _kind(tree)
    if kind == "object":
        inner = {key: _read(branch, f"{name}.{key}" if name else key, values) for key, branch in _members(tree)}
        filled = {key: value for key, value in inner.items() if value is not NOTHING}
        return _with_empty(tree, filled) if filled or not name else NOTHING
    if kind == "list":
        items = [_read(tree["items"], f"{name}.{n}", values) for n in _numbers(name, values)]
        return [item for item in items if item is not NOTHING] or NOTHING
    text = values.get(name, "")
    if text == "":
        return NOTHING
    if tree.get("type") == "boolean" and text in BOOLEANS:
        return text == "true"
    return _number(text) if kind == "number" else text


def _with_empty(tree, filled):
    """Return `filled` with the required members that may be empty: values, and objects without required members."""
    absent = {name: branch for name, branch in _members(tree) if name in tree.get("required", ())}
    empty = {name: {} for name, branch in absent.items() if _kind(branch) == "object" and not branch.get("required")}
    empty |= {name: "" for name in EMPTY_IS_A_VALUE if absent.get(name, {}).get("type") == "string"}
    return empty | filled


def _number(text):
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if DECIMAL.fullmatch(text) else text
