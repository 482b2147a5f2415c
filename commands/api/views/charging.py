"""Composite schedules, and the needs and schedules of vehicles, over REST."""

from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chargers.api.filters import of_charger
from chargers.api.viewsets import Scoped
from chargers.services.access import known_charger, needs
from commands.api.serializers.charging import (
    ChargingNeedsSerializer,
    CompositeScheduleQuery,
    CompositeScheduleSerializer,
    EVScheduleSerializer,
)
from commands.models import EVChargingNeeds, EVChargingSchedule
from commands.services import composite_schedules
from core.http.errors import not_found
from core.http.pagination import NewestFirst
from core.http.parameters import takes


@takes(CompositeScheduleQuery)
@extend_schema(responses=CompositeScheduleSerializer, parameters=[CompositeScheduleQuery])
class CompositeScheduleView(APIView):
    """The latest composite schedule of a charger, or of one of its EVSEs; GetCompositeSchedule reads a new one."""

    permission_classes = [needs(GET="commands.view_command")]

    def get(self, request: Request, charger_id: str) -> Response:
        query = CompositeScheduleQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = composite_schedules.latest(known_charger(request, charger_id), query.validated_data.get("evse_id"))
        if found is None:
            raise not_found("Composite schedule")
        return Response(CompositeScheduleSerializer(found).data)


class ChargingNeedsList(Scoped, generics.ListAPIView):
    """The needs of vehicles, newest first (OCPP 2.0.1 K15)."""

    queryset = EVChargingNeeds.objects.select_related("charger", "command")
    serializer_class = ChargingNeedsSerializer
    filterset_class = of_charger(
        EVChargingNeeds, "id", "evse_id", "transaction", "status", "energy_transfer", "departure_time", "received_at"
    )
    pagination_class = NewestFirst


class EVScheduleList(Scoped, generics.ListAPIView):
    """The schedules of vehicles, newest first (OCPP 2.0.1 K15)."""

    queryset = EVChargingSchedule.objects.select_related("charger", "command")
    serializer_class = EVScheduleSerializer
    filterset_class = of_charger(
        EVChargingSchedule, "id", "evse_id", "transaction", "status", "begins_at", "received_at"
    )
    pagination_class = NewestFirst
