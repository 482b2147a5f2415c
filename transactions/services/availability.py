"""Uptime of chargers by two definitions, and their most frequent faults.

A port is an EVSE, with all its connectors. A charger of which no EVSE is known counts as one port. The measured time
begins when the charger was added. Ports that overlap in several outages count each second once.

- simple: the share of time in which the charger was connected, and neither it nor the port was Faulted.
- NEVI, 23 CFR 680.116(b): (measured - (outage - excluded)) / measured. An outage is also a port that is Unavailable.
  Excluded are outages that an operator has marked so. The rule requires twelve months (525,600 minutes).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from core.db import bulk_sql
from core.ocpp.timestamps import day_bounds
from transactions import sql
from transactions.services import reports
from transactions.services.reports import CHARGER, MONTH, SITE, Selection

PORT = "port"
GROUPS = SITE, CHARGER, PORT, MONTH
HUNDRED = Decimal(100)


@dataclass
class Uptime:
    """Seconds summed over ports. `nevi_outage_s` contains `nevi_excluded_s`."""

    ports: int = 0
    measured_s: int = 0
    outage_s: int = 0
    nevi_outage_s: int = 0
    nevi_excluded_s: int = 0

    @property
    def uptime_percent(self) -> Decimal | None:
        """The simple uptime; None if nothing was measured."""
        return self._percent(self.outage_s)

    @property
    def nevi_uptime_percent(self) -> Decimal | None:
        return self._percent(self.nevi_outage_s - self.nevi_excluded_s)

    def _percent(self, outage_s: int) -> Decimal | None:
        if not self.measured_s:
            return None
        return (HUNDRED * (self.measured_s - outage_s) / self.measured_s).quantize(Decimal("0.001"))

    def add(self, other: "Uptime") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class Line:
    key: dict[str, Any]
    uptime: Uptime


@dataclass
class Report:
    """`zone` as in `reports.Report`."""

    group_by: str
    selection: Selection
    zone: str | None
    lines: list[Line]
    total: Uptime


@dataclass(frozen=True)
class Fault:
    """A fault with these codes began `count` times at `chargers` chargers, and lasted `seconds` in the selection."""

    error_code: str
    vendor_id: str
    vendor_error_code: str
    count: int
    chargers: int
    seconds: int


def availability(user: Any, group_by: str, selection: Selection) -> Report:
    """Return the uptime of the ports of `selection` within reach of `user`, by a name of GROUPS."""
    chargers = reports.reached(user, selection)
    found: dict[tuple[Any, ...], Uptime] = {}
    keys: dict[tuple[Any, ...], dict[str, Any]] = {}
    total, ports = Uptime(), set()
    for month, site, name, identity, charger, evse, *seconds in bulk_sql.query(
        sql.AVAILABILITY, _parameters(chargers, selection, by_month=group_by == MONTH)
    ):
        key: dict[str, Any] = {"site": site, "site_name": name}
        if group_by == MONTH:
            key = {"month": month}
        elif group_by != SITE:
            key = {"charger_id": identity, **key} | ({"evse_id": evse} if group_by == PORT else {})
        group = tuple(key.values())
        keys[group] = key
        one = Uptime(1, *map(int, seconds))
        found.setdefault(group, Uptime()).add(one)
        total.add(one)
        ports.add((charger, evse))
    total.ports = len(ports)
    lines = [Line(keys[group], found[group]) for group in sorted(found, key=_order)]
    return Report(group_by, selection, reports.zone_of(chargers), lines, total)


def _order(group: tuple[Any, ...]) -> tuple[Any, ...]:
    """Order by name, those without a site last."""
    name = group[1] if len(group) == 2 and not isinstance(group[0], str) else group[0]
    return (name is None, name or "", *(value for value in group[1:] if isinstance(value, int)))


def faults(user: Any, selection: Selection) -> list[Fault]:
    """Return the faults of `selection` within reach of `user`, the most frequent first."""
    chargers = reports.reached(user, selection)
    return [Fault(*row) for row in bulk_sql.query(sql.FAULTS, _parameters(chargers, selection))]


def _parameters(chargers: Any, selection: Selection, by_month: bool = False) -> dict[str, Any]:
    zones = {str(zone or settings.TIME_ZONE_DISPLAY) for zone in reports.zones(chargers)}
    periods = [
        {"zone": zone, "month": month, "begins": begins, "ends": ends}
        for zone in sorted(zones)
        for month, begins, ends in _periods(selection, ZoneInfo(zone), by_month)
    ]
    return {
        "chargers": bulk_sql.array(chargers.order_by().values_list("pk", flat=True)),
        "periods": bulk_sql.json(periods),
        "zone": settings.TIME_ZONE_DISPLAY,
    }


def _periods(selection: Selection, zone: ZoneInfo, by_month: bool) -> Iterator[tuple[str, Any, Any]]:
    """Yield (month, begin, end) of the selection, or of each of its months, in `zone`."""
    first, last = selection.first, selection.last
    while by_month and (end := _last_of_month(first)) < last:
        yield f"{first:%Y-%m}", day_bounds(first, zone)[0], day_bounds(end, zone)[1]
        first = end + timedelta(days=1)
    yield f"{first:%Y-%m}", day_bounds(first, zone)[0], day_bounds(last, zone)[1]


def _last_of_month(day: date) -> date:
    if (day.year, day.month) == (date.max.year, date.max.month):
        return date.max
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
