"""Parse the times that chargers send, format times for OCPP, and compute the days of a time zone."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

# Other years cannot be right, and datetime arithmetic fails near the year 9999.
YEARS = range(1970, 9999)
# An earlier time shows that the charger's clock was not set, because OCPP 1.6 was published in 2015.
PLAUSIBLE = datetime(2010, 1, 1, tzinfo=UTC)
# The first and the last moment that `datetime` can represent.
FIRST, LAST = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))
# A charger's clock that is further ahead of the central system's is taken for wrong.
AHEAD = timedelta(minutes=1)


def to_rfc3339(moment: datetime) -> str:
    """Format a time as RFC 3339 in UTC with milliseconds and `Z` (OCPP 1.6 §3.15)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now_on_the_wire() -> str:
    return to_rfc3339(datetime.now(UTC))


def parse(text: str) -> datetime | None:
    """Parse a time, None if `text` is none. A time without a zone is UTC (OCPP 1.6 §3.15).

    Ten digits are seconds since 1970, thirteen are milliseconds.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return _parse_other_notation(text.strip())
    return moment if moment.year in YEARS else _parse_other_notation(text.strip())


def _parse_other_notation(text: str) -> datetime | None:
    """Parse a time with lower case letters (RFC 3339 §5.6), or a number of seconds or milliseconds since 1970."""
    if text.isascii() and text.isdigit() and len(text) in (10, 13):
        return datetime.fromtimestamp(int(text) / (1 if len(text) == 10 else 1000), UTC)
    return parse(text.upper()) if text.upper() != text else None


def parse_or(text: str, received_at: datetime) -> datetime:
    """Parse a time without clamping it. Return `received_at` if `text` is no time."""
    return parse(text) or received_at


def clamp(text: str | None, received_at: datetime) -> datetime:
    """Parse a time, at most `received_at`. Return `received_at` if the text is missing or implausible."""
    moment = parse(text) if text else None
    return min(moment, received_at) if moment and moment > PLAUSIBLE else received_at


def clock_is_off(text: str, received_at: datetime) -> bool:
    """Return whether `text` is no time, lies before PLAUSIBLE, or lies more than AHEAD after `received_at`."""
    return is_off(parse(text), received_at)


def is_off(moment: datetime | None, received_at: datetime) -> bool:
    """Return the same for a time that is parsed already."""
    return moment is None or moment < PLAUSIBLE or moment > received_at + AHEAD


def display_zone() -> ZoneInfo:
    """Return the time zone (`TIME_ZONE_DISPLAY`) of the times and days on pages, in the admin and in exports."""
    return ZoneInfo(settings.TIME_ZONE_DISPLAY)


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return (start of the date `day` in `zone`, start of the next day), both in UTC.

    They are 23 or 25 hours apart on a day on which summer time begins or ends.
    """
    return _midnight(day, zone), LAST if day == date.max else _midnight(day + timedelta(days=1), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    try:
        return datetime.combine(day, time.min, zone).astimezone(UTC)
    except OverflowError:  # `day` is the first or the last date of `datetime`
        return FIRST if day == date.min else LAST
