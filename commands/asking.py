"""Asking for a command: the row and its task in one step, or neither."""

import hashlib

import orjson
from django.conf import settings
from django.db import IntegrityError, transaction

from chargers import schemas
from chargers.errors import Busy, Conflict
from commands.actions import ACTIONS, fill_in
from commands.models import QUEUED, Command
from commands.tasks import BROKER_FAULTS, enqueue


def ask(charger, action, payload, *, by="", timeout=None, warning="", idempotency_key="", request=None):
    """Queue `action` for `charger` and return the `Command`; `payload` is the camelCase OCPP request.

    Raises `schemas.Violation`, `Busy` (OCPP_QUEUE_LIMIT), `Conflict` (the idempotency key was used for
    another request), or what the broker or the database raise; nothing is left behind then.
    `request` is what must be the same for the same `idempotency_key`: the body as the client sent it.
    """
    digest = _digest([charger.charger_id, action, payload, timeout] if request is None else request)
    if idempotency_key and (earlier := _earlier(by, idempotency_key, digest)):
        return earlier
    payload = dict(payload)
    fill_in(ACTIONS[action], payload, charger)
    schemas.check(action, payload, formats=True)
    _refuse_too_many(charger)
    command = Command(
        charger=charger,
        action=action,
        payload=payload,
        timeout=timeout or settings.OCPP_COMMAND_TIMEOUT,
        requested_by=by,
        warning=warning,
        idempotency_key=idempotency_key,
        request_digest=digest,
    )
    try:
        with transaction.atomic():
            command.save()
            transaction.on_commit(lambda: _enqueue(command))
    except IntegrityError:
        if idempotency_key and (earlier := _earlier(by, idempotency_key, digest)):
            return earlier
        raise
    return command


def _digest(request):
    return hashlib.sha256(orjson.dumps(request, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _earlier(by, idempotency_key, digest):
    earlier = Command.objects.filter(requested_by=by, idempotency_key=idempotency_key).first()
    if earlier and earlier.request_digest != digest:
        raise Conflict("This Idempotency-Key was used for another request.")
    return earlier


def _refuse_too_many(charger):
    waiting = Command.objects.filter(charger=charger, state=QUEUED).count()
    if waiting >= settings.OCPP_QUEUE_LIMIT:
        raise Busy(
            f"{waiting} commands wait for charger {charger.charger_id} already.",
            settings.OCPP_COMMAND_TIMEOUT,
        )


def _enqueue(command):
    try:
        enqueue(command)
    except BROKER_FAULTS:
        # Should the task have got through all the same, it finds no command and sends nothing.
        command.delete()
        raise
