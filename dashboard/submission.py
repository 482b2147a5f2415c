"""Submit commands, batches and schedules from pages; every rejection is one exception, `Refused`."""

import json
from contextlib import contextmanager

from django.db import transaction
from django.http import Http404
from django.utils.translation import gettext
from rest_framework.exceptions import ValidationError

from chargers.services import access
from commands.actions.intents import BY_NAME, intent_of
from commands.actions.table import ACTIONS, encode, schema_of
from commands.api.serializers.batches import BatchRequestSerializer, ScheduleSerializer
from commands.models import FINISHED
from commands.services import batches, schedules, submission
from commands.services.origin import Origin
from core.db import sealing
from core.http.errors import NOTHING_SUBMITTED, Busy, Conflict, one_form
from core.observability import diagnosis
from core.ocpp import schemas
from core.sentences import labelled, translated
from dashboard import jobs
from dashboard.forms import NotAnObject, fields_of, payload_of
from dashboard.labels import PARAMETERS


class Refused(Exception):
    """Nothing was submitted: `message` is the reason, `field` the invalid field or "", `status` the HTTP status.

    The message is in the language of the page, with the label of the field that it begins with.
    """

    def __init__(self, message, status, field=""):
        super().__init__(message)
        self.message, self.status, self.field = labelled(translated(message)), status, field


def known(version, name):
    """Return the schema of the intent or the action `name`; raise `Http404` if OCPP `version` has neither."""
    schema = schema_of(version, name)
    if schema is None:
        raise Http404(gettext("There is no command {action}.").format(action=name))
    return schema


def version_of(name, subprotocol=""):
    """Return the version `subprotocol`, or if it is "" the first one with the intent or the action `name`.

    Raises `Http404` if there is none.
    """
    named = [version for version in ACTIONS if subprotocol in ("", version.subprotocol)]
    for version in named:
        if schema_of(version, name):
            return version
    raise Http404(gettext("There is no command {action}.").format(action=name))


def fields(version, name, values, error, charger=None):
    """Return the fields of the form of an intent or an action, see `fields_of`."""
    made = fields_of(known(version, name), values, error)
    for field in made if name in BY_NAME else ():
        field.label = PARAMETERS[field.name]
    return jobs.choose(name, made, charger)


@contextmanager
def refusing():
    """Raise `Refused` for each exception that the API turns into an error response."""
    try:
        yield
    except schemas.Violation as violation:
        raise Refused(violation.message, 400, violation.field) from violation
    except NotAnObject as error:
        raise Refused(str(error), 400, "written") from error
    except batches.NoChargerMatches as error:
        raise Refused(gettext("No chargers match your selection."), 400) from error
    except ValidationError as error:
        raise Refused(one_form(error.detail, 400)["error"], 400) from error
    except (Conflict, Busy) as error:
        raise Refused(str(error.detail), error.status_code) from error
    except Exception as error:  # noqa: BLE001  (raised again, unless a server is unavailable)
        wrong = diagnosis.in_words(error)
        if wrong is None:
            raise
        raise Refused(f"{wrong} {NOTHING_SUBMITTED}", 503) from error


def count(user):
    """Count one command of `user` in this minute; raise `Refused` above API_COMMANDS_PER_MINUTE."""
    if wait := access.count_command(user):
        raise Refused(gettext("Command limit reached. Try again in {wait} s.").format(wait=wait), 429)


def submit(user, charger, name, values, written=""):
    """Submit the intent or the action `name` for `charger` with the form `values`, or with the JSON `written`.

    Return the `Command`; raise `Refused`.
    """
    known(charger.version, name)
    with refusing():
        count(user)
        return _submit(user, charger, intent_of(name, payload(charger.version, name, values, written)))


def check(charger, name, values, written=""):
    """Return the parameters of the intent or the action `name` that a form stands for; raise `Refused` if invalid."""
    known(charger.version, name)
    with refusing():
        wanted = payload(charger.version, name, values, written)
        batches.check(intent_of(name, wanted), [charger], is_batch=False)
        return wanted


def submit_intent(user, charger, intent):
    """Submit `intent` for `charger`; return the `Command`, or raise `Refused`."""
    with refusing():
        count(user)
        return _submit(user, charger, intent)


def _submit(user, charger, intent):
    action, request = encode(charger.version, intent)
    return submission.submit(charger, action, request, Origin(user.get_username()))


