"""The life of a command in its Celery task: wait for the charger, send, wait for the answer, record it."""

import logging
import time
from copy import copy
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from chargers import (
    bulk_sql,
    diagnosis,
    events,
    faults,
    findings,
    gateway,
    registration,
    schemas,
    tolerance,
    tracing,
)
from chargers.frames import storable
from commands import metrics
from commands.actions.table import ACTIONS, nothing
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
from commands.queries import get_command

logger = logging.getLogger(__name__)

NEXT_COMMAND = """
SELECT task_id, action FROM commands_command WHERE charger_id = %s AND state <> 'finished' ORDER BY id LIMIT 1
"""
UNACKNOWLEDGED = 1.0  # seconds after which one that was sent, but not seen to be written, is sent again


class NotNow(Exception):
    """The command is not finished and this task has nothing to do: its turn, or its other task, will come."""


def run(task_id, charger_id):
    """Bring the command `task_id` to its end; returns it and its charger's next `Command`, or None.

    Only the first unfinished command of a connected charger is waited with, by one task at a time: an absent
    charger takes no place in a worker, and a slow one takes one however much is asked of it. Raises `NotNow`
    for the others: `commands.tasks` starts the next one, `commands.sweep` what is due for another reason.
    Called again for a command that is under way, it goes on from the state the command is in and sends
    nothing twice.
    """
    leased, holder = gateway.acquire_lease(task_id, charger_id)
    if not leased:
        raise NotNow
    command = None
    try:
        command = _with_database(get_command, task_id)
        if command is None or command.state == FINISHED:
            raise NotNow
        begin = {QUEUED: _leave_the_queue, SENT: _go_on_waiting}[command.state]
        command = begin(command, holder)
        while command.state != FINISHED:
            steps = {QUEUED: _wait_to_be_sent, SENT: _wait_for_answer}
            command = steps[command.state](command)
    except NotNow:
        gateway.release(task_id)
        if command and _turn_has_come(command):
            return run(task_id, charger_id)
        raise
    except Exception as error:
        if command is None:
            raise
        _finish(command, FAILED, error={"code": "InternalError", "description": str(error), "details": {}})
        raise
    return command, command.next_command


def _look_up(task_id):
    """The command as it stands now; `NotNow` where it was deleted meanwhile."""
    if command := get_command(task_id):
        return command
    raise NotNow


def _turn_has_come(command):
    """Since it was read: the task that was to say so may have found ours in its way."""
    now = None if command.is_first else _with_database(get_command, command.task_id)
    return now is not None and now.state == QUEUED and now.is_first


def _leave_the_queue(command, holder):
    """A command whose turn it is, or the end of one whose time is up; `NotNow` for the others.

    One whose time is up ends here, whatever its place: only the first may go on to be sent.
    """
    if time.monotonic() >= _queue_ends_s(command, holder):
        return _finish(command, TIMED_OUT if holder else NOT_CONNECTED)
    if holder is None or not command.is_first:
        raise NotNow
    return _ask(command, holder)


def _queue_ends_s(command, holder):
    """When it has waited long enough: for its turn or, sooner, for a charger that is not connected."""
    ends_s = command.asked_s + settings.OCPP_QUEUE_TIMEOUT
    if holder:
        return ends_s
    offline_since_s = time.monotonic() - gateway.offline_for(command.charger.charger_id)
    return min(ends_s, max(offline_since_s, command.asked_s) + command.timeout)


def _wait_to_be_sent(command):
    """Until the socket's process has claimed and written it; `NotNow` when the charger has gone."""
    while command.state == QUEUED:
        holder = gateway.find_holder(command.charger.charger_id)
        if time.monotonic() >= _queue_ends_s(command, holder):
            return _finish(command, TIMED_OUT if holder else NOT_CONNECTED)
        if not holder:
            raise NotNow
        command = _ask(command, holder)
    return command


def _ask(command, holder):
    """Send it once to the socket of `holder`; the command as it then stands."""
    if reason_not_allowed := registration.reason_not_allowed(command.charger, command.action):
        error = {"code": "NotAccepted", "description": reason_not_allowed, "details": {}}
        return _finish(command, CANCELLED, error=error)
    with tracing.span("send", "producer"):
        gateway.send(holder, command.task_id, command.action, command.payload.opened())
        left = _queue_ends_s(command, holder) - time.monotonic()
        event = gateway.next_event(command.task_id, min(UNACKNOWLEDGED, left))
    if event and event["type"] == "sent":
        command.state, command.sent_at = SENT, datetime.fromisoformat(event["at"])
        command.sent_s = time.monotonic()
        return command
    command = _with_database(_look_up, command.task_id)
    return _end(command, event) if event else command  # it was written, though we were not told


def _go_on_waiting(command, holder):
    """Take over from a task that died: what it had taken from the list, but not recorded, comes first."""
    for event in gateway.taken_events(command.task_id):
        if event["type"] in _ENDINGS:
            return _end(command, event)
    return command


def _wait_for_answer(command):
    """Until the charger answers, its socket ends, or the command's own timeout is over."""
    deadline_s = command.sent_s + command.timeout
    with tracing.span("wait for the answer"):
        while (left := deadline_s - time.monotonic()) > 0:
            event = gateway.next_event(command.task_id, left)
            if event and event["type"] in _ENDINGS:
                return _end(command, event)
    for event in gateway.close_mailbox(command.task_id):
        if event["type"] in _ENDINGS:
            return _end(command, event)
    return _end(command, _answer_in_the_books(_with_database(_look_up, command.task_id)))


