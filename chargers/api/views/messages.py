"""Logged frames over REST."""

from rest_framework import generics

from chargers.api.filters import MessageFilter
from chargers.api.serializers import MessageSerializer
from chargers.api.viewsets import Scoped
from chargers.models import Message
from core.http.pagination import ByTime


class MessageList(Scoped, generics.ListAPIView):
    """Frames as received and sent, newest first, without secrets, stored for OCPP_MESSAGES_RETENTION days.

    `message_log` of a charger decides which are stored. `direction`, `kind`, `action`, `message_id` and `search`
    require a `charger_id`, `is_error=true`, or `since` and `until` at most a day apart.
    """

    queryset = Message.objects.select_related("charger")
    serializer_class = MessageSerializer
    filterset_class = MessageFilter
    pagination_class = ByTime
