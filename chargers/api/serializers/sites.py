"""Serializers of sites."""

from typing import Any

from django.contrib.auth.models import Group, User
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chargers.models import Site
from chargers.services import access
from chargers.services.sites import by_id_or_name
from core.http.zone import ZoneField

OF_ACCESS = ("users", "roles")


class SiteSerializer(serializers.ModelSerializer):
    """A place with chargers. Days, months and daily times of its chargers are in its time zone.

    Only users who reach every charger see and change `users` and `roles`, the names of those who reach its chargers.
    """

    time_zone = ZoneField(required=False, help_text="An IANA name, such as Europe/Berlin.")
    users = serializers.SlugRelatedField(
        many=True, required=False, slug_field="username", queryset=User.objects.all()
    )
    roles = serializers.SlugRelatedField(many=True, required=False, slug_field="name", queryset=Group.objects.all())
    charger_count = serializers.SerializerMethodField()

    class Meta:
        model = Site
        fields = ["id", "name", "address", "latitude", "longitude", "time_zone", "contacts", "power_limit_w"]
        fields += ["offline_minutes", "users", "roles", "charger_count", "created_at"]

    def to_representation(self, site: Site) -> dict[str, Any]:
        members = super().to_representation(site)
        hidden = () if self._is_for_all() else OF_ACCESS
        return {name: value for name, value in members.items() if name not in hidden}

    def _is_for_all(self) -> bool:
        return access.reaches_every_charger(self.context["request"].user)

    def get_charger_count(self, site: Site) -> int:
        counted = getattr(site, "charger_count", None)
        return site.chargers.count() if counted is None else counted

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if (named := sorted(set(OF_ACCESS) & set(attributes))) and not self._is_for_all():
            raise serializers.ValidationError(
                {name: ["Only users who may reach every charger may change it."] for name in named}
            )
        known = self.instance or Site()
        position = [attributes.get(name, getattr(known, name)) for name in ("latitude", "longitude")]
        if position.count(None) == 1:
            raise serializers.ValidationError({"longitude": ["Send both latitude and longitude, or neither."]})
        return attributes


@extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string"}], "nullable": True})
class SiteField(serializers.RelatedField):
    """A site: written as its id or its name, read as its id. Sites out of the user's sight do not exist."""

    default_error_messages = {"does_not_exist": "There is no site {value}."}

    def get_queryset(self) -> Any:
        request = self.context.get("request")
        return access.sites(request.user) if request is not None else Site.objects.all()

    def to_internal_value(self, value: Any) -> Site:
        site = by_id_or_name(self.get_queryset(), value)
        if site is None:
            self.fail("does_not_exist", value=value)
        return site

    def use_pk_only_optimization(self) -> bool:
        return True

    def to_representation(self, site: Any) -> int:
        return site.pk
