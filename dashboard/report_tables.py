"""Reports as tables, for the page, for files and for mail."""

import calendar
import heapq
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.formats import date_format, number_format
from django.utils.translation import gettext, gettext_lazy

from commands.models.command_totals import COUNTS
from commands.services import command_reports
from core.ocpp.timestamps import display_zone
from transactions.services import availability, reports
from transactions.services.reports import WHOLE, Part

TEXT, COUNT, WATT_HOURS, SECONDS, MONEY, PERCENT = "text", "count", "watt_hours", "seconds", "money", "percent"
GROUPS = {
    reports.SITE: gettext_lazy("Site"),
    reports.CHARGER: gettext_lazy("Charger"),
    reports.ID_TAG: gettext_lazy("ID tag"),
    command_reports.ACTION: gettext_lazy("Command"),
    reports.DAY: gettext_lazy("Day"),
    reports.MONTH: gettext_lazy("Month"),
    availability.PORT: gettext_lazy("EVSE"),
}
ENERGY, SESSIONS, COMMANDS = "energy", "sessions", "commands"
AVAILABILITY, FAULTS = "availability", "faults"
TITLES = {
    ENERGY: gettext_lazy("Energy and sessions"),
    SESSIONS: gettext_lazy("Success of sessions"),
    COMMANDS: gettext_lazy("Success of commands"),
    AVAILABILITY: gettext_lazy("Availability"),
    FAULTS: gettext_lazy("Most frequent faults"),
}
GROUPS_OF = {
    ENERGY: reports.GROUPS,
    SESSIONS: reports.GROUPS,
    COMMANDS: command_reports.GROUPS,
    AVAILABILITY: availability.GROUPS,
    FAULTS: (),
}
VIEW_TRANSACTIONS, VIEW_COMMANDS = "transactions.view_transaction", "commands.view_command"
PERMISSIONS = dict.fromkeys(TITLES, VIEW_TRANSACTIONS) | {COMMANDS: VIEW_COMMANDS}
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
    """A report. `details` are (name, value) of the selection. `charted` is the index of the column to draw.

    `rows` are those of the `Part` that was requested, of `count`, and `largest` those for the chart.
    """

    title: str
    details: list[tuple[str, str]]
    columns: list[Column]
    rows: list[list[Any]]
    totals: list[Any]
    count: int
    largest: list[list[Any]]
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


def before(period: str) -> str:
    """Return the month before a month, the year before a year."""
    year, _, month = period.partition("-")
    if not month:
        return f"{max(int(year) - 1, 1):04}"
    first = max(date(int(year), int(month), 1), date(1, 2, 1)) - timedelta(days=1)
    return f"{first.year:04}-{first.month:02}"


def file_name(choice: Choice, kind: str) -> str:
    """Return a file name that needs no quoting."""
    first, last = choice.bounds
    by = f"-by-{choice.group_by}" if GROUPS_OF[choice.report] else ""
    return f"{choice.report}{by}-{first}-{last}.{kind}"


def table_of(user: Any, choice: Choice, part: Part = WHOLE) -> Table:
    """Return the rows of `part` of the report that `choice` names, of what is within reach of `user`."""
    return _TABLES[choice.report](user, choice, part)


def _selection(choice: Choice) -> reports.Selection:
    return reports.Selection(*choice.bounds, choice.site)


def _made(
    choice: Choice,
    report: reports.Report[Any],
    columns: list[Column],
    values: Callable[[Any], list[Any]],
    charted: str,
) -> Table:
    """Return the table of `report`, with `values` of totals for `columns` after those of the key."""
    keys = _key_columns(choice.group_by)

    def row(line: reports.Line[Any]) -> list[Any]:
        return [_key(line.key[column.name]) for column in keys] + values(line.totals)

    columns = [*keys, *columns]
    return Table(
        str(TITLES[choice.report]),
        details(choice, report.zone),
        columns,
        [row(line) for line in report.lines],
        [gettext("Total"), *[""] * (len(keys) - 1), *values(report.totals)],
        count=report.count,
        largest=[row(line) for line in report.largest],
        charted=[column.name for column in columns].index(charted),
        is_complete=report.is_complete,
    )


