"""Firmware campaigns over REST: drafts, what users do with campaigns, and the chargers of one."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from chargers.api.viewsets import OwnedByRequester, Scoped
from chargers.services.access import CommandsPerUser, needs, own, username
from commands.api.filters import CampaignFilter, CampaignItemFilter
from commands.api.serializers.campaigns import CampaignItemSerializer, CampaignSerializer
from commands.api.views.tasks import IDEMPOTENCY_KEY, origin_of
from commands.models import Campaign, CampaignItem
from commands.services import campaigns
from core.http.errors import not_found
from core.http.pagination import NewestFirst

EDITED = {method: "commands.add_command" for method in ("POST", "PATCH", "DELETE")}
DOES: Any = extend_schema(request=None, responses=CampaignSerializer)


class CampaignViewSet(
    OwnedByRequester, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Campaign]
):
    """Firmware campaigns, newest first."""

    queryset = Campaign.objects.counted().select_related("firmware")
    serializer_class = CampaignSerializer
    filterset_class = CampaignFilter
    pagination_class = NewestFirst
    permission_classes = [needs(GET="commands.view_command", **EDITED)]
    throttle_classes = [CommandsPerUser]

    @extend_schema(responses={201: CampaignSerializer}, parameters=[IDEMPOTENCY_KEY])
    def create(self, request: Request) -> Response:
        """Create a draft. Nothing is sent before it is started."""
        origin = origin_of(request)
        made = origin.earlier(Campaign)
        if made is None:
            serializer = self.get_serializer(data=request.data)
            serializer.is_valid(raise_exception=True)
            made = campaigns.create(serializer.validated_data, origin)
        shown = self._shown(made)
        return Response(shown.data, status=201, headers={"Location": shown.data["url"]})

    def partial_update(self, request: Request, pk: str | None = None) -> Response:
        """Change a draft; 409 for a campaign that was started."""
        campaign = self.get_object()
        serializer = self.get_serializer(campaign, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        campaigns.change(campaign, serializer.validated_data, username(request.user))
        return Response(self._shown(campaign).data)

    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Delete a draft, or a campaign that has ended; 409 for others."""
        campaigns.delete(self.get_object(), username(request.user))
        return Response(status=204)

    @DOES
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str | None = None) -> Response:
        """Choose the chargers of a draft, and begin with the canaries."""
        campaign = self.get_object()
        campaigns.start(campaign, request.user, username(request.user))
        return Response(self._shown(campaign).data)

    @DOES
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str | None = None) -> Response:
        """Update no further chargers. Updates that are under way continue."""
        return self._do(campaigns.pause)

    @DOES
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str | None = None) -> Response:
        """Continue a paused or stopped campaign. Failures until now do not stop it again."""
        return self._do(campaigns.resume)

    @DOES
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str | None = None) -> Response:
        """Update no further chargers. The campaign ends with its running updates; those that wait stay listed."""
        return self._do(campaigns.stop)

    @DOES
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str | None = None) -> Response:
        """Update the failed chargers again, and continue, unless it is paused; 409 if there are none."""
        return self._do(campaigns.retry)

    def _do(self, change: Callable[[Campaign, str], object]) -> Response:
        campaign = self.get_object()
        change(campaign, username(self.request.user))
        return Response(self._shown(campaign).data)

    def _shown(self, campaign: Campaign) -> CampaignSerializer:
        rows = Campaign.objects.counted().select_related("firmware")
        return CampaignSerializer(rows.get(pk=campaign.pk), context=self.get_serializer_context())


class CampaignItemList(Scoped, generics.ListAPIView):
    """The chargers of a campaign in the order of their turns, with their outcomes."""

    queryset = CampaignItem.objects.select_related("charger", "command")
    serializer_class = CampaignItemSerializer
    filterset_class = CampaignItemFilter
    permission_classes = [needs(GET="commands.view_command")]

    def visible(self, rows: QuerySet[CampaignItem]) -> QuerySet[CampaignItem]:
        campaign = own(self.request.user, Campaign.objects.all()).filter(pk=self.kwargs["pk"]).first()
        if campaign is None:
            raise not_found("Campaign")
        return super().visible(rows.filter(campaign=campaign))
