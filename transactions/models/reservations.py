"""Reservations of connectors."""

from datetime import UTC, datetime

from django.db import models
from django.db.models import Q

from chargers.models import Charger
from core.db.numbers import next_free_id
from transactions.services import key_codes


def next_reservation_id() -> int:
    """Return an unused reservationId."""
    return next_free_id("transactions_reservation_id", Reservation.objects.all())


class Reservation(models.Model):
    """An EVSE or a connector reserved for a token (OCPP 1.6 §5.13, 2.0.1 H). Its primary key is the id on the wire.

    It is `Inactive` until its charger accepts it. It is `Expired` if the charger says so, and shown so if it is
    `Active` past its expiry date.
    """

    INACTIVE, ACTIVE, USED, CANCELLED, EXPIRED = "Inactive", "Active", "Used", "Cancelled", "Expired"
    STATUSES = (INACTIVE, ACTIVE, USED, CANCELLED, EXPIRED)

    id = models.IntegerField("reservation id", primary_key=True, default=next_reservation_id, editable=False)
    charger = models.ForeignKey(Charger, models.CASCADE, related_name="reservations")
    evse_id = models.PositiveIntegerField(
        null=True, blank=True, help_text="0: any EVSE. In OCPP 1.6 it equals the connector id."
    )
    connector_id = models.PositiveIntegerField(default=0, help_text="0: any connector.")
    connector_type = models.CharField(
        max_length=20,
        blank=True,
        default="",
        db_default="",
        help_text="Only connectors of this type, such as cCCS2; not in OCPP 1.6.",
    )
    id_tag = models.CharField(max_length=255)
    id_token_type = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="Empty in OCPP 1.6."
    )
    parent_id_tag = models.CharField(max_length=255, blank=True)
    expiry_date = models.DateTimeField()
    state = models.CharField(max_length=10, choices=[(s, s) for s in STATUSES], default=INACTIVE, editable=False)
    ended_because = models.CharField(max_length=100, blank=True, editable=False)
    end_reported_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its charger reported that it has ended."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["charger"], name="active_reservations", condition=Q(state="Active"))]

    def __str__(self) -> str:
        return f"{self.pk} ({self.charger})"

    @property
    def shown_id_tag(self) -> str:
        """The token as it may be shown: a PIN is hidden."""
        return key_codes.shown(self.id_tag, self.id_token_type)

    @property
    def status(self) -> str:
        over = self.state == self.ACTIVE and self.expiry_date <= datetime.now(UTC)
        return self.EXPIRED if over else self.state
