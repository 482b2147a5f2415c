"""Serializer of refused connections."""

from rest_framework import serializers

from chargers.models import Refusal


class RefusalSerializer(serializers.ModelSerializer):
    """Refused handshakes of one charger id and reason; `is_known` tells whether a charger with this id exists."""

    is_known = serializers.BooleanField(read_only=True)

    class Meta:
        model = Refusal
        fields = ["id", "charger_id", "is_known", "kind", "status", "reason", "address", "count"]
        fields += ["first_at", "last_at"]
        read_only_fields = fields
