"""Payloads that are wrong in one way each, made from the schemas, and the error code each deserves (J §4.2.3)."""

import copy
from dataclasses import dataclass

from core.ocpp.versions import OCPP16, OCPP201

MOST, LEAST = 2**31 - 1, -(2**31)
DEEP = 60  # levels that JSON can hold, and no message of OCPP has

# The answer to each kind of fault.
COMMON = {
    "null": "TypeConstraintViolation",
    "wrong type": "TypeConstraintViolation",
    "deep nesting": "TypeConstraintViolation",
    "too long": "PropertyConstraintViolation",
    "below range": "PropertyConstraintViolation",
    "above range": "PropertyConstraintViolation",
    "finer than it may be": "PropertyConstraintViolation",
    "bad enum": "PropertyConstraintViolation",
}
CODES = {
    OCPP16: COMMON
    | {
        "missing": "ProtocolError",
        "unknown member": "FormationViolation",
        "too few": "OccurenceConstraintViolation",
        "too many": "OccurenceConstraintViolation",
    },
    OCPP201: COMMON
    | {
        "missing": "OccurrenceConstraintViolation",
        "unknown member": "FormatViolation",
        "too few": "OccurrenceConstraintViolation",
        "too many": "OccurrenceConstraintViolation",
    },
}
WRONG_TYPE = {"string": 12, "integer": "12", "number": "1.5", "boolean": "true", "object": [], "array": {}}


@dataclass
class Case:
    """`payload` has one `fault`, at `path`."""

    name: str
    path: str
    fault: str
    payload: dict
    code: str

    def __str__(self):
        return f"{self.name} {self.path or '(payload)'}: {self.fault}"


def sample(name, version=OCPP16):
    """A valid payload with every member that schema `name` knows."""
    return _sample(version.schemas.by_name[name].resolved)


def _sample(tree):
    kind = tree.get("type", "string")
    if "enum" in tree:
        return tree["enum"][0]
    if kind == "object":
        return {name: _sample(member) for name, member in _properties(tree, ())}
    if kind == "array":
        return [_sample(tree["items"])] * tree.get("minItems", 1)
    if kind == "string":
        formats = {"date-time": "2026-01-01T00:00:00Z", "uri": "ftp://example.org/"}
        return formats.get(tree.get("format"), "7")
    return {"integer": 1, "number": 1.5, "boolean": True}[kind]


def members(name, version=OCPP16):
    """(path, schema, whether required) of every member of schema `name`, inner ones after their outer one."""
    return _members(version.schemas.by_name[name].resolved)


def cases(name, version=OCPP16):
    """Every fault of every member of schema `name`, each in an otherwise full and valid payload."""
    codes = CODES[version]
    return [Case(name, path, fault, payload, codes[fault]) for path, fault, payload in _faults(name, version)]


def _faults(name, version):
    tree, whole = version.schemas.by_name[name].resolved, sample(name, version)
    for path, member, required in [((), tree, False), *_members(tree)]:
        shown = ".".join(str(step) for step in path)
        if required:
            yield shown, "missing", _without(whole, path)
        for fault, value in _wrong(member) if path else []:
            yield shown, fault, changed(whole, path, value)
        if member.get("type") == "object" and member.get("additionalProperties") is False:
            yield shown, "unknown member", changed(whole, (*path, "nobodyKnowsIt"), 1)


def _properties(tree, path):
    """(name, schema) of the members of an object; `customData`, which is alike everywhere, only of the outermost."""
    return [item for item in tree.get("properties", {}).items() if item[0] != "customData" or not path]


def _members(tree, path=()):
    if tree.get("type") == "object":
        for name, member in _properties(tree, path):
            yield (*path, name), member, name in tree.get("required", ())
            yield from _members(member, (*path, name))
    elif tree.get("type") == "array":
        yield from _members(tree["items"], (*path, 0))


def _wrong(member):
    kind = member.get("type")
    if kind is None:  # any value is valid
        return
    yield "null", None
    yield "wrong type", WRONG_TYPE[kind]
    yield "deep nesting", _nested([] if kind != "array" else {})
    if "maxLength" in member:
        yield "too long", "x" * (member["maxLength"] + 1)
    if "enum" in member:
        yield "bad enum", "Nonsense"
    if kind == "integer":
        yield "below range", int(member.get("minimum", LEAST)) - 1
        yield "above range", int(member.get("maximum", MOST)) + 1
    if "multipleOf" in member:
        yield "finer than it may be", 1.55
    if member.get("minItems"):
        yield "too few", []
    if "maxItems" in member:
        yield "too many", [_sample(member["items"])] * (member["maxItems"] + 1)


def _nested(outer):
    value = [1]
    for _ in range(DEEP):
        value = [value]
    return value if isinstance(outer, list) else {"a": value}


def changed(whole, path, value):
    """The payload `whole` with another value at `path`."""
    copied = copy.deepcopy(whole)
    inner = copied
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return copied


def _without(whole, path):
    copied = copy.deepcopy(whole)
    inner = copied
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return copied
