"""Filters of the lists of this app."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django import forms
from django.db import models
from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters
from django_filters.filterset import FILTER_FOR_DBFIELD_DEFAULTS, filterset_factory
from django_filters.widgets import BooleanWidget
from rest_framework.exceptions import ValidationError

from chargers.models import (
    AuditEntry,
    Charger,
    ChargingLimit,
    Event,
    Incident,
    Message,
    Refusal,
    Site,
    Variable,
    VariableChange,
)
from chargers.models.charger import OPERATOR_FIELDS, REPORTED_FIELDS
from chargers.models.variables import NAME
from chargers.services import access
from chargers.services.sites import by_id_or_name
from core.admin import lookups


class YesOrNoField(forms.NullBooleanField):
    """Reject values other than true and false; Django would treat them as absent."""

    def to_python(self, value: Any) -> Any:
        parsed = super().to_python(value)
        if parsed is None and value not in (None, ""):
            raise forms.ValidationError("Say true or false.")
        return parsed


class YesOrNoWidget(BooleanWidget):
    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        value = super().value_from_datadict(data, files, name)
        return data.get(name) if value is None else value


class YesOrNo(filters.BooleanFilter):
    field_class = YesOrNoField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"widget": YesOrNoWidget})


_AS_SENT = {"filter_class": filters.CharFilter, "extra": lambda field: {"strip": False}}


class AsSent(filters.FilterSet):
    """Compare texts as sent, spaces included."""

    FILTER_DEFAULTS = {**FILTER_FOR_DBFIELD_DEFAULTS, models.CharField: _AS_SENT, models.TextField: _AS_SENT}
    FILTER_DEFAULTS |= {models.BooleanField: {"filter_class": YesOrNo}}

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Raise `ImproperlyConfigured`, when the class is created, for a filter by a secret column."""
        declared = super().get_filters()
        if model := cls._meta.model:
            paths = [entry.field_name for entry in declared.values() if entry.field_name]
            lookups.refuse_secret(cls.__name__, model, paths)
        return declared


class Backend(filters.DjangoFilterBackend):
    filterset_base = AsSent


class AtSite(AsSent):
    """`?site=`, the id or the name of a site; one that the user may not see has no rows."""

    site = filters.CharFilter(method="of_named_site", strip=False, label="The id or the name of a site.")

    def of_named_site(self, rows: QuerySet[Any], name: str, text: str) -> QuerySet[Any]:
        site = by_id_or_name(access.sites(self.request.user), text)
        return self.at_site(rows, site) if site else rows.none()

    def at_site(self, rows: QuerySet[Any], site: Site) -> QuerySet[Any]:
        """Filter by the present site of the charger.

        The chargers are looked up first, so that the index of the rows of a charger can be used.
        """
        return rows.filter(charger__in=list(site.chargers.values_list("pk", flat=True)))


class OfCharger(AtSite):
    """`?charger_id=`, compared as sent, and `?site=`."""

    charger_id = filters.CharFilter("charger__identity", strip=False)


def of_charger(model: type[models.Model], *columns: str) -> type[OfCharger]:
    """Return the filters of rows of `model` by `charger_id` and by the values of `columns`."""
    return filterset_factory(model, OfCharger, columns)


class ChargerFilter(AtSite):
    charger_id = filters.CharFilter("identity", strip=False)

    class Meta:
        model = Charger
        fields = [name for name in (*OPERATOR_FIELDS, *REPORTED_FIELDS) if name != "site"]

    def at_site(self, rows: QuerySet[Charger], site: Site) -> QuerySet[Charger]:
        return rows.filter(site=site)


class IncidentFilter(OfCharger):
    class Meta:
        model = Incident
        fields = ["id", "state", "kind", "severity"]


class SiteFilter(AsSent):
    class Meta:
        model = Site
        fields = ["id", "name", "address", "latitude", "longitude", "contacts", "power_limit_w", "offline_minutes"]


