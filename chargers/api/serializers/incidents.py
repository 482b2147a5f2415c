"""Serializers of incidents and of notifications about them."""

from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chargers.api.serializers.base import Strict
from chargers.api.serializers.sites import SiteField
from chargers.error_codes import explain
from chargers.models import Incident, IncidentEntry, NotificationDelivery, NotificationRule
from chargers.models.incidents import KINDS
from chargers.services import notification_rules


class IncidentSerializer(serializers.ModelSerializer):
    """An incident. `meaning` and `what_to_do` explain its code; `charger_id` is null for one of this system."""

    charger_id = serializers.CharField(source="charger.identity", allow_null=True, default=None)
    site = serializers.IntegerField(source="charger.site_id", allow_null=True, default=None)
    site_name = serializers.CharField(source="charger.site.name", allow_null=True, default=None)
    title = serializers.CharField()
    meaning = serializers.SerializerMethodField()
    what_to_do = serializers.SerializerMethodField()
    assignee = serializers.CharField(source="assignee.username", allow_null=True, default=None)

    class Meta:
        model = Incident
        fields = ["id", "kind", "severity", "state", "title", "charger_id", "site", "site_name", "evse_id"]
        fields += ["connector_id", "code", "vendor_code", "detail", "meaning", "what_to_do", "opened_at"]
        fields += ["last_seen_at", "cleared_at", "recurrences", "acknowledged_at", "acknowledged_by", "assignee"]
        fields += ["closed_at", "closed_by"]
        read_only_fields = fields

    def get_meaning(self, incident: Incident) -> str:
        return explain(incident).meaning

    def get_what_to_do(self, incident: Incident) -> str:
        return explain(incident).what_to_do


class IncidentEntrySerializer(serializers.ModelSerializer):
    class Meta:
        model = IncidentEntry
        fields = ["at", "action", "who", "text"]


class IncidentDetailSerializer(IncidentSerializer):
    """An incident with its history, the oldest entry first."""

    history = IncidentEntrySerializer(source="entries", many=True)

    class Meta(IncidentSerializer.Meta):
        fields = [*IncidentSerializer.Meta.fields, "history"]
        read_only_fields = fields


class AssignmentSerializer(Strict):
    user = serializers.CharField(allow_null=True, max_length=150, help_text="A user name; null for nobody.")


class NoteSerializer(Strict):
    text = serializers.CharField(max_length=4000)


@extend_schema_field(serializers.CharField())
class TargetField(serializers.Field):
    """Addresses or a URL. Of a URL only the host is shown, because the rest is a secret of most chat programs."""

    def to_internal_value(self, value: Any) -> str:
        if not isinstance(value, str):
            raise serializers.ValidationError("Send a text.")
        return value.strip()

    def to_representation(self, sealed: Any) -> str:
        return notification_rules.shown(sealed.opened())


class NotificationRuleSerializer(Strict, serializers.ModelSerializer):
    """Who is notified of which incidents. A `target` that is sent as it was shown is left unchanged."""

    site = SiteField(required=False, allow_null=True)
    kinds = serializers.ListField(child=serializers.ChoiceField(list(KINDS)), required=False)
    weekdays = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=7), required=False, min_length=1
    )
    target = TargetField()
    escalation_target = TargetField(required=False, allow_null=True)
    template = serializers.JSONField(required=False, allow_null=True)

    class Meta:
        model = NotificationRule
        fields = ["id", "name", "is_enabled", "site", "severity", "kinds", "weekdays", "from_time", "until_time"]
        fields += ["channel", "target", "template", "language", "notify_end", "escalate_after", "escalation_target"]
        fields += ["created_at"]
        read_only_fields = ["created_at"]
        extra_kwargs = {"escalate_after": {"min_value": 1, "max_value": 10_080}}

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        former = self.instance if isinstance(self.instance, NotificationRule) else None
        for name in ("target", "escalation_target"):
            kept = getattr(former, name, None)
            if kept is not None and attributes.get(name) == notification_rules.shown(kept.opened()):
                del attributes[name]
        try:
            notification_rules.check(former, attributes)
        except ValidationError as error:
            raise serializers.ValidationError(error.message_dict) from error
        return attributes


class NotificationDeliverySerializer(serializers.ModelSerializer):
    """One message; `incident` is null for a test."""

    incident_id = serializers.IntegerField(allow_null=True)

    class Meta:
        model = NotificationDelivery
        fields = ["id", "incident_id", "reason", "number", "state", "attempts", "created_at", "due_at"]
        fields += ["answered_status", "error", "delivered_at"]
