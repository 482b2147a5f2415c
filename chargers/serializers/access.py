"""Tokens, and who did what, as the API shows them."""

from datetime import UTC, datetime

from rest_framework import serializers

from chargers.models import (
    ApiToken,
    AuditEntry,
)


class ApiTokenSerializer(serializers.ModelSerializer):
    """A token of one's own, by name; the token itself is in the answer that made it, and nowhere else."""

    expires_at = serializers.DateTimeField(
        source="expiry", required=False, allow_null=True, help_text="Null: never. Left out: after a year."
    )
    created_at = serializers.DateTimeField(source="created", read_only=True)
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = ApiToken
        fields = ["id", "user", "name", "expires_at", "created_at", "last_used"]
        read_only_fields = ["last_used"]

    def validate_name(self, name):
        if ApiToken.objects.filter(user=self.context["request"].user, name=name).exists():
            raise serializers.ValidationError("You have a token of this name already.")
        return name

    def validate_expires_at(self, expires_at):
        if expires_at is not None and expires_at <= datetime.now(UTC):
            raise serializers.ValidationError("This is in the past.")
        return expires_at


class NewApiTokenSerializer(ApiTokenSerializer):
    token = serializers.CharField(read_only=True)

    class Meta(ApiTokenSerializer.Meta):
        fields = [*ApiTokenSerializer.Meta.fields, "token"]


class AuditEntrySerializer(serializers.ModelSerializer):
    """`before` and `after` hold what has changed; of secrets no more than whether there is one."""

    charger_id = serializers.CharField(source="charger.charger_id", allow_null=True, default=None)
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)

    class Meta:
        model = AuditEntry
        fields = ["id", "at", "who", "address", "action", "kind", "name", "charger_id", "before", "after"]
