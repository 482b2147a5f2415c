"""Bodies that say nothing but what is understood."""

from rest_framework import serializers


class Strict(serializers.Serializer):
    """A member that is not known is refused: misspelt, it would be left out of what many chargers are asked."""

    def to_internal_value(self, told):
        if isinstance(told, dict) and (unknown := sorted(set(told) - set(self.fields))):
            sentence = f"There is no such member; known are {', '.join(self.fields)}."
            raise serializers.ValidationError({name: [sentence] for name in unknown})
        return super().to_internal_value(told)
