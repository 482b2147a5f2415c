"""Limits of power that operators set for a while of each week, and the profiles by which chargers keep them."""

from zoneinfo import ZoneInfo

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from chargers.models import Charger, Site
from commands.models.command import Command
from commands.models.library import next_profile_id
from commands.models.weekly import Weekly, zone_of

CLEAR = "clear"  # stands for the limits of a profile that is to be deleted


class PowerLimit(Weekly):
    """A limit of a site, a charger (`evse_id` 0) or one of its EVSEs, in the time zone of the site.

    It holds on `weekdays`, from `from_time` until `until_time`, which may be on the next day, or for the whole day if
    both are null. That of a site is divided among its chargers in equal parts. A limit is not changed, only removed:
    it has ended when no charger has it any longer.
    """

    site = models.ForeignKey(Site, models.CASCADE, null=True, blank=True, related_name="power_limits")
    charger = models.ForeignKey(Charger, models.CASCADE, null=True, blank=True, related_name="power_limits")
    evse_id = models.PositiveIntegerField(
        default=0, help_text="0 is the charger as a whole. In OCPP 1.6 the connector id."
    )
    amount = models.FloatField(validators=[MinValueValidator(0)], help_text="In A of each phase, or in W.")
    unit = models.CharField(max_length=1, choices=[("A", "A"), ("W", "W")], default="A")
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_by = models.CharField(max_length=150, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When the last charger had answered.")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(
                condition=Q(site=None, charger__isnull=False) | Q(site__isnull=False, charger=None, evse_id=0),
                name="a_power_limit_has_one_place",
            ),
        ]
        indexes = [models.Index(fields=["id"], name="power_limits_in_force", condition=Q(ended_at=None))]

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit} ({self.site or self.charger})"

    @property
    def state(self) -> str:
        """One of `active`, `removing` and `ended`."""
        return "ended" if self.ended_at else "removing" if self.removed_at else "active"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of its site, else that of the pages."""
        return zone_of(self.site or (self.charger.site if self.charger else None))


class LimitedPlace(models.Model):
    """A charger (`evse_id` 0) or an EVSE with power limits, and the charging profile by which it keeps all of them.

    `wanted`, `tried` and `installed` describe limits, see `commands.services.power_limits`. They are those that it
    should keep, those of the last command, and those that the charger accepted.
    """

    WAITING, SENT, INSTALLED, REFUSED, REMOVING = "waiting", "sent", "installed", "refused", "removing"

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="limited_places", db_index=False)
    evse_id = models.PositiveIntegerField()
    profile_id = models.IntegerField(default=next_profile_id, editable=False)
    wanted = models.TextField(blank=True)
    tried = models.TextField(blank=True)
    installed = models.TextField(blank=True)
    limits = models.JSONField(default=list, help_text="The ids of the limits that the charger has or may have.")
    command = models.ForeignKey(Command, models.SET_NULL, null=True, blank=True, related_name="+")
    is_open = models.BooleanField(default=False, help_text="Whether the outcome of the command is not known yet.")
    reason = models.TextField(blank=True, help_text="Why the last command failed, or none was sent.")
    tried_at = models.DateTimeField(null=True, blank=True)
    again_at = models.DateTimeField(null=True, blank=True, help_text="When a command that failed is repeated.")
    installed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["charger", "evse_id"]
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["charger", "evse_id"], name="one_row_a_limited_place")]

    def __str__(self) -> str:
        return f"{self.charger}, EVSE {self.evse_id}"

    @property
    def state(self) -> str:
        """One of `waiting` (for the charger), `sent`, `installed`, `refused` and `removing`."""
        if not self.wanted:
            return self.REMOVING
        if self.installed == self.wanted:
            return self.INSTALLED
        if self.is_open:
            return self.SENT
        return self.REFUSED if self.reason else self.WAITING

    def has(self, limit: PowerLimit) -> bool:
        """Whether the charger has `limit`, or may have it."""
        return limit.pk in self.limits
