"""Limits of charging that other systems than this one imposed on chargers."""

from django.db import models

from chargers.models.charger import Charger


class ChargingLimit(models.Model):
    """An external charging limit, as the charger reported it (OCPP 2.0.1 K11, K12); active until it is cleared."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="charging_limits")
    evse_id = models.PositiveIntegerField(default=0, help_text="0 is the charger as a whole.")
    source = models.TextField(help_text="EMS, SO, CSO or Other, or another text that the charger sent.")
    is_grid_critical = models.BooleanField(null=True, help_text="Null if the charger did not say.")
    schedules = models.JSONField(help_text="As the charger sent them; empty if it sent none.")
    received_at = models.DateTimeField()
    cleared_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was cleared or replaced; null while it is active."
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["charger"], name="active_charging_limits", condition=models.Q(cleared_at=None))
        ]

    def __str__(self) -> str:
        return f"{self.source} ({self.charger})"
