"""The life of a command in its Celery task: wait for its turn, send, wait for the answer, record it."""

import logging
import time
from datetime import UTC, datetime

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from chargers import gateway, schemas
from commands.actions import ACTIONS
from commands.models import (
    ANSWERED,
    CALL_ERROR,
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

logger = logging.getLogger(__name__)

LOOK_AGAIN = 5.0  # seconds after which a waiting command looks for itself whether its turn has come
UNACKNOWLEDGED = 1.0  # seconds after which one that was sent, but not seen to be written, is sent again


def carry_out(task_id):
    """Bring the command `task_id` to its end and return it; whatever happens, it ends `finished`.

    Called again for a command that is under way (a task delivered twice, a worker that died), it goes on
    from the state the command is in and sends nothing twice.
    """
    command = _with_database(_find, task_id)
    if command is None:
        logger.warning("Task %s has no command: it was withdrawn before it was queued", task_id)
        return None
    try:
        while command.state != FINISHED:
            steps = {QUEUED: _wait_to_be_sent, SENT: _wait_for_answer}
            command = steps[command.state](command)
    except Exception as error:
        _finish(command, FAILED, error={"code": "InternalError", "description": str(error), "details": {}})
        raise
    return command


def _wait_to_be_sent(command):
    """Until the socket's process has claimed and written it, or it has waited long enough."""
    give_up_at = command.created_at.timestamp() + settings.OCPP_QUEUE_TIMEOUT
    unreachable_since = None
    while True:
        first = _with_database(_is_first, command)
        charger_id = command.charger.charger_id
        holder = gateway.holder_or_wake(charger_id, command.task_id) if first else gateway.find_holder(charger_id)
        now = time.time()
        unreachable_since = None if holder else unreachable_since or now
        ends_at = min(give_up_at, unreachable_since + command.timeout) if unreachable_since else give_up_at
        if now >= ends_at:
            return _finish(command, TIMED_OUT if holder else NOT_CONNECTED)
        if first and holder:
            gateway.send(holder, command.task_id, command.action, command.payload)
        patience = UNACKNOWLEDGED if first and holder else LOOK_AGAIN
        event = gateway.next_event(command.task_id, min(patience, ends_at - now))
        if event is None or event["type"] == "sent":
            command = _with_database(_reloaded, command)
            if command.state != QUEUED:
                return command
        elif event["type"] in _ENDINGS:  # it was written, though we were not told
            return _end(_with_database(_reloaded, command), event)


def _wait_for_answer(command):
    """Until the charger answers, its socket ends, or the command's own timeout is over."""
    deadline = command.sent_at.timestamp() + command.timeout
    while (left := deadline - time.time()) > 0:
        event = gateway.next_event(command.task_id, left)
        if event and event["type"] in _ENDINGS:
            return _end(command, event)
    event = gateway.give_up(command.task_id)
    return _end(command, event if event and event["type"] in _ENDINGS else {"type": "silence"})


def _end(command, event):
    outcome, recorded = _ENDINGS[event["type"]](command, event)
    return _finish(command, outcome, **recorded)


def _replied(command, event):
    response = event["payload"]
    try:
        schemas.check(f"{command.action}Response", response)
    except schemas.Violation as violation:
        error = {"code": violation.code, "description": str(violation), "details": {}}
        return INVALID_RESPONSE, {"response": response, "error": error}
    return ANSWERED, {"response": response}


_ENDINGS = {
    "reply": _replied,
    "error": lambda command, event: (CALL_ERROR, {"error": event["error"]}),
    "lost": lambda command, event: (CONNECTION_LOST, {}),
    "silence": lambda command, event: (TIMED_OUT, {}),
}


def _finish(command, outcome, **recorded):
    """Record the outcome, tell whoever waits, and let the charger's next command have its turn."""
    simulated = outcome in SILENT and settings.OCPP_SIMULATE_RESPONSES
    if simulated:
        recorded |= {"simulated": True, "simulated_response": ACTIONS[command.action].simulated}
    recorded |= {"state": FINISHED, "outcome": outcome, "finished_at": datetime.now(UTC)}
    command, following = _with_database(_record, command, recorded)
    gateway.announce_finished(command.task_id)
    if following:
        gateway.wake(following)
    return command


def _record(command, recorded):
    """Write the end of a command that is still in the state we know; ours loses against another's."""
    with transaction.atomic():
        ours = Command.objects.filter(pk=command.pk, state=command.state).update(**recorded)
        command = _reloaded(command)
        if ours and command.outcome == ANSWERED:
            _apply(command)
    waiting = Command.objects.filter(charger_id=command.charger_id, state=QUEUED).order_by("id")
    return command, waiting.values_list("task_id", flat=True).first()


def _apply(command):
    change = ACTIONS[command.action].accepted
    if change and command.response.get("status") == "Accepted":
        change(command)


def _is_first(command):
    return not (
        Command.objects.filter(charger_id=command.charger_id, pk__lt=command.pk).exclude(state=FINISHED).exists()
    )


def _reloaded(command):
    return Command.objects.select_related("charger").get(pk=command.pk)


def _find(task_id):
    return Command.objects.select_related("charger").filter(task_id=task_id).first()


def _with_database(operation, *arguments):
    """What `operation` returns; a database that is away is waited for, and the connection is given back."""
    while True:
        try:
            return operation(*arguments)
        except (OperationalError, InterfaceError) as error:
            logger.warning("The database is away, a command waits for it: %s", error)
            time.sleep(1)
        finally:
            connection.close()
