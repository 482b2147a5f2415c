"""Times of a local week at which a limit holds or a campaign may send."""

from collections.abc import Iterator
from datetime import time
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from chargers.models import Site

DAY, WEEK = 1440, 7 * 1440  # in minutes
EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)


def every_day() -> list[int]:
    return list(EVERY_DAY)


class Weekly(models.Model):
    """On `weekdays`, from `from_time` until `until_time`, or for the whole day if both are null.

    If `until_time` is not later than `from_time`, it is on the next day. Both are times of the clock on the wall: an
    hour that summer time leaves out does not occur, and one that occurs twice counts twice.
    """

    weekdays = models.JSONField(default=every_day, help_text="From 1, Monday, to 7, Sunday.")
    from_time = models.TimeField(null=True, blank=True)
    until_time = models.TimeField(null=True, blank=True)

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Raise `ValidationError` for times that never occur."""
        if not self.weekdays or set(self.weekdays) - set(EVERY_DAY):
            raise ValidationError({"weekdays": "Name at least one day, from 1, Monday, to 7, Sunday."})
        if (self.from_time is None) != (self.until_time is None):
            raise ValidationError({"until_time": "Send both from_time and until_time, or neither."})
        for name in ("from_time", "until_time"):
            if (clock := getattr(self, name)) and (clock.second or clock.microsecond):
                raise ValidationError({name: "Send a time in whole minutes, such as 22:00."})
        if self.from_time is not None and self.from_time == self.until_time:
            raise ValidationError({"until_time": "Leave out both times for the whole day."})

    @property
    def is_constant(self) -> bool:
        """Whether it is at all times."""
        return self.from_time is None and set(self.weekdays) == set(EVERY_DAY)

    def windows(self) -> Iterator[tuple[int, int]]:
        """Yield the begin and the end of each time, in minutes after Monday 0:00 of the local week.

        The end of the last one may be in the next week.
        """
        begin, end = _minutes(self.from_time), _minutes(self.until_time) or DAY
        for day in sorted(set(self.weekdays)):
            first = (day - 1) * DAY
            yield first + begin, first + end + (DAY if end <= begin else 0)

    def holds_at(self, minute: int) -> bool:
        """Whether `minute` of the local week is one of its times."""
        return any(begin <= at < end for begin, end in self.windows() for at in (minute, minute + WEEK))


def zone_of(site: Site | None) -> ZoneInfo:
    """Return the time zone of `site`, else that of the pages."""
    return ZoneInfo(str(site.time_zone)) if site else ZoneInfo(settings.TIME_ZONE_DISPLAY)


def _minutes(clock: time | None) -> int:
    return clock.hour * 60 + clock.minute if clock else 0
