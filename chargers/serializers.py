"""Chargers and connectors as the API shows them."""

from rest_framework import serializers

from chargers import keys
from chargers.models import Charger, Connector

TOLD_BY_CHARGER = [
    "vendor",
    "model",
    "serial_number",
    "charge_box_serial_number",
    "firmware_version",
    "iccid",
    "imsi",
    "meter_type",
    "meter_serial_number",
    "last_boot_at",
    "firmware_status",
    "firmware_status_at",
    "diagnostics_status",
    "diagnostics_status_at",
    "local_list_version",
    "connected_at",
    "last_seen",
    "created_at",
]


class ConnectorSerializer(serializers.ModelSerializer):
    class Meta:
        model = Connector
        fields = [
            "connector_id",
            "status",
            "error_code",
            "info",
            "vendor_id",
            "vendor_error_code",
            "timestamp",
            "received_at",
        ]


class ChargerSerializer(serializers.ModelSerializer):
    """`connected` comes from Redis, given as the set `connected` in the context."""

    charger_id = serializers.CharField(max_length=255, trim_whitespace=False)
    authorization_key = serializers.CharField(
        write_only=True,
        required=False,
        allow_null=True,
        min_length=16,
        max_length=40,
        trim_whitespace=False,
        help_text="The key for Basic auth: 16 to 20 bytes as 32 to 40 hex digits, or as text. Null removes it.",
    )
    has_authorization_key = serializers.SerializerMethodField()
    connected = serializers.SerializerMethodField()
    connectors = ConnectorSerializer(many=True, read_only=True)

    class Meta:
        model = Charger
        fields = [
            "charger_id",
            "description",
            "connected",
            "authorization_key",
            "has_authorization_key",
            *TOLD_BY_CHARGER,
            "connectors",
        ]
        read_only_fields = TOLD_BY_CHARGER

    def get_has_authorization_key(self, charger) -> bool:
        return bool(charger.authorization_key_hash)

    def get_connected(self, charger) -> bool:
        return charger.charger_id in self.context["connected"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance is not None:  # the path names it
            self.fields["charger_id"].required = False

    def validate_charger_id(self, charger_id):
        if self.instance and charger_id != self.instance.charger_id:
            raise serializers.ValidationError("The id of a charger can't be changed.")
        if not self.instance and Charger.objects.filter(charger_id=charger_id).exists():
            raise serializers.ValidationError("A charger with this id exists already.")
        return charger_id

    def validate(self, attributes):
        if "authorization_key" in attributes:
            key = attributes.pop("authorization_key")
            attributes["authorization_key_hash"] = keys.hashed(key) if key else ""
        return attributes


class StatusSerializer(serializers.Serializer):
    """Shape of `GET status/<charger id>/`, inside `status`."""

    charger_id = serializers.CharField()
    status = serializers.CharField()
    last_seen = serializers.DateTimeField()
    connected = serializers.BooleanField()
    connectors = ConnectorSerializer(many=True)
