"""Compute the curves of a transaction from its readings."""

from datetime import datetime
from typing import TypedDict

from transactions.models import MeterValue, Transaction
from transactions.services.energy import IMPORT_REGISTER as ENERGY
from transactions.services.phases import TOTAL, of_all_phases
from transactions.services.readings import POWER, WATT_HOURS, WATTS

MAX_POINTS = 1000  # per curve, because a screen has no more
UNITS = {ENERGY: WATT_HOURS, POWER: WATTS}
Points = dict[datetime, dict[str, dict[str, float]]]  # {moment: {measurand: {phase: value}}}


class Curves(TypedDict):
    """The curves of a transaction: the values at the moments `at`, None where there is no reading."""

    at: list[float]  # seconds since 1970
    power: list[float | None]  # kW
    energy: list[float | None]  # kWh
    soc: list[float | None]  # %


def of(transaction: Transaction) -> Curves:
    """Return the curves of `transaction`, with at most about MAX_POINTS moments.

    Energy counts from the start, as in `Transaction.energy_wh`. Readings of single phases are summed.
    """
    read = MeterValue.objects.filter(transaction=transaction, location="Outlet", number__isnull=False)
    read = read.filter(measurand__in=(ENERGY, POWER, "SoC")).order_by("timestamp", "id")
    points: Points = {}
    for at, measurand, number, unit, phase in read.values_list("timestamp", "measurand", "number", "unit", "phase"):
        assert number is not None  # by the filter
        points.setdefault(at, {}).setdefault(measurand, {})[phase] = float(number) * _scale(measurand, unit)
    points = _thinned(points)
    moments = list(points)
    energy = [of_all_phases(points[at].get(ENERGY, {})) for at in moments]
    return {
        "at": [round(at.timestamp(), 3) for at in moments],
        "power": [of_all_phases(points[at].get(POWER, {})) for at in moments],
        "energy": [None if kwh is None else transaction.energy_at(kwh * 1000) / 1000 for kwh in energy],
        "soc": [points[at].get("SoC", {}).get(TOTAL) for at in moments],
    }


def _thinned(points: Points) -> Points:
    """Merge neighbouring moments into at most about MAX_POINTS, each with the last reading of each measurand."""
    moments, many = list(points), len(points) // MAX_POINTS + 1
    together = [moments[n : n + many] for n in range(0, len(moments), many)]
    return {group[-1]: {name: read for at in group for name, read in points[at].items()} for group in together}


def _scale(measurand: str, unit: str) -> float:
    """Return the factor that converts `unit` to kW or kWh."""
    return UNITS[measurand].get(unit, 1) / 1000 if measurand in UNITS else 1
