"""Incidents and notifications about them over REST."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, viewsets
from rest_framework.decorators import action, api_view, permission_classes
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from chargers.api.filters import IncidentFilter
from chargers.api.serializers.events import ReplayedSerializer
from chargers.api.serializers.incidents import (
    AssignmentSerializer,
    IncidentDetailSerializer,
    IncidentSerializer,
    NoteSerializer,
    NotificationDeliverySerializer,
    NotificationRuleSerializer,
)
from chargers.api.viewsets import Editable, Scoped
from chargers.models import Incident, NotificationDelivery, NotificationRule
from chargers.services import incident_notifications, incidents
from chargers.services.access import Permitted, ReachesAll, needs, username
from core.http.errors import not_found
from core.http.pagination import NewestFirst

CHANGE = [needs(POST="chargers.change_incident")]


class IncidentViewSet(Scoped, viewsets.ReadOnlyModelViewSet):
    """Incidents, newest first. Those without a charger are shown to users who reach every charger."""

    queryset = Incident.objects.select_related("charger__site", "assignee")
    serializer_class = IncidentSerializer
    filterset_class = IncidentFilter
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[Incident]:
        rows = super().get_queryset()
        return rows if self.action == "list" else rows.prefetch_related("entries")

    def get_serializer_class(self) -> type[BaseSerializer]:
        return IncidentSerializer if self.action == "list" else IncidentDetailSerializer

    @extend_schema(request=None, responses=IncidentDetailSerializer)
    @action(detail=True, methods=["post"], permission_classes=CHANGE)
    def acknowledge(self, request: Request, pk: str | None = None) -> Response:
        """Take notice: nobody is notified by escalation any more. 409 if it is closed."""
        incidents.acknowledge(self.get_object(), username(request.user))
        return self._answer()

    @extend_schema(request=AssignmentSerializer, responses=IncidentDetailSerializer)
    @action(detail=True, methods=["post"], permission_classes=CHANGE)
    def assign(self, request: Request, pk: str | None = None) -> Response:
        """Assign it to a user who may see it, or to nobody. 409 if it is closed."""
        incident = self.get_object()
        name = self._body(AssignmentSerializer)["user"]
        user = None if name is None else User.objects.filter(username=name).first()
        if name is not None and not (user and incidents.may_be_assigned(user, incident)):
            raise ValidationError({"user": [f"There is no user {name} who may see this incident."]})
        incidents.assign(incident, user, username(request.user))
        return self._answer()

    @extend_schema(request=NoteSerializer, responses=IncidentDetailSerializer)
    @action(detail=True, methods=["post"], permission_classes=CHANGE)
    def note(self, request: Request, pk: str | None = None) -> Response:
        """Add a note to the history."""
        incident = self.get_object()
        incidents.note(incident, self._body(NoteSerializer)["text"], username(request.user))
        return self._answer()

    @extend_schema(request=None, responses=IncidentDetailSerializer)
    @action(detail=True, methods=["post"], permission_classes=CHANGE)
    def close(self, request: Request, pk: str | None = None) -> Response:
        """Close it. If its cause lasts, it is not opened again before the cause has ended and recurs."""
        incidents.close(self.get_object(), username(request.user))
        return self._answer()

    def _body(self, serializer_class: type[BaseSerializer]) -> Any:
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data

    def _answer(self) -> Response:
        return Response(self.get_serializer(self.get_object()).data)


class NotificationRuleViewSet(Editable):
    """Who is notified of which incidents: by e-mail, Slack, Teams, ntfy or a webhook."""

    queryset = NotificationRule.objects.select_related("site")
    serializer_class = NotificationRuleSerializer
    filterset_fields = ["name", "is_enabled", "severity", "channel"]
    permission_classes = [Permitted, ReachesAll]

    @extend_schema(request=None, responses=NotificationDeliverySerializer)
    @action(
        detail=True, methods=["post"], permission_classes=[needs(POST="chargers.change_notificationrule"), ReachesAll]
    )
    def test(self, request: Request, pk: str | None = None) -> Response:
        """Send a test message now; the answer has the result."""
        delivery = incident_notifications.test(self.get_object())
        return Response(NotificationDeliverySerializer(delivery).data)

    @extend_schema(request=None, responses=ReplayedSerializer)
    @action(
        detail=True, methods=["post"], permission_classes=[needs(POST="chargers.change_notificationrule"), ReachesAll]
    )
    def replay(self, request: Request, pk: str | None = None) -> Response:
        """Send the dead deliveries again."""
        dead = self.get_object().deliveries.filter(state=NotificationDelivery.DEAD).exclude(reason="test")
        return Response({"replayed": dead.replay()})


class NotificationDeliveryList(generics.ListAPIView):
    """Messages by a notification rule, newest first."""

    queryset = NotificationDelivery.objects.all()
    serializer_class = NotificationDeliverySerializer
    filterset_fields = ["id", "incident", "reason", "state", "answered_status"]
    pagination_class = NewestFirst
    permission_classes = [Permitted, ReachesAll]

    def get_queryset(self) -> QuerySet[NotificationDelivery]:
        return super().get_queryset().filter(rule=self.kwargs.get("pk"))


@extend_schema(request=None, responses=ReplayedSerializer)
@api_view(["POST"])
@permission_classes([needs(POST="chargers.change_notificationrule"), ReachesAll])
def replay_notification(request: Request, pk: int, delivery: int) -> Response:
    """Send one message again, whether or not it was accepted."""
    deliveries = NotificationDelivery.objects.filter(pk=delivery, rule=pk)
    if not deliveries.exists():
        raise not_found("NotificationDelivery")
    return Response({"replayed": deliveries.replay()})
