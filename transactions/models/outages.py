"""Times at which chargers or their EVSEs were not available."""

from django.db import models
from django.db.models import Q

from chargers.models import Charger

OFFLINE, FAULTED, UNAVAILABLE = "offline", "faulted", "unavailable"
# Reasons for which an outage is excluded from the uptime by 23 CFR 680.116(b)(3).
EXCLUDED = {
    "utility": "interruption of the electric utility service",
    "vehicle": "fault of the vehicle",
    "maintenance": "scheduled maintenance",
    "vandalism": "vandalism",
    "disaster": "natural disaster",
}


class Outage(models.Model):
    """A charger was offline, or a connector of it Faulted or Unavailable, from one event until another.

    EVSE 0 is the whole charger. Outages of one place may overlap, such as a fault while the charger is offline.
    They are computed from events (`services.outages`), and stay when these are deleted.
    """

    # A constraint would lock rows of chargers.
    charger = models.ForeignKey(Charger, models.CASCADE, db_constraint=False, db_index=False, related_name="+")
    event_id = models.BigIntegerField(unique=True, editable=False, help_text="Of the event that began it.")
    evse_id = models.PositiveIntegerField()
    connector_id = models.PositiveIntegerField()
    kind = models.CharField(max_length=11, choices=[(kind, kind) for kind in (OFFLINE, FAULTED, UNAVAILABLE)])
    error_code = models.TextField(blank=True)
    vendor_id = models.TextField(blank=True)
    vendor_error_code = models.TextField(blank=True)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    excluded_because = models.CharField(
        max_length=11,
        blank=True,
        default="",
        db_default="",
        choices=list(EXCLUDED.items()),
        help_text="An operator says that it does not count in the uptime of the US NEVI rule.",
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["charger", "began_at"], name="outages_of_charger"),
            models.Index(fields=["began_at"], name="outages_by_begin"),
            models.Index(fields=["ended_at"], name="outages_by_end"),
            models.Index(fields=["charger"], name="outages_under_way", condition=Q(ended_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.charger}"
