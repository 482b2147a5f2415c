"""Serializers of firmware campaigns and their items."""

from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ValidationError
from rest_framework import serializers

from chargers.api.serializers.base import ChargerRow, Strict
from commands.api.serializers.batches import MAX_LISTED, FilterSerializer
from commands.api.serializers.commands import task_url
from commands.api.serializers.weekly import WeeklySerializer
from commands.models import CONFIRMATIONS, Campaign, CampaignItem, Firmware
from commands.models.campaign import STATES

COLUMNS = ("weekdays", "from_time", "until_time")


class CampaignStatesSerializer(serializers.Serializer):
    waiting = serializers.IntegerField(help_text="Not updated yet.")
    running = serializers.IntegerField(help_text="Got the image; the effect was not seen yet.")
    confirmed = serializers.IntegerField(help_text="The charger reported the image as installed, or booted with it.")
    failed = serializers.IntegerField(help_text="See the reason of the item.")
    skipped = serializers.IntegerField(help_text="Had the version already.")


class CampaignSerializer(Strict, WeeklySerializer, serializers.ModelSerializer):
    """One image for the chargers of exactly one of `chargers` and `filter`, which are chosen when it is started.

    Without times it sends at any time; else on `weekdays` from `from_time` until `until_time`, which is on the next
    day if it is not later, in the time zone of the site of each charger.
    """

    url = serializers.SerializerMethodField()
    name = serializers.CharField(
        required=False, max_length=100, allow_blank=True, help_text="Default: that of the image."
    )
    firmware = serializers.PrimaryKeyRelatedField(
        queryset=Firmware.objects.all(), help_text="The id of an image of `firmware/`."
    )
    version = serializers.CharField(source="firmware.version", read_only=True, help_text="That of the image.")
    chargers = serializers.ListField(
        child=serializers.CharField(max_length=255, trim_whitespace=False),
        required=False,
        allow_null=True,
        min_length=1,
        max_length=MAX_LISTED,
    )
    filter = FilterSerializer(required=False, allow_null=True)
    canaries = serializers.IntegerField(
        default=1, min_value=0, max_value=MAX_LISTED, help_text="Chargers that are updated before the others."
    )
    at_once = serializers.IntegerField(
        default=10, min_value=1, max_value=1000, help_text="Chargers that are updated at a time."
    )
    max_failures = serializers.IntegerField(
        default=1, min_value=1, max_value=MAX_LISTED, help_text="Failures after which it stops."
    )
    days = serializers.IntegerField(
        default=7, min_value=1, max_value=366, help_text="How long it waits for chargers, from each start on."
    )
    state = serializers.ChoiceField(STATES, read_only=True)
    total = serializers.IntegerField(read_only=True, help_text="Chargers; 0 before it is started.")
    progress = serializers.FloatField(read_only=True, help_text="The part of the chargers that have ended, 0 to 1.")
    states = CampaignStatesSerializer(source="counts", read_only=True)

    class Meta:
        model = Campaign
        fields = ["id", "url", "name", "firmware", "version", "chargers", "filter", "canaries", "at_once"]
        fields += ["max_failures", "days", *COLUMNS, "state", "reason", "total", "progress", "states"]
        fields += ["requested_by", "created_at", "started_at", "resumed_at", "ends_at", "finished_at"]
        read_only_fields = ["reason", "requested_by", "created_at", "started_at", "resumed_at", "ends_at"]
        read_only_fields += ["finished_at"]

    def get_url(self, campaign: Campaign) -> str:
        return f"{settings.URL_PREFIX}/api/ocpp/campaigns/{campaign.pk}/"

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Return the columns of a `Campaign`, with `chosen` in place of `chargers` and `filter`."""
        chosen = {name: value for name in ("chargers", "filter") if (value := attributes.pop(name, None)) is not None}
        if len(chosen) > 1 or not (chosen or self.partial):
            raise serializers.ValidationError("Give exactly one of chargers and filter.")
        columns = attributes | ({"chosen": chosen} if chosen else {})
        if not columns.get("name") and (not self.partial or "name" in columns):
            columns["name"] = str(columns.get("firmware") or cast(Campaign, self.instance).firmware)[:100]
        try:
            self._times(columns).clean()
        except ValidationError as error:
            raise serializers.ValidationError(serializers.as_serializer_error(error)) from error
        return columns

    def _times(self, columns: dict[str, Any]) -> Campaign:
        """Return a campaign with the times that it would have."""
        former = {name: getattr(self.instance, name) for name in COLUMNS} if self.instance else {}
        return Campaign(**former | {name: columns[name] for name in COLUMNS if name in columns})

    def to_representation(self, campaign: Any) -> dict[str, Any]:
        for name in ("chargers", "filter"):
            setattr(campaign, name, campaign.chosen.get(name))
        return super().to_representation(campaign)


class CampaignItemSerializer(ChargerRow):
    """One charger of a campaign; `task_id` is null until its command exists."""

    state = serializers.ChoiceField(CampaignItem.STATES)
    outcome = serializers.SerializerMethodField()
    confirmation = serializers.ChoiceField(
        CONFIRMATIONS, source="command.confirmation", allow_null=True, default=None
    )
    confirmation_detail = serializers.CharField(source="command.confirmation_detail", default="")
    task_id = serializers.CharField(source="command.task_id", allow_null=True, default=None)
    task_url = serializers.SerializerMethodField()

    class Meta:
        model = CampaignItem
        fields = ["charger_id", "state", "is_canary", "reason", "outcome", "confirmation", "confirmation_detail"]
        fields += ["task_id", "task_url", "ended_at"]

    def get_outcome(self, item: CampaignItem) -> str | None:
        return (item.command and item.command.outcome) or None

    def get_task_url(self, item: CampaignItem) -> str | None:
        return task_url(item.command) if item.command else None