def refuse_read_only(variable):
    """Raise `Refused` if the charger has reported that it does not allow to set `variable`."""
    if variable.readonly:
        raise Refused(f"The charger has reported that {variable} is read-only.", 400, "value")


def resubmit(user, former):
    """Submit the finished command `former` again, as a new command; raise `Refused`."""
    with refusing():
        count(user)
        if former.state != FINISHED:
            raise Conflict(gettext("The command is not finished yet. You can send it again once it is finished."))
        payload_for_retry, origin = submission.payload_for_retry(former), Origin(user.get_username())
        same = {"timeout": former.timeout, "ocpp_version": former.ocpp_version}
        return submission.submit(former.charger, former.action, payload_for_retry, origin, **same)


def submit_batch(user, body):
    """Create the `Batch` of the `body` of an API request; raise `Refused`."""
    with refusing():
        count(user)
        serializer = BatchRequestSerializer(data=body)
        serializer.is_valid(raise_exception=True)
        wanted = batches.BatchRequest(**serializer.validated_data)
        return batches.submit(wanted, user, Origin(user.get_username()))


def preview(request, body, when):
    """Return the chargers of the `body` of an API request, and of a schedule with `when`; raise `Refused`."""
    with refusing():
        if when:
            serializer = ScheduleSerializer(data=body | when, context={"request": request})
            serializer.is_valid(raise_exception=True)
            return batches.choose(request.user, serializer.validated_data["chosen"], body["only_connected"])
        serializer = BatchRequestSerializer(data=body)
        serializer.is_valid(raise_exception=True)
        wanted = batches.BatchRequest(**serializer.validated_data)
        chargers = batches.choose(request.user, wanted.chosen, wanted.only_connected)
        if not chargers:
            raise batches.NoChargerMatches(wanted.chosen)
        batches.check(wanted.intent, chargers)
        return chargers


def repeat_batch(user, batch):
    """Create a `Batch` of the command of `batch` for the chargers for which it failed; raise `Refused`."""
    with refusing():
        count(user)
        chosen = {"chargers": list(batches.failed(batch))}
        if not chosen["chargers"]:
            raise Conflict(gettext("The command of this batch has failed for no charger."))
        same = {"spread_seconds": batch.spread_seconds, "timeout": batch.timeout, "note": batch.note}
        try:
            wanted = batches.BatchRequest(batch.wanted(), chosen, **same)
        except sealing.Unreadable as error:
            raise Conflict(str(error)) from error
        return batches.submit(wanted, user, Origin(user.get_username()))


def schedule(request, body):
    """Create the `Schedule` of the `body` of an API request; raise `Refused`."""
    with refusing():
        count(request.user)
        serializer = ScheduleSerializer(data=body, context={"request": request})
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            return serializer.save(**schedules.owned_by(request.user))


def change_schedule(request, schedule, body):
    """Change `schedule` by the `body` of a PATCH of the API; raise `Refused`."""
    with refusing():
        count(request.user)
        serializer = ScheduleSerializer(schedule, data=body, partial=True, context={"request": request})
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            return serializer.save(**schedules.owner_after(schedule, serializer.validated_data, request.user))


def run_schedule(user, schedule):
    """Create a batch of `schedule` now, with the rights of `user`; return the `Batch`, or raise `Refused`."""
    with refusing():
        count(user)
        return batches.submit(schedules.request_of(schedule), user, Origin(user.get_username()))


def payload(version, name, values, written):
    """Return the JSON `written`, or if it is blank the payload of the form `values` of the intent or the action."""
    return written_payload(written) if written.strip() else payload_of(known(version, name), values)


def written_payload(text):
    """Return the JSON object `text`; raise `NotAnObject`."""
    try:
        payload = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        text = gettext("This is not valid JSON: see line {line}, column {column}.")
        raise NotAnObject(text.format(line=error.lineno, column=error.colno)) from error
    except NotAnObject:
        raise
    except (ValueError, RecursionError) as error:
        raise NotAnObject(gettext("This JSON is nested too deeply, or has a number that is too long.")) from error
    if not isinstance(payload, dict):
        raise NotAnObject(gettext("The payload must be a JSON object: { … }."))
    return payload


def _refuse_constant(word):
    raise NotAnObject(gettext("This is not valid JSON: it has no {word}.").format(word=word))
