"""State of the fleet per minute, for its charts; and a row that probes whether the database accepts writes."""

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

    def __str__(self):
        return f"{self.at:%Y-%m-%d %H:%M}"


class Heartbeat(models.Model):
    """One row that each check of `dashboard.readiness` updates, because reading does not prove that writes work."""

    at = models.DateTimeField()

    def __str__(self):
        return f"{self.at:%Y-%m-%d %H:%M:%S}"
