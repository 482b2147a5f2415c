"""Submit commands over REST and poll them as tasks; a POST answers without waiting for the charger."""

from collections.abc import Callable, Mapping
from threading import BoundedSemaphore
from typing import Any

from django.db import connection
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.decorators import api_view, permission_classes, throttle_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chargers.api.viewsets import Scoped
from chargers.models import Charger
from chargers.services import access
from chargers.services.access import CommandsPerUser, check_reach, known_charger, needs, username
from commands.actions.intents import Start, Stop, Trigger
from commands.actions.table import encode
from commands.api.filters import CommandFilter
from commands.api.serializers.commands import (
    AuthorizeRequestSerializer,
    CommandRequestSerializer,
    StopRequestSerializer,
    SubmissionSerializer,
    SubmittedSerializer,
    TaskSerializer,
    task_url,
)
from commands.models import FINISHED, PENDING, Command
from commands.services import customers, mailbox, submission
from commands.services.origin import Origin
from commands.services.queries import get_command
from core.http.errors import Conflict, not_found
from core.http.pagination import NewestFirst
from core.http.parameters import takes
from transactions.models import Transaction
from transactions.services import id_tokens

MAX_WAIT_S = 30.0
# Each wait holds a thread of its process, see config.http. Above this number, polls are answered at once.
WAITS = BoundedSemaphore(800)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same key and body returns the same task.",
)


def submits(body: Any, answer: type[serializers.BaseSerializer]) -> Callable[[Callable[..., Response]], Any]:
    """Decorate a view whose POST submits a command: `body` and `answer` are the serializers of its 202."""

    def decorate(view: Callable[..., Response]) -> Any:
        throttled = throttle_classes([CommandsPerUser])(view)
        permitted = permission_classes([needs(POST="commands.add_command")])(throttled)
        described = extend_schema(request=body, responses={202: answer}, parameters=[IDEMPOTENCY_KEY])
        return described(api_view(["POST"])(permitted))

    return decorate


def validated_body(request: Request, serializer_class: type[serializers.Serializer]) -> dict[str, Any]:
    """Return the validated body, {} for an empty one; first raise 404 for a charger that the user may not reach."""
    check_reach(request)
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def origin_of(request: Request) -> Origin:
    """Return the user and the Idempotency-Key of `request`; raises 400 for an invalid key."""
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > 255 or "\0" in key:
        raise serializers.ValidationError({"Idempotency-Key": ["Use at most 255 characters."]})
    return Origin(username(request.user), key, [request.path, request.data])


def earlier(request: Request) -> Command | None:
    """The command of an earlier identical request, or None; looked up first, because the state may have changed."""
    return origin_of(request).earlier(Command)


def submit_command(
    request: Request, charger: Charger, action: str, payload: dict, body: Mapping, **columns: Any
) -> Command:
    """Submit a command with the members of `body` that every request may have."""
    named = {"timeout": body.get("timeout"), "ocpp_version": body.get("ocpp_version", "")}
    return submission.submit(charger, action, payload, origin_of(request), **named, **columns)


def submit_intent(request: Request, charger: Charger, intent: object, body: Mapping, **columns: Any) -> Command:
    """Submit the command by which the charger's OCPP version expresses `intent`, see `submit_command`."""
    return submit_command(request, charger, *encode(charger.version, intent), body, **columns)


def accepted(command: Command, status: str, **more: Any) -> Response:
    """Answer 202 with the task to poll."""
    shown = {"status": status, "task_id": command.task_id, "task_url": task_url(command)}
    if command.warning:
        shown["warning"] = command.warning
    return Response(shown | more, status=202, headers={"Location": shown["task_url"]})


def submitted(command: Command) -> Response:
    """Answer 202 with the whole task."""
    shown = TaskSerializer.shown(command)
    return Response(shown, status=202, headers={"Location": shown["task_url"]})


@submits(SubmissionSerializer, SubmittedSerializer)
def start(request: Request, charger_id: str) -> Response:
    """Request a BootNotification (TriggerMessage)."""
    body = validated_body(request, SubmissionSerializer)
    command = submit_intent(request, known_charger(request, charger_id), Trigger("BootNotification"), body)
    return accepted(command, "Remote BootNotification Command Sent")


@submits(StopRequestSerializer, SubmittedSerializer)
def stop(request: Request, charger_id: str) -> Response:
    """Stop the given transaction, or the only one under way."""
    body = validated_body(request, StopRequestSerializer)
    charger = known_charger(request, charger_id)
    command = earlier(request)
    if command is None:
        reference, warning = transaction_to_stop(charger, body)
        command = submit_intent(request, charger, Stop(reference), body, warning=warning)
    return accepted(command, "Remote Stop Command Sent")


