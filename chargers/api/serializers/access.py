"""Serializers of API tokens."""

from datetime import UTC, datetime

from rest_framework import serializers

from chargers.models import ApiToken


class ApiTokenSerializer(serializers.ModelSerializer):
    """A token of the user, by name. Only the answer that creates it contains the token itself."""

    expires_at = serializers.DateTimeField(
        source="expiry", required=False, allow_null=True, help_text="Null: never. Absent: after a year."
    )
    created_at = serializers.DateTimeField(source="created", read_only=True)
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = ApiToken
        fields = ["id", "user", "name", "expires_at", "created_at", "last_used"]
        read_only_fields = ["last_used"]

    def validate_name(self, name: str) -> str:
        if ApiToken.objects.filter(user=self.context["request"].user, name=name).exists():
            raise serializers.ValidationError("You have a token of this name already.")
        return name

    def validate_expires_at(self, expires_at: datetime | None) -> datetime | None:
        if expires_at is not None and expires_at <= datetime.now(UTC):
            raise serializers.ValidationError("This time is in the past.")
        return expires_at


class NewApiTokenSerializer(ApiTokenSerializer):
    token = serializers.CharField(read_only=True)

    class Meta(ApiTokenSerializer.Meta):
        fields = [*ApiTokenSerializer.Meta.fields, "token"]
