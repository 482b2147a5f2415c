"""Asking for a command from a page: what is wrong comes back as one exception."""

import json
from contextlib import contextmanager

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction
from django.http import Http404
from rest_framework.exceptions import ValidationError

from commands import batches, submission
from commands.actions.table import ACTIONS
from commands.models import FINISHED
from commands.serializers import BatchRequestSerializer, ScheduleSerializer
from commands.serializers.batches import ChoosingSerializer
from commands.tasks import BROKER_FAULTS
from core.http.errors import NOTHING_SUBMITTED, Busy, Conflict, one_form
from core.observability import diagnosis
from core.ocpp import schemas
from core.redis import throttling
from dashboard.forms import NotAnObject, payload_of


class Refused(Exception):
    """Nothing was asked for: `message` says why, of the field `field` ("" for the whole), as HTTP `status`."""

    def __init__(self, message, status, field=""):
        super().__init__(message)
        self.message, self.status, self.field = message, status, field


def known(action):
    if action not in ACTIONS:
        raise Http404(f"There is no command {action}.")


@contextmanager
def refusing():
    """What the API answers with an error is raised as `Refused`."""
    try:
        yield
    except schemas.Violation as violation:
        raise Refused(violation.message, 400, violation.field) from violation
    except NotAnObject as error:
        raise Refused(str(error), 400, "written") from error
    except ValidationError as error:
        told = one_form(error.detail, 400)
        raise Refused(told["error"], 400) from error
    except (Conflict, Busy) as error:
        raise Refused(str(error.detail), error.status_code) from error
    except (DatabaseError, *BROKER_FAULTS) as error:
        wrong = diagnosis.in_words(error)
        if wrong is None:
            raise
        raise Refused(f"{wrong} {NOTHING_SUBMITTED}", 503) from error


def _count(user):
    """One more command of `user` in this minute, if they may ask for it."""
    most = settings.API_COMMANDS_PER_MINUTE
    if most and (wait := throttling.seconds_to_wait(f"commands:{user.pk}", most)):
        raise Refused(f"Too many commands in this minute: try again in {wait} s.", 429)


def submit(user, charger, action, told, written=""):
    """`action` for `charger` with what a form `told` or, where there is some, with the JSON `written`.

    Returns the `Command`, raises `Refused`.
    """
    known(action)
    with refusing():
        _count(user)
        return submission.submit(charger, action, payload(action, told, written), by=user.get_username())


def resubmit(user, former):
    """The same as the finished command `former`, anew; raises `Refused`."""
    with refusing():
        _count(user)
        if former.state != FINISHED:
            raise Conflict("It is not finished yet: it can be asked for again once it is.")
        payload_for_retry = submission.payload_for_retry(former)
        return submission.submit(
            former.charger, former.action, payload_for_retry, timeout=former.timeout, by=user.get_username()
        )


def submit_batch(user, body):
    """The `Batch` of a body as the API takes it; raises `Refused`."""
    with refusing():
        _count(user)
        wanted = BatchRequestSerializer(data=body)
        wanted.is_valid(raise_exception=True)
        told = wanted.validated_data
        chosen = ChoosingSerializer.chosen(told)
        chargers = batches.choose(user, chosen, told["only_connected"])
        if not chargers:
            raise ValidationError("No charger is like that.")
        more = {name: told[name] for name in ("spread_seconds", "timeout") if name in told}
        return batches.make(told["action"], told["payload"], chargers, by=user.get_username(), chosen=chosen, **more)


def schedule(request, body):
    """The `Schedule` of a body as the API takes it; raises `Refused`."""
    with refusing():
        _count(request.user)
        wanted = ScheduleSerializer(data=body, context={"request": request})
        wanted.is_valid(raise_exception=True)
        with transaction.atomic():
            return wanted.save(owner=request.user, requested_by=request.user.get_username())


def payload(action, told, written):
    return _written(written) if written.strip() else payload_of(action, told)


def _written(text):
    try:
        payload = json.loads(text, parse_constant=lambda word: _refuse(f"{word} is no JSON"))
    except (ValueError, RecursionError) as error:
        raise NotAnObject(f"This is no JSON: {error}") from error
    if not isinstance(payload, dict):
        raise NotAnObject("A payload is a JSON object: { … }.")
    return payload


def _refuse(why):
    raise ValueError(why)
