"""The fleet minute by minute, for its curves; and the row that shows that the database takes writes."""

from django.db import models


class FleetMinute(models.Model):
    """How the whole fleet was at a moment; beat has a row written every minute."""

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
    """One row, which each readiness check writes, because reading alone does not show that the database works."""

    at = models.DateTimeField()

    def __str__(self):
        return f"{self.at:%Y-%m-%d %H:%M:%S}"
