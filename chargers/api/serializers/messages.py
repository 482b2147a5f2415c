"""Serializer of logged frames."""

from rest_framework import serializers

from chargers.models import Message


class MessageSerializer(serializers.ModelSerializer):
    charger_id = serializers.CharField(source="charger.identity")

    class Meta:
        model = Message
        fields = ["id", "charger_id", "at", "direction", "kind", "action", "message_id", "is_error", "frame"]
