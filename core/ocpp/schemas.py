"""The JSON schemas of one OCPP version: a request and a response for each action, each compiled once."""

import json
from collections.abc import Callable, Mapping
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, cast

import jsonschema_rs

INT32 = {"minimum": -(2**31), "maximum": 2**31 - 1}
OTHER = "PropertyConstraintViolation"  # the error code for keywords that are not in the table of a version

JSON = dict[str, Any]
Amendment = Callable[["Schemas", str, JSON], JSON]


class Violation(Exception):
    """A payload breaks its schema: `field` is a path like `chargingProfile.stackLevel`, "" for the whole."""

    def __init__(self, field: str, message: str, code: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field, self.message, self.code = field, message, code


def is_multiple(value: float, step: float) -> bool:
    """Whether `value` is a multiple of `step` by the schema keyword `multipleOf`."""
    return _multiple_of(step).is_valid(value)


@cache
def _multiple_of(step: float) -> jsonschema_rs.Draft4Validator:
    return jsonschema_rs.Draft4Validator({"multipleOf": step})


def bounded(tree: Any, names: frozenset[str]) -> Any:
    """Bound integers to 32 bits and the members `names` to 0 or more, which the JSON schemas of OCPP omit."""
    if isinstance(tree, dict):
        if tree.get("type") == "integer":
            tree = {**INT32, **tree}
        branches = {key: bounded(branch, names) for key, branch in tree.items()}
        for name in names & branches.keys():
            if "type" in branches[name]:
                branches[name]["minimum"] = 0
        return branches
    if isinstance(tree, list):
        return [bounded(branch, names) for branch in tree]
    return tree


class Schema:
    """The schema of one message. `name` is its action, followed by "Response" for a response.

    `read` returns the tree. `error_codes` is {schema keyword: error code}; other keywords have `OTHER`.
    """

    def __init__(
        self, name: str, read: Callable[[], JSON], error_codes: Mapping[str, str], is_response: bool = False
    ) -> None:
        self.name, self._read, self._error_codes, self.is_response = name, read, error_codes, is_response

    @cached_property
    def tree(self) -> JSON:
        """The JSON schema with the errata applied. It must not be changed."""
        return self._read()

    @cached_property
    def resolved(self) -> JSON:
        """The tree with each `$ref` replaced by its definition."""
        resolved: JSON = _resolved(self.tree, self.tree.get("definitions", {}))
        return resolved

    @cached_property
    def is_valid(self) -> Callable[[Any], bool]:
        """Return whether a payload conforms to the schema; dates and URIs may be any text."""
        return self._validator.is_valid

    @cached_property
    def _validator(self) -> jsonschema_rs.Draft4Validator:
        return jsonschema_rs.Draft4Validator(self.tree, validate_formats=False)

    @cached_property
    def _strict_validator(self) -> jsonschema_rs.Draft4Validator:
        return jsonschema_rs.Draft4Validator(self.tree, validate_formats=True)

    def check(self, payload: Any, formats: bool = False) -> None:
        """Raise `Violation` for the first error of `payload`.

        `formats` asserts dates and URIs, too, for payloads that the central system sends. A date from a charger that
        cannot be parsed is stored as text, not refused (OCPP 1.6 §4.8, §4.10).
        """
        validator = self._strict_validator if formats else self._validator
        if validator.is_valid(payload):
            return
        error = next(validator.iter_errors(payload))
        keyword, kind = str(error.schema_path[-1]), cast(Any, error.kind)  # whose attributes depend on the keyword
        path = list(error.instance_path)
        if keyword == "required":
            path.append(kind.property)
        elif keyword == "additionalProperties":
            path.append(kind.unexpected[0])
        raise Violation(".".join(map(str, path)), error.message, self.error_code(keyword))

    def error_code(self, keyword: str) -> str:
        """Return the error code for a violation of the schema keyword `keyword`."""
        return self._error_codes.get(keyword, OTHER)


def _resolved(branch: Any, definitions: JSON) -> Any:
    if isinstance(branch, dict):
        if "$ref" in branch:
            return _resolved(definitions[branch["$ref"].rpartition("/")[2]], definitions)
        return {key: _resolved(inner, definitions) for key, inner in branch.items() if key != "definitions"}
    return [_resolved(inner, definitions) for inner in branch] if isinstance(branch, list) else branch


class Schemas:
    """The schemas in the files of `folder`; that of a request is called "Reset" + `suffix`.

    `error_codes` is {schema keyword: error code}; other keywords have `OTHER`. `amended(schemas, name, tree)` applies
    the errata to a tree.
    """

    def __init__(self, folder: Path, suffix: str, error_codes: Mapping[str, str], amended: Amendment) -> None:
        self._folder, self._amended = folder, amended
        self.actions = frozenset(path.stem.removesuffix("Response") for path in folder.glob("*Response.json"))
        self.requests = {name: Schema(name, partial(self._read, name, suffix), error_codes) for name in self.actions}
        self.responses = {
            name: Schema(f"{name}Response", partial(self._read, f"{name}Response"), error_codes, is_response=True)
            for name in self.actions
        }
        self.by_name = {schema.name: schema for schema in (*self.requests.values(), *self.responses.values())}

    def _read(self, name: str, suffix: str = "") -> JSON:
        """Read the file of the message `name` and apply the errata."""
        path = self._folder / f"{name}{suffix}.json"
        return self._amended(self, name, json.loads(path.read_text("utf-8-sig")))

    def check_request(self, action: str, payload: Any, formats: bool = False) -> None:
        """Raise `Violation` for the first error of a request, see `Schema.check`."""
        self.requests[action].check(payload, formats)

    def check_response(self, action: str, payload: Any, formats: bool = False) -> None:
        """Raise `Violation` for the first error of a response, see `Schema.check`."""
        self.responses[action].check(payload, formats)
