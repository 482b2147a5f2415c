"""Payloads that are wrong in one way each, made from the schemas, and the error code each deserves (J §4.2.3)."""

import copy
from dataclasses import dataclass

from core.ocpp.versions import OCPP16

MOST, LEAST = 2**31 - 1, -(2**31)
DEEP = 60  # levels that JSON can hold, and no message of OCPP has

# The answer to each kind of fault.
CODES = {
    "missing": "ProtocolError",
    "null": "TypeConstraintViolation",
    "wrong type": "TypeConstraintViolation",
    "deep nesting": "TypeConstraintViolation",
    "too long": "PropertyConstraintViolation",
    "below range": "PropertyConstraintViolation",
    "above range": "PropertyConstraintViolation",
    "finer than it may be": "PropertyConstraintViolation",
    "bad enum": "PropertyConstraintViolation",
    "unknown member": "FormationViolation",
    "too few": "OccurenceConstraintViolation",
}
WRONG_TYPE = {"string": 12, "integer": "12", "number": "1.5", "boolean": "true", "object": [], "array": {}}


@dataclass
class Case:
    """`payload` has one `fault`, at `path`."""

    name: str
    path: str
    fault: str
    payload: dict

    @property
    def code(self):
        return CODES[self.fault]

    def __str__(self):
        return f"{self.name} {self.path or '(payload)'}: {self.fault}"


def sample(name):
    """A valid payload with every member that schema `name` knows."""
    return _sample(OCPP16.schemas.by_name[name].resolved)


def _sample(tree):
    kind = tree["type"]
    if "enum" in tree:
        return tree["enum"][0]
    if kind == "object":
        return {name: _sample(member) for name, member in tree.get("properties", {}).items()}
    if kind == "array":
        return [_sample(tree["items"])]
    if kind == "string":
        formats = {"date-time": "2026-01-01T00:00:00Z", "uri": "ftp://example.org/"}
        return formats.get(tree.get("format"), "7")
    return {"integer": 1, "number": 1.5, "boolean": True}[kind]


def members(name):
    """(path, schema, whether required) of every member of schema `name`, inner ones after their outer one."""
    return _members(OCPP16.schemas.by_name[name].resolved)


def cases(name):
    """Every fault of every member of schema `name`, each in an otherwise full and valid payload."""
    return [Case(name, path, fault, payload) for path, fault, payload in _faults(name)]


def _faults(name):
    tree, whole = OCPP16.schemas.by_name[name].resolved, sample(name)
    for path, member, required in [((), tree, False), *_members(tree)]:
        shown = ".".join(str(step) for step in path)
        if required:
            yield shown, "missing", _without(whole, path)
        for fault, value in _wrong(member) if path else []:
            yield shown, fault, _with(whole, path, value)
        if member["type"] == "object":
            yield shown, "unknown member", _with(whole, (*path, "nobodyKnowsIt"), 1)


def _members(tree, path=()):
    if tree["type"] == "object":
        for name, member in tree.get("properties", {}).items():
            yield (*path, name), member, name in tree.get("required", ())
            yield from _members(member, (*path, name))
    elif tree["type"] == "array":
        yield from _members(tree["items"], (*path, 0))


def _wrong(member):
    kind = member["type"]
    yield "null", None
    yield "wrong type", WRONG_TYPE[kind]
    yield "deep nesting", _nested([] if kind != "array" else {})
    if "maxLength" in member:
        yield "too long", "x" * (member["maxLength"] + 1)
    if "enum" in member:
        yield "bad enum", "Nonsense"
    if kind == "integer":
        yield "below range", member.get("minimum", LEAST) - 1
        yield "above range", member.get("maximum", MOST) + 1
    if "multipleOf" in member:
        yield "finer than it may be", 1.55
    if member.get("minItems"):
        yield "too few", []


def _nested(outer):
    value = [1]
    for _ in range(DEEP):
        value = [value]
    return value if isinstance(outer, list) else {"a": value}


def _with(whole, path, value):
    changed = copy.deepcopy(whole)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


def _without(whole, path):
    changed = copy.deepcopy(whole)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return changed
