"""Template filters and tags: format power, energy, times and JSON in the language of the page."""

import json
from datetime import UTC, datetime, tzinfo
from typing import Any
from urllib.parse import unquote

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.formats import date_format, number_format
from django.utils.html import conditional_escape, format_html, json_script
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_lazy, override

from chargers.models import Connector
from commands.models import Command, PowerLimit
from commands.models.wanted import Wanted
from commands.models.weekly import EVERY_DAY, Weekly
from commands.services.power_curves import Part
from commands.services.power_limits import Kept
from core.sentences import FIELDS, translated
from dashboard import flags as flagged
from dashboard import places, report_tables
from dashboard.forms import BOOLEANS
from dashboard.labels import LABELS, PARAMETERS
from transactions.models import Transaction
from transactions.services import key_codes

register = template.Library()
EVIDENCE = {
    "corrected": gettext_lazy("from a manual correction"),
    "stop": gettext_lazy("from the stop message"),
    "readings": gettext_lazy("from the latest meter value"),
    "none": gettext_lazy("no usable meter value"),
}
SETTINGS = ("settings", "tags", "users", "webhooks", "account")  # the first parts of the paths of these pages
# Texts that scripts show. A script finds a translation by the English text.
SCRIPT_TEXTS = (
    gettext_lazy("Live"),
    gettext_lazy("No updates since {time}"),
    gettext_lazy("just now"),
    gettext_lazy("d"),
    gettext_lazy("{time} ago"),
    gettext_lazy("in {time}"),
    gettext_lazy("Pause"),
    gettext_lazy("Resume"),
    gettext_lazy("from the charger"),
    gettext_lazy("to the charger"),
    gettext_lazy("Messages copied: {number}"),
    gettext_lazy("Call"),
    gettext_lazy("Result"),
    gettext_lazy("Error"),
    gettext_lazy("Other"),
    gettext_lazy("No meter values yet"),
    gettext_lazy("Power"),
    gettext_lazy("Energy"),
    gettext_lazy("State of charge"),
    gettext_lazy("Time"),
    gettext_lazy("Limit"),
)


@register.filter
def kw(watts: float | None) -> str:
    """Format 1234 W as 1.2 kW; use MW from 10,000 kW."""
    if watts is None:
        return ""
    number, unit = (watts / 1000, "kW") if watts < 10_000_000 else (watts / 1_000_000, "MW")
    return f"{number_format(round(number, 1), 1, force_grouping=True)}\N{NO-BREAK SPACE}{unit}"


@register.filter
def kwh(watt_hours: float | None) -> str:
    """Format 9530 Wh as 9.53 kWh; omit decimals from 100 kWh, use MWh from 10,000 kWh."""
    if watt_hours is None:
        return ""
    number, unit = (watt_hours / 1000, "kWh") if watt_hours < 10_000_000 else (watt_hours / 1_000_000, "MWh")
    decimals = 0 if 100 <= number < 10_000 else 2
    return f"{number_format(round(number, decimals), decimals, force_grouping=True)}\N{NO-BREAK SPACE}{unit}"


@register.filter
def weekdays(numbers: list[int]) -> str:
    """Format [1, 7] as Mon, Sun, in the language of the page."""
    return ", ".join(str(WEEKDAYS_ABBR[number - 1]) for number in sorted(numbers))


@register.filter
def evidence(session: Transaction) -> Any:
    """Describe the source of the energy of a session, see `transactions.services.energy`."""
    return EVIDENCE[session.energy_source]


@register.filter
def cells(row: list[Any], table: report_tables.Table) -> list[tuple[str, str]]:
    """Return (kind, text) of each cell of a row of a report."""
    return [(c.kind, report_tables.shown(c.kind, value)) for c, value in zip(table.columns, row, strict=True)]


@register.filter
def grouped(number: float) -> str:
    """Format 12345 as 12,345."""
    return number_format(number, force_grouping=True)


@register.filter
def dotted(path: str) -> SafeString:
    """Allow a line break after each dot of a path of members."""
    return mark_safe(conditional_escape(path).replace(".", ".<wbr>"))


