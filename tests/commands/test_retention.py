"""Every table has a retention rule, and the maintenance applies the rules."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.apps import apps
from django.conf import settings as configured
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection
from django_celery_beat.models import ClockedSchedule, PeriodicTask
from django_celery_results.models import GroupResult, TaskResult

from chargers.models import (
    ApiToken,
    AuditEntry,
    ChargingLimit,
    DataTransfer,
    Delivery,
    Event,
    Finding,
    Incident,
    Message,
    MonitoringEvent,
    NotificationDelivery,
    Refusal,
    SecurityEvent,
    VariableChange,
    Webhook,
)
from commands.models import (
    FINISHED,
    Batch,
    BatchItem,
    Campaign,
    CertificateInquiry,
    CertificateRequest,
    Command,
    DisplayMessage,
    EVChargingNeeds,
    EVChargingSchedule,
    Firmware,
    PowerLimit,
    PublishedFirmware,
    ReportPart,
)
from commands.services import retention
from commands.services.maintenance import maintain
from commands.services.retention import Aged, Dropped, Kept, With
from dashboard.models import FleetMinute
from tests.support.builders import a_charger, a_command, a_rule, a_transaction, an_incident
from transactions.models import IdTag, OrphanStop, Outage, Reading, Reservation, Transaction, UnknownIdTag

pytestmark = pytest.mark.django_db
DAYS = 5
NOW = datetime.now(UTC)
OLD, YOUNG = NOW - timedelta(days=DAYS + 1), NOW - timedelta(days=DAYS - 1)
# The catalog of PostgreSQL has every table, whichever package created it. A partition is no table of its own.
TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""
REFUSED = {"kind": "unknown", "status": 404, "reason": "r", "count": 1}
ATTEMPT = {"user_agent": "u", "ip_address": "127.0.0.1", "username": "x", "http_accept": "a", "path_info": "/"}


def tables():
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        return {name for (name,) in cursor.fetchall()}


def table_of(label):
    return apps.get_model(label)._meta.db_table if "." in label else label


def test_every_table_has_a_retention_rule():
    ruled = {table_of(label) for label in retention.RULES}
    assert "transactions_reading" in tables()
    assert "django_migrations" in tables()
    assert tables() - ruled == set(), "say in commands.services.retention.RULES how long their rows are kept"
    assert ruled - tables() == set()


def test_a_new_table_without_a_rule_is_found():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE of_nobody (at timestamptz) PARTITION BY RANGE (at)")
        cursor.execute("CREATE TABLE of_nobody_default PARTITION OF of_nobody DEFAULT")
    assert tables() - {table_of(label) for label in retention.RULES} == {"of_nobody"}


def test_rows_deleted_with_a_parent_have_a_foreign_key():
    for label, rule in retention.RULES.items():
        if isinstance(rule, With):
            parents = {field.related_model for field in apps.get_model(label)._meta.fields if field.is_relation}
            assert apps.get_model(rule.parent) in parents, label
            assert rule.parent in retention.RULES


def test_every_retention_setting_is_used_by_a_rule():
    named = {rule.setting for kind in (Aged, Dropped) for _, rule in retention.of_kind(kind)}
    known = {name for name in dir(configured) if name.startswith("OCPP_") and name.endswith("_RETENTION")}
    assert named == known


def a_certificate(**columns):
    return CertificateRequest.objects.create(charger=a_charger(), common_name="x", csr="x", **columns)


def a_batch(**columns):
    answer = {"action": "Reset", "payload": {}, "chosen": {}, "total": 1, "start_at": OLD}
    return Batch.objects.create(**answer, **columns)


def a_message_of_an_ended_transaction():
    ended = a_transaction()
    Transaction.objects.filter(pk=ended.pk).update(stop_received_at=OLD - timedelta(days=1))
    return DisplayMessage.objects.create(charger=ended.charger, message_id=1, transaction=ended)


def a_token(**columns):
    user = User.objects.create(username=uuid4().hex)
    return ApiToken.make(user, "billing", columns["expiry"])[0]


def an_entry(**columns):
    user, kind = User.objects.create(username=uuid4().hex), ContentType.objects.first()
    return LogEntry.objects.create(user=user, content_type=kind, object_repr="x", action_flag=CHANGE)


# How a row of each model with an aged rule is made, where more than the column and its charger is needed.
OF_CHARGER = {
    SecurityEvent: {"timestamp": OLD},
    DataTransfer: {"status": "Accepted"},
    MonitoringEvent: {"timestamp": OLD, "generated_at": OLD, "digest": ""},
    Finding: {"action": "Heartbeat", "kind": "null", "count": 1, "first_seen": OLD},
    UnknownIdTag: {"first_seen": OLD, "presented": 1},
    OrphanStop: {"payload": "{}"},
    Reservation: {"connector_id": 1, "id_tag": "ABC"},
    Event: {"kind": "charger.online", "body": {}},
    Outage: {"evse_id": 1, "connector_id": 1, "kind": "faulted", "began_at": OLD},
    DisplayMessage: {"message_id": 1},
    PublishedFirmware: {"status": "Unpublished"},
    VariableChange: {"component": "EVSE", "variable": "Available", "source": "NotifyReport"},
    ChargingLimit: {"source": "EMS", "schedules": [], "received_at": OLD},
    EVChargingNeeds: {"evse_id": 1, "energy_transfer": "DC", "parameters": {}},
    EVChargingSchedule: {"evse_id": 1, "begins_at": OLD, "schedule": {}},
    ReportPart: {"action": "NotifyReport", "request_id": 1, "is_last": True, "items": []},
}
PLAIN = {
    Refusal: lambda: {**REFUSED, "charger_id": uuid4().hex, "first_at": OLD},
    AuditEntry: lambda: {"action": "changed", "kind": "charger", "name": "x"},
    FleetMinute: lambda: dict.fromkeys(("connected", "charging", "faulted", "power_w", "energy_today_wh"), 0),
    Session: lambda: {"session_key": uuid4().hex, "session_data": ""},
    AccessAttempt: lambda: {**ATTEMPT, "username": uuid4().hex, "failures_since_start": 1},
    AccessFailureLog: lambda: ATTEMPT,
    AccessLog: lambda: ATTEMPT,
    TaskResult: lambda: {"task_id": uuid4().hex},
    GroupResult: lambda: {"group_id": uuid4().hex},
    ClockedSchedule: lambda: {},
}
OWN = {
    (Command, "created_at"): lambda **columns: a_command(state=FINISHED),
    (Batch, "finished_at"): a_batch,
    (CertificateInquiry, "received_at"): lambda **columns: CertificateInquiry.objects.create(
        charger=a_charger(), action="GetCertificateStatus", subject="1", status="Failed", call_id="1", **columns
    ),
    (CertificateRequest, "not_after"): lambda **columns: a_certificate(received_at=OLD, state="Signed", **columns),
    (CertificateRequest, "received_at"): lambda **columns: a_certificate(state="Rejected", **columns),
    (DisplayMessage, "updated_at"): lambda **columns: a_message_of_an_ended_transaction(),
    (Incident, "closed_at"): lambda **columns: an_incident(state="closed", is_current=False, **columns),
    (NotificationDelivery, "created_at"): lambda **columns: NotificationDelivery.objects.create(
        rule=a_rule(), reason="test", due_at=OLD, **columns
    ),
    (Campaign, "finished_at"): lambda **columns: Campaign.objects.create(
        name="June", firmware=Firmware.objects.create(description=uuid4().hex), chosen={}, **columns
    ),
    (PowerLimit, "ended_at"): lambda **columns: PowerLimit.objects.create(charger=a_charger(), amount=6, **columns),
    (ApiToken, "expiry"): a_token,
    (LogEntry, "action_time"): an_entry,
}


def a_row(model, column, moment):
    """Return the primary key of a row of `model` whose `column` is `moment`."""
    columns = {column: moment}
    if make := OWN.get((model, column)):
        row = make(**columns)
    elif model in OF_CHARGER:
        tag = {"id_tag": uuid4().hex} if model is UnknownIdTag else {}
        tag |= {"event_id": Outage.objects.count()} if model is Outage else {}
        row = model.objects.create(charger=a_charger(), **OF_CHARGER[model], **tag, **columns)
    else:
        row = model.objects.create(**PLAIN[model](), **columns)
    model.objects.filter(pk=row.pk).update(**columns)  # whatever the model sets by itself
    return row.pk


@pytest.fixture
def days(settings):
    """Set every retention to DAYS."""
    for kind in (Aged, Dropped):
        for _, rule in retention.of_kind(kind):
            setattr(settings, rule.setting, DAYS)


@pytest.mark.parametrize(
    ("model", "rule"),
    list(retention.of_kind(Aged)),
    ids=[f"{model.__name__}.{rule.column}" for model, rule in retention.of_kind(Aged)],
)
def test_old_rows_are_deleted_and_young_ones_stay(days, settings, model, rule, monkeypatch):
    monkeypatch.setattr(retention, "MAX_ROWS_PER_TRANSACTION", 2)
    moments = [OLD - timedelta(hours=number) for number in range(3)]
    old, young = [a_row(model, rule.column, at) for at in moments], a_row(model, rule.column, YOUNG)
    setattr(settings, rule.setting, 0)
    maintain(NOW)
    assert model.objects.filter(pk__in=[*old, young]).count() == 4
    setattr(settings, rule.setting, DAYS)
    done = maintain(NOW)
    assert list(model.objects.filter(pk__in=[*old, young]).values_list("pk", flat=True)) == [young]
    assert done[f"{model._meta.verbose_name_plural} deleted"] >= 3


@pytest.mark.parametrize(("model", "rule"), list(retention.of_kind(Dropped)))
def test_old_partitions_are_dropped_and_young_ones_stay(days, model, rule):
    charger, column = a_charger(), rule.periods.column
    maintain(NOW)
    columns = {
        Reading: {"evse_id": 1, "timestamp": NOW, "raw_timestamp": "", "samples": "[]"},
        Message: {"direction": "in", "kind": "call", "frame": "[]", "is_error": False},
    }[model]
    old, young = (
        model.objects.create(charger=charger, **columns, **{column: moment})
        for moment in (NOW, rule.periods.of(NOW, 1))
    )
    later = rule.periods.of(NOW, 1) + timedelta(days=DAYS)
    maintain(later - timedelta(minutes=1))
    assert set(model.objects.all()) == {old, young}
    maintain(later)
    assert set(model.objects.all()) == {young}


def test_old_rows_that_are_still_referenced_stay(days):
    """These are evidence of transactions, unfinished rows, valid certificates and tokens, and clocked schedules."""
    session = a_transaction(idTag="ABC")
    tag = IdTag.objects.create(id_tag="ABC")
    attached = OrphanStop.objects.create(charger=session.charger, payload="{}", received_at=OLD, transaction=session)
    queued = a_command(session.charger)
    valid = a_certificate(received_at=OLD, state="Signed", not_after=NOW + timedelta(days=1))
    token = a_token(expiry=None)
    clocked = ClockedSchedule.objects.create(clocked_time=OLD)
    PeriodicTask.objects.create(name="once", task="x", clocked=clocked, one_off=True)
    Transaction.objects.update(start_received_at=OLD, start_time=OLD, stop_received_at=OLD, stop_time=OLD)
    Command.objects.update(created_at=OLD)
    kept = (session, tag, attached, queued, valid, token, clocked)
    maintain(NOW)
    assert all(type(row).objects.filter(pk=row.pk).exists() for row in kept)


def test_dependent_rows_are_deleted_with_their_parent(days, monkeypatch):
    monkeypatch.setattr(retention, "MAX_ROWS_PER_TRANSACTION", 2)
    event, webhook = Event.objects.get(pk=a_row(Event, "at", OLD)), Webhook.objects.create(name="w", url="http://x/")
    Delivery.objects.create(event=event, webhook=webhook, due_at=OLD)
    batch = a_batch(finished_at=OLD)
    for _ in range(3):
        BatchItem.objects.create(batch=batch, charger=a_charger(), due_at=OLD)
    maintain(NOW)
    assert not (Delivery.objects.exists() or BatchItem.objects.exists() or Batch.objects.exists())


def test_each_rule_without_an_end_has_a_reason():
    assert all(rule.why.endswith(".") for rule in retention.RULES.values() if isinstance(rule, Kept))
