"""Chargers over REST."""

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_view, inline_serializer
from rest_framework.decorators import action, api_view, permission_classes
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from chargers.api.filters import ChargerFilter
from chargers.api.serializers.chargers import (
    ChargerDetailSerializer,
    ChargerSerializer,
    NewKeySerializer,
    SavedChargerSerializer,
    StatusSerializer,
)
from chargers.api.viewsets import NO_STORE, Editable, Scoped
from chargers.models import Charger, summary_status
from chargers.services import changes, onboarding, presence
from chargers.services.access import known_charger, needs
from core.http.pagination import ChargerPages

ACTIONS_WITH_DETAILS = ("retrieve", "update", "partial_update")


@extend_schema_view(
    create=extend_schema(responses={201: SavedChargerSerializer}),
    update=extend_schema(responses=SavedChargerSerializer),
    partial_update=extend_schema(responses=SavedChargerSerializer),
)
class ChargerViewSet(Scoped, Editable):
    """Every known charger. The list also has `active_chargers`, the ids of those with an open socket."""

    queryset = Charger.objects.prefetch_related("connectors")
    serializer_class = ChargerSerializer
    pagination_class = ChargerPages
    filterset_class = ChargerFilter
    lookup_field = "charger_id"
    charger_path = "pk"

    def get_serializer_class(self) -> type[BaseSerializer]:
        return ChargerSerializer if self.action == "list" else ChargerDetailSerializer

    def get_object(self) -> Charger:
        return known_charger(self.request, self.kwargs["charger_id"])

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Query Redis before the transaction of a change, which locks the row of the charger."""
        super().initial(request, *args, **kwargs)
        ids = [kwargs["charger_id"]] if self.action in ACTIONS_WITH_DETAILS else []
        self.connected = presence.connected(ids)

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset) or []
        self.connected = presence.connected([charger.identity for charger in page])
        return page

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "connected": getattr(self, "connected", set())}

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = super().list(request, *args, **kwargs)
        ids = list(self.get_queryset().values_list("identity", flat=True))
        active = {"active_chargers": sorted(presence.connected(ids))}
        return Response(active | response.data)

    def perform_update(self, serializer: Any) -> None:
        former = Charger.objects.get(pk=serializer.instance.pk)
        changes.notify(serializer.save(), former)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Users who do not reach every charger add one at one of their sites only."""
        if not onboarding.may_add(self.request.user):
            raise PermissionDenied("Only users who may reach every charger, or all of a site, may add one.")
        return super().create(request, *args, **kwargs)

    def perform_create(self, serializer: Any) -> None:
        if not onboarding.may_add_at(self.request.user, serializer.validated_data.get("site")):
            raise ValidationError({"site": ["Name one of your sites."]})
        super().perform_create(serializer)

    @extend_schema(request=None, responses={201: NewKeySerializer})
    @action(detail=True, methods=["post"], permission_classes=[needs(POST="chargers.change_charger")])
    @transaction.atomic
    def new_key(self, request: Request, charger_id: str) -> Response:
        """Set a new key for Basic auth, which only this answer contains; the charger must reconnect with it."""
        charger = self.get_object()
        answer = {"charger_id": charger.identity, "authorization_key": changes.new_key(charger)}
        return Response(answer, status=201, headers=NO_STORE)

    def perform_destroy(self, charger: Charger) -> None:
        changes.remove(charger)


@extend_schema(responses=inline_serializer("ChargerStatus", {"status": StatusSerializer()}))
@api_view(["GET"])
@permission_classes([needs(GET="chargers.view_charger")])
def charger_status(request: Request, charger_id: str) -> Response:
    """The state of a charger: one status that summarises its connectors, and each connector."""
    charger = known_charger(request, charger_id)
    connectors = list(charger.connectors.all())
    shown = {
        "charger_id": charger.identity,
        "status": summary_status(connectors),
        "last_seen": charger.last_seen,
        "connected": charger.identity in presence.connected([charger.identity]),
        "connectors": connectors,
    }
    return Response({"status": StatusSerializer(shown).data})
