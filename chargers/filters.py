"""What lists of chargers' words can be narrowed by."""

from django.db import models
from django_filters import rest_framework as filters
from django_filters.filterset import FILTER_FOR_DBFIELD_DEFAULTS

from chargers.models import AuditEntry, DataTransfer, Delivery, Event, SecurityEvent

_AS_SENT = {"filter_class": filters.CharFilter, "extra": lambda field: {"strip": False}}


class AsSent(filters.FilterSet):
    """Texts are compared as sent, spaces included."""

    FILTER_DEFAULTS = {**FILTER_FOR_DBFIELD_DEFAULTS, models.CharField: _AS_SENT, models.TextField: _AS_SENT}


class Backend(filters.DjangoFilterBackend):
    filterset_base = AsSent


class OfCharger(AsSent):
    """`?charger_id=`, compared as sent."""

    charger_id = filters.CharFilter("charger__charger_id", strip=False)


class SecurityEventFilter(OfCharger):
    class Meta:
        model = SecurityEvent
        fields = ["id", "type", "timestamp", "tech_info", "received_at"]


class DataTransferFilter(OfCharger):
    class Meta:
        model = DataTransfer
        fields = ["id", "vendor_id", "message_id", "data", "status", "answered_data", "received_at"]


class AuditEntryFilter(OfCharger):
    since = filters.IsoDateTimeFilter("at", "gte")
    until = filters.IsoDateTimeFilter("at", "lt")

    class Meta:
        model = AuditEntry
        fields = ["id", "who", "address", "action", "kind", "name"]


class EventFilter(OfCharger):
    since = filters.IsoDateTimeFilter("at", "gte")
    until = filters.IsoDateTimeFilter("at", "lt")
    after = filters.NumberFilter("id", "gt", min_value=0, max_value=2**63 - 1)

    class Meta:
        model = Event
        fields = ["id", "kind"]


class DeliveryFilter(AsSent):
    class Meta:
        model = Delivery
        fields = ["id", "event", "state", "answered_status"]