def _answer_in_the_books(command):
    """The answer that came while Redis was away, see `commands.handlers.late_reply`; else silence."""
    if command.response is not None:
        return {"type": "reply", "payload": command.response}
    return {"type": "error", "error": command.error} if command.error else {"type": "silence"}


def _end(command, event):
    outcome, recorded = _ENDINGS[event["type"]](command, event)
    return _finish(command, outcome, **recorded)


def _replied(command, event):
    name, sent = f"{command.action}Response", command.payload.hide_in(event["payload"])
    response = storable(sent)
    try:
        if not isinstance(sent, dict):
            schemas.check(name, sent)
        is_lenient = command.charger.is_lenient
        reading = tolerance.read(name, sent if is_lenient else response, is_lenient, clean=response == sent)
    except schemas.Violation as violation:
        error = {"code": violation.code, "description": str(violation), "details": {}}
        _count_findings(command, name, {(violation.field, "rejected"): response})
        return INVALID_RESPONSE, {"response": response, "error": error}
    if reading is None:
        return ANSWERED, {"response": response}
    _count_findings(command, name, reading.findings)
    return ANSWERED, {"response": reading.payload}


def _count_findings(command, name, found):
    findings.record(command.charger_id, name, found)
    connection.close()


_ENDINGS = {
    "reply": _replied,
    "error": lambda command, event: (CALL_ERROR, {"error": command.payload.hide_in(event["error"])}),
    "lost": lambda command, event: (CONNECTION_LOST, {}),
    "silence": lambda command, event: (TIMED_OUT, {}),
}


def _finish(command, outcome, **recorded):
    """Record the outcome and tell whoever waits; the command as it then stands in the books."""
    if outcome in SILENT and settings.OCPP_SIMULATE_RESPONSES:
        recorded |= {"simulated": True, "simulated_response": ACTIONS[command.action].simulated}
    recorded = {"response": None, "error": None, **recorded}
    recorded |= {"state": FINISHED, "outcome": outcome}
    command = _with_database(_record, command, recorded)
    answered = command.response is not None or command.error is not None
    if outcome in SILENT and command.state != FINISHED and answered:  # over another socket, or just in time
        return _end(command, _answer_in_the_books(command))
    if command.state == FINISHED:
        gateway.announce_finished(command.task_id)
        command.next_command = _with_database(_next_command, command)  # after: nobody waits for it
    return command


def cancel(command, error):
    """End a command that was not sent; as it then stands, for it may have been sent meanwhile."""
    return _finish(command, CANCELLED, error=error)


def _record(command, recorded):
    """Write the end of a command that is still in the state we know; ours loses against another's."""
    command = copy(command)  # should this be tried again, it is with what was known before
    recorded = recorded | {"finished_at": bulk_sql.clock()}
    with transaction.atomic():
        as_we_know_it = Command.objects.filter(pk=command.pk, state=command.state)
        if recorded["outcome"] in SILENT:  # an answer that came at the last moment is taken instead
            as_we_know_it = as_we_know_it.filter(response=None, error=None)
        ours = as_we_know_it.update(**recorded)
        if ours:
            for column, value in recorded.items():
                setattr(command, column, value)
            _apply(command)
            _tell(command)
        else:
            command = _look_up(command.task_id)
        if ours and (hide := ACTIONS[command.action].hide):
            Command.objects.filter(pk=command.pk).update(payload=hide(command.payload))
    return command


def _tell(command):
    told = {"task_id": command.task_id, "action": command.action, "outcome": command.outcome}
    told |= {"status": command.status, "simulated": command.simulated, "requested_by": command.requested_by}
    events.record_event("command.finished", command.charger_id, **told)
    transaction.on_commit(lambda: metrics.count_end(command))


def _apply(command):
    """What the charger's answer changes. An answer that makes no sense there is still the answer."""
    row = ACTIONS[command.action]
    change = row.answered if command.outcome == ANSWERED else row.not_taken
    if change is nothing:
        return
    command.refresh_from_db(fields=["transaction"])  # the charger may have started it since the command was read
    try:
        with transaction.atomic():
            change(command)
    except faults.ERRORS:
        raise
    except Exception:  # noqa: BLE001  (from whatever a charger may answer)
        logger.exception("What %s (%s) changes could not be recorded", command, command.task_id)


def _next_command(command):
    """The charger's next unfinished command, as much of it as its task needs."""
    rows = bulk_sql.query(NEXT_COMMAND, [command.charger_id])
    return Command(task_id=rows[0][0], action=rows[0][1], charger=command.charger) if rows else None


def _with_database(operation, *arguments):
    """What `operation` returns; a database that takes no writes is waited for, and the connection is given back."""
    attempt = 0
    while True:
        try:
            return operation(*arguments)
        except faults.ERRORS as error:
            wrong = diagnosis.in_words(error) or "It is busy."
            logger.warning("A command waits for PostgreSQL. %s The error: %s", wrong, error)
            time.sleep(min(attempt, 5) * 0.2)
            attempt += 1
        finally:
            connection.close()
