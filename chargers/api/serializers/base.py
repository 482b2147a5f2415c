"""Base classes of the serializers of all apps."""

from typing import Any

from rest_framework import serializers


class Strict(serializers.Serializer):
    """Refuse unknown members, because a misspelt one would be ignored in a request to many chargers."""

    def to_internal_value(self, body: Any) -> Any:
        if isinstance(body, dict) and (unknown := sorted(set(body) - set(self.fields))):
            sentence = f"Unknown member. Known: {', '.join(self.fields)}."
            raise serializers.ValidationError({name: [sentence] for name in unknown})
        return super().to_internal_value(body)


# The base of rows that belong to a charger. A docstring would be that of its subclasses in the OpenAPI schema.
class ChargerRow(serializers.ModelSerializer):
    charger_id = serializers.CharField(source="charger.identity")
