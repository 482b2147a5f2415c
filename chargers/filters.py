"""What lists of chargers' words can be narrowed by."""

from django_filters import rest_framework as filters

from chargers.models import DataTransfer, SecurityEvent


class OfCharger(filters.FilterSet):
    """`?charger_id=`, compared as sent."""

    charger_id = filters.CharFilter("charger__charger_id")


class SecurityEventFilter(OfCharger):
    class Meta:
        model = SecurityEvent
        fields = ["id", "type", "timestamp", "tech_info", "received_at"]


class DataTransferFilter(OfCharger):
    class Meta:
        model = DataTransfer
        fields = ["id", "vendor_id", "message_id", "data", "status", "answered_data", "received_at"]
