"""Reports over REST."""

from datetime import date, datetime
from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chargers.api.filters import OfCharger, YesOrNo
from chargers.api.serializers.base import ChargerRow
from chargers.api.viewsets import Scoped
from chargers.services.access import needs
from core.http.pagination import NewestFirst
from core.http.parameters import takes
from core.ocpp.timestamps import display_zone
from transactions.models import Outage
from transactions.services import availability, reports

MAX_DAYS = 3660  # of the availability, which is computed for each month; ten years and some days
VIEW = [needs(GET="transactions.view_transaction")]


class PeriodQuery(serializers.Serializer):
    """`from` and `to` are local dates of each charger's site, both inclusive: the present month until today."""

    site = serializers.CharField(required=False, trim_whitespace=False, help_text="The id or the name of a site.")
    charger_id = serializers.CharField(required=False, trim_whitespace=False)

    def get_fields(self) -> dict[str, Any]:
        days = {"from": "The first day; the first one of this month.", "to": "The last day; today."}
        return {
            name: serializers.DateField(required=False, help_text=text) for name, text in days.items()
        } | super().get_fields()

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        today: date = datetime.now(display_zone()).date()
        last = values.pop("to", None) or max(today, values.get("from", today))
        first = values.pop("from", None) or last.replace(day=1)
        if first > last:
            raise serializers.ValidationError({"to": ["It is before `from`."]})
        return values | {"first": first, "last": last}


def selected(request: Request, query_class: type[PeriodQuery]) -> dict[str, Any]:
    """Return the arguments of the service of a report: `user`, `selection` and, if the query has it, `group_by`."""
    query = query_class(data=request.query_params)
    query.is_valid(raise_exception=True)
    values = dict(query.validated_data)
    grouped = {"group_by": values.pop("group_by")} if "group_by" in values else {}
    return {"user": request.user, "selection": reports.Selection(**values), **grouped}


class EnergyQuery(PeriodQuery):
    group_by = serializers.ChoiceField(reports.GROUPS, default=reports.SITE)
    id_tag = serializers.CharField(required=False, trim_whitespace=False)


class TotalsSerializer(serializers.Serializer):
    """Sums over sessions that have ended. `energy_wh` lacks those of `sessions_without_energy`, which is unknown."""

    sessions = serializers.IntegerField()
    sessions_charged = serializers.IntegerField(source="charged", help_text="With an energy above 0.")
    sessions_without_energy = serializers.IntegerField(source="without_energy")
    energy_wh = serializers.IntegerField()
    duration_seconds = serializers.IntegerField(source="duration_s")
    cost = serializers.DictField(
        child=serializers.DecimalField(max_digits=20, decimal_places=2), help_text="By currency, with VAT."
    )

    def to_representation(self, totals: Any) -> dict[str, Any]:
        """Return the members; a loop over the fields would take most of the time of a report of thousands of rows."""
        return {
            "sessions": totals.sessions,
            "sessions_charged": totals.charged,
            "sessions_without_energy": totals.without_energy,
            "energy_wh": totals.energy_wh,
            "duration_seconds": totals.duration_s,
            "cost": {currency: f"{cost:.2f}" for currency, cost in sorted(totals.cost.items())},
        }


class KeySerializer(serializers.Serializer):
    """A line of a report. Which of its first members it has depends on `group_by`."""

    site = serializers.IntegerField(required=False, allow_null=True)
    site_name = serializers.CharField(required=False, allow_null=True)
    charger_id = serializers.CharField(required=False)
    day = serializers.DateField(required=False)
    month = serializers.CharField(required=False, help_text="Such as 2026-10.")

    def to_representation(self, line: Any) -> dict[str, Any]:
        key = {name: value.isoformat() if isinstance(value, date) else value for name, value in line.key.items()}
        return key | super().to_representation(line.totals)


class EnergyLineSerializer(KeySerializer, TotalsSerializer):
    """Which of the first members it has depends on `group_by`."""

    id_tag = serializers.CharField(required=False)


