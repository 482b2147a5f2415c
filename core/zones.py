"""Names of time zones that users may choose: those of the IANA database, which Python and PostgreSQL both know."""

from zoneinfo import ZoneInfo, available_timezones

# The files of these names are settings of one machine. PostgreSQL does not know them.
NAMES = frozenset(available_timezones() - {"Factory", "localtime"})


def named(name: str) -> ZoneInfo:
    """Return the time zone of `name`. Raise `ValueError`, with a sentence for the user, if there is none."""
    if name not in NAMES:
        raise ValueError(f"{name:.50} is not a time zone. Use a name such as Europe/Berlin.")
    return ZoneInfo(name)
