"""Serializer of deviations from OCPP."""

from rest_framework import serializers

from chargers.models import Finding


class FindingSerializer(serializers.ModelSerializer):
    """A finding. `example` is the latest value as sent, in JSON, masked; `field` is "" for a whole message."""

    charger_id = serializers.CharField(source="charger.identity")

    class Meta:
        model = Finding
        fields = ["charger_id", "action", "field", "kind", "count", "first_seen", "last_seen", "example"]