def energy(user: Any, choice: Choice, part: Part) -> Table:
    """Return the report of energy, sessions and cost for `user`."""
    report = reports.energy(user, choice.group_by, _selection(choice), part)
    currencies = sorted(report.totals.cost)
    columns = [
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

    return _made(choice, report, columns, sums, "energy_wh")


def sessions(user: Any, choice: Choice, part: Part) -> Table:
    """Return the report of the success of sessions for `user`."""
    report = reports.success(user, choice.group_by, _selection(choice), part)
    columns = [
        Column("sessions", gettext("Sessions")),
        Column("sessions_succeeded", gettext("Succeeded")),
        Column("sessions_interrupted", gettext("Interrupted")),
        Column("failed_starts", gettext("Failed starts")),
        Column("sessions_without_energy", gettext("Energy unknown")),
        Column("success_percent", gettext("Success"), PERCENT),
    ]

    def counts(totals: reports.Totals) -> list[Any]:
        ended = [totals.succeeded, totals.interrupted, totals.failed_starts, totals.without_energy]
        return [totals.sessions, *ended, totals.success_percent]

    return _made(choice, report, columns, counts, "success_percent")


def commands(user: Any, choice: Choice, part: Part) -> Table:
    """Return the report of the success of commands for `user`."""
    report = command_reports.commands(user, choice.group_by, _selection(choice), part)
    columns = [
        Column("commands", gettext("Commands")),
        Column("accepted", gettext("Accepted")),
        Column("refused", gettext("Refused")),
        Column("failed", gettext("Failed")),
        Column("timed_out", gettext("Timed out")),
        Column("not_connected", gettext("Not connected")),
        Column("cancelled", gettext("Cancelled")),
        Column("simulated", gettext("Simulated")),
        Column("confirmed", gettext("Effect seen")),
        Column("not_seen", gettext("Effect not seen")),
        Column("success_percent", gettext("Success"), PERCENT),
        Column("confirmed_percent", gettext("Effects seen"), PERCENT),
    ]

    def counts(one: command_reports.Counts) -> list[Any]:
        return [*(getattr(one, name) for name in COUNTS), one.success_percent, one.confirmed_percent]

    return _made(choice, report, columns, counts, "success_percent")


def uptime(user: Any, choice: Choice, part: Part) -> Table:
    """Return the report of availability for `user`."""
    report = availability.availability(user, choice.group_by, _selection(choice))
    keys = _key_columns(choice.group_by)
    columns = [
        *keys,
        Column("ports", gettext("Ports")),
        Column("measured_seconds", gettext("Measured"), SECONDS),
        Column("outage_seconds", gettext("Offline or faulted"), SECONDS),
        Column("uptime_percent", gettext("Uptime"), PERCENT),
        Column("nevi_outage_seconds", gettext("Outage (NEVI)"), SECONDS),
        Column("nevi_excluded_seconds", gettext("Excluded (NEVI)"), SECONDS),
        Column("nevi_uptime_percent", gettext("Uptime (NEVI)"), PERCENT),
    ]

    def values(one: availability.Uptime) -> list[Any]:
        simple = [one.ports, one.measured_s, one.outage_s, one.uptime_percent]
        return [*simple, one.nevi_outage_s, one.nevi_excluded_s, one.nevi_uptime_percent]

    def row(line: availability.Line) -> list[Any]:
        return [_key(line.key[column.name]) for column in keys] + values(line.uptime)

    largest = report.lines
    if choice.group_by != reports.MONTH:
        largest = heapq.nlargest(part.largest, largest, key=lambda line: line.uptime.outage_s)
    return Table(
        str(TITLES[AVAILABILITY]),
        details(choice, report.zone),
        columns,
        [row(line) for line in report.lines[part.offset : part.offset + part.limit]],
        [gettext("Total"), *[""] * (len(keys) - 1), *values(report.total)],
        count=len(report.lines),
        largest=[row(line) for line in largest],
        charted=len(keys) + 2,
    )


def faults(user: Any, choice: Choice, part: Part) -> Table:
    """Return the report of the most frequent faults for `user`."""
    selection = _selection(choice)
    found = availability.faults(user, selection)
    columns = [
        Column("error_code", gettext("Error code"), TEXT),
        Column("vendor_id", gettext("Vendor"), TEXT),
        Column("vendor_error_code", gettext("Vendor error code"), TEXT),
        Column("count", gettext("Count")),
        Column("chargers", gettext("Chargers")),
        Column("seconds", gettext("Duration"), SECONDS),
    ]
    rows = [list(vars(fault).values()) for fault in found]
    shown = rows[part.offset : part.offset + part.limit]
    totals = [
        gettext("Total"),
        "",
        "",
        sum(fault.count for fault in found),
        "",
        sum(fault.seconds for fault in found),
    ]
    chosen = details(choice, reports.zone_of(reports.reached(user, selection)))
    return Table(
        str(TITLES[FAULTS]), chosen, columns, shown, totals, count=len(rows), largest=rows[: part.largest], charted=3
    )


_TABLES = {ENERGY: energy, SESSIONS: sessions, COMMANDS: commands, AVAILABILITY: uptime, FAULTS: faults}


def _key_columns(group_by: str) -> list[Column]:
    site = Column("site_name", gettext("Site"), TEXT)
    if group_by == reports.SITE:
        return [site]
    if group_by in (reports.CHARGER, availability.PORT):
        evse = [Column("evse_id", gettext("EVSE"), TEXT)] if group_by == availability.PORT else []
        return [Column("charger_id", gettext("Charger"), TEXT), *evse, site]
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
    WATT_HOURS: lambda value: f"{number_format(round(Decimal(value) / 1000, 2), 2, force_grouping=True)} kWh",
    SECONDS: lambda value: f"{_hours(value)} h",
    MONEY: lambda value: number_format(value, 2, force_grouping=True),
    PERCENT: lambda value: f"{number_format(round(value, 2), 2)} %",
}
