"""Serializers of composite schedules, and of the needs and schedules of vehicles."""

from rest_framework import serializers

from chargers.api.serializers.base import ChargerRow
from commands.models import EVChargingNeeds, EVChargingSchedule


class PointSerializer(serializers.Serializer):
    """A limit, which applies from `at` until the next point."""

    at = serializers.DateTimeField()
    limit = serializers.FloatField()
    phases = serializers.IntegerField()


class CompositeScheduleSerializer(serializers.Serializer):
    """What the charger expected to allow, by its latest answer to GetCompositeSchedule; EVSE 0 is all of it."""

    task_id = serializers.CharField()
    received_at = serializers.DateTimeField()
    evse_id = serializers.IntegerField()
    unit = serializers.CharField(help_text="A, per phase, or W.")
    begins_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    points = PointSerializer(many=True)


class CompositeScheduleQuery(serializers.Serializer):
    evse_id = serializers.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="0: the charger as a whole."
    )


# The base of what vehicles report. A docstring would be that of its subclasses in the OpenAPI schema.
class FromVehicleRow(ChargerRow):
    transaction_id = serializers.IntegerField(allow_null=True)
    task_id = serializers.CharField(
        source="command.task_id", allow_null=True, default=None, help_text="The SetChargingProfile that followed."
    )


COLUMNS = ["id", "charger_id", "evse_id", "transaction_id", "status", "reason", "task_id", "received_at"]


class ChargingNeedsSerializer(FromVehicleRow):
    """What a vehicle needs. `status` is the answer: Accepted, Processing (the profile may come late) or Rejected."""

    parameters = serializers.DictField()

    class Meta:
        model = EVChargingNeeds
        fields = [*COLUMNS, "energy_transfer", "departure_time", "energy_wh", "max_rate", "max_periods", "parameters"]


class EVScheduleSerializer(FromVehicleRow):
    """How a vehicle wants to charge. It is Rejected if it exceeds the limits; another profile is sent then."""

    schedule = serializers.DictField()

    class Meta:
        model = EVChargingSchedule
        fields = [*COLUMNS, "begins_at", "schedule"]
