"""Submit commands: create the row and its Celery task in one step, or neither."""

from collections.abc import Mapping
from functools import partial
from itertools import repeat
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, transaction

from chargers.models import Charger
from chargers.services import audit
from commands import sql
from commands.actions.intents import ReadConfiguration
from commands.actions.table import action_of, encode
from commands.models import FINISHED, Command
from commands.services import acceptance, creation
from commands.services.enqueueing import enqueue
from commands.services.origin import UNKNOWN, Origin
from core.db import bulk_sql, faults, sealing
from core.db.guard import logs_failure
from core.http.errors import Busy, Conflict, Unavailable
from core.ocpp.schemas import JSON, Violation
from core.ocpp.versions import BY_SUBPROTOCOL, Version
from core.redis.faults import BROKER_FAULTS
from core.retries import retry

MAX_COMMIT_CHECKS, COMMIT_CHECK_DELAY_S = 25, 0.2  # for a command whose connection was lost at its commit


def submit(
    charger: Charger,
    action: str,
    payload: Mapping[str, Any],
    origin: Origin = UNKNOWN,
    ocpp_version: str = "",
    **columns: Any,
) -> Command:
    """Queue `action` for `charger`, or return the `Command` of an earlier request with the key of `origin`.

    `payload` is the camelCase OCPP request, of the version that the charger speaks. `ocpp_version` may name that
    version; for a charger that has never connected it decides. `columns` are more columns of the `Command`.

    Raises `schemas.Violation`, `Busy` (OCPP_QUEUE_LIMIT), `Conflict` (the charger is not accepted, or the
    idempotency key was used for another request), or the errors of the broker and the database; no row is left
    behind then. Raises `Unavailable` if it is not known whether the row was committed.
    """
    columns |= origin.columns()
    return origin.once(Command, lambda: _submit(charger, _version(charger, ocpp_version), action, payload, columns))


def _version(charger: Charger, named: str) -> Version:
    if named and charger.ocpp_version not in ("", named):
        raise Violation("ocpp_version", f"The charger speaks {charger.ocpp_version}, not {named}.", "")
    return BY_SUBPROTOCOL[named] if named else charger.version


def _submit(
    charger: Charger, version: Version, action: str, payload: Mapping[str, Any], columns: Mapping[str, Any]
) -> Command:
    _refuse_unaccepted_or_busy(charger, version, action)
    command = None
    try:
        with transaction.atomic():
            command = creation.create(charger, version, action, payload, columns)
            transaction.on_commit(partial(_enqueue, command))
    except DatabaseError as error:
        if command is None or not faults.kind_of(error) or not _is_stored(command):
            raise
        _enqueue(command)
    return command


def _is_stored(command: Command) -> bool:
    """Whether `command` was committed although the connection was lost at its commit. Raises `Unavailable`."""

    def is_stored() -> bool:
        connection.close()
        return Command.objects.filter(task_id=command.task_id).exists()

    try:
        return retry(is_stored, faults.kind_of, repeat(COMMIT_CHECK_DELAY_S, MAX_COMMIT_CHECKS), lambda error: None)
    except DatabaseError as error:
        raise Unavailable(
            "The database became unavailable while the command was stored, so it may have been submitted. Look at "
            "the charger's commands before you send it again, or send it with an Idempotency-Key."
        ) from error


def payload_for_retry(former: Command) -> JSON:
    """Return the payload to submit `former` again; raises `Conflict` if no key decrypts the stored one."""
    try:
        return action_of(former.version, former.action).payload_for_retry(former.payload.opened())
    except sealing.Unreadable as error:
        raise Conflict(str(error)) from error


def create_unqueued(charger: Charger, intent: object, **columns: Any) -> Command:
    """Create the `Command` of `intent` for `charger` in the transaction of the caller, which enqueues it afterwards.

    For batches and campaigns. `columns` are more columns of it. Raises `Conflict`, `Busy` and `Violation` as `submit`
    does. Writes no audit entry, because the batch or the campaign has one.
    """
    version = charger.version
    action, payload = encode(version, intent)
    _refuse_unaccepted_or_busy(charger, version, action)
    with transaction.atomic():
        return creation.create(charger, version, action, payload, columns, is_audited=False)


def _refuse_unaccepted_or_busy(charger: Charger, version: Version, action: str) -> None:
    if reason_not_allowed := acceptance.reason_not_allowed(charger, version, action):
        raise Conflict(reason_not_allowed)
    ((queued,),) = bulk_sql.query(sql.COUNT_QUEUED, [charger.pk, audit.SYSTEM_ACTOR])
    if queued >= settings.OCPP_QUEUE_LIMIT:
        raise Busy(
            f"{queued} commands already wait for charger {charger.identity}.",
            settings.OCPP_COMMAND_TIMEOUT,
        )


def _enqueue(command: Command) -> None:
    try:
        enqueue(command)
    except BROKER_FAULTS:
        # If the broker received the task nevertheless, the task finds no command and sends nothing. The changes made
        # with the row do no harm: a reservation stays Inactive, and no charger has the key that was not sent.
        for portion in (command, *command.followed_by.all()):
            audit.record("not submitted", "command", portion.task_id, portion.charger_id)
            portion.delete()
        raise


@logs_failure
def read_configuration(accepted: set[int]) -> None:
    """Read the variables of those of the chargers `accepted` for which this is switched on, because they booted."""
    enabled = Charger.objects.filter(pk__in=accepted, read_configuration_after_boot=True)
    unfinished = Command.objects.filter(charger__in=enabled, requested_by=audit.SYSTEM_ACTOR).exclude(state=FINISHED)
    waiting = set(unfinished.values_list("charger", "action"))
    for charger in enabled:
        action, payload = encode(charger.version, ReadConfiguration())
        if (charger.pk, action) not in waiting:
            creation.submit_internal(charger, action, payload)
