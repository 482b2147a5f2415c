"""Firmware campaigns: one image for many chargers, canaries first, at the times at which they may be updated."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from chargers.models import Charger
from commands.fields import OrderedJSONField
from commands.models.command import Command
from commands.models.library import Firmware
from commands.models.weekly import Weekly

DRAFT, RUNNING, PAUSED, STOPPED, FINISHED = "draft", "running", "paused", "stopped", "finished"
STATES = (DRAFT, RUNNING, PAUSED, STOPPED, FINISHED)
UNDER_WAY = Q(finished_at=None) & ~Q(state=DRAFT)


class CampaignItem(models.Model):
    """One charger of a campaign. `command` is the last one by which it got the image."""

    WAITING, RUNNING, CONFIRMED, FAILED, SKIPPED = "waiting", "running", "confirmed", "failed", "skipped"
    STATES = (WAITING, RUNNING, CONFIRMED, FAILED, SKIPPED)

    campaign = models.ForeignKey("Campaign", models.CASCADE, related_name="items", db_index=False)
    charger = models.ForeignKey(Charger, models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, default=WAITING, choices=[(s, s) for s in STATES])
    is_canary = models.BooleanField(default=False, help_text="Updated before those that are none.")
    reason = models.TextField(blank=True, help_text="Why it failed or was skipped.")
    command = models.ForeignKey(Command, models.SET_NULL, null=True, blank=True, related_name="+")
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When it was confirmed, failed or skipped.")

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)
        verbose_name = "charger of a campaign"
        verbose_name_plural = "chargers of campaigns"
        constraints = [
            models.UniqueConstraint(fields=["campaign", "charger"], name="one_item_a_charger_of_a_campaign"),
            models.UniqueConstraint(
                fields=["charger"], name="one_update_a_charger_at_a_time", condition=Q(state="running")
            ),
        ]
        indexes = [
            models.Index(fields=["campaign", "state", "id"], name="campaign_items_by_state"),
            models.Index(
                fields=["campaign"],
                name="campaign_canaries_left",
                condition=Q(is_canary=True, state__in=("waiting", "running")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.charger} of {self.campaign}"


class CampaignQuerySet(models.QuerySet["Campaign"]):
    """Rows of campaigns."""

    def counted(self) -> "CampaignQuerySet":
        """Add the numbers of items by state, see `Campaign.counts`. Only those of the rows of a page are counted."""
        items = CampaignItem.objects.filter(campaign=OuterRef("pk")).order_by()
        counted = {
            state: items.filter(state=state).values("campaign").annotate(number=Count("pk")).values("number")
            for state in CampaignItem.STATES
        }
        return self.annotate(**{f"number_{state}": Coalesce(Subquery(n), 0) for state, n in counted.items()})


class Campaign(Weekly):
    """One image for many chargers, which are chosen when it is started, at times of the week of their sites.

    Its first `canaries` chargers are updated before the others, and all of them must be confirmed. `at_once` chargers
    are updated at a time. It stops by itself after `max_failures` failures since `resumed_at`, or one of a canary.
    """

    name = models.CharField(max_length=100)
    firmware = models.ForeignKey(Firmware, models.PROTECT, related_name="campaigns")
    chosen = OrderedJSONField(help_text="The list or the filter of chargers.")
    canaries = models.PositiveIntegerField(default=1, help_text="Chargers that are updated before the others.")
    at_once = models.PositiveIntegerField(
        default=10, validators=[MinValueValidator(1)], help_text="Chargers that are updated at a time."
    )
    max_failures = models.PositiveIntegerField(
        default=1, validators=[MinValueValidator(1)], help_text="Failures after which it stops."
    )
    days = models.PositiveIntegerField(
        default=7, validators=[MinValueValidator(1)], help_text="How long it waits for chargers, from each start on."
    )
    state = models.CharField(max_length=10, default=DRAFT, choices=[(s, s) for s in STATES])
    reason = models.TextField(blank=True, help_text="Why it stopped by itself.")
    requested_by = models.CharField(max_length=150, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    request_digest = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    resumed_at = models.DateTimeField(null=True, blank=True, help_text="When it was last started or resumed.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Until when it waits for chargers.")
    finished_at = models.DateTimeField(
        null=True, blank=True, help_text="When it finished, or was stopped and its last update had ended."
    )

    objects = CampaignQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["requested_by", "idempotency_key"],
                name="one_campaign_an_idempotency_key",
                condition=~Q(idempotency_key=""),
            )
        ]
        indexes = [models.Index(fields=["id"], name="campaigns_under_way", condition=UNDER_WAY)]

    def __str__(self) -> str:
        return self.name

    @property
    def counts(self) -> dict[str, int]:
        """The number of items of each state, as `CampaignQuerySet.counted` has counted them."""
        return {state: getattr(self, f"number_{state}") for state in CampaignItem.STATES}

    @property
    def total(self) -> int:
        """The number of its items; 0 for a draft, whose chargers are not chosen yet."""
        return sum(self.counts.values())

    @property
    def progress(self) -> float:
        """The part of its items that have ended, from 0 to 1."""
        counts = self.counts
        ended = self.total - counts[CampaignItem.WAITING] - counts[CampaignItem.RUNNING]
        return ended / self.total if self.total else 0.0

    def may_send_at(self, now: datetime, zone: ZoneInfo) -> bool:
        """Whether chargers in `zone` may be updated `now`."""
        local = now.astimezone(zone)
        return self.holds_at(local.weekday() * 1440 + local.hour * 60 + local.minute)
