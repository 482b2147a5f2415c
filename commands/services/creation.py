"""Create the rows of commands, in the transaction of the caller; `submission` and the sweep enqueue them."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction

from chargers.models import Charger
from chargers.services import audit, events
from commands import metrics
from commands.actions.table import action_of
from commands.fields import Payload
from commands.models import NOT_APPLICABLE, PENDING, Command
from core.db.insertion import insert
from core.ocpp import schemas
from core.ocpp.redaction import HIDDEN
from core.ocpp.versions import BY_SUBPROTOCOL, Version

# Of one request. The charger answers each before the next is sent, so more would occupy it for minutes.
MOST_PORTIONS = 250


@transaction.atomic
def submit_internal(
    charger: Charger, action: str, payload: Mapping[str, Any], caused_by: Command | None = None, **columns: Any
) -> Command:
    """Create a command of the system itself, which the sweep enqueues within a second. Returns the `Command`.

    `columns` are more columns of it.
    """
    version = caused_by.version if caused_by else charger.version
    columns |= {"requested_by": audit.SYSTEM_ACTOR, "follows": caused_by}
    return create(charger, version, action, payload, columns)


def create(
    charger: Charger,
    version: Version,
    action: str,
    payload: Mapping[str, Any],
    columns: Mapping[str, Any],
    is_audited: bool = True,
) -> Command:
    """Create the row of a command of `version` with `columns`, and make the changes that hold from its submission on.

    A payload that is too long for one message becomes several commands: the returned one carries its first portion,
    and the others follow it (`follows`). Raises `schemas.Violation` for a payload that cannot be sent.
    """
    row, request, columns = action_of(version, action), dict(payload), dict(columns)
    completed = row.complete(request, charger) or ()
    check_payload(version, action, request)
    refuse_hidden(action, request)
    warnings = [columns.pop("warning", ""), *completed, *row.check(request, charger)]
    request, *others = row.portions(request, charger)
    if len(others) >= MOST_PORTIONS:
        message = (
            f"It needs {len(others) + 1} portions for this charger, and at most {MOST_PORTIONS} are possible. "
            "Send it as several requests."
        )
        raise schemas.Violation("", message, "")
    if others:
        warnings.append(f"It is sent in {len(others) + 1} portions, because the charger takes no longer message.")
    command = Command(
        charger=charger,
        ocpp_version=version.subprotocol,
        action=action,
        payload=Payload.of(request, version, action),
        timeout=columns.pop("timeout", None) or settings.OCPP_COMMAND_TIMEOUT,
        confirmation=PENDING if row.confirmation else NOT_APPLICABLE,
        warning=" ".join(warning for warning in warnings if warning),
        **columns,
    )
    insert(command)
    row.submitted(command)
    if is_audited:
        after = {"action": action, "payload": command.payload}
        audit.record("submitted", "command", command.task_id, charger.pk, after=after, who=command.requested_by)
    events.notify_live("command.submitted", charger.pk, task_id=command.task_id)
    transaction.on_commit(metrics.submitted.labels(action).inc)
    for other in others:
        alike = {name: getattr(command, name) for name in ("requested_by", "timeout", "retry_full")}
        create(charger, version, action, other, alike | {"follows": command}, is_audited)
    return command


def check_payload(version: Version, action: str, payload: Mapping[str, Any]) -> None:
    """Raise `schemas.Violation` if the payload breaks its schema; it says so if the payload is of another version."""
    try:
        version.schemas.check_request(action, payload, formats=True)
    except schemas.Violation as violation:
        others = (other for other in BY_SUBPROTOCOL.values() if action in other.schemas.actions)
        fits = next((other for other in others if other.schemas.requests[action].is_valid(payload)), None)
        if fits in (None, version):
            raise
        message = f"{violation.message}. This is a payload of {fits}, and the charger speaks {version}."
        raise schemas.Violation(violation.field, message, violation.code) from violation


def refuse_hidden(action: str, payload: Mapping[str, Any]) -> None:
    """Raise `schemas.Violation` if the payload contains the placeholder that is shown in place of a secret."""
    if action != "DataTransfer" and HIDDEN in orjson.dumps(payload).decode():
        raise schemas.Violation("", f"{HIDDEN} stands for a secret that is not shown. Enter the secret itself.", "")
