"""What was odd about the messages of chargers, as the API shows it."""

from rest_framework import serializers

from chargers.models import Finding


class FindingSerializer(serializers.ModelSerializer):
    """`example` is the latest value as sent, as JSON text without secrets; `field` is "" for the whole message."""

    charger_id = serializers.CharField(source="charger.charger_id")

    class Meta:
        model = Finding
        fields = ["charger_id", "action", "field", "kind", "count", "first_seen", "last_seen", "example"]
