"""What is done once an hour: partitions for the months to come, and what is older than it is to be kept goes.

Retention is in days, 0 keeps for ever. Meter values go by whole months.
"""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django_celery_results.models import TaskResult

from chargers import partitions
from commands.models import FINISHED, Command, Upload
from transactions.models import MeterValue

AT_ONCE = 5000  # rows deleted in one transaction


def keep_house(now=None):
    """Do what is due; {what: how much}."""
    now = now or datetime.now(UTC)
    table = MeterValue._meta.db_table
    done = {"partitions made": partitions.make_months(table, now), "partitions dropped": []}
    if before := _limit(now, settings.OCPP_METER_VALUES_RETENTION):
        done["partitions dropped"] = partitions.drop_before(table, before)
    if before := _limit(now, settings.OCPP_COMMANDS_RETENTION):
        done["commands deleted"] = _delete_commands(before)
    if before := _limit(now, settings.OCPP_RESULTS_RETENTION):
        done["task results deleted"] = _delete(TaskResult.objects.filter(date_done__lt=before))
    return done


def _limit(now, days):
    return now - timedelta(days=days) if days else None


def _delete_commands(before):
    """Finished ones, with the files that were uploaded for them."""
    old = Command.objects.filter(state=FINISHED, created_at__lt=before)
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
