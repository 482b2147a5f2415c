"""Serializers of power limits."""

from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chargers.api.serializers.base import Strict
from chargers.api.serializers.sites import SiteField
from chargers.models import Charger
from chargers.services import access
from commands.api.serializers.weekly import WeeklySerializer
from commands.models import LimitedPlace, PowerLimit
from commands.services.power_limits import Kept

MAX_AMOUNT = 10_000_000  # W, or A
STATES = ("active", "removing", "ended")
STATES_OF_PLACES = (
    *(LimitedPlace.WAITING, LimitedPlace.SENT, LimitedPlace.INSTALLED, LimitedPlace.REFUSED, LimitedPlace.REMOVING),
)


class PowerLimitSerializer(Strict, WeeklySerializer, serializers.ModelSerializer):
    """A limit of exactly one of `site` and `charger_id`, in the time zone of the site.

    It holds on `weekdays` from `from_time` until `until_time`, which is on the next day if it is not later; without
    both, for whole days. That of a site is divided among its chargers in equal parts.
    """

    site = SiteField(required=False, allow_null=True)
    charger_id = serializers.CharField(source="charger.identity", required=False, allow_null=True, max_length=255)
    evse_id = serializers.IntegerField(
        default=0,
        min_value=0,
        max_value=2**31 - 1,
        help_text="0 is the charger as a whole. In OCPP 1.6 the connector id.",
    )
    amount = serializers.FloatField(min_value=0, max_value=MAX_AMOUNT, help_text="In A of each phase, or in W.")
    unit = serializers.ChoiceField(["A", "W"])
    time_zone = serializers.CharField(source="zone", read_only=True)
    state = serializers.ChoiceField(STATES, read_only=True)

    class Meta:
        model = PowerLimit
        fields = ["id", "site", "charger_id", "evse_id", "amount", "unit", "weekdays", "from_time", "until_time"]
        fields += ["time_zone", "state", "created_by", "created_at", "removed_by", "removed_at", "ended_at"]
        read_only_fields = ["created_by", "created_at", "removed_by", "removed_at", "ended_at"]

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Return the columns of a `PowerLimit`; raise a `ValidationError` unless it has exactly one place."""
        charger = self._charger(attributes.pop("charger", None))
        if (charger is None) == (attributes.get("site") is None):
            raise serializers.ValidationError("Give exactly one of site and charger_id.")
        if charger is None and attributes["evse_id"]:
            raise serializers.ValidationError(
                {"evse_id": ["A limit of a site is one of whole chargers: leave it out."]}
            )
        columns = attributes | {"charger": charger}
        try:
            PowerLimit(**columns).clean()
        except ValidationError as error:
            raise serializers.ValidationError(serializers.as_serializer_error(error)) from error
        return columns

    def _charger(self, named: Any) -> Charger | None:
        identity = named and named["identity"]
        if not identity:
            return None
        charger = Charger.known(identity)
        if charger is None or not access.reaches(self.context["request"].user, charger):
            raise serializers.ValidationError({"charger_id": ["Charger not found"]})
        return charger


class KeptSerializer(serializers.Serializer):
    """How a charger keeps its part of a limit: `amount` is that part, in the unit of the limit."""

    charger_id = serializers.CharField(source="charger.identity")
    amount = serializers.SerializerMethodField()
    state = serializers.ChoiceField(STATES_OF_PLACES)
    reason = serializers.CharField(help_text="Why the last command failed, or none was sent.")
    task_id = serializers.CharField(
        source="place.command.task_id", allow_null=True, default=None, help_text="The last command."
    )
    installed_at = serializers.DateTimeField(source="place.installed_at", allow_null=True, default=None)

    def get_amount(self, kept: Kept) -> float:
        return kept.part.amount_in(kept.part.limit.unit)


class PowerLimitDetailSerializer(PowerLimitSerializer):
    """A limit with the chargers that keep it, or that still have it after it was removed."""

    chargers = serializers.SerializerMethodField()

    class Meta(PowerLimitSerializer.Meta):
        fields = [*PowerLimitSerializer.Meta.fields, "chargers"]

    @extend_schema_field(KeptSerializer(many=True))
    def get_chargers(self, limit: PowerLimit) -> Any:
        return KeptSerializer(self.context["kept"][limit.pk], many=True).data