class ReportOfPeriod(serializers.Serializer):
    """`time_zone` is that of the days, null if the chargers have several: then each counts in its own."""

    group_by = serializers.CharField()
    first = serializers.DateField(source="selection.first")
    last = serializers.DateField(source="selection.last")
    time_zone = serializers.CharField(source="zone", allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        names = {"first": "from", "last": "to"}
        return {names.get(name, name): field for name, field in super().get_fields().items()}


class EnergyReportSerializer(ReportOfPeriod):
    """`is_complete` is false while the totals of sessions that have changed are computed."""

    is_complete = serializers.BooleanField()
    results = EnergyLineSerializer(source="lines", many=True)
    totals = TotalsSerializer()


@takes(EnergyQuery)
class EnergyReport(APIView):
    """Energy, sessions, duration and cost of the sessions that began in a period and have ended.

    Sorted by the name of the group. A session counts whole on the local day on which it began.
    """

    permission_classes = VIEW

    @extend_schema(responses=EnergyReportSerializer, parameters=[EnergyQuery])
    def get(self, request: Request) -> Response:
        found = reports.energy(**selected(request, EnergyQuery))
        return Response(EnergyReportSerializer(found).data)


# --- success of sessions ---------------------------------------------------------------------


class SuccessSerializer(serializers.Serializer):
    """Counts of sessions that have ended. Each is one of the four in the middle."""

    sessions = serializers.IntegerField()
    sessions_succeeded = serializers.IntegerField(help_text="With energy, and ended for a usual reason.")
    sessions_interrupted = serializers.IntegerField(help_text="With energy, and ended for another reason.")
    failed_starts = serializers.IntegerField(help_text="Without any energy.")
    sessions_without_energy = serializers.IntegerField(help_text="Whose energy is unknown.")
    success_percent = serializers.DecimalField(max_digits=5, decimal_places=2, allow_null=True)

    def to_representation(self, totals: Any) -> dict[str, Any]:
        """Return the members, as that of `TotalsSerializer` does."""
        share = totals.success_percent
        return {
            "sessions": totals.sessions,
            "sessions_succeeded": totals.succeeded,
            "sessions_interrupted": totals.interrupted,
            "failed_starts": totals.failed_starts,
            "sessions_without_energy": totals.without_energy,
            "success_percent": None if share is None else str(share),
        }


class SuccessLineSerializer(KeySerializer, SuccessSerializer):
    """Which of the first members it has depends on `group_by`."""

    id_tag = serializers.CharField(required=False)


class SessionsReportSerializer(ReportOfPeriod):
    """`is_complete` as in the report of energy."""

    is_complete = serializers.BooleanField()
    results = SuccessLineSerializer(source="lines", many=True)
    totals = SuccessSerializer()


@takes(EnergyQuery)
class SessionsReport(APIView):
    """How many of the sessions that began in a period and have ended succeeded; groups as in the energy report."""

    permission_classes = VIEW

    @extend_schema(responses=SessionsReportSerializer, parameters=[EnergyQuery])
    def get(self, request: Request) -> Response:
        found = reports.success(**selected(request, EnergyQuery))
        return Response(SessionsReportSerializer(found).data)


# --- availability ----------------------------------------------------------------------------


class AvailabilityQuery(PeriodQuery):
    """As that of the other reports, but the period has at most 3,660 days."""

    group_by = serializers.ChoiceField(availability.GROUPS, default=reports.SITE)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        period = super().validate(values)
        if (period["last"] - period["first"]).days >= MAX_DAYS:
            raise serializers.ValidationError({"from": [f"A period has at most {MAX_DAYS} days."]})
        return period


class UptimeSerializer(serializers.Serializer):
    """Seconds are summed over ports. `nevi_` members are by 23 CFR 680.116(b), percentages null if nothing counts."""

    ports = serializers.IntegerField()
    measured_seconds = serializers.IntegerField(source="measured_s")
    outage_seconds = serializers.IntegerField(source="outage_s", help_text="Offline or Faulted.")
    uptime_percent = serializers.DecimalField(max_digits=6, decimal_places=3, allow_null=True)
    nevi_outage_seconds = serializers.IntegerField(source="nevi_outage_s", help_text="Also Unavailable.")
    nevi_excluded_seconds = serializers.IntegerField(source="nevi_excluded_s")
    nevi_uptime_percent = serializers.DecimalField(max_digits=6, decimal_places=3, allow_null=True)

    def to_representation(self, uptime: Any) -> dict[str, Any]:
        """Return the members, as that of `TotalsSerializer` does."""
        simple, nevi = uptime.uptime_percent, uptime.nevi_uptime_percent
        return {
            "ports": uptime.ports,
            "measured_seconds": uptime.measured_s,
            "outage_seconds": uptime.outage_s,
            "uptime_percent": None if simple is None else str(simple),
            "nevi_outage_seconds": uptime.nevi_outage_s,
            "nevi_excluded_seconds": uptime.nevi_excluded_s,
            "nevi_uptime_percent": None if nevi is None else str(nevi),
        }


class AvailabilityLineSerializer(UptimeSerializer):
    """Which of the first members it has depends on `group_by`."""

    site = serializers.IntegerField(required=False, allow_null=True)
    site_name = serializers.CharField(required=False, allow_null=True)
    charger_id = serializers.CharField(required=False)
    evse_id = serializers.IntegerField(required=False)
    month = serializers.CharField(required=False)

    def to_representation(self, line: Any) -> dict[str, Any]:
        return line.key | super().to_representation(line.uptime)


class AvailabilityReportSerializer(ReportOfPeriod):
    results = AvailabilityLineSerializer(source="lines", many=True)
    totals = UptimeSerializer(source="total")


@takes(AvailabilityQuery)
class AvailabilityReport(APIView):
    """The uptime of ports by two definitions: connected and not Faulted, and that of the US NEVI rule."""

    permission_classes = VIEW

    @extend_schema(responses=AvailabilityReportSerializer, parameters=[AvailabilityQuery])
    def get(self, request: Request) -> Response:
        found = availability.availability(**selected(request, AvailabilityQuery))
        return Response(AvailabilityReportSerializer(found).data)


class FaultSerializer(serializers.Serializer):
    """`count` faults began in the period; `seconds` are those within it."""

    error_code = serializers.CharField()
    vendor_id = serializers.CharField()
    vendor_error_code = serializers.CharField()
    count = serializers.IntegerField()
    chargers = serializers.IntegerField()
    seconds = serializers.IntegerField()


class FaultReportSerializer(serializers.Serializer):
    results = FaultSerializer(many=True)


@takes(PeriodQuery)
class FaultReport(APIView):
    """The faults of connectors, the most frequent first."""

    permission_classes = VIEW

    @extend_schema(responses=FaultReportSerializer, parameters=[PeriodQuery])
    def get(self, request: Request) -> Response:
        found = availability.faults(**selected(request, PeriodQuery))
        return Response(FaultReportSerializer({"results": found}).data)


class OutageSerializer(ChargerRow):
    """`kind`: the charger was `offline`, or a connector `faulted` or `unavailable`. EVSE 0 is the whole charger."""

    class Meta:
        model = Outage
        fields = ["id", "charger_id", "evse_id", "connector_id", "kind", "error_code", "vendor_id"]
        fields += ["vendor_error_code", "began_at", "ended_at", "excluded_because"]
        read_only_fields = [name for name in fields if name not in ("charger_id", "excluded_because")]

    charger_id = serializers.CharField(source="charger.identity", read_only=True)


class OutageFilter(OfCharger):
    since = filters.IsoDateTimeFilter("began_at", "gte")
    until = filters.IsoDateTimeFilter("began_at", "lt")
    is_under_way = YesOrNo("ended_at", "isnull")

    class Meta:
        model = Outage
        fields = ["id", "evse_id", "connector_id", "kind", "error_code", "vendor_error_code", "excluded_because"]


class OutageViewSet(Scoped, mixins.UpdateModelMixin, viewsets.ReadOnlyModelViewSet):
    """Times at which chargers, EVSEs or connectors were not available, the latest first.

    `excluded_because` can be changed: an outage with a reason does not count in the uptime of the NEVI rule.
    """

    queryset = Outage.objects.select_related("charger")
    serializer_class = OutageSerializer
    filterset_class = OutageFilter
    pagination_class = NewestFirst
    http_method_names = ["get", "patch", "head", "options"]
