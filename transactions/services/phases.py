"""Combine the readings of one moment whose measurand was reported for several phases."""

from collections.abc import Mapping
from typing import TypeVar

Number = TypeVar("Number", int, float)

TOTAL = ""  # the phase of a reading of all phases together
# Some chargers send phases both against each other and against neutral, so the first family with a reading counts.
FAMILIES = (("L1", "L2", "L3"), ("L1-N", "L2-N", "L3-N"))


def of_all_phases(phases: Mapping[str, Number]) -> Number | None:
    """Return the value of all phases together, or else the sum of the phases of `{phase: value}`.

    A total of 0 does not count beside phases, because some meters send it without measuring it. None means that
    there is neither.
    """
    total = phases.get(TOTAL)
    if total or len(phases) == (total is not None):
        return total
    for family in FAMILIES:
        if measured := [phases[phase] for phase in family if phase in phases]:
            return sum(measured)
    return total


def of_all_phases_sql(value: str) -> str:
    """Return an SQL aggregate like `of_all_phases` over rows with a `phase`, one for each, and the column `value`."""
    families = [f"sum({value}) FILTER (WHERE phase IN ({', '.join(map(repr, family))}))" for family in FAMILIES]
    total = f"max({value}) FILTER (WHERE phase = '{TOTAL}')"
    return f"coalesce(nullif({total}, 0), {', '.join(families)}, {total})"
