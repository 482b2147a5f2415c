"""Sites: the places where chargers stand."""

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q, QuerySet
from timezone_field import TimeZoneField

from core import zones


def default_zone() -> str:
    """Return the time zone of a new site: that of the pages."""
    return settings.TIME_ZONE_DISPLAY


class Site(models.Model):
    """A place with chargers. Days, months and daily times of its chargers are in its time zone.

    A charger stands at one site or at none, and may be in any number of groups (`ChargerGroup`). Users who are named
    here, or have a role that is, reach the chargers of the site.
    """

    name = models.CharField(max_length=100, unique=True)
    address = models.TextField(blank=True)
    latitude = models.DecimalField(
        max_digits=8,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(-90)), MaxValueValidator(Decimal(90))],
        help_text="Degrees, north is positive.",
    )
    longitude = models.DecimalField(
        max_digits=9,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(-180)), MaxValueValidator(Decimal(180))],
        help_text="Degrees, east is positive.",
    )
    time_zone = TimeZoneField(default=default_zone, help_text="An IANA name, such as Europe/Berlin.")
    contacts = models.TextField(blank=True, help_text="Names, telephone numbers and addresses, one in each line.")
    power_limit_w = models.PositiveIntegerField(
        "power limit", null=True, blank=True, help_text="Power of its grid connection in W. Empty: unknown."
    )
    offline_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(43_200)],
        help_text="Minutes without a connection after which a charger is an incident. Empty: OCPP_OFFLINE_MINUTES.",
    )
    users = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="sites", blank=True)
    roles = models.ManyToManyField("auth.Group", related_name="sites", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise `ValidationError` for half a position, and for a time zone of this machine alone."""
        if (self.latitude is None) != (self.longitude is None):
            raise ValidationError({"longitude": "Enter both latitude and longitude, or neither."})
        try:
            zones.named(str(self.time_zone))
        except ValueError as error:
            raise ValidationError({"time_zone": str(error)}) from error

    @staticmethod
    def of(user: Any) -> QuerySet["Site"]:
        """Return the sites that name `user` or a role of the user."""
        return Site.objects.filter(Q(users=user) | Q(roles__user=user)).distinct()
