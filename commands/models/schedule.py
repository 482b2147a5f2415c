"""Schedules that create batches once or repeatedly; the row holds the due time, and Celery beat starts the run."""

from datetime import UTC, datetime, timedelta
from typing import Any

from celery import current_app
from celery.schedules import ParseException
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask
from django_celery_beat.tzcrontab import TzAwareCrontab
from timezone_field import TimeZoneField

from commands.fields import OrderedJSONField
from commands.models.wanted import Wanted

TASK = "commands.run_schedule"
# The columns that decide which commands are sent, and when.
EFFECTIVE_COLUMNS = (
    *("intent", "action", "payload", "timeout", "chosen", "only_connected", "spread_seconds"),
    *("at", "every_seconds", "crontab", "timezone"),
)
CRONTAB = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


class Schedule(Wanted):
    """A batch to be created at `at`, every `every_seconds` or by `crontab`. `next_run_at` is the next due time."""

    name = models.CharField(max_length=100, unique=True)
    timeout = models.FloatField(null=True, blank=True)
    chosen = OrderedJSONField(help_text="List or filter of chargers, evaluated at each run.")
    only_connected = models.BooleanField(default=False)
    spread_seconds = models.PositiveIntegerField(default=0)

    at = models.DateTimeField(null=True, blank=True, help_text="Time of a single run.")
    every_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="Seconds between repeated runs.")
    crontab = models.CharField(max_length=100, blank=True, help_text="minute hour day month weekday")
    timezone = TimeZoneField(default="UTC", help_text="Time zone of the crontab.")
    is_enabled = models.BooleanField(default=True)

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="User whose permissions apply: the last one who changed the schedule.",
    )
    requested_by = models.CharField(max_length=150, blank=True, editable=False)
    periodic_task = models.OneToOneField(
        PeriodicTask, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_run_at = models.DateTimeField(null=True, blank=True, editable=False)
    next_run_at = models.DateTimeField(null=True, blank=True, editable=False, db_index=True)
    note = models.TextField(blank=True, editable=False, help_text="Why the last run created no batch.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise `ValidationError` unless it has exactly one kind of times, which can come."""
        if sum(map(bool, (self.at, self.every_seconds, self.crontab))) != 1:
            raise ValidationError("Give exactly one of at, every_seconds and crontab.")
        if self.every_seconds and not 60 <= self.every_seconds <= 366 * 86400:
            raise ValidationError({"every_seconds": "From 60 seconds to a year."})
        if self.crontab:
            try:
                self.moment_after(datetime.now(UTC))
            except (ValueError, TypeError, ParseException, RuntimeError) as error:
                expected = "Give five fields: minute hour day month weekday (Sunday is 0), such as `30 3 * * 1-5`"
                raise ValidationError({"crontab": f"{expected}, that match a time in the future."}) from error

    def moment_after(self, now: datetime) -> datetime | None:
        """The first due time after `now`, None if there is none."""
        if self.at:
            return self.at if self.at > now else None
        if self.every_seconds:
            start = self.next_run_at or self.created_at or now
            missed = (now - start) // timedelta(seconds=self.every_seconds)
            return start + (max(missed, -1) + 1) * timedelta(seconds=self.every_seconds)
        _, left, _ = self._crontab().remaining_delta(now)
        return (now.astimezone(self.timezone) + left).astimezone(UTC)

    def _crontab(self) -> TzAwareCrontab:
        fields = dict(zip(CRONTAB, self.crontab.split(), strict=True))
        return TzAwareCrontab(**fields, tz=self.timezone, app=current_app)

    def plan(self) -> None:
        """Set `next_run_at` and the task of Celery beat; the caller must save the row."""
        now = datetime.now(UTC)
        self.next_run_at = None
        if self.is_enabled:
            # A time that has just passed means now.
            self.next_run_at = self.at if self.at and not self.last_run_at else self.moment_after(now)
        self._update_beat()

    def _update_beat(self) -> None:
        timing = {"clocked": None, "interval": None, "crontab": None, "one_off": bool(self.at)} | self._beat_timing()
        columns = timing | {"task": TASK, "args": f"[{self.pk}]", "enabled": self.next_run_at is not None}
        columns["description"] = f"Of the schedule {self.name}"
        self.periodic_task, _ = PeriodicTask.objects.update_or_create(name=f"schedule {self.pk}", defaults=columns)

    def _beat_timing(self) -> dict[str, models.Model]:
        if self.at:
            return {"clocked": _row(ClockedSchedule, clocked_time=self.at)}
        if self.every_seconds:
            return {"interval": _row(IntervalSchedule, every=self.every_seconds, period=IntervalSchedule.SECONDS)}
        fields = dict(zip(CRONTAB, self.crontab.split(), strict=True))
        return {"crontab": _row(CrontabSchedule, **fields, timezone=self.timezone)}

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        if "update_fields" not in kwargs:
            self.plan()
            super().save(update_fields=["next_run_at", "periodic_task"])

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        PeriodicTask.objects.filter(name=f"schedule {self.pk}").delete()
        return super().delete(*args, **kwargs)


def _row(model: type[models.Model], **columns: Any) -> models.Model:
    """The first row of Celery beat with these columns, created if missing; its tables may hold duplicates."""
    rows = model._default_manager
    return rows.filter(**columns).first() or rows.create(**columns)
