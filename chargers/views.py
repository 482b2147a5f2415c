"""Chargers over REST."""

from django.db.models import ProtectedError
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import generics, viewsets
from rest_framework.decorators import api_view
from rest_framework.response import Response

from chargers import gateway, presence
from chargers.errors import Conflict, not_found
from chargers.filters import DataTransferFilter, SecurityEventFilter
from chargers.models import Charger, DataTransfer, SecurityEvent, telling_status
from chargers.serializers import (
    TOLD_BY_CHARGER,
    ChargerDetailSerializer,
    ChargerSerializer,
    DataTransferSerializer,
    SecurityEventSerializer,
    StatusSerializer,
)

REMOVED = 4002  # close code: the charger is not known any more


def known_charger(charger_id):
    """The `Charger`, or 404."""
    charger = Charger.known(charger_id)
    if charger is None:
        raise not_found("Charger")
    return charger


class ChargerViewSet(viewsets.ModelViewSet):
    """Every known charger; the list also names those with a live socket, as `active_chargers`."""

    queryset = Charger.objects.prefetch_related("connectors")
    serializer_class = ChargerSerializer
    filterset_fields = ["charger_id", "description", "boot_policy", "security_profile"]
    filterset_fields += ["read_configuration_after_boot", *TOLD_BY_CHARGER]
    lookup_field = "charger_id"

    def get_serializer_class(self):
        return ChargerSerializer if self.action == "list" else ChargerDetailSerializer

    def get_object(self):
        return known_charger(self.kwargs["charger_id"])

    def get_serializer(self, *args, **kwargs):
        shown = args[0] if args else None
        rows = shown if kwargs.get("many") else [shown] if shown else []
        self.connected = presence.connected([charger.charger_id for charger in rows])
        return super().get_serializer(*args, **kwargs)

    def get_serializer_context(self):
        return super().get_serializer_context() | {"connected": getattr(self, "connected", set())}

    def list(self, request, *args, **kwargs):
        response = super().list(request, *args, **kwargs)
        every = list(Charger.objects.values_list("charger_id", flat=True))
        active = {"active_chargers": sorted(presence.connected(every))}
        return Response(active | response.data)

    def perform_update(self, serializer):
        former = Charger.objects.get(pk=serializer.instance.pk)
        charger = serializer.save()
        if charger.credentials != former.credentials:
            gateway.make_it_come_again(charger.charger_id)

    def perform_destroy(self, charger):
        try:
            charger.delete()
        except ProtectedError as error:
            raise Conflict(
                "This charger has transactions or commands, which are kept: it can't be deleted."
            ) from error
        gateway.close_socket(charger.charger_id, REMOVED, "The charger was removed")


@extend_schema(responses=inline_serializer("ChargerStatus", {"status": StatusSerializer()}))
@api_view(["GET"])
def charger_status(request, charger_id):
    """One charger's state: the most telling status among its connectors, and each of them."""
    charger = known_charger(charger_id)
    connectors = list(charger.connectors.all())
    shown = {
        "charger_id": charger.charger_id,
        "status": telling_status(connectors),
        "last_seen": charger.last_seen,
        "connected": charger.charger_id in presence.connected([charger.charger_id]),
        "connectors": connectors,
    }
    return Response({"status": StatusSerializer(shown).data})


class SecurityEventList(generics.ListAPIView):
    """What chargers told of their security, newest first (security whitepaper §3)."""

    queryset = SecurityEvent.objects.select_related("charger")
    serializer_class = SecurityEventSerializer
    filterset_class = SecurityEventFilter


class DataTransferList(generics.ListAPIView):
    """What chargers sent to vendors' functions, newest first; ours to chargers are commands."""

    queryset = DataTransfer.objects.select_related("charger")
    serializer_class = DataTransferSerializer
    filterset_class = DataTransferFilter
