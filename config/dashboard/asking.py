"""Asking for a command from a page: what is wrong comes back as one exception."""

import json

from django.conf import settings
from django.http import Http404

from chargers import schemas, throttling
from chargers.errors import Busy, Conflict
from commands import asking
from commands.actions.table import ACTIONS
from commands.tasks import BROKER_FAULTS
from config.dashboard.forms import NotAnObject, payload_of


class Refused(Exception):
    """Nothing was asked for: `message` says why, of the field `field` ("" for the whole), as HTTP `status`."""

    def __init__(self, message, status, field=""):
        super().__init__(message)
        self.message, self.status, self.field = message, status, field


def known(action):
    if action not in ACTIONS:
        raise Http404(f"There is no command {action}.")


def ask(user, charger, action, told, written=""):
    """`action` for `charger` with what a form `told` or, where there is some, with the JSON `written`.

    Returns the `Command`, raises `Refused`.
    """
    known(action)
    most = settings.API_COMMANDS_PER_MINUTE
    try:
        if most and (wait := throttling.seconds_to_wait(f"commands:{user.pk}", most)):
            raise Refused(f"Too many commands in this minute: try again in {wait} s.", 429)
        payload = _written(written) if written.strip() else payload_of(action, told)
        return asking.ask(charger, action, payload, by=user.get_username())
    except schemas.Violation as violation:
        raise Refused(violation.message, 400, violation.field) from violation
    except NotAnObject as error:
        raise Refused(str(error), 400, "written") from error
    except Conflict as conflict:
        raise Refused(str(conflict.detail), 409) from conflict
    except Busy as busy:
        raise Refused(str(busy.detail), 429) from busy
    except BROKER_FAULTS as error:
        raise Refused("Redis or the message broker is away. Nothing was submitted; try again.", 503) from error


def _written(text):
    try:
        payload = json.loads(text, parse_constant=lambda word: _refuse(f"{word} is no JSON"))
    except ValueError as error:
        raise NotAnObject(f"This is no JSON: {error}") from error
    if not isinstance(payload, dict):
        raise NotAnObject("A payload is a JSON object: { … }.")
    return payload


def _refuse(why):
    raise ValueError(why)
