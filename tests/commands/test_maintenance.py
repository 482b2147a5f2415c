"""The maintenance creates partitions in time and deletes expired rows."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django_celery_results.models import TaskResult

from commands.models import FINISHED, Batch, BatchItem, Command
from commands.services.maintenance import MAINTENANCE_LAST_RUN, maintain
from core.db import partitions
from core.redis import leases
from tests.support.builders import a_charger, a_command, a_transaction, tell
from transactions.models import Reading

TABLE = "transactions_reading"
READING = {"timestamp": "2025-02-26T12:00:00Z", "sampledValue": [{"value": "1"}]}
pytestmark = pytest.mark.django_db


def read(moment, charger=None):
    """Create a reading received at `moment`."""
    charger = charger or a_charger()
    return Reading.objects.create(
        charger=charger, evse_id=1, timestamp=moment, raw_timestamp="", received_at=moment, samples='[["1"]]'
    )


def where(reading):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tableoid::regclass::text FROM {TABLE} WHERE id = %s", [reading.pk])
        return cursor.fetchone()[0]


def in_months(number):
    return partitions.month_of(datetime.now(UTC), number) + timedelta(days=3)


def test_partitions_of_coming_months_are_created_once():
    made = maintain()["partitions of readings made"]
    assert len(made) == partitions.MONTHS_AHEAD
    assert maintain()["partitions of readings made"] == []
    assert where(read(in_months(2))) == f"{TABLE}_{in_months(2):%Y_%m}"


def test_readings_outside_all_partitions_become_a_partition():
    reading = read(in_months(2))
    assert where(reading) == f"{TABLE}_default"
    made = maintain(in_months(4))["partitions of readings made"]
    assert where(reading) == made[0] == f"{TABLE}_{in_months(5):%Y_%m}"
    assert made[1:] == [f"{TABLE}_{in_months(number):%Y_%m}" for number in (6, 7)]
    later = [read(in_months(number)) for number in (3, 7, 8)]
    assert [where(other) for other in later] == [made[0], made[2], f"{TABLE}_default"]
    assert [pk for pk in Reading.objects.values_list("pk", flat=True)] == [reading.pk, *(r.pk for r in later)]


def test_old_meter_values_are_deleted_by_whole_months_if_configured(settings):
    maintain()
    old, young = read(in_months(1)), read(in_months(2))
    maintain(in_months(3) + timedelta(days=365))
    assert Reading.objects.count() == 2
    settings.OCPP_METER_VALUES_RETENTION = 30
    dropped = maintain(in_months(3) + timedelta(days=5))["partitions of readings dropped"]
    assert dropped == [f"{TABLE}_first", where_it_was(old)]
    assert list(Reading.objects.values_list("pk", flat=True)) == [young.pk]


def where_it_was(reading):
    return f"{TABLE}_{reading.received_at:%Y_%m}"


def test_readings_of_a_transaction_are_found_in_every_partition(settings):
    transaction = a_transaction()
    tell(transaction.charger, "MeterValues", connectorId=1, transactionId=transaction.pk, meterValue=[READING])
    maintain()
    Reading.objects.create(**vars_of(transaction.readings.get(), received_at=in_months(1)))
    assert transaction.readings.count() == 2


def vars_of(reading, **changed):
    columns = {field.attname: getattr(reading, field.attname) for field in Reading._meta.fields}
    return {name: value for name, value in columns.items() if name != "id"} | changed


def test_old_finished_commands_and_results_are_deleted(settings):
    settings.OCPP_COMMANDS_RETENTION = 30
    long_ago = datetime.now(UTC) - timedelta(days=31)
    finished, waiting, recent = a_command(state=FINISHED), a_command(), a_command(state=FINISHED)
    Command.objects.filter(pk__in=[finished.pk, waiting.pk]).update(created_at=long_ago)
    results = [TaskResult.objects.create(task_id=str(number)) for number in range(2)]
    TaskResult.objects.filter(pk=results[0].pk).update(date_done=long_ago)
    done = maintain()
    assert (done["commands deleted"], done["task results deleted"]) == (1, 1)
    assert set(Command.objects.all()) == {waiting, recent}
    assert list(TaskResult.objects.all()) == [results[1]]


def test_commands_of_an_unfinished_batch_are_not_deleted(settings):
    settings.OCPP_COMMANDS_RETENTION = 1
    long_ago = datetime.now(UTC) - timedelta(days=3)
    for finished_at in (None, long_ago):
        batch = Batch.objects.create(
            action="Reset", payload={}, chosen={}, total=1, start_at=long_ago, finished_at=finished_at
        )
        command = a_command(state=FINISHED)
        BatchItem.objects.create(batch=batch, charger=command.charger, due_at=long_ago, command=command)
    Batch.objects.update(created_at=long_ago)
    Command.objects.update(created_at=long_ago)
    maintain()
    assert (Batch.objects.count(), BatchItem.objects.count(), Command.objects.count()) == (1, 1, 1)


def test_the_command_prints_its_steps_and_metrics_show_the_time(capsys):
    began = time.time()
    call_command("maintain")
    assert leases.last_time_of(MAINTENANCE_LAST_RUN) >= began
    assert f"partitions of readings made: {TABLE}_" in capsys.readouterr().out


def test_a_failing_step_does_not_prevent_the_others():
    result = TaskResult.objects.create(task_id="old")
    TaskResult.objects.update(date_done=datetime.now(UTC) - timedelta(days=31))
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {TABLE}_{partitions.month_of(datetime.now(UTC), 2):%Y_%m} (in_the_way int)")
    with pytest.raises(ExceptionGroup, match="in part.*'task results deleted': 1"):
        maintain()
    assert not TaskResult.objects.filter(pk=result.pk).exists()
