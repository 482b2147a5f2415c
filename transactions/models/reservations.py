"""Reservations of connectors."""

from datetime import UTC, datetime

from django.db import models
from django.db.models import Q

from chargers.models import Charger
from core.db.numbers import next_free_id


def next_reservation_id() -> int:
    """Return an unused reservationId."""
    return next_free_id("transactions_reservation_id", Reservation.objects.all())


class Reservation(models.Model):
    """A connector reserved for a tag. Its primary key is the `reservationId` on the wire (OCPP 1.6 §5.13).

    It is `Inactive` until its charger accepts it, and shown as `Expired` if it is `Active` past its expiry date.
    """

    INACTIVE, ACTIVE, USED, CANCELLED, EXPIRED = "Inactive", "Active", "Used", "Cancelled", "Expired"
    STATUSES = (INACTIVE, ACTIVE, USED, CANCELLED)

    id = models.IntegerField("reservation id", primary_key=True, default=next_reservation_id, editable=False)
    charger = models.ForeignKey(Charger, models.CASCADE, related_name="reservations")
    connector_id = models.PositiveIntegerField(help_text="0: any connector of the charger.")
    id_tag = models.CharField(max_length=255)
    parent_id_tag = models.CharField(max_length=255, blank=True)
    expiry_date = models.DateTimeField()
    state = models.CharField(max_length=10, choices=[(s, s) for s in STATUSES], default=INACTIVE, editable=False)
    ended_because = models.CharField(max_length=100, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["charger"], name="active_reservations", condition=Q(state="Active"))]

    def __str__(self) -> str:
        return f"{self.pk} ({self.charger})"

    @property
    def status(self) -> str:
        over = self.state == self.ACTIVE and self.expiry_date <= datetime.now(UTC)
        return self.EXPIRED if over else self.state