def transaction_to_stop(charger: Charger, body: Mapping[str, Any]) -> tuple[str, str]:
    """(reference, warning). Without a known transaction that of the latest one is sent, and the charger decides.

    A number is the id of a transaction of this charger, or another number that only the charger may know. A charger
    of OCPP 1.6 cannot name transactions that it began in 2.0.1, so these are never chosen for it.
    """
    candidates = Transaction.objects.filter(charger=charger)
    if "transaction_id" in body:
        named = candidates.filter(pk=body["transaction_id"]).first()
        return named.reference if named else str(body["transaction_id"]), ""
    if "reference" in body:
        return body["reference"], ""
    candidates = candidates.filter(**{name: body[name] for name in ("evse_id", "connector_id") if name in body})
    everywhere = candidates
    if not charger.version.has_evses:
        candidates = candidates.filter(own_reference="")
    ongoing = list(candidates.ongoing().filter(superseded_by=None)[:100])
    if len(ongoing) > 1:
        known = ", ".join(str(pk) for pk in sorted(transaction.pk for transaction in ongoing))
        raise serializers.ValidationError(
            {"transaction_id": [f"Several transactions are ongoing, name one: {known}"]}
        )
    if ongoing:
        return ongoing[0].reference, ""
    latest = next((transaction.reference for transaction in candidates[:1]), "0")
    if others := list(everywhere.ongoing().values_list("pk", flat=True).order_by("pk")[:100]):
        known = ", ".join(map(str, others))
        warning = (
            f"No ongoing transaction can be named: {known} is superseded or of another OCPP version; "
            f"transactionId {latest} is sent and the charger decides."
        )
        return latest, warning
    return latest, f"No ongoing transaction is known; transactionId {latest} is sent and the charger decides."


@submits(AuthorizeRequestSerializer, SubmittedSerializer)
def authorize(request: Request, charger_id: str) -> Response:
    """Make the charger authorise a tag by a remote start, because OCPP has no Authorize towards a charger."""
    body = validated_body(request, AuthorizeRequestSerializer)
    type = body.get("id_token_type", "")
    intent = Start(body["id_tag"], type, body.get("evse_id", body.get("connector_id")))
    charger = known_charger(request, charger_id)
    command = submit_intent(request, charger, intent, body)
    verdict = id_tokens.find([body["id_tag"]], [charger.pk]).verdict_at(charger.pk, body["id_tag"], type)
    return accepted(command, f"Authorization command sent for id_tag {body['id_tag']}", id_tag_status=verdict.status)


class CommandList(Scoped, generics.ListAPIView):
    """All commands, newest first; POST submits one."""

    queryset = TaskSerializer.rows()
    serializer_class = TaskSerializer
    filterset_class = CommandFilter
    pagination_class = NewestFirst
    throttle_classes = [CommandsPerUser]

    @extend_schema(request=CommandRequestSerializer, responses={202: TaskSerializer}, parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request) -> Response:
        """Submit any command of the OCPP version that the charger speaks."""
        body = validated_body(request, CommandRequestSerializer)
        command = submit_command(
            request, known_charger(request, body["charger_id"]), body["action"], body["payload"], body
        )
        return submitted(command)


class WaitSerializer(serializers.Serializer):
    wait = serializers.FloatField(default=0, min_value=0, max_value=MAX_WAIT_S, help_text="Seconds, at most 30.")
    until = serializers.ChoiceField(
        ["finished", "completed", "confirmed"],
        default="finished",
        help_text="`finished` waits for the answer, `completed` also for what the charger delivers after it. If "
        "nothing is delivered after it, a command is completed when it is finished. `confirmed` waits until its "
        "effect was seen, or was not seen in time.",
    )


@takes(WaitSerializer)
@extend_schema(responses=TaskSerializer, parameters=[WaitSerializer])
class TaskDetail(APIView):
    """One task; with `?wait=SECONDS` it answers as soon as the task is finished, or what `until` says."""

    permission_classes = [needs(GET="commands.view_command")]

    def get(self, request: Request, task_id: str) -> Response:
        wait = WaitSerializer(data=request.query_params)
        wait.is_valid(raise_exception=True)
        seconds, until = wait.validated_data["wait"], wait.validated_data["until"]
        command = find_task(task_id)
        if not access.reaches(request.user, command.charger):
            raise not_found("Task")
        if seconds and not _has_ended(command, until) and WAITS.acquire(blocking=False):
            try:
                connection.close()
                command = mailbox.wait_until(task_id, seconds, lambda: _ended(task_id, until)) or find_task(task_id)
            finally:
                WAITS.release()
        return Response(TaskSerializer.shown(command) | _customer_information(command))


def _customer_information(command: Command) -> dict[str, str]:
    """Return as `report` what a CustomerInformation has delivered; lists do not show these personal data."""
    if command.action != customers.ACTION:
        return {}
    delivered = customers.information(command)
    return {} if delivered is None else {"report": delivered}


def _has_ended(command: Command, until: str) -> bool:
    if until == "confirmed":
        return command.state == FINISHED and command.confirmation != PENDING
    return command.state == FINISHED and getattr(command, f"{until}_at") is not None


def _ended(task_id: str, until: str) -> Command | None:
    """The command if it is `until`, see `WaitSerializer`, else None; raises 404 for an unknown id."""
    try:
        command = find_task(task_id)
    finally:
        connection.close()  # because waiting requests would use up the connections
    return command if _has_ended(command, until) else None


def find_task(task_id: str) -> Command:
    """The `Command`; raises 404. Celery's state is not read, because it is PENDING for unknown ids."""
    command = get_command(task_id)
    if command is None:
        raise not_found("Task")
    return command


@submits(None, TaskSerializer)
def retry(request: Request, task_id: str) -> Response:
    """Submit the same command to the same charger again; 409 if the former one is not finished."""
    former = find_task(task_id)
    if not access.reaches(request.user, former.charger):
        raise not_found("Task")
    command = earlier(request)
    if command is None:
        if former.state != FINISHED:
            raise Conflict("This command is not finished yet. Retry it when it is.")
        payload = submission.payload_for_retry(former)
        same = {"timeout": former.timeout, "ocpp_version": former.ocpp_version}
        command = submit_command(request, former.charger, former.action, payload, same)
    return submitted(command)
