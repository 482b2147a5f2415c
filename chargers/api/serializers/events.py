"""Serializers of webhooks and deliveries."""

from rest_framework import serializers

from chargers.api.serializers.base import Strict
from chargers.api.serializers.histories import EventSerializer
from chargers.models import ChargerGroup, Delivery, Webhook
from chargers.models.events import KINDS


class WebhookSerializer(Strict, serializers.ModelSerializer):
    """A webhook. Only the answer that creates it contains its secret."""

    kinds = serializers.ListField(child=serializers.ChoiceField(list(KINDS)), min_length=1, required=False)
    group = serializers.SlugRelatedField(
        slug_field="name", queryset=ChargerGroup.objects, required=False, allow_null=True
    )

    class Meta:
        model = Webhook
        fields = ["id", "name", "url", "kinds", "group", "is_enabled", "created_at"]
        read_only_fields = ["created_at"]


class NewWebhookSerializer(WebhookSerializer):
    """A new webhook with its `secret`, which signs each POST (standardwebhooks.com)."""

    secret = serializers.CharField(source="secret.opened", read_only=True)

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]


class DeliverySerializer(serializers.ModelSerializer):
    event = EventSerializer(read_only=True)

    class Meta:
        model = Delivery
        fields = ["id", "state", "attempts", "due_at", "answered_status", "error", "delivered_at", "event"]


class ReplayedSerializer(serializers.Serializer):
    replayed = serializers.IntegerField(help_text="Number of deliveries that are sent again.")
