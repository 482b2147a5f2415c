"""Batches and schedules over REST: one command to many chargers, now, later or repeatedly."""

from typing import cast
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from chargers.api.viewsets import Editable, OwnedByRequester, Scoped
from chargers.services.access import CommandsPerUser, needs, own, username
from commands.api.filters import BatchFilter, BatchItemFilter, ScheduleFilter
from commands.api.serializers.batches import (
    BatchItemSerializer,
    BatchRequestSerializer,
    BatchSerializer,
    ScheduleSerializer,
    batch_url,
)
from commands.api.views.tasks import IDEMPOTENCY_KEY, origin_of, validated_body
from commands.models import Batch, BatchItem, Schedule
from commands.services import batches
from commands.services.origin import Origin
from commands.services.schedules import owned_by, owner_after
from core.http.errors import Conflict, not_found
from core.http.pagination import NewestMadeFirst

VIEW_OR_ADD = needs(GET="commands.view_command", POST="commands.add_command")
EDITED = {method: "commands.add_command" for method in ("POST", "PUT", "PATCH", "DELETE")}


def known_batch(request: Request, id: str) -> Batch:
    """The `Batch`; raises 404 for an unknown one, and for one of another user."""
    try:
        return get_object_or_404(own(request.user, Batch.objects.select_related("schedule")), pk=UUID(id))
    except ValueError as error:
        raise not_found("Batch") from error


class BatchList(OwnedByRequester, generics.ListAPIView):
    """Batches, newest first; POST submits one."""

    queryset = Batch.objects.select_related("schedule")
    serializer_class = BatchSerializer
    filterset_class = BatchFilter
    pagination_class = NewestMadeFirst
    permission_classes = [VIEW_OR_ADD]
    throttle_classes = [CommandsPerUser]

    @extend_schema(request=BatchRequestSerializer, responses={202: BatchSerializer}, parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request) -> Response:
        """Submit one action to many chargers. They are chosen now; each gets its command when it is due."""
        origin = origin_of(request)
        batch = origin.earlier(Batch) or _create(request, origin)
        return Response(BatchSerializer(batch).data, status=202, headers={"Location": batch_url(batch)})


def _create(request: Request, origin: Origin) -> Batch:
    wanted = batches.BatchRequest(**validated_body(request, BatchRequestSerializer))
    return batches.submit(wanted, request.user, origin)


class BatchDetail(generics.GenericAPIView):
    """One batch with its progress and outcomes."""

    queryset = Batch.objects.all()
    permission_classes = [needs(GET="commands.view_command")]
    serializer_class = BatchSerializer

    def get(self, request: Request, id: str) -> Response:
        return Response(BatchSerializer(known_batch(request, id)).data)


class BatchItemList(Scoped, generics.ListAPIView):
    """The items of a batch in the order in which they are due, with their outcomes."""

    queryset = BatchItem.objects.select_related("charger", "command")
    serializer_class = BatchItemSerializer
    filterset_class = BatchItemFilter
    permission_classes = [needs(GET="commands.view_command")]

    def visible(self, rows: QuerySet[BatchItem]) -> QuerySet[BatchItem]:
        return super().visible(rows.filter(batch=known_batch(self.request, self.kwargs["id"])))


@extend_schema(request=None, responses=BatchSerializer)
@api_view(["POST"])
@permission_classes([needs(POST="commands.add_command")])
def cancel(request: Request, id: str) -> Response:
    """Cancel all commands that were not sent; sent ones continue. 409 if it is finished or already cancelled."""
    batch = known_batch(request, id)
    if not batches.cancel_batch(batch, username(request.user)):
        raise Conflict("This batch is finished or already cancelled.")
    return Response(BatchSerializer(batch).data)


class ScheduleViewSet(OwnedByRequester, Editable):
    """Batches created later or repeatedly, with the permissions of the last user who changed their effect."""

    queryset = Schedule.objects.all()
    serializer_class = ScheduleSerializer
    filterset_class = ScheduleFilter
    permission_classes = [needs(GET="commands.view_command", **EDITED)]
    throttle_classes = [CommandsPerUser]

    def perform_create(self, serializer: BaseSerializer) -> None:
        serializer.save(**owned_by(self.request.user))

    def perform_update(self, serializer: BaseSerializer) -> None:
        former = cast(Schedule, serializer.instance)
        serializer.save(**owner_after(former, serializer.validated_data, self.request.user))