@register.filter
def moment(at: datetime | None) -> str:
    """Show how long ago `at` was; the exact time is the tooltip."""
    if at is None:
        return ""
    return format_html('<time datetime="{0}" title="{0}" data-ago>{1}</time>', iso(at), ago(at))


@register.filter
def iso(at: datetime) -> str:
    """Format a time as ISO 8601 to the second, with the offset of the current time zone (`Z` for UTC)."""
    return timezone.localtime(at).isoformat(timespec="seconds").replace("+00:00", "Z")


@register.filter
def exact(at: datetime | str | None) -> str:
    """Show `at`, a datetime or an ISO 8601 text, to the second in the current time zone."""
    if at is None:
        return ""
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return _time(at, "DATETIME_FORMAT")


@register.filter
def clock(at: datetime) -> str:
    """Show the time of day in the current time zone."""
    return _time(at, "TIME_FORMAT")


def _time(at: datetime, form: str) -> SafeString:
    """Show `at` in `form`, the name of a format of `config.formats`."""
    text = date_format(timezone.localtime(at), form)
    return format_html('<time datetime="{0}" title="{0}">{1}</time>', iso(at), text)


@register.simple_tag
def local_time(zone: tzinfo) -> str:
    """Show the time of day now in `zone`, with the name of the zone."""
    return f"{datetime.now(zone):%H:%M} ({zone})"


def ago(at: datetime) -> str:
    seconds = (datetime.now(UTC) - at).total_seconds()
    distance = abs(seconds)
    if distance < 5:
        return gettext("just now")
    size, unit = next((pair for pair in UNITS if distance >= pair[0]), UNITS[-1])
    text = gettext("{time} ago") if seconds > 0 else gettext("in {time}")
    return text.format(time=f"{distance / size:.0f} {unit}")


UNITS = ((86_400, gettext_lazy("d")), (3600, "h"), (60, "min"), (1, "s"))  # all but the first are international


@register.filter
def stop_reason(session: Transaction) -> str:
    """Return the stop reason; a StopTransaction message without one means Local (OCPP 1.6 §6.46)."""
    return session.stop_reason or ("Local" if session.stop_received_at else gettext("Closed manually"))


@register.filter
def duration(seconds: float | None) -> str:
    """Format 3725 s as 1 h 02 min."""
    if seconds is None:
        return ""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


@register.filter
def elapsed(session: Transaction) -> str:
    """Show how long a transaction took, or has taken so far."""
    if session.duration_seconds is None and session.is_under_way:
        return duration(max(0.0, (datetime.now(UTC) - session.start_time).total_seconds()))
    return duration(session.duration_seconds)


@register.simple_tag
def between(begin: datetime | None, end: datetime | None) -> str:
    """Format the time from `begin` to `end` in ms, s, min or h."""
    if begin is None or end is None:
        return ""
    seconds = (end - begin).total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{number_format(round(seconds, 1), 1)} s" if seconds < 60 else duration(seconds)


@register.filter
def as_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def label(name: str) -> Any:
    """Translate the name of a state or outcome, such as `timed_out`."""
    return LABELS.get(name) or capfirst(str(name).replace("_", " "))


@register.filter
def version_name(version: object) -> str:
    """Show the subprotocol `ocpp2.0.1` as OCPP 2.0.1."""
    return str(version).replace("ocpp", "OCPP ", 1)


@register.filter
def place(row: Connector | Transaction) -> str:
    """Name the EVSE and the connector of a connector or a transaction."""
    return places.place(row)


@register.filter
def short_place(connector: Connector) -> str:
    """Number a connector, in a version with EVSEs as 1.2."""
    return places.short_place(connector)


@register.filter
def table_place(session: Transaction) -> str:
    """Name the place of a transaction in a column of connectors."""
    return places.place(session) if places.has_evses(session) else str(session.connector_id)


@register.filter
def parameters(row: Wanted) -> str:
    """Describe the parameters of the intent of a batch or a schedule; "" for an action of OCPP."""
    named = row.payload.items() if row.intent else ()
    return " · ".join(f"{PARAMETERS[name]}: {BOOLEANS.get(json.dumps(value), value)}" for name, value in named)


