"""Serializers of variables, their changes, and network profiles."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chargers import standard_variables
from chargers.api.serializers.base import ChargerRow
from chargers.models import NetworkProfile, Variable, VariableChange
from chargers.models.variables import NAME


class StandardVariableSerializer(serializers.Serializer):
    """Facts about a variable from the device model of OCPP 2.0.1. For texts and lists `max_limit` is a length."""

    data_type = serializers.CharField()
    unit = serializers.CharField(help_text="Several are separated by a bar; empty for none.")
    min_limit = serializers.FloatField(allow_null=True)
    max_limit = serializers.FloatField(allow_null=True)
    values_list = serializers.ListField(child=serializers.CharField(), help_text="Empty if the standard has none.")
    is_required = serializers.BooleanField(help_text="A charger with this component has the variable.")
    description = serializers.CharField(help_text="Empty for less common variables.")


class VariableSerializer(serializers.ModelSerializer):
    """A variable. `standard` is null for one that OCPP 2.0.1 does not have, such as a configuration key of 1.6."""

    standard = serializers.SerializerMethodField()

    class Meta:
        model = Variable
        fields = [
            *NAME,
            "value",
            "mutability",
            "persistent",
            "constant",
            "characteristics",
            "reboot_required",
            "reported_at",
            "standard",
        ]

    @extend_schema_field(StandardVariableSerializer(allow_null=True))
    def get_standard(self, variable: Variable) -> Any:
        known = standard_variables.find(variable.component, variable.variable, variable.instance)
        return StandardVariableSerializer(known).data if known else None


class FleetVariableSerializer(ChargerRow, VariableSerializer):
    class Meta:
        model = Variable
        fields = ["id", "charger_id", *VariableSerializer.Meta.fields]


class VariableChangeSerializer(ChargerRow):
    """A change. `new_value` is null if the charger no longer has the variable; secrets are hidden."""

    class Meta:
        model = VariableChange
        fields = ["id", "charger_id", *NAME, "old_value", "new_value", "source", "at"]


class NetworkProfileSerializer(ChargerRow):
    """What SetNetworkProfile did: `status` is its last answer, `connection` what was accepted last, if anything."""

    class Meta:
        model = NetworkProfile
        fields = [
            "id",
            "charger_id",
            "slot",
            "status",
            "answered_at",
            "connection",
            "security_profile",
            "accepted_at",
        ]
