"""The life of a command in its Celery task: wait for the charger, send, wait for the answer, record it."""

import logging
import time
from collections.abc import Callable
from copy import copy
from datetime import datetime
from functools import partial
from typing import Any, Literal, ParamSpec, TypedDict, TypeGuard, TypeVar, Unpack

from celery import current_task
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from chargers.services import events, findings
from chargers.services.presence import Presence
from commands import metrics, sql
from commands.actions.base import Change, nothing
from commands.actions.table import action_of
from commands.models import (
    ANSWERED,
    CALL_ERROR,
    CANCELLED,
    CONNECTION_LOST,
    FAILED,
    FINISHED,
    INVALID_RESPONSE,
    NOT_CONNECTED,
    QUEUED,
    SENT,
    SILENT,
    TIMED_OUT,
    Command,
)
from commands.services import acceptance, confirmation, creation, mailbox, progress
from commands.services.mailbox import Answer, Event, Lost
from commands.services.queries import get_command
from core.db import bulk_sql, faults
from core.observability import diagnosis, tracing
from core.ocpp import schemas, tolerance
from core.ocpp.frames import storable
from core.ocpp.schemas import JSON
from core.retries import growing_delays_s, retry

logger = logging.getLogger(__name__)

# Without an event from its socket within this time, a command is sent again.
ACKNOWLEDGE_TIMEOUT_S = 1.0
RETRY_DELAYS_S = 0.1, 1.0  # the first and the longest until a database that is unavailable is tried again


P = ParamSpec("P")
T = TypeVar("T")


class Silence(TypedDict):
    """The charger has not answered in time."""

    type: Literal["silence"]


class Recorded(TypedDict, total=False):
    """The columns of a `Command` that hold how it ended."""

    response: Any
    error: JSON | None
    simulated: bool
    simulated_response: JSON


Ending = Answer | Lost | Silence


class NotNow(Exception):
    """This task has nothing to do: the command waits for its turn, another task runs it, or it is finished."""


class Result(TypedDict):
    """The result of a task, as Celery stores it. `result` is the response of the charger, or the simulated one."""

    outcome: str
    simulated: bool
    result: Any


def task_name(action: str) -> str:
    """Name the Celery task of `action`."""
    return f"commands.{action}"


def task_result(command: Command) -> Result:
    """Return the result of the task of the finished `command`."""
    return {"outcome": command.outcome, "simulated": command.simulated, "result": command.result}


def run(task_id: str, charger_id: str) -> tuple[Command, Command | None]:
    """Run the command `task_id` until it is finished; returns it and the next `Command` of its charger, or None.

    Only the first unfinished command of a connected charger is run, by one task at a time. So a charger that is not
    connected takes no slot of a worker, and a slow one takes only one. Raises `NotNow` for other commands:
    `services.enqueueing` starts the next one, `services.sweep` those that become due for another reason. A second
    task for the same command continues from its stored state and sends nothing twice.
    """
    leased, holder = mailbox.acquire_lease(task_id, charger_id)
    if not leased:
        raise NotNow
    command = None
    try:
        command = _with_database(get_command, task_id)
        if command is None or command.state == FINISHED:
            raise NotNow
        command = _leave_the_queue(command, holder) if command.state == QUEUED else _go_on_waiting(command)
        while command.state != FINISHED:
            steps = {QUEUED: _wait_to_be_sent, SENT: _wait_for_answer}
            command = steps[command.state](command)
    except NotNow:
        mailbox.release(task_id)
        if command and _has_become_first(command):
            return run(task_id, charger_id)
        raise
    except Exception as error:
        if command is None:
            raise
        _finish(command, FAILED, error=_error("InternalError", str(error)))
        raise
    return command, command.next_command


def _error(code: str, description: str) -> JSON:
    return {"code": code, "description": description, "details": {}}


def _look_up(task_id: str) -> Command:
    """The stored command; raises `NotNow` if it was deleted."""
    if command := get_command(task_id):
        return command
    raise NotNow


def _has_become_first(command: Command) -> bool:
    """Re-check the turn, because the task that should start this command may have failed while we held the lease."""
    current = None if command.is_first else _with_database(get_command, command.task_id)
    return current is not None and current.state == QUEUED and current.is_first


def _leave_the_queue(command: Command, holder: Presence | None) -> Command:
    """Send the command if it is its turn, finish it if its time in the queue has run out; else raise `NotNow`.

    A command can run out of time at any place of the queue, but only the first one may be sent.
    """
    if time.monotonic() >= _queue_ends_s(command, holder):
        return _finish(command, TIMED_OUT if holder else NOT_CONNECTED)
    if holder is None or not command.is_first:
        raise NotNow
    return _send(command, holder)


def _queue_ends_s(command: Command, holder: Presence | None) -> float:
    """End of its time in the queue, by `time.monotonic`; earlier if the charger is not connected."""
    ends_s = command.submitted_s + settings.OCPP_QUEUE_TIMEOUT
    if holder:
        return ends_s
    offline_since_s = time.monotonic() - mailbox.offline_duration_s(command.charger.identity)
    return min(ends_s, max(offline_since_s, command.submitted_s) + command.timeout)


