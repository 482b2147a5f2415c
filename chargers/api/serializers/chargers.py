"""Serializers of chargers, their connectors and their data."""

from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chargers.api.serializers.sites import SiteField
from chargers.models import Charger, Connector, InstalledCertificate, InstalledProfile, Site, Variable
from chargers.models.charger import OPERATOR_FIELDS, REPORTED_FIELDS
from chargers.services import audit, keys, profiles
from chargers.services.sites import NOT_MOVED, refused


class ConnectorSerializer(serializers.ModelSerializer):
    class Meta:
        model = Connector
        fields = [
            "evse_id",
            "connector_id",
            "status",
            "error_code",
            "info",
            "vendor_id",
            "vendor_error_code",
            "timestamp",
            "received_at",
            "scheduled_availability",
        ]


class EvseSerializer(serializers.Serializer):
    """A part of a charger that charges one vehicle at a time. In OCPP 1.6 each connector is an EVSE of its own."""

    evse_id = serializers.IntegerField()
    connectors = ConnectorSerializer(many=True)


class ConfigurationKeySerializer(serializers.ModelSerializer):
    key = serializers.CharField(source="variable")
    updated_at = serializers.DateTimeField(source="reported_at")

    class Meta:
        model = Variable
        fields = ["key", "value", "readonly", "reboot_required", "updated_at"]


class InstalledProfileSerializer(serializers.ModelSerializer):
    """A charging profile of a charger. The context has `profiles`, all profiles of that charger."""

    connector_id = serializers.IntegerField(source="evse_id", help_text="The same as evse_id, for OCPP 1.6.")
    effective = serializers.SerializerMethodField(
        help_text="Whether it sets a limit now and no other profile overrules it."
    )
    conflicts_with = serializers.SerializerMethodField(
        help_text="Ids of profiles with its purpose and stack level that are valid at the same time and place."
    )

    class Meta:
        model = InstalledProfile
        fields = [
            "evse_id",
            "connector_id",
            "charging_profile_id",
            "stack_level",
            "purpose",
            "source",
            "transaction_id",
            "valid_from",
            "valid_to",
            "effective",
            "conflicts_with",
            "profile",
            "installed_at",
            "reported_at",
        ]

    def get_effective(self, profile: InstalledProfile) -> bool:
        return profiles.is_effective(profile, self.context["profiles"], datetime.now(UTC))

    def get_conflicts_with(self, profile: InstalledProfile) -> list[int]:
        others = (other for other in self.context["profiles"] if profiles.conflicts(profile, other))
        return [other.charging_profile_id for other in others]


class InstalledCertificateSerializer(serializers.ModelSerializer):
    """A certificate; `certificate_hash_data` has the form that DeleteCertificate requires.

    `child_certificate_hash_data` are the other certificates of its chain.
    """

    certificate_hash_data = serializers.DictField(source="hash_data", child=serializers.CharField(), read_only=True)
    child_certificate_hash_data = serializers.SerializerMethodField()

    class Meta:
        model = InstalledCertificate
        fields = ["certificate_type", "certificate_hash_data", "child_certificate_hash_data", "is_reported"]
        fields += ["updated_at"]

    def get_child_certificate_hash_data(self, certificate: InstalledCertificate) -> list[dict[str, str]]:
        return [child.hash_data for child in certificate.children.all()]