class RefusalFilter(AsSent):
    is_known = YesOrNo("is_known")

    class Meta:
        model = Refusal
        fields = ["id", "charger_id", "kind", "status", "reason", "address", "count", "first_at", "last_at"]


class AuditEntryFilter(OfCharger):
    since = filters.IsoDateTimeFilter("at", "gte")
    until = filters.IsoDateTimeFilter("at", "lt")

    class Meta:
        model = AuditEntry
        fields = ["id", "who", "address", "action", "kind", "name"]


class ChargingLimitFilter(OfCharger):
    is_active = YesOrNo("cleared_at", "isnull")

    class Meta:
        model = ChargingLimit
        fields = ["id", "evse_id", "source", "is_grid_critical", "received_at", "cleared_at"]


class EventFilter(OfCharger):
    since = filters.IsoDateTimeFilter("at", "gte")
    until = filters.IsoDateTimeFilter("at", "lt")
    after = filters.NumberFilter("id", "gt", min_value=0, max_value=2**63 - 1)

    class Meta:
        model = Event
        fields = ["id", "kind"]


class Searched(AsSent):
    """`?q=`, a part of the name of a variable or of its component."""

    q = filters.CharFilter(method="named_like", strip=False, max_length=200, label="A part of the name.")

    def named_like(self, rows: QuerySet[Any], name: str, part: str) -> QuerySet[Any]:
        names = ("component", "component_instance", "variable", "instance")
        likes = (Q(**{f"{column}__icontains": part}) for column in names)
        return rows.filter(reduce(or_, likes))


class VariableFilter(Searched):
    """Filter the variables of one charger."""

    class Meta:
        model = Variable
        fields = [*NAME, "value", "mutability", "reboot_required", "reported_at"]


class FleetVariableFilter(VariableFilter, OfCharger):
    """Filter the variables of all chargers."""

    class Meta(VariableFilter.Meta):
        pass


class VariableChangeFilter(Searched, OfCharger):
    since = filters.IsoDateTimeFilter("at", "gte")
    until = filters.IsoDateTimeFilter("at", "lt")

    class Meta:
        model = VariableChange
        fields = ["id", *NAME, "old_value", "new_value", "source"]


class MessageFilter(AsSent):
    """Filter by columns without an index only within one charger, one day or the errors, which are few rows."""

    UNINDEXED = ("direction", "kind", "action", "message_id", "search")
    MAX_PERIOD = timedelta(hours=25)  # a day, also one on which summer time ends, and the time of the request itself

    charger_id = filters.CharFilter(method="of_charger", strip=False)
    since = filters.IsoDateTimeFilter("at", "gte")
    until = filters.IsoDateTimeFilter("at", "lt")
    search = filters.CharFilter("frame", "icontains", strip=False, max_length=200)

    class Meta:
        model = Message
        fields = ["charger_id", "direction", "kind", "action", "message_id", "is_error", "since", "until", "search"]

    def of_charger(self, rows: QuerySet[Message], name: str, charger_id: str) -> QuerySet[Message]:
        """Look up the charger first, so that the index of its messages is used."""
        return rows.filter(
            charger=Charger.objects.filter(identity=charger_id).values_list("pk", flat=True).first() or 0
        )

    def filter_queryset(self, rows: QuerySet[Message]) -> QuerySet[Message]:
        values = self.form.cleaned_data
        unindexed = [name for name in self.UNINDEXED if values.get(name)]
        if unindexed and not (values["charger_id"] or values["is_error"] or self._is_narrow(values)):
            raise ValidationError({unindexed[0]: "Also send charger_id, or since and until at most a day apart."})
        return super().filter_queryset(rows)

    def _is_narrow(self, values: Mapping[str, Any]) -> bool:
        since, until = values["since"], values["until"] or datetime.now(UTC)
        return since is not None and until - since <= self.MAX_PERIOD
