"""Tariffs, by which sessions are priced."""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from chargers.models import Charger, ChargerGroup
from transactions.models.id_tags import IdTag

CURRENCY = RegexValidator(r"^[A-Z]{3}$", "A currency such as EUR (ISO 4217).")


def _price(help_text: str) -> Any:
    return models.DecimalField(
        max_digits=12, decimal_places=4, default=0, validators=[MinValueValidator(0)], help_text=help_text
    )


class Tariff(models.Model):
    """Prices of energy, time and sessions, without VAT.

    It applies to a session whose charger and token are among those it is limited to. Of several, one that names
    tokens precedes, then one that names chargers or groups, then the oldest.
    """

    description = models.CharField(max_length=255, unique=True)
    currency = models.CharField(max_length=3, validators=[CURRENCY])
    energy_per_kwh = _price("Price of a kWh.")
    per_minute = _price("Price of a minute.")
    per_session = _price("Price of a session.")
    vat_percent = models.DecimalField(
        "VAT (%)",
        max_digits=5,
        decimal_places=2,
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="Added to the prices.",
    )
    text = models.CharField(
        max_length=512, blank=True, default="", help_text="Shown to drivers by chargers of OCPP 2.0.1 that can."
    )
    chargers = models.ManyToManyField(Charger, blank=True, related_name="+")
    groups = models.ManyToManyField(ChargerGroup, blank=True, related_name="+", verbose_name="charger groups")
    id_tags = models.ManyToManyField(IdTag, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["description"]

    def __str__(self) -> str:
        return self.description
