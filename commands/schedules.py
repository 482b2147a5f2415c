"""Schedules that are due make their batches: once for each moment, whoever brings it to mind, and however often."""

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now
from rest_framework.exceptions import APIException

from chargers import bulk_sql, faults, schemas, sealing
from commands import batches
from commands.models import Schedule
from commands.tasks import BROKER_FAULTS

logger = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=2)  # in which Celery beat's own message may come
AWAY = (*faults.ERRORS, *BROKER_FAULTS)
TOO_LATE = timedelta(minutes=15)  # a nightly reset must not come at noon


def run(pk):
    """Make the batch of a schedule whose moment has come; the `Batch`, None where there is nothing to do.

    The row is locked, and its moment goes on in the same transaction: a second message finds nothing due. The
    chargers are chosen before it, since Redis, which knows who is connected, may hang. Nothing is made of a schedule
    that was edited meanwhile: it is found due again within seconds.
    """
    now = bulk_sql.clock()
    due = Schedule.objects.filter(pk=pk, is_enabled=True, next_run_at__lte=now).first()
    if due is None:
        return None
    chargers, reason_not_allowed = _chosen(due, now)
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update().filter(pk=pk, is_enabled=True).first()
        if schedule is None or _choice(schedule) != _choice(due):
            return None
        return _go_on(schedule, chargers, reason_not_allowed, now)


def _choice(schedule):
    """All by which its chargers are chosen, and when."""
    return schedule.next_run_at, schedule.chosen, schedule.only_connected, schedule.owner_id


def _chosen(schedule, now):
    """(its chargers, None), or (None, the exception that says why no batch is made)."""
    try:
        return _chargers(schedule, now), None
    except APIException as error:
        return None, error


def _go_on(schedule, chargers, reason_not_allowed, now):
    """Make the batch, or note the objection, and plan the next moment; the `Batch` or None."""
    moment, batch = schedule.next_run_at, None
    schedule.last_run_at, schedule.note = moment, ""
    try:
        if reason_not_allowed:
            raise reason_not_allowed
        batch = _make(schedule, chargers)
    except (APIException, schemas.Violation, sealing.Unreadable) as error:
        schedule.note = f"{moment:%Y-%m-%d %H:%M:%S} UTC: {getattr(error, 'detail', error)}"
    schedule.next_run_at = schedule.moment_after(now)
    schedule.save(update_fields=["last_run_at", "next_run_at", "note"])
    return batch


def may_run(owner):
    """Whether a schedule of `owner` (a user or None) still sends commands."""
    if settings.API_AUTH == "none":
        return True
    return owner is not None and owner.is_active and owner.has_perm("commands.add_command")


def _chargers(schedule, now):
    """Those that its moment asks; raises an `APIException` that says why there are none."""
    if now - schedule.next_run_at > TOO_LATE:
        raise APIException("Missed: the system was down, or too busy, for too long.")
    owner = schedule.owner
    if not may_run(owner):
        raise APIException("Its owner may not send commands any more: let somebody who may save it again.")
    chargers = batches.choose(owner, schedule.chosen, schedule.only_connected)
    if not chargers:
        raise APIException("No charger was found.")
    return chargers


def _make(schedule, chargers):
    owner = schedule.owner
    with transaction.atomic():
        return batches.make(
            schedule.action,
            schedule.payload.opened(),
            chargers,
            by=owner.get_username() if owner else schedule.requested_by,
            chosen=schedule.chosen,
            timeout=schedule.timeout,
            spread_seconds=schedule.spread_seconds,
            schedule=schedule,
        )


def _bring_back_from_the_future():
    """After the clock was set back, what runs every so many seconds runs that long from now, and not later."""
    every = ExpressionWrapper(F("every_seconds") * timedelta(seconds=1), DurationField())
    repeated = Schedule.objects.filter(is_enabled=True, every_seconds__isnull=False)
    repeated.filter(next_run_at__gt=Now() + every).update(next_run_at=Now() + every)


def run_forgotten():
    """What Celery beat did not bring to mind: it was away, or its message was lost. The batches made.

    One that fails by a fault of ours says so, is tried again, and keeps no other from its turn.
    """
    _bring_back_from_the_future()
    due = Schedule.objects.filter(is_enabled=True, next_run_at__lt=Now() - PATIENCE)
    made, failed = [], []
    for pk in due.values_list("pk", flat=True):
        try:
            made.append(run(pk))
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001  (see above)
            failed.append(error)
            note = f"A fault here, which is in the log of the workers: {type(error).__name__}"
            Schedule.objects.filter(pk=pk).update(note=note)
    if failed:
        raise ExceptionGroup("Schedules that could not be run", failed)
    return [batch for batch in made if batch]
