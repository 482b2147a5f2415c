"""What is done once an hour: partitions for the months or days to come, and what is older than it is to be kept goes.

Retention is in days, 0 keeps for ever. Meter values go by whole months, messages by whole days.
"""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django_celery_results.models import TaskResult

from chargers import gateway, partitions
from chargers.models import AuditEntry, Event, Message, Refusal
from commands.models import FINISHED, Batch, Command, Upload
from commands.roles import MADE
from transactions.models import MeterValue

KEPT = "house-kept"  # when it was last; for who asks for metrics
AT_ONCE = 5000  # rows deleted in one transaction


def keep_house(now=None):
    """Do what is due; {what: how much}. What fails does not keep the rest from being done, and is raised after it."""
    now = now or datetime.now(UTC)
    done, errors = {"partitions dropped": []}, []
    for what, days, step in STEPS:
        limit = getattr(settings, days) if days else None
        if limit == 0:
            continue
        try:
            done[what] = step(now - timedelta(days=limit) if limit else now)
        except Exception as error:  # noqa: BLE001  (see above)
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"House was kept in part: {done}", errors)
    gateway.note_moment(KEPT)
    return done


def _delete_commands(before):
    """Finished ones, with the files that were uploaded for them; those of a batch when all of it is over."""
    under_way = Batch.objects.filter(finished_at=None, created_at__lt=before)
    old = Command.objects.filter(state=FINISHED, created_at__lt=before).exclude(member__batch__in=under_way)
    for upload in Upload.objects.filter(command__in=old).exclude(file="").iterator():
        upload.file.delete(save=False)
    return _delete(old)


def _delete(rows):
    """In portions, so that nobody waits long for a lock; how many."""
    deleted = 0
    while portion := list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]):
        rows.model.objects.filter(pk__in=portion).delete()
        deleted += len(portion)
    return deleted


TABLE, MESSAGES = MeterValue._meta.db_table, Message._meta.db_table
STEPS = (  # what, the setting with its limit in days, and how
    ("partitions made", None, lambda now: partitions.make(TABLE, now)),
    ("partitions dropped", "OCPP_METER_VALUES_RETENTION", lambda before: partitions.drop_before(TABLE, before)),
    ("days of messages made", None, lambda now: partitions.make(MESSAGES, now, partitions.DAYS)),
    ("days of messages dropped", "OCPP_MESSAGES_RETENTION", lambda before: partitions.drop_before(MESSAGES, before)),
    (
        "batches deleted",
        "OCPP_COMMANDS_RETENTION",
        lambda before: _delete(Batch.objects.filter(finished_at__lt=before)),
    ),
    ("commands deleted", "OCPP_COMMANDS_RETENTION", _delete_commands),
    (
        "audit entries deleted",
        "OCPP_AUDIT_RETENTION",
        lambda before: _delete(AuditEntry.objects.filter(at__lt=before).exclude(kind=MADE)),
    ),
    (
        "events deleted",
        "OCPP_EVENTS_RETENTION",
        lambda before: _delete(Event.objects.filter(at__lt=before)),
    ),
    (
        "refused connections deleted",
        "OCPP_EVENTS_RETENTION",
        lambda before: _delete(Refusal.objects.filter(last_at__lt=before)) + _delete(Refusal.objects.settled()),
    ),
    (
        "task results deleted",
        "OCPP_RESULTS_RETENTION",
        lambda before: _delete(TaskResult.objects.filter(date_done__lt=before)),
    ),
)
