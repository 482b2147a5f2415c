"""Serializers of rows about chargers that REST only lists: reports, events, findings, frames, refused handshakes."""

from rest_framework import serializers

from chargers.api.serializers.base import ChargerRow
from chargers.models import (
    AuditEntry,
    ChargingLimit,
    DataTransfer,
    Event,
    Finding,
    Message,
    Monitor,
    MonitoringEvent,
    Refusal,
    SecurityEvent,
)
from chargers.services import monitors


class SecurityEventSerializer(ChargerRow):
    class Meta:
        model = SecurityEvent
        fields = ["id", "charger_id", "type", "timestamp", "tech_info", "received_at"]


class DataTransferSerializer(ChargerRow):
    """A DataTransfer of a charger, and its answer."""

    class Meta:
        model = DataTransfer
        fields = ["id", "charger_id", "vendor_id", "message_id", "data", "status", "answered_data", "received_at"]


class MonitorSerializer(ChargerRow):
    """A monitor; `monitor_id` is the charger's own id, by which ClearVariableMonitoring names it."""

    class Meta:
        model = Monitor
        fields = ["charger_id", "monitor_id", *monitors.REPORTED]


class MonitoringEventSerializer(ChargerRow):
    """An event of a variable, without secrets; the severity is that of its monitor."""

    class Meta:
        model = MonitoringEvent
        fields = ["id", "charger_id", *monitors.NAME, "timestamp", *monitors.SENT]
        fields += ["severity", "generated_at", "received_at"]


class ChargingLimitSerializer(ChargerRow):
    """A limit that another system imposed; it is active while `cleared_at` is null."""

    is_active = serializers.SerializerMethodField()
    schedules = serializers.ListField(child=serializers.DictField())

    class Meta:
        model = ChargingLimit
        fields = ["id", "charger_id", "evse_id", "source", "is_grid_critical", "schedules", "is_active"]
        fields += ["received_at", "cleared_at"]

    def get_is_active(self, limit: ChargingLimit) -> bool:
        return limit.cleared_at is None


class EventSerializer(ChargerRow):
    """An event. `charger_id` is null for one that belongs to no charger."""

    charger_id = serializers.CharField(source="charger.identity", allow_null=True, default=None)
    body = serializers.DictField(help_text="Details; the members depend on the kind.")

    class Meta:
        model = Event
        fields = ["id", "kind", "at", "charger_id", "body"]


class FindingSerializer(ChargerRow):
    """A finding. `example` is the latest value as sent, in JSON, masked; `field` is "" for a whole message."""

    class Meta:
        model = Finding
        fields = ["charger_id", "action", "field", "kind", "count", "first_seen", "last_seen", "example"]


class MessageSerializer(ChargerRow):
    class Meta:
        model = Message
        fields = ["id", "charger_id", "at", "direction", "kind", "action", "message_id", "is_error", "frame"]


class RefusalSerializer(serializers.ModelSerializer):
    """Refused handshakes of one charger id and reason; `is_known` tells whether a charger with this id exists."""

    is_known = serializers.BooleanField(read_only=True)

    class Meta:
        model = Refusal
        fields = ["id", "charger_id", "is_known", "kind", "status", "reason", "address", "count"]
        fields += ["first_at", "last_at"]
        read_only_fields = fields


class AuditEntrySerializer(serializers.ModelSerializer):
    """An entry; `before` and `after` have the changed values, and for secrets only whether they are set."""

    charger_id = serializers.CharField(source="charger.identity", allow_null=True, default=None)
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)

    class Meta:
        model = AuditEntry
        fields = ["id", "at", "who", "address", "action", "kind", "name", "charger_id", "before", "after"]
