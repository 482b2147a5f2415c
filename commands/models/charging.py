"""The charging needs and schedules of vehicles, as chargers reported them (OCPP 2.0.1 K15 to K17)."""

from django.db import models

from chargers.models import Charger
from commands.fields import OrderedJSONField
from commands.models.command import Command
from transactions.models import Transaction


class FromVehicle(models.Model):
    """A message of a vehicle about one transaction, and the profile that was sent because of it."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="+")
    evse_id = models.PositiveIntegerField()
    transaction = models.ForeignKey(Transaction, models.SET_NULL, null=True, blank=True, related_name="+")
    status = models.CharField(max_length=10, help_text="The answer: Accepted, Processing or Rejected.")
    reason = models.TextField(blank=True, help_text="Why it was rejected.")
    command = models.ForeignKey(
        Command,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The SetChargingProfile that followed.",
    )
    received_at = models.DateTimeField()

    class Meta:
        abstract = True
        ordering = ["-id"]


class EVChargingNeeds(FromVehicle):
    """The needs of a vehicle, by its NotifyEVChargingNeeds."""

    energy_transfer = models.TextField(help_text="DC, AC_single_phase, AC_two_phase or AC_three_phase.")
    departure_time = models.DateTimeField(null=True, blank=True)
    energy_wh = models.BigIntegerField("energy needed (Wh)", null=True, blank=True)
    max_rate = models.FloatField(
        null=True, blank=True, help_text="What the vehicle can take: watts, for AC amperes per phase."
    )
    max_periods = models.BigIntegerField(null=True, blank=True, help_text="Of a schedule for the vehicle.")
    parameters = OrderedJSONField(help_text="The charging parameters as the charger sent them.")

    class Meta(FromVehicle.Meta):
        indexes = [models.Index(fields=["transaction", "-id"], name="charging_needs_of_transaction")]
        verbose_name = "charging needs"
        verbose_name_plural = "charging needs"

    def __str__(self) -> str:
        return f"{self.energy_transfer} ({self.charger}, EVSE {self.evse_id})"


class EVChargingSchedule(FromVehicle):
    """How a vehicle wants to charge, by its NotifyEVChargingSchedule."""

    begins_at = models.DateTimeField()
    schedule = OrderedJSONField(help_text="The schedule as the charger sent it.")

    class Meta(FromVehicle.Meta):
        indexes = [models.Index(fields=["transaction", "-id"], name="ev_schedules_of_transaction")]
        verbose_name = "charging schedule"

    def __str__(self) -> str:
        return f"{self.charger}, EVSE {self.evse_id}"
