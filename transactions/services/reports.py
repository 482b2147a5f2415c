"""Reports of energy, sessions, duration and cost, made of the totals of days.

A session that has ended belongs to the local day on which it began, in the zone of its charger's site, and a session
under way to none. Days are inclusive.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import F, QuerySet, Sum

from chargers.models import Charger, Site
from chargers.services import access
from chargers.services.sites import by_id_or_name
from transactions.models import DayTotal, MonthTotal
from transactions.services import day_totals

GROUPS = SITE, CHARGER, ID_TAG, DAY, MONTH = "site", "charger", "id_tag", "day", "month"
COUNTS = ("sessions", "charged", "without_energy", "energy_wh", "duration_s")
SUMMED = (*COUNTS, "cost")
_SUMS = {f"sum_{name}": Sum(name) for name in SUMMED}
PORTIONS_OF_A_READER = 1  # of stale days that are computed before a report is read


@dataclass(frozen=True)
class Selection:
    """The days and chargers of a report. `site` is an id or a name; None and "" exclude nothing."""

    first: date
    last: date
    site: Any = None
    charger_id: str | None = None
    id_tag: str | None = None


@dataclass
class Totals:
    """Sums over sessions: energy in Wh, duration in s, cost by currency.

    `charged` sessions have an energy above 0, `without_energy` an unknown one.
    """

    sessions: int = 0
    charged: int = 0
    without_energy: int = 0
    energy_wh: int = 0
    duration_s: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict)

    def add(self, row: "dict[str, Any] | Totals") -> None:
        """Add the sums of a row of the database, or of other totals."""
        of_row = row if isinstance(row, dict) else vars(row)
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + of_row[name])
        costs = {of_row["currency"]: of_row["cost"]} if "currency" in of_row else of_row["cost"]
        for currency, cost in costs.items():
            if currency:
                self.cost[currency] = self.cost.get(currency, Decimal(0)) + cost


@dataclass
class Line:
    """One row of a report. `key` names it as in REST: a charger has its site, too."""

    key: dict[str, Any]
    totals: Totals


@dataclass
class Report:
    """`zone` is the zone of all chargers of the selection, None if they have several.

    `is_complete` is false while sessions have changed of which the totals are not computed yet.
    """

    group_by: str
    selection: Selection
    zone: str | None
    is_complete: bool
    lines: list[Line]
    totals: Totals


def energy(user: Any, group_by: str, selection: Selection) -> Report:
    """Return the report of the sessions of `selection` at chargers within reach of `user`, by a name of GROUPS."""
    day_totals.update(PORTIONS_OF_A_READER)
    chargers = reached(user, selection)
    column, keyed = _GROUPINGS[group_by]
    by_value: dict[Any, Totals] = {}
    for rows in _parts(group_by, selection):
        if not _is_everything(user, selection):
            rows = rows.filter(charger__in=chargers.order_by().values("pk"))
        grouped = rows.order_by().values("currency", of=F(column)).annotate(**_SUMS)
        for value, currency, *sums in grouped.values_list("of", "currency", *_SUMS):
            found = dict(zip(SUMMED, sums, strict=True)) | {"currency": currency}
            by_value.setdefault(f"{value:%Y-%m}" if group_by == MONTH else value, Totals()).add(found)
    totals = Totals()
    for one in by_value.values():
        totals.add(one)
    keys = keyed(by_value)
    lines = [Line(keys[value], by_value[value]) for value in keys]
    return Report(group_by, selection, zone_of(chargers), day_totals.is_complete(), lines, totals)


def _parts(group_by: str, selection: Selection) -> Iterator[QuerySet[Any]]:
    """Yield the totals of whole months, and those of the days before and after them.

    Each has the day or the first day of its month as `day_`. A group of days or tags has days only.
    """
    days: Any = DayTotal.objects.alias(day_=F("day"))
    if selection.id_tag:
        days = days.filter(id_tag=selection.id_tag)
    first, last = selection.first, selection.last
    begin, end = _month_from(first), _month_of_next_day(last)
    if begin >= end or group_by in (DAY, ID_TAG) or selection.id_tag:
        yield days.filter(day__range=(first, last))
        return
    if first < begin:
        yield days.filter(day__gte=first, day__lt=begin)
    yield MonthTotal.objects.alias(day_=F("month")).filter(month__gte=begin, month__lt=end)
    if end <= last:
        yield days.filter(day__range=(end, last))


def _month_from(day: date) -> date:
    """Return the first day of the first month that begins on `day` or later."""
    if day.day == 1:
        return day
    return date.max if day >= date.max.replace(day=1) else (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def _month_of_next_day(day: date) -> date:
    return (day if day == date.max else day + timedelta(days=1)).replace(day=1)


def reached(user: Any, selection: Selection) -> QuerySet[Charger]:
    """Return the chargers of `selection` that `user` may reach; a site that the user may not see has none."""
    chargers = access.within(user, Charger.objects.all(), "pk")
    if selection.site not in (None, ""):
        site = by_id_or_name(access.sites(user), selection.site)
        chargers = chargers.filter(site=site) if site else chargers.none()
    return chargers.filter(identity=selection.charger_id) if selection.charger_id else chargers


def zone_of(chargers: QuerySet[Charger]) -> str | None:
    """Return the name of the time zone of `chargers`, None if they have several."""
    names = {str(zone or settings.TIME_ZONE_DISPLAY) for zone in zones(chargers)} or {settings.TIME_ZONE_DISPLAY}
    return names.pop() if len(names) == 1 else None


def zones(chargers: QuerySet[Charger]) -> Iterable[Any]:
    """Return the time zones of the sites of `chargers`, None for those without a site."""
    return chargers.order_by().values_list("site__time_zone", flat=True).distinct()


def _is_everything(user: Any, selection: Selection) -> bool:
    return access.reaches_every_charger(user) and not selection.charger_id and selection.site in (None, "")


# --- the keys of the lines, {value of the column: key}, in the order of the report -----------


def _sites(values: Iterable[Any]) -> dict[Any, dict[str, Any]]:
    names = dict(Site.objects.filter(pk__in=[pk for pk in values if pk]).values_list("pk", "name"))
    found = sorted(values, key=lambda pk: (pk not in names, names.get(pk, "")))
    return {pk: {"site": pk, "site_name": names.get(pk)} for pk in found}


def _chargers(values: Iterable[Any]) -> dict[Any, dict[str, Any]]:
    found = Charger.objects.filter(pk__in=list(values)).order_by("identity")
    rows = found.values_list("pk", "identity", "site", "site__name")
    return {pk: {"charger_id": identity, "site": site, "site_name": name} for pk, identity, site, name in rows}


def _named(name: str) -> Callable[[Iterable[Any]], dict[Any, dict[str, Any]]]:
    return lambda values: {value: {name: value} for value in sorted(values)}


_GROUPINGS: dict[str, tuple[str, Callable[[Iterable[Any]], dict[Any, dict[str, Any]]]]] = {
    SITE: ("charger__site", _sites),
    CHARGER: ("charger", _chargers),
    ID_TAG: ("id_tag", _named(ID_TAG)),
    DAY: ("day_", _named(DAY)),
    MONTH: ("day_", _named(MONTH)),
}
