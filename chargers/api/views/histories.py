"""Rows about chargers that REST only lists: reports, events, findings, frames, the audit log, refused handshakes."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import generics, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from chargers.api.filters import (
    AuditEntryFilter,
    ChargingLimitFilter,
    EventFilter,
    MessageFilter,
    RefusalFilter,
    of_charger,
)
from chargers.api.serializers.chargers import NewKeySerializer
from chargers.api.serializers.histories import (
    AuditEntrySerializer,
    ChargingLimitSerializer,
    DataTransferSerializer,
    EventSerializer,
    FindingSerializer,
    MessageSerializer,
    MonitoringEventSerializer,
    MonitorSerializer,
    RefusalSerializer,
    SecurityEventSerializer,
)
from chargers.api.viewsets import NO_STORE, Scoped
from chargers.models import (
    AuditEntry,
    ChargingLimit,
    DataTransfer,
    Event,
    Finding,
    Message,
    Monitor,
    MonitoringEvent,
    Refusal,
    SecurityEvent,
)
from chargers.models.refusals import RefusalQuerySet
from chargers.services import monitors, onboarding, refusals
from chargers.services.access import ReachesAll, needs
from core.http.pagination import ByTime, NewestFirst


class SecurityEventList(Scoped, generics.ListAPIView):
    """Security events of chargers, newest first (security whitepaper §3)."""

    queryset = SecurityEvent.objects.select_related("charger")
    serializer_class = SecurityEventSerializer
    filterset_class = of_charger(SecurityEvent, "id", "type", "timestamp", "tech_info", "received_at")
    pagination_class = NewestFirst


class DataTransferList(Scoped, generics.ListAPIView):
    """DataTransfer messages of chargers, newest first. Those to chargers are commands."""

    queryset = DataTransfer.objects.select_related("charger")
    serializer_class = DataTransferSerializer
    filterset_class = of_charger(
        DataTransfer, "id", "vendor_id", "message_id", "data", "status", "answered_data", "received_at"
    )
    pagination_class = NewestFirst


class MonitorList(Scoped, generics.ListAPIView):
    """The monitors of variables, as chargers reported or accepted them (OCPP 2.0.1 N02, N04)."""

    queryset = Monitor.objects.select_related("charger")
    serializer_class = MonitorSerializer
    filterset_class = of_charger(Monitor, "monitor_id", *monitors.REPORTED)


class MonitoringEventList(Scoped, generics.ListAPIView):
    """Events of monitored variables, newest first (OCPP 2.0.1 N07, N08)."""

    queryset = MonitoringEvent.objects.select_related("charger")
    serializer_class = MonitoringEventSerializer
    filterset_class = of_charger(
        MonitoringEvent, "id", *monitors.NAME, "timestamp", *monitors.SENT, "severity", "generated_at", "received_at"
    )
    pagination_class = NewestFirst


class ChargingLimitList(Scoped, generics.ListAPIView):
    """External charging limits, newest first: active ones, and those that were cleared or replaced."""

    queryset = ChargingLimit.objects.select_related("charger")
    serializer_class = ChargingLimitSerializer
    filterset_class = ChargingLimitFilter
    pagination_class = NewestFirst


class EventList(Scoped, generics.ListAPIView):
    """Events, newest first, stored for OCPP_EVENTS_RETENTION days."""

    queryset = Event.objects.select_related("charger")
    serializer_class = EventSerializer
    filterset_class = EventFilter
    pagination_class = NewestFirst


class FindingList(Scoped, generics.ListAPIView):
    """Deviations of messages from OCPP, the latest first, one row for each charger, action, member and kind.

    docs/tolerance.md explains how each is treated. An `action` that ends with Response is an answer to a command.
    """

    queryset = Finding.objects.select_related("charger")
    serializer_class = FindingSerializer
    filterset_class = of_charger(Finding, "action", "field", "kind", "count", "first_seen", "last_seen", "example")


class MessageList(Scoped, generics.ListAPIView):
    """Frames as received and sent, newest first, without secrets, stored for OCPP_MESSAGES_RETENTION days.

    `message_log` of a charger decides which are stored. `direction`, `kind`, `action`, `message_id` and `search`
    require a `charger_id`, `is_error=true`, or `since` and `until` at most a day apart.
    """

    queryset = Message.objects.select_related("charger")
    serializer_class = MessageSerializer
    filterset_class = MessageFilter
    pagination_class = ByTime


class AuditEntryList(Scoped, generics.ListAPIView):
    """The audit log, newest first: commands, logins, changes of chargers, tags, keys, profiles, users, tokens."""

    queryset = AuditEntry.objects.select_related("charger")
    serializer_class = AuditEntrySerializer
    filterset_class = AuditEntryFilter
    pagination_class = NewestFirst


class RefusalViewSet(Scoped, viewsets.ReadOnlyModelViewSet):
    """Refused handshakes, the latest first, one row for each charger id and reason, until the charger connects.

    Ids of unknown chargers are shown to users who may add chargers.
    """

    queryset = Refusal.objects.open()
    serializer_class = RefusalSerializer
    filterset_class = RefusalFilter
    permission_classes = [needs(GET="chargers.view_charger")]

    def visible(self, rows: Any) -> RefusalQuerySet:
        return refusals.visible(self.request.user)

    @extend_schema(request=None, responses={201: NewKeySerializer})
    @action(detail=True, methods=["post"], permission_classes=[needs(POST="chargers.add_charger"), ReachesAll])
    def add(self, request: Request, pk: str | None = None) -> Response:
        """Add the charger with this id and a new key, which only this answer contains."""
        charger, key = onboarding.add_refused(self.get_object())
        return Response({"charger_id": charger.identity, "authorization_key": key}, status=201, headers=NO_STORE)
