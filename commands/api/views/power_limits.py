"""Power limits over REST."""

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from chargers.services.access import CommandsPerUser, check_reach, needs, username
from commands.api.filters import PowerLimitFilter
from commands.api.serializers.power_limits import PowerLimitDetailSerializer, PowerLimitSerializer
from commands.models import PowerLimit
from commands.services import power_limits
from core.http.openapi import ErrorSerializer
from core.http.pagination import NewestFirst


def _detail(limit: PowerLimit, request: Request) -> dict:
    context = {"kept": power_limits.kept([limit]), "request": request}
    return PowerLimitDetailSerializer(limit, context=context).data


class PowerLimitList(generics.ListAPIView):
    """The power limits of the sites and chargers that the user may reach, newest first; POST makes one."""

    queryset = PowerLimit.objects.select_related("site", "charger__site")
    serializer_class = PowerLimitSerializer
    filterset_class = PowerLimitFilter
    pagination_class = NewestFirst
    permission_classes = [needs(GET="commands.view_command", POST="commands.add_command")]
    throttle_classes = [CommandsPerUser]

    def get_queryset(self) -> QuerySet[PowerLimit]:
        is_schema_generated = getattr(self, "swagger_fake_view", False)  # without a user
        return PowerLimit.objects.all() if is_schema_generated else power_limits.visible(self.request.user)

    @extend_schema(request=PowerLimitSerializer, responses={201: PowerLimitDetailSerializer, 404: ErrorSerializer})
    def post(self, request: Request) -> Response:
        """Limit the power. Each charger gets a charging profile as soon as it is connected, and keeps it."""
        check_reach(request)
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        limit = PowerLimit(**serializer.validated_data)
        power_limits.create([limit], username(request.user))
        return Response(_detail(limit, request), status=201)


class PowerLimitDetail(generics.GenericAPIView):
    """One power limit with the chargers that keep it."""

    queryset = PowerLimit.objects.all()
    serializer_class = PowerLimitDetailSerializer
    permission_classes = [needs(GET="commands.view_command", DELETE="commands.add_command")]

    def get(self, request: Request, pk: int) -> Response:
        return Response(_detail(self._find(request, pk), request))

    @extend_schema(responses={200: PowerLimitDetailSerializer})
    def delete(self, request: Request, pk: int) -> Response:
        """Remove the limit. Its state is `removing` until each charger has cleared its profile, then `ended`."""
        limit = self._find(request, pk)
        power_limits.remove(limit, username(request.user))
        return Response(_detail(limit, request))

    def _find(self, request: Request, pk: int) -> PowerLimit:
        return get_object_or_404(power_limits.visible(request.user), pk=pk)
