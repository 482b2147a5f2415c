"""What passed between chargers and us, over REST."""

from rest_framework import generics

from chargers.filters import MessageFilter
from chargers.models import Message
from chargers.pagination import ByTime
from chargers.serializers import MessageSerializer
from chargers.viewsets import Scoped


class MessageList(Scoped, generics.ListAPIView):
    """Frames as they passed, newest first, without secrets: kept for OCPP_MESSAGES_RETENTION days.

    What is kept of a charger, its `message_log` says. `direction`, `kind`, `action`, `message_id` and `search` want
    a `charger_id`, `is_error=true`, or `since` and `until` at most a day apart.
    """

    queryset = Message.objects.select_related("charger")
    serializer_class = MessageSerializer
    filterset_class = MessageFilter
    pagination_class = ByTime
