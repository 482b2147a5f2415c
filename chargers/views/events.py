"""What happened, over REST: listed, streamed and told to webhooks."""

from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.decorators import action, api_view, permission_classes
from rest_framework.response import Response

from chargers import webhooks
from chargers.access import Permitted, ReachesAll, needs
from chargers.errors import not_found
from chargers.filters import DeliveryFilter, EventFilter
from chargers.models import (
    Delivery,
    Event,
    Webhook,
)
from chargers.models.events import KINDS
from chargers.pagination import NewestFirst
from chargers.parameters import takes
from chargers.serializers import (
    DeliverySerializer,
    EventSerializer,
    NewWebhookSerializer,
    ReplayedSerializer,
    WebhookSerializer,
)
from chargers.stream import stream
from chargers.viewsets import NOT_KEPT, Editable, Scoped


class EventList(Scoped, generics.ListAPIView):
    """What happened, newest first: kept for OCPP_EVENTS_RETENTION days."""

    queryset = Event.objects.select_related("charger")
    serializer_class = EventSerializer
    filterset_class = EventFilter
    pagination_class = NewestFirst


class StreamSerializer(serializers.Serializer):
    """What a stream is narrowed to; `after` is the id of the last event that is known, as is `Last-Event-ID`."""

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
def event_stream(request):
    """Server-sent events as they happen. Asked for again with the id of the last one, what was missed comes first."""
    last = request.headers.get("Last-Event-ID", "")
    given = request.query_params.dict() | ({"after": last} if last else {})
    wanted = StreamSerializer(data=given)
    wanted.is_valid(raise_exception=True)
    after = wanted.validated_data.pop("after", None)
    told = stream(request.user, wanted.validated_data, after)
    return StreamingHttpResponse(
        told, content_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


class WebhookViewSet(Editable):
    """URLs that are told of events, each in a signed POST: webhook-id, webhook-timestamp, webhook-signature."""

    queryset = Webhook.objects.select_related("group")
    serializer_class = WebhookSerializer
    filterset_fields = ["name", "is_enabled"]
    permission_classes = [Permitted, ReachesAll]

    def get_serializer_class(self):
        return NewWebhookSerializer if self.action == "create" else WebhookSerializer

    @extend_schema(responses={201: NewWebhookSerializer})
    def create(self, request, *args, **kwargs):
        """Make a webhook. Its secret is told this once."""
        response = super().create(request, *args, **kwargs)
        return Response(response.data, status=201, headers=NOT_KEPT)

    @extend_schema(request=None, responses=ReplayedSerializer)
    @action(detail=True, methods=["post"], permission_classes=[needs(POST="chargers.change_webhook"), ReachesAll])
    def replay(self, request, pk):
        """Send again what was given up."""
        dead = self.get_object().deliveries.filter(state=Delivery.DEAD)
        return Response({"replayed": webhooks.replay(dead)})


class DeliveryList(generics.ListAPIView):
    """What a webhook was told, newest first."""

    queryset = Delivery.objects.select_related("event__charger")
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilter
    pagination_class = NewestFirst
    permission_classes = [Permitted, ReachesAll]

    def get_queryset(self):
        return super().get_queryset().filter(webhook=self.kwargs.get("pk"))


@extend_schema(request=None, responses=ReplayedSerializer)
@api_view(["POST"])
@permission_classes([needs(POST="chargers.change_webhook"), ReachesAll])
def replay_delivery(request, pk, delivery):
    """Send one event again, whether or not it was taken."""
    found = Delivery.objects.filter(pk=delivery, webhook=pk)
    if not found.exists():
        raise not_found("Delivery")
    return Response({"replayed": webhooks.replay(found)})
