"""One command to many chargers over REST, now, later, or again and again."""

from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.response import Response

from chargers import schemas
from chargers.access import CommandsPerUser, needs, reaches_every_charger, within
from chargers.errors import Conflict, not_found
from chargers.pagination import NewestMadeFirst
from chargers.viewsets import Editable
from commands import batches
from commands.filters import BatchFilter, MemberFilter, ScheduleFilter
from commands.models import Batch, BatchItem, Schedule
from commands.schedules import may_run
from commands.serializers import BatchRequestSerializer, BatchSerializer, MemberSerializer, ScheduleSerializer
from commands.serializers.batches import ChoosingSerializer, batch_url
from commands.views.tasks import IDEMPOTENCY_KEY, idempotency, validated_body

# Of a schedule: what it does, and when.
DOES = {"action", "payload", "timeout", "chosen", "only_connected", "spread_seconds"}
DOES |= {"at", "every_seconds", "crontab", "timezone"}
SEEN_OR_ASKED = needs(GET="commands.view_command", POST="commands.add_command")
EDITED = {method: "commands.add_command" for method in ("POST", "PUT", "PATCH", "DELETE")}


class OwnedByRequester:
    """Of who asked for it, and of those who may reach every charger: it tells of chargers of many groups."""

    def get_queryset(self):
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):  # the schema is being drawn
            return rows
        return own(self.request, rows)


def own(request, rows):
    if reaches_every_charger(request.user):
        return rows
    return rows.filter(requested_by=request.user.get_username())


def known_batch(request, id):
    """The `Batch`, or 404; one of somebody else is none."""
    try:
        return get_object_or_404(own(request, Batch.objects.select_related("schedule")), pk=UUID(id))
    except ValueError as error:
        raise not_found("Batch") from error


class BatchList(OwnedByRequester, generics.ListAPIView):
    """Commands to many chargers, newest first; POST asks for one."""

    queryset = Batch.objects.select_related("schedule")
    serializer_class = BatchSerializer
    filterset_class = BatchFilter
    pagination_class = NewestMadeFirst
    permission_classes = [SEEN_OR_ASKED]
    throttle_classes = [CommandsPerUser]

    @extend_schema(request=BatchRequestSerializer, responses={202: BatchSerializer}, parameters=[IDEMPOTENCY_KEY])
    def post(self, request):
        """Ask many chargers for one action. Who they are is settled now, each is asked when it is due."""
        batch = _earlier(request) or _made(request, validated_body(request, BatchRequestSerializer))
        return Response(BatchSerializer(batch).data, status=202, headers={"Location": batch_url(batch)})


def _earlier(request):
    same = idempotency(request)
    return batches.earlier(same["by"], same["idempotency_key"], same["request"])


def _made(request, body):
    same, chosen = idempotency(request), ChoosingSerializer.chosen(body)
    chargers = batches.choose(request.user, chosen, body["only_connected"])
    if not chargers:
        raise serializers.ValidationError({"filter" if "filter" in chosen else "chargers": ["No charger is left."]})
    more = {name: body[name] for name in ("spread_seconds", "start_at", "note", "timeout") if name in body}
    made_for = {"by": same["by"], "key": same["idempotency_key"], "request": same["request"], "chosen": chosen}
    try:
        return batches.make(body["action"], body["payload"], chargers, **made_for, **more)
    except schemas.Violation as violation:
        raise serializers.ValidationError({violation.field or "payload": [violation.message]}) from violation


class BatchDetail(generics.GenericAPIView):
    """One batch: how far it is, and what came of it."""

    queryset = Batch.objects.all()
    permission_classes = [needs(GET="commands.view_command")]
    serializer_class = BatchSerializer

    def get(self, request, id):
        return Response(BatchSerializer(known_batch(request, id)).data)


class MemberList(generics.ListAPIView):
    """The chargers of a batch in the order in which they are due, and what came of each."""

    queryset = BatchItem.objects.select_related("charger", "command")
    serializer_class = MemberSerializer
    filterset_class = MemberFilter
    permission_classes = [needs(GET="commands.view_command")]

    def get_queryset(self):
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):  # the schema is being drawn
            return rows
        return within(self.request.user, rows.filter(batch=known_batch(self.request, self.kwargs["id"])))


@extend_schema(request=None, responses=BatchSerializer)
@api_view(["POST"])
@permission_classes([needs(POST="commands.add_command")])
def cancel(request, id):
    """Ask no more of its chargers; what was sent goes on. 409 where it is over, or cancelled already."""
    batch = known_batch(request, id)
    if not batches.cancel_batch(batch, request.user.get_username() if request.user else ""):
        raise Conflict("This batch is over, or it was cancelled already.")
    return Response(BatchSerializer(batch).data)


class ScheduleViewSet(OwnedByRequester, Editable):
    """Batches that are made later, or again and again, with the permissions of whoever said last what they do."""

    queryset = Schedule.objects.all()
    serializer_class = ScheduleSerializer
    filterset_class = ScheduleFilter
    permission_classes = [needs(GET="commands.view_command", **EDITED)]
    throttle_classes = [CommandsPerUser]

    def perform_create(self, serializer):
        serializer.save(**self._owner())

    def perform_update(self, serializer):
        """Whoever only switches or renames it does not lend it what they may reach, unless its owner is gone."""
        former, told = serializer.instance, serializer.validated_data
        is_other = any(getattr(former, name) != told[name] for name in DOES & told.keys())
        serializer.save(**(self._owner() if is_other or not may_run(former.owner) else {}))

    def _owner(self):
        user = self.request.user
        known = user if user and user.is_authenticated else None
        return {"owner": known, "requested_by": user.get_username() if user else ""}