@register.filter
def field_label(name: str) -> Any:
    """Translate the name of a filter or of a field of a form."""
    return FIELDS.get(name) or PARAMETERS.get(name, name)


@register.filter
def sentence(text: object) -> str:
    """Translate a sentence of a layer below the pages, see `core.sentences`."""
    return translated(text)


def amount_of(limit: PowerLimit, part: Part | None = None) -> str:
    """Format a power limit, or one charger's part of it, as 6 A or 4.1 kW."""
    value = (part or Part(limit)).amount_in(limit.unit)
    value, unit = (value, "A") if limit.unit == "A" else (value / 1000, "kW")
    digits = 0 if value == int(value) else 1 if unit == "A" else 2
    return f"{number_format(round(value, digits), digits)}\N{NO-BREAK SPACE}{unit}"


@register.filter
def amount(limit: PowerLimit) -> str:
    """Format a power limit as 6 A or 4.1 kW."""
    return amount_of(limit)


@register.filter
def part(kept: Kept) -> str:
    """Format the part of a power limit that a charger keeps."""
    return amount_of(kept.part.limit, kept.part)


@register.filter
def kept_state(kept: Kept) -> Any:
    """Translate whether a charger keeps its part of a power limit."""
    return LABELS[kept.state]


@register.filter
def limit_unit(limit: PowerLimit) -> str:
    """Return the unit in which a page shows a power limit."""
    return "A" if limit.unit == "A" else "kW"


@register.filter
def limited_place(limit: PowerLimit) -> str:
    """Name the site, the charger or the part of a charger that a power limit is for."""
    if limit.charger is None:
        return gettext("Site {name}").format(name=limit.site)
    if not limit.evse_id:
        return str(limit.charger)
    has_evses = limit.charger.version.has_evses
    return f"{limit.charger}, {places.name_of(has_evses, limit.evse_id, 0 if has_evses else limit.evse_id)}"


@register.filter
def times(row: Weekly) -> str:
    """Describe when a power limit holds or a campaign sends, such as Mon–Fri 18:00–22:00."""
    if row.is_constant:
        return gettext("always")
    days = gettext("daily") if len(row.weekdays) == len(EVERY_DAY) else _days(sorted(row.weekdays))
    if row.from_time is None or row.until_time is None:
        return days
    return f"{days} {row.from_time:%H:%M}–{row.until_time:%H:%M}"


def _days(numbers: list[int]) -> str:
    """Name days of the week, successive ones as a range."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    names = {number: str(WEEKDAYS_ABBR[number - 1]) for number in numbers}
    return ", ".join("–".join(dict.fromkeys([names[run[0]], names[run[-1]]])) for run in runs)


@register.filter
def slug(text: object) -> str:
    """Turn a name into the name of a CSS class."""
    return str(text).replace(" ", "-").replace("_", "-").lower()


@register.inclusion_tag("dashboard/outcome.html")
def outcome(command: Command) -> dict[str, Command]:
    """Show the state or outcome of a command; mark a simulated response."""
    return {"command": command}


@register.simple_tag
def charger_url(name: str, *args: Any) -> str:
    """Return the URL of a page of a charger. `reverse` quotes the id again that the converter has quoted already."""
    return unquote(reverse(name, args=args))


@register.filter
def shown_tag(tag: Any) -> str:
    """Show the text of a tag, or of a line of a file of tags; a PIN is hidden."""
    return key_codes.shown(tag.id_tag, tag.type)


@register.filter
def is_setting(path: str) -> bool:
    """Return whether a path is that of a page below "Settings"."""
    return path.split("/")[1] in SETTINGS


@register.filter
def split(names: str) -> list[str]:
    return names.split()


@register.filter
def flags(session: Transaction) -> Any:
    return flagged.flags(session)


@register.simple_tag
def script_texts() -> SafeString:
    """Embed the translations of SCRIPT_TEXTS as {English text: translation} for the scripts of the page."""
    with override("en"):
        english = [str(text) for text in SCRIPT_TEXTS]
    return json_script(dict(zip(english, map(str, SCRIPT_TEXTS), strict=True)), "texts")
