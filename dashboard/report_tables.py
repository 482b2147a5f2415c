"""Reports as tables, for the page, for files and for mail."""

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.utils.formats import date_format, number_format
from django.utils.translation import gettext, gettext_lazy

from core.ocpp.timestamps import display_zone
from transactions.services import reports

TEXT, COUNT, WATT_HOURS, SECONDS, MONEY, PERCENT = "text", "count", "watt_hours", "seconds", "money", "percent"
GROUPS = {
    reports.SITE: gettext_lazy("Site"),
    reports.CHARGER: gettext_lazy("Charger"),
    reports.ID_TAG: gettext_lazy("ID tag"),
    reports.DAY: gettext_lazy("Day"),
    reports.MONTH: gettext_lazy("Month"),
}
MONTHS_SHOWN = 25  # that the page offers
PERIOD = re.compile(r"(?!0000)[0-9]{4}(-(0[1-9]|1[0-2]))?")


@dataclass(frozen=True)
class Column:
    """`name` is the head in CSV, as in REST; `label` that on the page, in XLSX and in PDF."""

    name: str
    label: str
    kind: str = COUNT


@dataclass
class Table:
    """A report. `details` are (name, value) of the selection. `charted` is the index of the column to draw."""

    title: str
    details: list[tuple[str, str]]
    columns: list[Column]
    rows: list[list[Any]]
    totals: list[Any]
    charted: int | None = None
    is_complete: bool = True


@dataclass(frozen=True)
class Choice:
    """What a report shows. `period` is a month such as 2026-10, or a year; `site` the id or name of a site, or ""."""

    report: str = "energy"
    group_by: str = reports.SITE
    period: str = ""
    site: str = ""
    days: tuple[date, date] | None = field(default=None)

    @property
    def bounds(self) -> tuple[date, date]:
        """The first and the last day."""
        return self.days or bounds_of(self.period)


def period_of(text: str) -> str:
    """Return `text` if it is a month such as 2026-10, or a year; else the present month."""
    return text if PERIOD.fullmatch(text) else f"{datetime.now(display_zone()):%Y-%m}"


def bounds_of(text: str) -> tuple[date, date]:
    """Return the first and the last day of the period, see `period_of`."""
    year, _, month = period_of(text).partition("-")
    first, last = (int(month), int(month)) if month else (1, 12)
    return date(int(year), first, 1), date(int(year), last, calendar.monthrange(int(year), last)[1])


def periods() -> list[str]:
    """Return the periods that the page offers: the latest months, then their years."""
    today = datetime.now(display_zone()).date()
    count = today.year * 12 + today.month - 1
    months = [f"{n // 12:04}-{n % 12 + 1:02}" for n in range(count, count - MONTHS_SHOWN, -1)]
    return months + sorted({month[:4] for month in months}, reverse=True)


def file_name(choice: Choice, kind: str) -> str:
    """Return a file name that needs no quoting."""
    first, last = choice.bounds
    return f"{choice.report}-by-{choice.group_by}-{first}-{last}.{kind}"


def energy(user: Any, choice: Choice) -> Table:
    """Return the report of energy, sessions and cost for `user`."""
    first, last = choice.bounds
    report = reports.energy(user, choice.group_by, reports.Selection(first, last, choice.site))
    currencies = sorted(report.totals.cost)
    keys = _key_columns(choice.group_by)
    columns = [
        *keys,
        Column("sessions", gettext("Sessions")),
        Column("sessions_charged", gettext("With energy")),
        Column("sessions_without_energy", gettext("Energy unknown")),
        Column("energy_wh", gettext("Energy"), WATT_HOURS),
        Column("duration_seconds", gettext("Duration"), SECONDS),
        *(Column(f"cost_{currency}", f"{gettext('Cost')} ({currency})", MONEY) for currency in currencies),
    ]

    def sums(totals: reports.Totals) -> list[Any]:
        counts = [totals.sessions, totals.charged, totals.without_energy, totals.energy_wh, totals.duration_s]
        return [*counts, *(totals.cost.get(currency) for currency in currencies)]

    rows = [[_key(line.key[column.name]) for column in keys] + sums(line.totals) for line in report.lines]
    totals = [gettext("Total"), *[""] * (len(keys) - 1), *sums(report.totals)]
    return Table(
        gettext("Energy and sessions"),
        details(choice, report.zone),
        columns,
        rows,
        totals,
        charted=len(keys) + 3,
        is_complete=report.is_complete,
    )


def _key_columns(group_by: str) -> list[Column]:
    site = Column("site_name", gettext("Site"), TEXT)
    if group_by == reports.SITE:
        return [site]
    if group_by == reports.CHARGER:
        return [Column("charger_id", gettext("Charger"), TEXT), site]
    return [Column(group_by, str(GROUPS[group_by]), TEXT)]


def _key(value: Any) -> Any:
    return gettext("Without a site") if value is None else value


def details(choice: Choice, zone: str | None) -> list[tuple[str, str]]:
    """Return (name, value) of the selection, with the time zone of its days."""
    period = " – ".join(date_format(day, "SHORT_DATE_FORMAT") for day in choice.bounds)
    return [
        (gettext("Period"), period),
        (gettext("Time zone"), zone or gettext("that of each charger's site")),
    ]


def shown(kind: str, value: Any) -> str:
    """Format a value of a column of `kind` for people, in the present language."""
    if value is None:
        return "–"
    if isinstance(value, date):
        return date_format(value, "SHORT_DATE_FORMAT")
    if value == "" or kind == TEXT:
        return str(value)
    return _FORMATS[kind](value)


def _hours(seconds: int) -> str:
    return f"{number_format(seconds // 3600, force_grouping=True)}:{seconds // 60 % 60:02}"


_FORMATS: dict[str, Callable[[Any], str]] = {
    COUNT: lambda value: number_format(value, force_grouping=True),
    WATT_HOURS: lambda value: f"{number_format(Decimal(value) / 1000, 2, force_grouping=True)} kWh",
    SECONDS: lambda value: f"{_hours(value)} h",
    MONEY: lambda value: number_format(value, 2, force_grouping=True),
    PERCENT: lambda value: f"{number_format(value, 2)} %",
}