def _wait_to_be_sent(command: Command) -> Command:
    """Wait until the process of the socket has claimed and written it; raises `NotNow` if the charger disconnects."""
    while command.state == QUEUED:
        holder = mailbox.find_connection(command.charger.identity)
        if time.monotonic() >= _queue_ends_s(command, holder):
            return _finish(command, TIMED_OUT if holder else NOT_CONNECTED)
        if not holder:
            raise NotNow
        command = _send(command, holder)
    return command


def _send(command: Command, holder: Presence) -> Command:
    """Send it once to the socket of `holder`, or finish it if it may not be sent; returns it with its new state."""
    if holder.ocpp_version != command.ocpp_version:
        reason = f"This is a command of {command.version}, and the charger now speaks {holder.ocpp_version}."
        return _finish(command, FAILED, error=_error("OtherVersion", reason))
    if refusal := acceptance.reason_not_allowed(command.charger, command.version, command.action):
        return _finish(command, CANCELLED, error=_error("NotAccepted", refusal))
    if confirmation.is_read_back(command) and _with_database(confirmation.must_yield, command):
        return _finish(command, CANCELLED, error=_error("Postponed", "Another command waits for the charger."))
    with tracing.span("send", "producer"):
        mailbox.send(holder, command.task_id, command.action, command.payload.opened())
        left_s = _queue_ends_s(command, holder) - time.monotonic()
        event = mailbox.next_event(command.task_id, min(ACKNOWLEDGE_TIMEOUT_S, left_s))
    if event and (sent_at := event.get("sent_at")):
        command.state, command.sent_at = SENT, datetime.fromisoformat(sent_at)
        command.sent_s = time.monotonic() - (mailbox.SENT_DELAY_S if event["type"] == "sent" else 0)
    else:
        command = _with_database(_look_up, command.task_id)  # the event may be lost, so the row counts
    return _end(command, event) if event and _is_ending(event) else command


def _go_on_waiting(command: Command) -> Command:
    """Take over from a task that died; first apply the event that it had taken from the mailbox but not recorded."""
    for event in mailbox.events_of_former_task(command.task_id):
        if _is_ending(event):
            return _end(command, event)
    return command


def _wait_for_answer(command: Command) -> Command:
    """Wait until the charger answers, its socket closes, or the timeout of the command has run out."""
    deadline_s = command.sent_s + command.timeout
    with tracing.span("wait for the answer"):
        while (left_s := deadline_s - time.monotonic()) > 0:
            event = mailbox.next_event(command.task_id, left_s)
            if event and _is_ending(event):
                return _end(command, event)
    for event in mailbox.close_mailbox(command.task_id):
        if _is_ending(event):
            return _end(command, event)
    return _end(command, _stored_answer(_with_database(_look_up, command.task_id)))


def _is_ending(event: Event) -> TypeGuard[Answer | Lost]:
    return event["type"] != "sent"


def _stored_answer(command: Command) -> Ending:
    """The event of an answer that `delivery` stored while Redis was unavailable, or of silence."""
    if command.response is not None:
        return {"type": "reply", "payload": command.response}
    return {"type": "error", "error": command.error} if command.error else {"type": "silence"}


def _end(command: Command, event: Ending) -> Command:
    if event["type"] == "reply":
        outcome, recorded = _replied(command, event["payload"])
        return _finish(command, outcome, **recorded)
    if event["type"] == "error":
        return _finish(command, CALL_ERROR, error=command.payload.hide_in(event["error"]))
    return _finish(command, CONNECTION_LOST if event["type"] == "lost" else TIMED_OUT)


def _replied(command: Command, answer: Any) -> tuple[str, Recorded]:
    name, version = f"{command.action}Response", command.version
    payload = command.payload.hide_in(answer)
    response = storable(payload)
    try:
        if not isinstance(payload, dict):
            version.schemas.check_response(command.action, payload)
        is_lenient, is_clean = command.charger.is_lenient, response == payload
        sent = payload if is_lenient else response
        reading = tolerance.read_response(version, command.action, sent, is_lenient, is_clean)
    except schemas.Violation as violation:
        findings.add(command.charger_id, name, {(violation.field, "rejected"): response})
        return INVALID_RESPONSE, {"response": response, "error": _error(violation.code, str(violation))}
    if reading is None:
        return ANSWERED, {"response": response}
    if reading.findings:
        findings.add(command.charger_id, name, reading.findings)
    return ANSWERED, {"response": reading.payload}


def _finish(command: Command, outcome: str, **recorded: Unpack[Recorded]) -> Command:
    """Record the outcome and notify waiting clients; returns the command as stored then."""
    if outcome in SILENT and settings.OCPP_SIMULATE_RESPONSES:
        simulated = action_of(command.version, command.action).simulated
        recorded |= {"simulated": True, "simulated_response": simulated}
    columns = {"response": None, "error": None, **recorded, "state": FINISHED, "outcome": outcome}
    command = _with_database(_record, command, columns)
    answered = command.response is not None or command.error is not None
    if outcome in SILENT and command.state != FINISHED and answered:  # over another socket, or in the last moment
        return _end(command, _stored_answer(command))
    if command.state == FINISHED:
        mailbox.announce_finished(command.task_id)
    return command


