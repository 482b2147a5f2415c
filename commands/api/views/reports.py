"""The reports of a charger about its variables over REST."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chargers.models import Charger
from chargers.services.access import known_charger, needs
from chargers.services.variables import ReportedVariable
from commands.api.serializers.reports import (
    DifferenceQuerySerializer,
    DifferenceSerializer,
    ReportSerializer,
    ReportSummarySerializer,
)
from commands.models import ReportPart
from commands.services import base_reports
from core.http.errors import not_found
from core.http.parameters import takes

VIEW = [needs(GET="chargers.view_charger")]


class ReportList(generics.ListAPIView):
    """Reports of a charger (GetBaseReport, GetReport), the latest first, stored for OCPP_REPORTS_RETENTION days."""

    queryset = ReportPart.objects.none()
    serializer_class = ReportSummarySerializer
    permission_classes = VIEW

    def get_queryset(self) -> QuerySet[Any, Any]:
        if "charger_id" not in self.kwargs:  # the API schema is being generated
            return self.queryset
        self.charger = known_charger(self.request, self.kwargs["charger_id"])
        return base_reports.of_charger(self.charger)

    def paginate_queryset(self, queryset: Any) -> Any:
        rows = super().paginate_queryset(queryset)
        return base_reports.summaries(self.charger, list(rows or []))


class ReportDetail(APIView):
    """One report with its values, as far as they have arrived."""

    permission_classes = VIEW

    @extend_schema(responses=ReportSerializer)
    def get(self, request: Request, charger_id: str, request_id: int) -> Response:
        charger = known_charger(request, charger_id)
        report = base_reports.find(charger, request_id)
        if report is None:
            raise not_found("Report")
        return Response(ReportSerializer(report).data)


@takes(DifferenceQuerySerializer)
class ReportDifference(APIView):
    """How a later report of the charger differs from this one."""

    permission_classes = VIEW

    @extend_schema(responses=DifferenceSerializer, parameters=[DifferenceQuerySerializer])
    def get(self, request: Request, charger_id: str, request_id: int) -> Response:
        charger = known_charger(request, charger_id)
        query = DifferenceQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        earlier, later = (contents(charger, number) for number in (request_id, query.validated_data["to"]))
        return Response(DifferenceSerializer(base_reports.difference(earlier, later)).data)


def contents(charger: Charger, request_id: int) -> list[ReportedVariable]:
    """Return the values of a report; raises 404 for an unknown one."""
    values = base_reports.contents(charger, request_id)
    if values is None:
        raise not_found("Report")
    return values
