"""Whether the value of a variable fits its type, limits and list, as the charger reported them or by the standard."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from chargers import standard_variables
from chargers.models import Variable
from chargers.services.variables import VariableName
from core.ocpp import timestamps

INTEGER, DECIMAL = re.compile(r"-?(0|[1-9]\d{0,17})"), re.compile(r"-?\d{1,18}(\.\d{1,18})?")
BOOLEANS = ("true", "false")
LISTS = ("MemberList", "SequenceList")  # a value is several of the list, separated by commas
NUMBERS = {"integer": (INTEGER, "a whole number"), "decimal": (DECIMAL, "a number")}
Characteristics = Mapping[str, Any]


def objection(value: str, characteristics: Characteristics) -> str:
    """Return a sentence that says why `value` does not fit `characteristics`, "" if it does.

    `characteristics` may have data_type, min_limit, max_limit and values_list. Unknown types are not checked.
    """
    kind = characteristics.get("data_type")
    if kind in NUMBERS:
        return _no_number(value, characteristics)
    if kind == "boolean" and value not in BOOLEANS:
        return f"{value!r} is neither true nor false."
    if kind == "dateTime" and timestamps.parse(value) is None:
        return f"{value!r} is no time, such as 2030-01-31T12:00:00Z."
    if kind in (*LISTS, "OptionList") and (refusal := _not_listed(value, kind, characteristics)):
        return refusal
    longest = _number(characteristics.get("max_limit"))
    return f"It has {len(value)} characters, and {longest:g} at most." if longest and len(value) > longest else ""


def _no_number(value: str, characteristics: Characteristics) -> str:
    pattern, meant = NUMBERS[characteristics["data_type"]]
    if not pattern.fullmatch(value):
        return f"{value!r} is not {meant}."
    lowest, highest = (_number(characteristics.get(name)) for name in ("min_limit", "max_limit"))
    if lowest is not None and Decimal(value) < lowest:
        return f"{value} is less than {lowest:g}."
    if highest is not None and Decimal(value) > highest:
        return f"{value} is more than {highest:g}."
    return ""


def _not_listed(value: str, kind: str, characteristics: Characteristics) -> str:
    known = characteristics.get("values_list") or []
    chosen = [part.strip() for part in value.split(",")] if kind in LISTS else [value]
    odd = [part for part in chosen if part and part not in known] if known else []
    return f"{', '.join(odd)} is none of {', '.join(known)}." if odd else ""


def _number(limit: object) -> Decimal | None:
    """Return a limit as a number, exactly as reported; None for what is none."""
    return Decimal(str(limit)) if isinstance(limit, int | float) and not isinstance(limit, bool) else None


def objection_of_standard(name: VariableName, value: str) -> str:
    """Return what `objection` says of the facts of the standard, "" for variables that it does not have."""
    known = standard_variables.find(name.component, name.variable, name.instance)
    return objection(value, asdict(known)) if known else ""


def limits(variable: Variable) -> tuple[Decimal | None, Decimal | None]:
    """Return the lowest and the highest value that the charger reported, None where it reported none."""
    reported = variable.characteristics or {}
    return _number(reported.get("min_limit")), _number(reported.get("max_limit"))


def choices(variable: Variable) -> list[str]:
    """Return the values that the charger reported as possible, [] if it reported none."""
    return (variable.characteristics or {}).get("values_list") or []
