"""Create the batches of schedules that are due, once for each due time, however often a run is started."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now
from rest_framework.exceptions import APIException

from chargers.models import Charger
from chargers.services import access
from commands.models import Batch, Schedule
from commands.models.schedule import EFFECTIVE_COLUMNS
from commands.services import batches
from commands.services.batches import BatchRequest
from commands.services.origin import Origin
from core.db import bulk_sql, sealing
from core.http.errors import sentence
from core.observability import diagnosis
from core.ocpp import schemas

logger = logging.getLogger(__name__)

BEAT_GRACE = timedelta(seconds=2)  # time for the message of Celery beat to arrive
MAX_DELAY = timedelta(minutes=15)  # limited, because a nightly reset must not run at noon


def run(pk: int) -> Batch | None:
    """Create the batch of a schedule that is due; returns the `Batch`, None if there is nothing to do.

    The row is locked, and its next due time is set in the same transaction, so a second message finds nothing due.
    The chargers are chosen before the transaction, because Redis may hang. A schedule that was edited meanwhile
    gets no batch now; the sweep finds it due again within seconds.
    """
    now = bulk_sql.clock()
    due = Schedule.objects.filter(pk=pk, is_enabled=True, next_run_at__lte=now).first()
    if due is None or due.next_run_at is None:
        return None
    chosen = _chosen(due, now - due.next_run_at)
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update().filter(pk=pk, is_enabled=True).first()
        if schedule is None or _choice(schedule) != _choice(due):
            return None
        return _create_and_plan(schedule, chosen, now)


def _choice(schedule: Schedule) -> tuple:
    """The columns that decide which chargers are chosen, and when."""
    return schedule.next_run_at, schedule.chosen, schedule.only_connected, schedule.owner_id


def _chosen(schedule: Schedule, delay: timedelta) -> list[Charger] | APIException:
    """The chargers, or the exception that says why no batch is created."""
    try:
        return _chargers(schedule, delay)
    except APIException as error:
        return error


def _create_and_plan(schedule: Schedule, chosen: list[Charger] | APIException, now: datetime) -> Batch | None:
    """Create the batch or note the reason against it, and set the next due time; returns the `Batch` or None."""
    due_at, batch = schedule.next_run_at, None
    schedule.last_run_at, schedule.note = due_at, ""
    try:
        if isinstance(chosen, APIException):
            raise chosen
        owner = schedule.owner.get_username() if schedule.owner else schedule.requested_by
        batch = batches.create(request_of(schedule), chosen, Origin(owner))
    except APIException as error:
        schedule.note = f"{due_at:%Y-%m-%d %H:%M:%S} UTC: {sentence(error)}"
    except (schemas.Violation, sealing.Unreadable) as error:
        schedule.note = f"{due_at:%Y-%m-%d %H:%M:%S} UTC: {error}"
    schedule.next_run_at = schedule.moment_after(now)
    schedule.save(update_fields=["last_run_at", "next_run_at", "note"])
    return batch


def may_run(owner: User | None) -> bool:
    """Whether a schedule of `owner` (a `User` or None) may still send commands."""
    if settings.API_AUTH == "none":
        return True
    return owner is not None and owner.is_active and owner.has_perm("commands.add_command")


def _chargers(schedule: Schedule, delay: timedelta) -> list[Charger]:
    """The chargers of this run; raises an `APIException` that says why there are none."""
    if delay > MAX_DELAY:
        raise APIException("This run was missed, because the system was down or overloaded for too long.")
    owner = schedule.owner
    if not may_run(owner):
        raise APIException(
            "The owner of the schedule may no longer send commands. A user who may must save it again."
        )
    chargers = batches.choose(owner, schedule.chosen, schedule.only_connected)
    if not chargers:
        raise APIException("No charger matches the schedule.")
    return chargers


def request_of(schedule: Schedule) -> BatchRequest:
    """The request for the batch that `schedule` creates now; raises as `Schedule.wanted` does."""
    names = ("chosen", "only_connected", "spread_seconds", "timeout")
    columns = {name: getattr(schedule, name) for name in names}
    return BatchRequest(schedule.wanted(), schedule=schedule, **columns)


def upcoming(schedule: Schedule, number: int) -> list[datetime]:
    """Return the next times, at most `number`, at which `schedule` is run."""
    times: list[datetime] = []
    after = schedule.next_run_at
    while after is not None and len(times) < number:
        times.append(after)
        if schedule.every_seconds:
            after += timedelta(seconds=schedule.every_seconds)
        else:
            after = None if schedule.at else schedule.moment_after(after)
    return times


def owner_after(former: Schedule, fields: Mapping[str, Any], user: Any) -> dict[str, Any]:
    """Return the columns of the owner after `user` has changed `fields` of `former`.

    The user becomes the owner, unless only the name or the switch changes and the owner may still run it.
    """
    has_changed = any(getattr(former, name) != fields[name] for name in EFFECTIVE_COLUMNS if name in fields)
    return owned_by(user) if has_changed or not may_run(former.owner) else {}


def owned_by(user: Any) -> dict[str, Any]:
    """Return the columns of a schedule whose owner is `user`."""
    known = user if user and user.is_authenticated else None
    return {"owner": known, "requested_by": access.username(user)}


def _clamp_future_times() -> None:
    """Run repeated schedules at most one interval from now, because the clock may have been set back."""
    interval = ExpressionWrapper(F("every_seconds") * timedelta(seconds=1), DurationField())
    repeated = Schedule.objects.filter(is_enabled=True, every_seconds__isnull=False)
    repeated.filter(next_run_at__gt=Now() + interval).update(next_run_at=Now() + interval)


def run_overdue() -> list[Batch]:
    """Run due schedules for which no message of Celery beat has arrived; returns the batches created.

    A schedule that fails by an internal error gets a note and is tried again; the others are still run.
    """
    _clamp_future_times()
    due = Schedule.objects.filter(is_enabled=True, next_run_at__lt=Now() - BEAT_GRACE)
    made, failed = [], []
    for pk in due.values_list("pk", flat=True):
        try:
            made.append(run(pk))
        except Exception as error:  # noqa: BLE001  (see above)
            if diagnosis.in_words(error):
                raise
            failed.append(error)
            note = f"An internal error ({type(error).__name__}). See the log of the workers."
            Schedule.objects.filter(pk=pk).update(note=note)
    if failed:
        raise ExceptionGroup("Schedules that could not be run", failed)
    return [batch for batch in made if batch]
