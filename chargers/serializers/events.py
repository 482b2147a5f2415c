"""What happened, and who is told of it, as the API shows it."""

from rest_framework import serializers

from chargers.models import (
    ChargerGroup,
    Delivery,
    Event,
    Webhook,
)
from chargers.models.events import KINDS
from chargers.serializers.strict import Strict


class EventSerializer(serializers.ModelSerializer):
    charger_id = serializers.CharField(source="charger.charger_id")
    body = serializers.DictField(help_text="What is told of it: the members depend on its kind.")

    class Meta:
        model = Event
        fields = ["id", "kind", "at", "charger_id", "body"]


class WebhookSerializer(Strict, serializers.ModelSerializer):
    """Its secret is told once, when it is made."""

    kinds = serializers.ListField(child=serializers.ChoiceField(list(KINDS)), min_length=1, required=False)
    group = serializers.SlugRelatedField(
        slug_field="name", queryset=ChargerGroup.objects, required=False, allow_null=True
    )

    class Meta:
        model = Webhook
        fields = ["id", "name", "url", "kinds", "group", "is_enabled", "created_at"]
        read_only_fields = ["created_at"]


class NewWebhookSerializer(WebhookSerializer):
    """Told once: `secret` signs each POST, as standardwebhooks.com has it."""

    secret = serializers.CharField(source="secret.opened", read_only=True)

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]


class DeliverySerializer(serializers.ModelSerializer):
    event = EventSerializer(read_only=True)

    class Meta:
        model = Delivery
        fields = ["id", "state", "attempts", "due_at", "answered_status", "error", "delivered_at", "event"]


class ReplayedSerializer(serializers.Serializer):
    replayed = serializers.IntegerField(help_text="Deliveries that are sent again.")
