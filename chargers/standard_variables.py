"""Facts about the variables that OCPP 2.0.1 standardises, from its device model; `standard_variables.csv` has them.

A row with an instance is about that instance only; one without is about all others. A row without a component is
about every component that has no row of its own for this variable.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_suffix(".csv")


@dataclass(frozen=True)
class StandardVariable:
    """A variable of the standard. `is_required` says that a charger with its component must have it.

    `unit` has several ones separated by "|", "" if there is none. For texts and lists `max_limit` is a length.
    """

    component: str
    variable: str
    instance: str
    is_required: bool
    data_type: str
    unit: str
    min_limit: float | None
    max_limit: float | None
    values_list: tuple[str, ...]
    description: str


def find(component: str, variable: str, instance: str = "") -> StandardVariable | None:
    """Return the facts about a variable, None if the standard does not have it. Names are compared without case."""
    table, names = _table(), (component.casefold(), variable.casefold(), instance.casefold())
    keys = names, (names[0], names[1], ""), ("", names[1], "")
    return next((table[key] for key in keys if component and key in table), None)


@cache
def _table() -> dict[tuple[str, str, str], StandardVariable]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [_row(row) for row in csv.DictReader(file)]
    return {(row.component.casefold(), row.variable.casefold(), row.instance.casefold()): row for row in rows}


def _row(row: dict[str, str]) -> StandardVariable:
    return StandardVariable(
        component=row["component"],
        variable=row["variable"],
        instance=row["instance"],
        is_required=row["required"] == "yes",
        data_type=row["data_type"],
        unit=row["unit"],
        min_limit=_number(row["min_limit"]),
        max_limit=_number(row["max_limit"]),
        values_list=tuple(row["values_list"].split("|")) if row["values_list"] else (),
        description=row["description"],
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
