"""State of the fleet per minute for its charts, settings of users, and a row that probes writes to the database."""

from django.conf import settings
from django.db import models


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
