"""Refused connections, as the API shows them."""

from rest_framework import serializers

from chargers.models import Refusal


class RefusalSerializer(serializers.ModelSerializer):
    """One charger id and one reason; `is_known` says whether it is the id of a charger."""

    is_known = serializers.BooleanField(read_only=True)

    class Meta:
        model = Refusal
        fields = ["id", "charger_id", "is_known", "kind", "status", "reason", "address", "count"]
        fields += ["first_at", "last_at"]
        read_only_fields = fields
