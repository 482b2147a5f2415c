"""A base class for request bodies without unknown members."""

from rest_framework import serializers


class Strict(serializers.Serializer):
    """Refuse unknown members, because a misspelt one would be ignored in a request to many chargers."""

    def to_internal_value(self, body):
        if isinstance(body, dict) and (unknown := sorted(set(body) - set(self.fields))):
            sentence = f"Unknown member. Known: {', '.join(self.fields)}."
            raise serializers.ValidationError({name: [sentence] for name in unknown})
        return super().to_internal_value(body)
