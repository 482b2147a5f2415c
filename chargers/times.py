"""Times on the wire, written as OCPP wants them and read as chargers send them, and the days of a time zone."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

# What lies outside is no date of a charger, and some calendars end there.
YEARS = range(1970, 9999)
# Before this a charger's clock was not set: OCPP 1.6 itself is of 2015.
PLAUSIBLE = datetime(2010, 1, 1, tzinfo=UTC)
# The ends of the calendar.
FIRST, LAST = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))
# What a charger's clock may be ahead of ours before it is called wrong.
AHEAD = timedelta(minutes=1)


def to_rfc3339(moment):
    """RFC 3339 in UTC with milliseconds and `Z` (OCPP 1.6 §3.15)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now_on_the_wire():
    return to_rfc3339(datetime.now(UTC))


def parse(text):
    """The moment `text` names, or None where it names none. Without a zone it is UTC (OCPP 1.6 §3.15).

    Ten digits are seconds since 1970, thirteen are milliseconds.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return _read_otherwise(text.strip())
    return moment if moment.year in YEARS else _read_otherwise(text.strip())


def _read_otherwise(text):
    """Letters in lower case (RFC 3339 §5.6), or a count since 1970."""
    if text.isascii() and text.isdigit() and len(text) in (10, 13):
        return datetime.fromtimestamp(int(text) / (1 if len(text) == 10 else 1000), UTC)
    return parse(text.upper()) if text.upper() != text else None


def parse_or(text, received_at):
    """The moment `text` names, unclamped; `received_at` where it names none."""
    return parse(text) or received_at


def clamp(text, received_at):
    """`read`, but never after `received_at`, and `received_at` where the text is missing or implausible."""
    moment = parse(text) if text else None
    return min(moment, received_at) if moment and moment > PLAUSIBLE else received_at


def clock_is_off(text, received_at):
    """Whether `text` names no moment, one before chargers had clocks, or one that has not come yet."""
    moment = parse(text)
    return moment is None or moment < PLAUSIBLE or moment > received_at + AHEAD


def display_zone():
    """The time zone (`TIME_ZONE_DISPLAY`) of the times and days on pages, in the admin and in exports."""
    return ZoneInfo(settings.TIME_ZONE_DISPLAY)


def day_bounds(day, zone):
    """(first moment, first moment after it), in UTC, of the date `day` in `zone`.

    They are 23 or 25 hours apart on a day on which summer time begins or ends.
    """
    return _midnight(day, zone), LAST if day == date.max else _midnight(day + timedelta(days=1), zone)


def _midnight(day, zone):
    try:
        return datetime.combine(day, time.min, zone).astimezone(UTC)
    except OverflowError:  # at either end of the calendar
        return FIRST if day == date.min else LAST
