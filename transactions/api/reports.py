"""Reports over REST."""

from datetime import date, datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chargers.services.access import needs
from core.http.parameters import takes
from core.ocpp.timestamps import display_zone
from transactions.services import reports


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


class EnergyLineSerializer(TotalsSerializer):
    """Which of the first members it has depends on `group_by`."""

    site = serializers.IntegerField(required=False, allow_null=True)
    site_name = serializers.CharField(required=False, allow_null=True)
    charger_id = serializers.CharField(required=False)
    id_tag = serializers.CharField(required=False)
    day = serializers.DateField(required=False)
    month = serializers.CharField(required=False, help_text="Such as 2026-10.")

    def to_representation(self, line: Any) -> dict[str, Any]:
        key = {name: value.isoformat() if isinstance(value, date) else value for name, value in line.key.items()}
        return key | TotalsSerializer(line.totals).data


class EnergyReportSerializer(serializers.Serializer):
    """`time_zone` is that of the days, null if the chargers have several: then each counts in its own.

    `is_complete` is false while the totals of sessions that have changed are computed.
    """

    group_by = serializers.ChoiceField(reports.GROUPS)
    first = serializers.DateField(source="selection.first")
    last = serializers.DateField(source="selection.last")
    time_zone = serializers.CharField(source="zone", allow_null=True)
    is_complete = serializers.BooleanField()
    results = EnergyLineSerializer(source="lines", many=True)
    totals = TotalsSerializer()

    def get_fields(self) -> dict[str, Any]:
        names = {"first": "from", "last": "to"}
        return {names.get(name, name): field for name, field in super().get_fields().items()}


@takes(EnergyQuery)
class EnergyReport(APIView):
    """Energy, sessions, duration and cost of the sessions that began in a period and have ended.

    Sorted by the name of the group. A session counts whole on the local day on which it began.
    """

    permission_classes = [needs(GET="transactions.view_transaction")]

    @extend_schema(responses=EnergyReportSerializer, parameters=[EnergyQuery])
    def get(self, request: Request) -> Response:
        query = EnergyQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        group_by = query.validated_data.pop("group_by")
        found = reports.energy(request.user, group_by, reports.Selection(**query.validated_data))
        return Response(EnergyReportSerializer(found).data)
