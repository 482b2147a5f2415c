"""Asking for a command: the row and its task in one step, or neither."""

import time

import orjson
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils.crypto import salted_hmac

from chargers import audit, bulk_sql, events, faults, registration, schemas, sealing
from chargers.errors import Busy, Conflict, Unavailable
from chargers.masking import HIDDEN
from commands import metrics
from commands.actions.table import ACTIONS
from commands.models import SYSTEM_ACTOR, Command
from commands.tasks import BROKER_FAULTS, enqueue

LOOKS, LOOK_AGAIN_S = 25, 0.2  # for a command whose commit was cut off
WAITING = """
SELECT count(*) FROM commands_command WHERE charger_id = %s AND state = 'queued' AND requested_by <> %s
"""


def submit(charger, action, payload, *, idempotency_key="", request=None, by="", **columns):
    """Queue `action` for `charger` and return the `Command`; `payload` is the camelCase OCPP request.

    Raises `schemas.Violation`, `Busy` (OCPP_QUEUE_LIMIT), `Conflict` (the charger is not accepted, or the
    idempotency key was used for another request), or what the broker or the database raise; nothing is left
    behind then. Raises `Unavailable` where that is not known. `request` is what must be the same for the same
    `idempotency_key`: the body as the client sent it. `columns` are further ones of the `Command`.
    """
    whole = [charger.charger_id, action, payload, columns.get("timeout")] if request is None else request
    if same := earlier(by, idempotency_key, whole):
        return same
    if reason_not_allowed := registration.reason_not_allowed(charger, action):
        raise Conflict(reason_not_allowed)
    _refuse_too_many(charger)
    columns |= {
        "requested_by": by,
        "idempotency_key": idempotency_key,
        "request_digest": digest(whole) if idempotency_key else "",
    }
    command = None
    try:
        with transaction.atomic():
            command = _row(charger, action, payload, columns)
            transaction.on_commit(lambda: _enqueue(command))
    except IntegrityError:
        if same := earlier(by, idempotency_key, whole):
            return same
        raise
    except faults.ERRORS as error:
        if command is None or not _is_stored(command, error):
            raise
        _enqueue(command)
    return command


def _is_stored(command, error):
    """Whether `command` was committed all the same, although the connection was lost at its commit."""
    for _ in range(LOOKS):
        connection.close()
        try:
            return Command.objects.filter(task_id=command.task_id).exists()
        except faults.ERRORS:
            time.sleep(LOOK_AGAIN_S)
    raise Unavailable(
        "The database became unavailable while the command was stored, so it may have been submitted. Look at the "
        "charger's commands before you send it again, or send it with an Idempotency-Key."
    ) from error


@transaction.atomic
def submit_internal(charger, action, payload, caused_by=None):
    """Ask for a command of our own accord: a row, which the sweep finds within a second. Returns the `Command`."""
    return _row(charger, action, payload, {"requested_by": SYSTEM_ACTOR, "follows": caused_by})


def payload_for_retry(former):
    """The payload with which the same as `former` is asked for again; raises `Conflict` where no key opens it."""
    try:
        return ACTIONS[former.action].payload_for_retry(former.payload.opened())
    except sealing.Unreadable as error:
        raise Conflict(str(error)) from error


def create_for_batch(batch, charger):
    """The `Command` of `batch` to one of its chargers: a row, in the transaction of whoever calls, who enqueues it.

    Raises like `submit`. The entry in the audit log is that of the batch.
    """
    if reason_not_allowed := registration.reason_not_allowed(charger, batch.action):
        raise Conflict(reason_not_allowed)
    _refuse_too_many(charger)
    columns = {"requested_by": batch.requested_by, "timeout": batch.timeout}
    with transaction.atomic():
        return _row(charger, batch.action, batch.payload.opened(), columns, is_audited=False)


def _row(charger, action, payload, columns, is_audited=True):
    row, payload = ACTIONS[action], dict(payload)
    completed = row.complete(payload, charger) or ()
    schemas.check(action, payload, formats=True)
    refuse_hidden(action, payload)
    warnings = [columns.pop("warning", ""), *completed, *row.check(payload, charger)]
    command = Command.objects.create(
        charger=charger,
        action=action,
        payload=payload,
        timeout=columns.pop("timeout", None) or settings.OCPP_COMMAND_TIMEOUT,
        warning=" ".join(warning for warning in warnings if warning),
        **columns,
    )
    row.asked(command)
    if is_audited:
        told = {"action": action, "payload": command.payload}
        audit.record("asked", "command", command.task_id, charger.pk, after=told, who=command.requested_by)
    events.notify_live("command.asked", charger.pk, task_id=command.task_id)
    transaction.on_commit(metrics.asked.labels(action).inc)
    return command


def refuse_hidden(action, payload):
    """Raises `schemas.Violation` where what stands for a secret that is not shown would be sent in its place."""
    if action != "DataTransfer" and HIDDEN in orjson.dumps(payload).decode():
        raise schemas.Violation("", f"{HIDDEN} stands for a secret that is not shown: write it anew.", "")


def digest(request):
    """With a secret: a body may hold a key, which must not be guessed from what is kept here."""
    content = orjson.dumps(request, option=orjson.OPT_SORT_KEYS)
    return salted_hmac("idempotency", content, algorithm="sha256").hexdigest()


def earlier(by, idempotency_key, request):
    """The command that `by` asked for with this key, None without; `Conflict` where it was another request."""
    same = idempotency_key and Command.objects.filter(requested_by=by, idempotency_key=idempotency_key).first()
    if same and same.request_digest != digest(request):
        raise Conflict("This Idempotency-Key was used for another request.")
    return same or None


def _refuse_too_many(charger):
    ((waiting,),) = bulk_sql.query(WAITING, [charger.pk, SYSTEM_ACTOR])
    if waiting >= settings.OCPP_QUEUE_LIMIT:
        raise Busy(
            f"{waiting} commands wait for charger {charger.charger_id} already.",
            settings.OCPP_COMMAND_TIMEOUT,
        )


def _enqueue(command):
    try:
        enqueue(command)
    except BROKER_FAULTS:
        # Should the task have got through all the same, it finds no command and sends nothing. What was noted
        # with the row changes nothing: a reservation stays Inactive, a key that was not sent is used by nobody.
        audit.record("not submitted", "command", command.task_id, command.charger_id)
        command.delete()
        raise
