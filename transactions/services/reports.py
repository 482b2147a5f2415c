"""Reports of energy, sessions, duration and cost, made of the totals of days.

A session that has ended belongs to the local day on which it began, in the zone of its charger's site, and a session
under way to none. Days are inclusive.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Generic, Protocol, TypeVar

from django.conf import settings
from django.db.models import QuerySet

from chargers.models import Charger
from chargers.services import access
from chargers.services.sites import by_id_or_name
from core.db import bulk_sql
from transactions import sql
from transactions.services.day_totals import SESSIONS, DayTotals

GROUPS = SITE, CHARGER, ID_TAG, DAY, MONTH = "site", "charger", "id_tag", "day", "month"
PORTIONS_OF_A_READER = 1  # of stale days that are computed before a report is read
EVERYTHING = 2**62
NO_DAYS = date.max, date.min


@dataclass(frozen=True)
class Selection:
    """The days and chargers of a report. `site` is an id or a name; None and "" exclude nothing.

    `id_tag` is for reports of sessions, `action` for those of commands.
    """

    first: date
    last: date
    site: Any = None
    charger_id: str | None = None
    id_tag: str | None = None
    action: str | None = None


@dataclass(frozen=True)
class Part:
    """The lines of a report that are read: `limit` of them after `offset`, and the `largest` for a chart.

    The totals are those of all lines in any case.
    """

    offset: int = 0
    limit: int = EVERYTHING
    largest: int = 0


WHOLE = Part()


def percent(part: int, whole: int) -> Decimal | None:
    """Return the share of `part` in percent, None if there is nothing."""
    return (Decimal(100) * part / whole).quantize(Decimal("0.01")) if whole else None


@dataclass
class Totals:
    """Sums over sessions: energy in Wh, duration in s, cost by currency.

    `charged` sessions have an energy above 0, `without_energy` an unknown one. `succeeded` are those `charged` that
    ended for a usual reason.
    """

    sessions: int = 0
    charged: int = 0
    succeeded: int = 0
    without_energy: int = 0
    energy_wh: int = 0
    duration_s: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict)

    @property
    def interrupted(self) -> int:
        """The number of sessions with energy that ended for another reason, such as a fault."""
        return self.charged - self.succeeded

    @property
    def failed_starts(self) -> int:
        """The number of sessions that ended without any energy."""
        return self.sessions - self.charged - self.without_energy

    @property
    def success_percent(self) -> Decimal | None:
        return percent(self.succeeded, self.sessions)

    def add(self, currency: str, /, *sums: Any) -> None:
        """Add the sums of sessions with costs in `currency`, in the order of `sql.SESSION_SUMS`."""
        *counts, cost = sums
        for name, count in zip(sql.SESSION_SUMS, counts, strict=False):
            setattr(self, name, getattr(self, name) + int(count))
        if currency:
            self.cost[currency] = cost


class Sums(Protocol):
    """The sums of a line, to which rows of `sql.report` are added."""

    def add(self, split: str, /, *sums: Any) -> None: ...


T = TypeVar("T", bound=Sums)


@dataclass
class Line(Generic[T]):
    """One row of a report. `key` names it as in REST: a charger has its site, too."""

    key: dict[str, Any]
    totals: T


@dataclass
class Report(Generic[T]):
    """`zone` is the zone of all chargers of the selection, None if they have several.

    `is_complete` is false while rows have changed of which the totals are not computed yet. `lines` are those of the
    `Part` that was requested, of `count`; `largest` are those with the largest sum.
    """

    group_by: str
    selection: Selection
    zone: str | None
    is_complete: bool
    lines: list[Line[T]]
    totals: T
    count: int
    largest: list[Line[T]]


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of reports: its totals, `sql.report` by (group, narrowed), and the class that holds the sums of a line.

    `own` is the member of `Selection` that restricts it to one value of its own column. `days_only` are the groups
    that totals of months do not have.
    """

    day_totals: DayTotals
    statements: Mapping[tuple[str, bool], str]
    sums: Callable[[], T]
    own: str
    days_only: tuple[str, ...]


