"""State of the fleet per minute for its charts, settings of users, and a row that probes writes to the database."""

from datetime import tzinfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models

from chargers.models import Site
from core.ocpp.timestamps import display_zone

# Those of `report_tables`, which imports models.
REPORTS = ("energy", "sessions", "commands", "availability", "faults")
GROUPS = ("site", "charger", "port", "id_tag", "action", "day", "month")
EVERY = DAILY, WEEKLY, MONTHLY = ("daily", "weekly", "monthly")
MAX_ADDRESSES = 50
FORMATS = ("csv", "xlsx", "pdf")


class FleetMinute(models.Model):
    """State of the whole fleet at a moment. A periodic task adds a row every minute."""

    at = models.DateTimeField(unique=True)
    connected = models.PositiveIntegerField()
    charging = models.PositiveIntegerField()
    faulted = models.PositiveIntegerField()
    power_w = models.BigIntegerField()
    energy_today_wh = models.BigIntegerField(help_text="Charged since midnight, in TIME_ZONE_DISPLAY.")

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"


class Preference(models.Model):
    """The settings of a user for the pages."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    language = models.CharField(
        max_length=10, blank=True, choices=settings.LANGUAGES, help_text="Empty: the language of the browser."
    )

    def __str__(self) -> str:
        return str(self.user)


class Heartbeat(models.Model):
    """One row that each check of `dashboard.readiness` updates, because reading does not prove that writes work."""

    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}"


def _among(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


def are_addresses(text: str) -> None:
    """Raise `ValidationError` unless each line is the address of a mailbox."""
    addresses = text.split()
    for address in addresses:
        validate_email(address)
    if not 1 <= len(addresses) <= MAX_ADDRESSES:
        raise ValidationError(f"Enter 1 to {MAX_ADDRESSES} addresses, one in each line.")


class ReportSubscription(models.Model):
    """A report that is sent by mail after each period, see `report_mail`."""

    name = models.CharField(max_length=100)
    report = models.CharField(max_length=20, choices=_among(REPORTS), default=REPORTS[0])
    group_by = models.CharField(max_length=10, choices=_among(GROUPS), default=GROUPS[0])
    site = models.ForeignKey(
        Site, models.CASCADE, null=True, blank=True, related_name="+", help_text="Empty: every site."
    )
    every = models.CharField(max_length=10, choices=_among(EVERY), default=MONTHLY)
    format = models.CharField(max_length=4, choices=_among(FORMATS), default="pdf")
    language = models.CharField(max_length=10, choices=settings.LANGUAGES, default=settings.LANGUAGES[0][0])
    recipients = models.TextField(validators=[are_addresses], help_text="Addresses, one in each line.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, editable=False, related_name="+", help_text="Whose reach it has."
    )
    is_enabled = models.BooleanField("enabled", default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField(editable=False, help_text="When the present period ends and its report is sent.")
    retry_at = models.DateTimeField(editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False, help_text="Attempts since it was last sent.")
    error = models.TextField(blank=True, default="", editable=False)

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> tzinfo:
        """The time zone of its periods."""
        return self.site.time_zone if self.site else display_zone()

    @property
    def addresses(self) -> list[str]:
        return self.recipients.split()