class ChargerSerializer(serializers.ModelSerializer):
    """A charger. The context has `connected`, the set of charger ids that are connected according to Redis."""

    warning: Any = ""
    charger_id = serializers.CharField(source="identity", max_length=255, trim_whitespace=False)
    authorization_key = serializers.CharField(
        write_only=True,
        required=False,
        allow_null=True,
        trim_whitespace=False,
        min_length=keys.MIN_CONFIRMED_LENGTH,
        max_length=keys.MAX_LENGTH,
        help_text="The key for Basic auth: 16 to 20 bytes as 32 to 40 hex digits, or as text. Null removes it.",
    )
    allow_short_key = serializers.BooleanField(
        write_only=True,
        required=False,
        help_text="Accept a key of 8 to 15 characters. The answer then has a member `warning`.",
    )
    has_authorization_key = serializers.SerializerMethodField()
    connected = serializers.SerializerMethodField()
    site = SiteField(required=False, allow_null=True, help_text="Written as the id or the name of a site.")
    connectors = ConnectorSerializer(many=True, read_only=True)
    evses = serializers.SerializerMethodField()

    class Meta:
        model = Charger
        fields = [
            "charger_id",
            "connected",
            *OPERATOR_FIELDS,
            "authorization_key",
            "allow_short_key",
            "has_authorization_key",
            *REPORTED_FIELDS,
            "connectors",
            "evses",
        ]
        read_only_fields = REPORTED_FIELDS

    def get_has_authorization_key(self, charger: Charger) -> bool:
        return bool(charger.authorization_key_hash)

    @extend_schema_field(EvseSerializer(many=True))
    def get_evses(self, charger: Charger) -> Any:
        by_evse = groupby(charger.connectors.all(), key=attrgetter("evse_id"))
        evses = [{"evse_id": evse_id, "connectors": list(connectors)} for evse_id, connectors in by_evse if evse_id]
        return EvseSerializer(evses, many=True).data

    def get_connected(self, charger: Charger) -> bool:
        return charger.identity in self.context["connected"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance is not None:  # because the path has it
            self.fields["charger_id"].required = False

    def validate_charger_id(self, charger_id: str) -> str:
        if self.instance and charger_id != self.instance.identity:
            raise serializers.ValidationError("The id of a charger can't be changed.")
        if not self.instance and Charger.objects.filter(identity=charger_id).exists():
            raise serializers.ValidationError("A charger with this id exists already.")
        return charger_id

    def to_representation(self, charger: Charger) -> dict[str, Any]:
        shown = super().to_representation(charger)
        return shown | {"warning": self.warning} if self.warning else shown

    def _check_key(self, key: str, allow_short: bool) -> None:
        try:
            self.warning = keys.check(key, allow_short, "send `allow_short_key`: true as well")
        except ValueError as error:
            raise serializers.ValidationError({"authorization_key": [str(error)]}) from error

    def _check_site(self, charger: Charger, site: Site | None) -> None:
        if refused(self.context["request"].user, [(charger, site)]):
            raise serializers.ValidationError({"site": [NOT_MOVED]})

    def create(self, attributes: dict[str, Any]) -> Charger:
        charger = super().create(attributes)
        if self.warning:
            audit.warn(charger, self.warning)
        return charger

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if self.instance and "site" in attributes:
            self._check_site(self.instance, attributes["site"])
        allow_short = attributes.pop("allow_short_key", False)
        if "authorization_key" in attributes:
            key = attributes.pop("authorization_key")
            if key:
                self._check_key(key, allow_short)
            attributes["authorization_key_hash"] = keys.hashed(key) if key else ""
            attributes["next_authorization_key_hashes"] = []
        if "security_profile" in attributes:
            attributes["next_security_profile"] = None
        return attributes

    def update(self, charger: Charger, attributes: dict[str, Any]) -> Charger:
        """Save changed columns alone, because messages of the charger may change others at the same time."""
        for name, value in attributes.items():
            setattr(charger, name, value)
        charger.save(update_fields=list(attributes))
        if self.warning:
            audit.warn(charger, self.warning)
        return charger


class ChargerDetailSerializer(ChargerSerializer):
    """One charger with its configuration, profiles and certificates, as it reported or accepted them."""

    configuration = ConfigurationKeySerializer(many=True, read_only=True)
    charging_profiles = serializers.SerializerMethodField()
    certificates = InstalledCertificateSerializer(many=True, read_only=True)

    class Meta(ChargerSerializer.Meta):
        fields = [*ChargerSerializer.Meta.fields, "configuration", "charging_profiles", "certificates"]

    @extend_schema_field(InstalledProfileSerializer(many=True))
    def get_charging_profiles(self, charger: Charger) -> Any:
        rows = list(charger.installed_profiles.all())
        return InstalledProfileSerializer(rows, many=True, context={"profiles": rows}).data


class SavedChargerSerializer(ChargerDetailSerializer):
    """The answer to a request that creates or changes a charger; for the OpenAPI schema."""

    warning = serializers.CharField(required=False, help_text="A warning about the new key; absent if there is none.")

    class Meta(ChargerDetailSerializer.Meta):
        fields = [*ChargerDetailSerializer.Meta.fields, "warning"]


class StatusSerializer(serializers.Serializer):
    """The member `status` of `GET status/<charger id>/`."""

    charger_id = serializers.CharField()
    status = serializers.CharField()
    last_seen = serializers.DateTimeField(allow_null=True)
    connected = serializers.BooleanField()
    connectors = ConnectorSerializer(many=True)


class NewKeySerializer(serializers.Serializer):
    """A new key, which no other answer contains."""

    charger_id = serializers.CharField()
    authorization_key = serializers.CharField(help_text="20 random bytes as 40 hex digits.")