ENERGY = Kind(SESSIONS, sql.ENERGY, Totals, ID_TAG, (DAY, ID_TAG))
SUCCESS = Kind(SESSIONS, sql.SUCCESS, Totals, ID_TAG, (DAY, ID_TAG))


def energy(user: Any, group_by: str, selection: Selection, part: Part = WHOLE) -> Report[Totals]:
    """Return the report of the sessions of `selection` at chargers within reach of `user`, by a name of GROUPS."""
    return read(ENERGY, user, group_by, selection, part)


def success(user: Any, group_by: str, selection: Selection, part: Part = WHOLE) -> Report[Totals]:
    """Return the same report, in which the largest lines are those with the most sessions."""
    return read(SUCCESS, user, group_by, selection, part)


def read(kind: Kind[T], user: Any, group_by: str, selection: Selection, part: Part) -> Report[T]:
    """Return the report of `kind`."""
    kind.day_totals.update(PORTIONS_OF_A_READER)
    chargers = reached(user, selection)
    is_narrowed = not _is_everything(user, selection)
    own = getattr(selection, kind.own) or ""
    parameters = _days(selection, own and kind.own in kind.days_only or group_by in kind.days_only)
    parameters |= {"own": own, **{item.name: getattr(part, item.name) for item in fields(part)}}
    if is_narrowed:
        parameters["chargers"] = bulk_sql.array(chargers.order_by().values_list("pk", flat=True))
    totals, count = kind.sums(), 0
    found: dict[int, tuple[int, Line[T]]] = {}
    for place, rank, *columns in bulk_sql.query(kind.statements[group_by, is_narrowed], parameters):
        width = _WIDTHS.get(group_by, 1)
        if place is None:
            count, line_totals = rank, totals
        else:
            key = _KEYS.get(group_by, _named)(group_by, columns[:width])
            line_totals = found.setdefault(place, (rank, Line(key, kind.sums())))[1].totals
        line_totals.add(*columns[width:])
    is_read = range(part.offset + 1, part.offset + part.limit + 1)
    lines = [line for place, (_, line) in found.items() if place in is_read]
    largest = [line for rank, line in sorted(found.values(), key=lambda pair: pair[0]) if rank <= part.largest]
    is_complete = kind.day_totals.is_complete()
    return Report(group_by, selection, zone_of(chargers), is_complete, lines, totals, count, largest)


def _days(selection: Selection, days_only: Any) -> dict[str, Any]:
    """Return the first and the last day of the months that are whole, and of the days before and after them."""
    first, last = selection.first, selection.last
    begin, end = _month_from(first), _month_of_next_day(last)
    periods = {"month": NO_DAYS, "head": (first, last), "tail": NO_DAYS}
    if begin < end and not days_only:
        periods["month"] = begin, end - timedelta(days=1)
        periods["head"] = (first, begin - timedelta(days=1)) if first < begin else NO_DAYS
        periods["tail"] = (end, last)
    return {f"{name}_{end}": day for name, days in periods.items() for end, day in zip(_ENDS, days, strict=True)}


_ENDS = ("first", "last")


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


# --- the keys of the lines, of the columns that `sql.report` returns ------------------------------------------------


def _named(group_by: str, columns: list[Any]) -> dict[str, Any]:
    return {group_by: columns[0]}


def _site(group_by: str, columns: list[Any]) -> dict[str, Any]:
    return {"site": columns[0], "site_name": columns[1]}


def _charger(group_by: str, columns: list[Any]) -> dict[str, Any]:
    return {"charger_id": columns[0], "site": columns[1], "site_name": columns[2]}


_KEYS = {SITE: _site, CHARGER: _charger}
_WIDTHS = {SITE: 2, CHARGER: 3}  # columns of a key