def cancel(command: Command, error: JSON) -> Command:
    """Finish a command as cancelled; returns it as stored then, because it may have been sent meanwhile."""
    return _finish(command, CANCELLED, error=error)


def _record(command: Command, recorded: dict[str, Any]) -> Command:
    """Store the end of the command, unless another task has changed its state.

    Returns the command as stored then. Its `next_command` is looked up after the commit, so that a command which is
    submitted at the same time is not missed.
    """
    state = command.state
    command = copy(command)  # because a retry after a database error must start from the former values
    for column, value in recorded.items():
        setattr(command, column, value)
    with transaction.atomic():
        if is_recorded := _store_end(command, state):
            _cancel_dependent(command)
            _apply(command)
            if command.status == progress.CANCELLED_FORMER:
                progress.cancel_former(command)
            _record_finished_event(command)
        else:
            command = _look_up(command.task_id)
        if is_recorded and (hide := action_of(command.version, command.action).hide):
            Command.objects.filter(pk=command.pk).update(payload=hide(command.payload))
    if command.state == FINISHED:
        command.next_command = _next_command(command)
    return command


def _store_end(command: Command, former_state: str) -> bool:
    """Store the end of `command` and the result of its task; returns whether its state was still `former_state`."""
    may_deliver = progress.may_deliver(command)
    columns: JSON = {name: _json(getattr(command, name)) for name in ("response", "error", "simulated_response")}
    columns |= {"id": command.pk, "outcome": command.outcome, "simulated": command.simulated}
    columns |= {"may_deliver": may_deliver, "state": former_state}
    columns |= confirmation.begin(command)
    columns["is_silent"] = command.outcome in SILENT  # an answer that was stored at the last moment counts
    rows = bulk_sql.query(sql.FINISH, columns | _result(command))
    if rows:
        ((command.finished_at,),) = rows
        command.completed_at = command.completed_at if may_deliver else command.finished_at
    return bool(rows)


def _result(command: Command) -> dict[str, str | None]:
    """Return the columns of the result of the task, as Celery stores them; `worker` is None outside of a worker."""
    return {
        "task_name": task_name(command.action),
        "task_args": _json(repr((command.charger.identity,))),
        "worker": current_task.request.hostname if current_task else None,
        "result": _json(task_result(command)),
    }


def _json(value: Any) -> str | None:
    return None if value is None else bulk_sql.json(value)


def _record_finished_event(command: Command) -> None:
    events.record_event(
        "command.finished",
        command.charger_id,
        task_id=command.task_id,
        action=command.action,
        outcome=command.outcome,
        status=command.status,
        simulated=command.simulated,
        requested_by=command.requested_by,
    )
    transaction.on_commit(lambda: metrics.count_end(command))


def _apply(command: Command) -> None:
    """Make the changes that the answer implies. An answer that they cannot handle is still recorded."""
    row = action_of(command.version, command.action)
    change: Change = row.answered if command.outcome == ANSWERED else row.not_answered
    if change is nothing:
        return
    command.refresh_from_db(fields=["transaction"])  # it may have started since the command was read
    try:
        with transaction.atomic():
            follow_ups = change(command) or []
            for follow_up in follow_ups if isinstance(follow_ups, list) else [follow_ups]:
                creation.submit_internal(command.charger, *follow_up, caused_by=command)
    except Exception as error:  # noqa: BLE001  (an answer may hold anything)
        if faults.kind_of(error):
            raise
        logger.exception("The changes by the answer to %s (%s) could not be stored", command, command.task_id)


def _cancel_dependent(command: Command) -> None:
    """Cancel the portions that build on `command`, unless the charger accepted it."""
    row = action_of(command.version, command.action)
    if not row.dependent or (command.outcome == ANSWERED and command.status == "Accepted"):
        return
    first = command.follows_id or command.pk
    later = Command.objects.filter(Q(follows=command) | Q(follows=first, pk__gt=command.pk), state=QUEUED)
    error = _error("FormerPortion", f"The portion before it, {command.task_id}, was not accepted.")
    for portion in later.filter(charger=command.charger, action=command.action).select_related("charger"):
        _record(portion, {"error": error, "state": FINISHED, "outcome": CANCELLED})
        transaction.on_commit(partial(mailbox.announce_finished, portion.task_id))


def _next_command(command: Command) -> Command | None:
    """The next unfinished command of the charger with the columns that `enqueue` needs, or None."""
    rows = bulk_sql.query(sql.NEXT_COMMAND, [command.charger_id])
    return Command(task_id=rows[0][0], action=rows[0][1], charger=command.charger) if rows else None


def _with_database(operation: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Call `operation` and return its result; retry while the database is unavailable, and close the connection."""
    call = partial(operation, *arguments, **options)
    try:
        return retry(call, faults.kind_of, growing_delays_s(*RETRY_DELAYS_S), _wait)
    finally:
        connection.close()


def _wait(error: Exception) -> None:
    logger.warning("A command waits. %s The error was: %s", diagnosis.in_words(error), error)
    connection.close()
