"""How pages write things: power, energy, times, JSON."""

import json
from datetime import UTC, datetime
from urllib.parse import unquote

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import mark_safe

from dashboard import flags as flagged

register = template.Library()
EVIDENCE = {
    "corrected": "a correction by hand",
    "stop": "the stop of the charger",
    "readings": "the last reading of the meter",
    "none": "nothing: no usable meter value is known",
}


@register.filter
def kw(watts):
    """1234 W as 1.2 kW; from 10,000 kW on as MW."""
    if watts is None:
        return ""
    many, unit = (watts / 1000, "kW") if watts < 10_000_000 else (watts / 1_000_000, "MW")
    return f"{many:,.1f}\N{NO-BREAK SPACE}{unit}"


@register.filter
def kwh(watt_hours):
    """9.53 kWh, or 298 kWh where nobody looks at the rest; from 10,000 kWh on as MWh."""
    if watt_hours is None:
        return ""
    many, unit = (watt_hours / 1000, "kWh") if watt_hours < 10_000_000 else (watt_hours / 1_000_000, "MWh")
    return f"{many:,.{0 if 100 <= many < 10_000 else 2}f}\N{NO-BREAK SPACE}{unit}"


@register.filter
def evidence(session):
    """What the energy of a session is computed from, see `transactions.energy`."""
    return EVIDENCE[session.energy_source]


@register.filter
def grouped(number):
    """12345 as 12,345."""
    return f"{number:,}"


@register.filter
def words(name):
    """too_long as too long."""
    return name.replace("_", " ")


@register.filter
def dotted(path):
    """A path of members, which may be broken behind a dot."""
    return mark_safe(conditional_escape(path).replace(".", ".<wbr>"))


@register.filter
def moment(at):
    """A time of which the page says how long ago it was, and on hovering when."""
    if at is None:
        return ""
    return format_html('<time datetime="{0}" title="{0}" data-ago>{1}</time>', iso(at), ago(at))


@register.filter
def iso(at):
    """To the second, with the offset of the current time zone, `Z` for none."""
    return timezone.localtime(at).isoformat(timespec="seconds").replace("+00:00", "Z")


@register.filter
def exact(at):
    """To the second, in the current time zone; `at` is a time, or an ISO 8601 text of one."""
    if at is None:
        return ""
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return _time(at, "%Y-%m-%d %H:%M:%S")


@register.filter
def clock(at):
    """The time of day, in the current time zone."""
    return _time(at, "%H:%M:%S")


def _time(at, form):
    return format_html('<time datetime="{0}" title="{0}">{1}</time>', iso(at), timezone.localtime(at).strftime(form))


def ago(at):
    seconds = (datetime.now(UTC) - at).total_seconds()
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= size:
            return f"{abs(seconds) / size:.0f} {word} {'ago' if seconds > 0 else 'from now'}"
    return "just now" if abs(seconds) < 5 else f"{abs(seconds):.0f} s {'ago' if seconds > 0 else 'from now'}"


@register.filter
def ended(session):
    """Why a transaction ended: a charger that says nothing means Local (OCPP 1.6 §6.46)."""
    return session.stop_reason or ("Local" if session.stop_received_at else "closed by hand")


@register.filter
def duration(seconds):
    """3725 as 1 h 02 min."""
    if seconds is None:
        return ""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


@register.simple_tag
def between(begin, end):
    """The time from one moment to another, in words."""
    if begin is None or end is None:
        return ""
    seconds = (end - begin).total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


@register.filter
def as_json(value):
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def word(text):
    """`timed_out` as `timed out`."""
    return str(text).replace("_", " ")


@register.filter
def slug(text):
    """For the name of a CSS class."""
    return str(text).replace(" ", "-").replace("_", "-").lower()


@register.inclusion_tag("dashboard/outcome.html")
def outcome(command):
    """A command's state, the simulated kind plainly so."""
    return {"command": command}


@register.simple_tag
def charger_url(name, *args):
    """That of a page of a charger: `reverse` quotes once more what the converter has quoted already."""
    return unquote(reverse(name, args=args))


@register.filter
def split(words):
    return words.split()


@register.filter
def flags(session):
    return flagged.flags(session)
