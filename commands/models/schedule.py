"""A batch that is made later, or again and again: the books say when it is due, Celery beat brings it to mind."""

from datetime import UTC, datetime, timedelta

from celery.schedules import ParseException
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask
from django_celery_beat.tzcrontab import TzAwareCrontab
from timezone_field import TimeZoneField

from commands.fields import OrderedJSONField, PayloadField
from commands.models.command import action_choices

TASK = "commands.run_schedule"
CRONTAB = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


class Schedule(models.Model):
    """One of `at`, `every_seconds` and `crontab` says when. `next_run_at` is the moment that is not yet done."""

    name = models.CharField(max_length=100, unique=True)
    action = models.CharField(max_length=40, choices=action_choices)
    payload = PayloadField()
    timeout = models.FloatField(null=True, blank=True)
    chosen = OrderedJSONField(help_text="A list or a filter, looked up anew at each run.")
    only_connected = models.BooleanField(default=False)
    spread_seconds = models.PositiveIntegerField(default=0)

    at = models.DateTimeField(null=True, blank=True, help_text="Once.")
    every_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="Again and again.")
    crontab = models.CharField(max_length=100, blank=True, help_text="minute hour day month weekday")
    timezone = TimeZoneField(default="UTC", help_text="Of the crontab.")
    is_enabled = models.BooleanField(default=True)

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="With whose permissions it runs: who said last what it does.",
    )
    requested_by = models.CharField(max_length=150, blank=True, editable=False)
    periodic_task = models.OneToOneField(
        PeriodicTask, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_run_at = models.DateTimeField(null=True, blank=True, editable=False)
    next_run_at = models.DateTimeField(null=True, blank=True, editable=False, db_index=True)
    note = models.TextField(blank=True, editable=False, help_text="Why the last moment made no batch.")

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name

    def clean(self):
        if sum(map(bool, (self.at, self.every_seconds, self.crontab))) != 1:
            raise ValidationError("Say when: one of at, every_seconds and crontab.")
        if self.every_seconds and not 60 <= self.every_seconds <= 366 * 86400:
            raise ValidationError({"every_seconds": "From 60 seconds to a year."})
        if self.crontab:
            try:
                self.moment_after(datetime.now(UTC))
            except (ValueError, TypeError, ParseException, RuntimeError) as error:
                said = "Five fields: minute hour day month weekday (Sunday is 0), such as `30 3 * * 1-5`"
                raise ValidationError({"crontab": f"{said}, of a moment that comes."}) from error

    def moment_after(self, now):
        """The first moment after `now`, None where there is none."""
        if self.at:
            return self.at if self.at > now else None
        if self.every_seconds:
            begun = self.next_run_at or self.created_at or now
            missed = (now - begun) // timedelta(seconds=self.every_seconds)
            return begun + (max(missed, -1) + 1) * timedelta(seconds=self.every_seconds)
        _, left, _ = self._crontab().remaining_delta(now)
        return (now.astimezone(self.timezone) + left).astimezone(UTC)

    def _crontab(self):
        from celery import current_app

        fields = dict(zip(CRONTAB, self.crontab.split(), strict=True))
        return TzAwareCrontab(**fields, tz=self.timezone, app=current_app)

    def plan(self):
        """Set `next_run_at` anew, and with it what Celery beat knows: the row must be saved by whoever calls."""
        now = datetime.now(UTC)
        self.next_run_at = None
        if self.is_enabled:
            # A moment that has just gone by is meant to be now.
            self.next_run_at = self.at if self.at and not self.last_run_at else self.moment_after(now)
        self._tell_beat()

    def _tell_beat(self):
        when = {"clocked": None, "interval": None, "crontab": None, "one_off": bool(self.at)} | self._for_beat()
        told = when | {"task": TASK, "args": f"[{self.pk}]", "enabled": self.next_run_at is not None}
        told["description"] = f"Of the schedule {self.name}"
        self.periodic_task, _ = PeriodicTask.objects.update_or_create(name=f"schedule {self.pk}", defaults=told)

    def _for_beat(self):
        if self.at:
            return {"clocked": _row(ClockedSchedule, clocked_time=self.at)}
        if self.every_seconds:
            return {"interval": _row(IntervalSchedule, every=self.every_seconds, period=IntervalSchedule.SECONDS)}
        fields = dict(zip(CRONTAB, self.crontab.split(), strict=True))
        return {"crontab": _row(CrontabSchedule, **fields, timezone=self.timezone)}

    def save(self, *args, **kwargs):
        super().save(*args, **kwargs)
        if "update_fields" not in kwargs:
            self.plan()
            super().save(update_fields=["next_run_at", "periodic_task"])

    def delete(self, *args, **kwargs):
        PeriodicTask.objects.filter(name=f"schedule {self.pk}").delete()
        return super().delete(*args, **kwargs)


def _row(model, **columns):
    """That of Celery beat; its tables may hold the same more than once."""
    return model.objects.filter(**columns).first() or model.objects.create(**columns)
