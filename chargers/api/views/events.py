"""A stream of events, and webhooks, over REST."""

from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.decorators import action, api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from chargers.api.serializers.events import (
    DeliverySerializer,
    NewWebhookSerializer,
    ReplayedSerializer,
    WebhookSerializer,
)
from chargers.api.stream import stream
from chargers.api.viewsets import NO_STORE, Editable
from chargers.models import Delivery, Webhook
from chargers.models.events import KINDS
from chargers.services.access import Permitted, ReachesAll, needs
from core.http.errors import not_found
from core.http.pagination import NewestFirst
from core.http.parameters import takes


class StreamSerializer(serializers.Serializer):
    """Filters of a stream; `after` is the id of the last event that the client knows, as is `Last-Event-ID`."""

    kind = serializers.ChoiceField(list(KINDS), required=False)
    charger_id = serializers.CharField(required=False, max_length=255, trim_whitespace=False)
    after = serializers.IntegerField(required=False, min_value=0, max_value=2**63 - 1)


@takes(StreamSerializer)
@extend_schema(
    parameters=[StreamSerializer, OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER)],
    responses={(200, "text/event-stream"): str},
)
@api_view(["GET"])
@permission_classes([needs(GET="chargers.view_event")])
def event_stream(request: Request) -> StreamingHttpResponse:
    """Server-sent events as they happen. With the id of the last one, those missed since are sent first."""
    last = request.headers.get("Last-Event-ID", "")
    parameters = request.query_params.dict() | ({"after": last} if last else {})
    serializer = StreamSerializer(data=parameters)
    serializer.is_valid(raise_exception=True)
    after = serializer.validated_data.pop("after", None)
    chunks = stream(request.user, serializer.validated_data, after)
    return StreamingHttpResponse(
        chunks, content_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


class WebhookViewSet(Editable):
    """URLs that receive events, each in a signed POST: webhook-id, webhook-timestamp, webhook-signature."""

    queryset = Webhook.objects.select_related("group")
    serializer_class = WebhookSerializer
    filterset_fields = ["name", "is_enabled"]
    permission_classes = [Permitted, ReachesAll]

    def get_serializer_class(self) -> type[BaseSerializer]:
        return NewWebhookSerializer if self.action == "create" else WebhookSerializer

    @extend_schema(responses={201: NewWebhookSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Create a webhook. Only this answer contains its secret."""
        response = super().create(request, *args, **kwargs)
        return Response(response.data, status=201, headers=NO_STORE)

    @extend_schema(request=None, responses=ReplayedSerializer)
    @action(detail=True, methods=["post"], permission_classes=[needs(POST="chargers.change_webhook"), ReachesAll])
    def replay(self, request: Request, pk: str) -> Response:
        """Send the dead deliveries again."""
        dead = self.get_object().deliveries.filter(state=Delivery.DEAD)
        return Response({"replayed": dead.replay()})


class DeliveryList(generics.ListAPIView):
    """Deliveries to a webhook, newest first."""

    queryset = Delivery.objects.select_related("event__charger")
    serializer_class = DeliverySerializer
    filterset_fields = ["id", "event", "state", "answered_status"]
    pagination_class = NewestFirst
    permission_classes = [Permitted, ReachesAll]

    def get_queryset(self) -> QuerySet[Delivery]:
        return super().get_queryset().filter(webhook=self.kwargs.get("pk"))


@extend_schema(request=None, responses=ReplayedSerializer)
@api_view(["POST"])
@permission_classes([needs(POST="chargers.change_webhook"), ReachesAll])
def replay_delivery(request: Request, pk: int, delivery: int) -> Response:
    """Send one event again, whether or not it was accepted."""
    deliveries = Delivery.objects.filter(pk=delivery, webhook=pk)
    if not deliveries.exists():
        raise not_found("Delivery")
    return Response({"replayed": deliveries.replay()})
