"""Refused connections over REST."""

from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from chargers.api.filters import RefusalFilter
from chargers.api.serializers import NewKeySerializer, RefusalSerializer
from chargers.api.viewsets import NO_STORE, Scoped
from chargers.models import Refusal
from chargers.services import refusals
from chargers.services.access import ReachesAll, needs


class RefusalViewSet(Scoped, viewsets.ReadOnlyModelViewSet):
    """Refused handshakes, the latest first, one row for each charger id and reason, until the charger connects.

    Ids of unknown chargers are shown to users who may add chargers.
    """

    queryset = Refusal.objects.open()
    serializer_class = RefusalSerializer
    filterset_class = RefusalFilter
    permission_classes = [needs(GET="chargers.view_charger")]

    def visible(self, rows):
        return refusals.visible(self.request.user)

    @extend_schema(request=None, responses={201: NewKeySerializer})
    @action(detail=True, methods=["post"], permission_classes=[needs(POST="chargers.add_charger"), ReachesAll])
    def add(self, request, pk=None):
        """Add the charger with this id and a new key, which only this answer contains."""
        charger, key = refusals.add_charger(self.get_object())
        return Response({"charger_id": charger.identity, "authorization_key": key}, status=201, headers=NO_STORE)
