"""Schemas of OCPP 1.6 from the `ocpp` library with the errata applied, each compiled once."""

import json
from functools import cache
from pathlib import Path

import jsonschema_rs
import ocpp.v16

FOLDER = Path(ocpp.v16.__file__).parent / "schemas"
INT32 = {"minimum": -(2**31), "maximum": 2**31 - 1}

# Every action of OCPP 1.6 and its security extensions, from either side.
ACTIONS = frozenset(path.stem for path in FOLDER.glob("*.json") if not path.stem.endswith("Response"))

# J §4.2.3, table 7, by the schema keyword that was violated. Spellings are those of 1.6 (J errata 5.1, 5.2).
ERROR_CODES = {
    "required": "ProtocolError",
    "type": "TypeConstraintViolation",
    "additionalProperties": "FormationViolation",
    "minItems": "OccurenceConstraintViolation",
    "maxItems": "OccurenceConstraintViolation",
}


class Violation(Exception):
    """A payload breaks its schema: `field` is a path like `chargingProfile.stackLevel`, "" for the whole."""

    def __init__(self, field, message, code):
        super().__init__(f"{field}: {message}" if field else message)
        self.field, self.message, self.code = field, message, code


def is_valid(name, payload):
    """Whether `payload` conforms to schema `name`; dates and URIs may be any text."""
    return _validator(name, False).is_valid(payload)


def is_multiple(value, step):
    """Whether `value` is a multiple of `step` by the schema keyword `multipleOf`."""
    return _multiple_of(step).is_valid(value)


@cache
def _multiple_of(step):
    return jsonschema_rs.Draft4Validator({"multipleOf": step})


def check(name, payload, formats=False):
    """Raise `Violation` for the first error of `payload` against schema `name` ("Reset", "ResetResponse").

    `formats` asserts dates and URIs, too, for payloads that the central system sends. A date from a charger that
    cannot be parsed is stored as text, not refused (OCPP 1.6 §4.8, §4.10).
    """
    validator = _validator(name, formats)
    if validator.is_valid(payload):
        return
    error = next(validator.iter_errors(payload))
    keyword = error.schema_path[-1]
    path = list(error.instance_path)
    if keyword == "required":
        path.append(error.kind.property)
    elif keyword == "additionalProperties":
        path.append(error.kind.unexpected[0])
    field = ".".join(str(step) for step in path)
    raise Violation(field, error.message, ERROR_CODES.get(keyword, "PropertyConstraintViolation"))


@cache
def schema(name):
    """Return the JSON schema of a request ("Reset") or a reply ("ResetResponse"), errata applied."""
    return _bounded(_amended(name, json.loads((FOLDER / f"{name}.json").read_text("utf-8-sig"))))


@cache
def _validator(name, formats):
    return jsonschema_rs.Draft4Validator(schema(name), validate_formats=formats)


def _amended(name, tree):
    """Allow in readings of StopTransaction the units of MeterValues (J errata 2.1; 1.6 errata, Frequency)."""
    if name == "StopTransaction":
        readings = tree["properties"]["transactionData"]["items"]["properties"]["sampledValue"]["items"]
        sampled = schema("MeterValues")["properties"]["meterValue"]["items"]["properties"]["sampledValue"]["items"]
        readings["properties"]["unit"] = sampled["properties"]["unit"]
    return tree


def _bounded(tree):
    """Bound integers to 32 bits and connector ids to 0 or more, which the JSON schemas of OCPP 1.6 omit."""
    if isinstance(tree, dict):
        if tree.get("type") == "integer":
            tree = {**INT32, **tree}
        bounded = {key: _bounded(branch) for key, branch in tree.items()}
        if "type" in bounded.get("connectorId", ()):
            bounded["connectorId"]["minimum"] = 0
        return bounded
    if isinstance(tree, list):
        return [_bounded(branch) for branch in tree]
    return tree
