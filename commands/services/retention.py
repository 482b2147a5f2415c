"""Retention rules, one for every table of the database; `maintenance` applies them.

A rule compares a column with a setting in days, or names the table with which the rows are deleted, or gives the
reason for which they stay. No rule deletes a transaction or its tags, because they are evidence for billing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import Q

from commands.models import FINISHED, Batch, BatchItem, CampaignItem, CertificateRequest, Upload
from core.db import partitions

MAX_ROWS_PER_TRANSACTION = 1000


def _all(before: datetime) -> Q:
    return Q()


@dataclass(frozen=True)
class Aged:
    """Rows whose `column` is older than `setting` days and that meet `only(before)` are deleted.

    A row with NULL in the column stays. `first` gets the primary keys of rows before they are deleted.
    """

    column: str
    setting: str
    only: Callable[[datetime], Q] = _all
    first: Callable[[list], None] | None = None

    def due(self, model: type[models.Model], before: datetime) -> models.QuerySet:
        """The rows of `model` that are older than `before` and must be deleted."""
        return model._default_manager.filter(self.only(before), **{f"{self.column}__lt": before})


@dataclass(frozen=True)
class Dropped:
    """Whole partitions are dropped `setting` days after their end."""

    setting: str
    periods: partitions.Periods


@dataclass(frozen=True)
class With:
    """The rows are deleted with the row of `parent` (a label) that they belong to."""

    parent: str


@dataclass(frozen=True)
class Kept:
    """The rows are not deleted, for the reason `why`."""

    why: str


Rule = Aged | Dropped | With | Kept
COMMANDS, EVENTS, RESULTS = "OCPP_COMMANDS_RETENTION", "OCPP_EVENTS_RETENTION", "OCPP_RESULTS_RETENTION"
INCIDENTS = "OCPP_INCIDENTS_RETENTION"
AUDIT, LOGINS = "OCPP_AUDIT_RETENTION", "OCPP_LOGINS_RETENTION"
REPORTS, SECURITY = "OCPP_REPORTS_RETENTION", "OCPP_SECURITY_RETENTION"
BY_OPERATORS = Kept("Operators create and delete them.")
BY_MIGRATE = Kept("`migrate` creates them; the program defines their number.")
OF_BEAT = Kept("Entries of Celery beat, one for each periodic task and schedule.")


def _finished(before: datetime) -> Q:
    """Finished commands, except those of batches that are under way."""
    under_way = Batch.objects.filter(finished_at=None, created_at__lt=before)
    return Q(state=FINISHED) & ~Q(batch_item__batch__in=under_way)


def _without_a_certificate(before: datetime) -> Q:
    return Q(not_after=None, state__in=[CertificateRequest.REJECTED, CertificateRequest.FAILED])


def portions(rows: models.QuerySet) -> Iterator[list]:
    """The primary keys of `rows` in lists of at most MAX_ROWS_PER_TRANSACTION.

    Each list is deleted in its own transaction, so that locks are held for a short time.
    """
    left = rows.order_by("pk")
    while keys := list(left.values_list("pk", flat=True)[:MAX_ROWS_PER_TRANSACTION]):
        yield keys
        left = rows.order_by("pk").filter(pk__gt=keys[-1])


def _delete_items(batches: list[UUID]) -> None:
    """Delete the items of `batches` in portions, because a batch may have one for every charger."""
    for keys in portions(BatchItem.objects.filter(batch__in=batches)):
        BatchItem.objects.filter(pk__in=keys).delete()


def _delete_campaign_items(campaigns: list[int]) -> None:
    """Delete the items of `campaigns` in portions, as those of batches."""
    for keys in portions(CampaignItem.objects.filter(campaign__in=campaigns)):
        CampaignItem.objects.filter(pk__in=keys).delete()


def _delete_uploads(commands: list[int]) -> None:
    """Delete the uploaded files of `commands` (primary keys)."""
    for upload in Upload.objects.filter(command__in=commands).exclude(file=""):
        upload.file.delete(save=False)


# By label of the model, or by name of a table that has no model. They are applied in this order: batches before
# commands, because an unfinished batch keeps its commands.
RULES: dict[str, Rule | tuple[Rule, ...]] = {
    "transactions.Reading": Dropped("OCPP_METER_VALUES_RETENTION", partitions.MONTHS),
    "chargers.Message": Dropped("OCPP_MESSAGES_RETENTION", partitions.DAYS),
    "commands.Batch": Aged("finished_at", COMMANDS, first=_delete_items),
    "commands.BatchItem": With("commands.Batch"),
    "commands.Campaign": Aged("finished_at", COMMANDS, first=_delete_campaign_items),
    "commands.CampaignItem": With("commands.Campaign"),
    "commands.Command": Aged("created_at", COMMANDS, _finished, _delete_uploads),
    "commands.CommandDayTotal": Kept("Counts of commands for reports, also of those that were deleted."),
    "commands.CommandMonthTotal": Kept("Sums of day totals."),
    "commands.DeletedCommands": Kept(
        "Counts of deleted commands, one row a quarter of an hour, by which totals are computed again. They are "
        "deleted with their charger."
    ),
    "commands.StaleCommandDay": Kept("Deleted within a minute, when the totals of the day are computed."),
    "commands.Upload": With("commands.Command"),
    "commands.CertificateRequest": (
        Aged("not_after", SECURITY),
        Aged("received_at", SECURITY, _without_a_certificate),
    ),
    "commands.DisplayMessage": (
        Aged("end_at", REPORTS),
        Aged("updated_at", REPORTS, lambda before: Q(transaction__stop_received_at__lt=before)),
    ),
    "commands.PublishedFirmware": Aged("updated_at", REPORTS, lambda _: ~Q(status="Published")),
    "commands.ReportPart": Aged("received_at", REPORTS),
    "commands.CustomerInformationPart": With("commands.Command"),
    "commands.EVChargingNeeds": Aged("received_at", REPORTS),
    "commands.EVChargingSchedule": Aged("received_at", REPORTS),
    "commands.CertificateInquiry": Aged("received_at", SECURITY),
    "commands.ContractRoot": BY_OPERATORS,
    "commands.LocalList": With("chargers.Charger"),
    "chargers.HeldSerial": With("chargers.Charger"),
    "commands.PowerLimit": Aged("ended_at", COMMANDS),
    "commands.LimitedPlace": Kept("It is deleted when its charger has no limits any longer."),
    "commands.ChargingProfile": BY_OPERATORS,
    "commands.Firmware": BY_OPERATORS,
    "commands.Schedule": BY_OPERATORS,
    "transactions.Transaction": Kept("Evidence for billing."),
    "transactions.RecordedEvent": Kept("Evidence for billing."),
    "transactions.DayTotal": Kept("Sums of transactions, which stay; computed again when these change."),
    "transactions.MonthTotal": Kept("Sums of day totals."),
    "transactions.Outage": Aged("ended_at", "OCPP_OUTAGES_RETENTION"),
    "transactions.StaleDay": Kept("Deleted within a minute, when the totals of the day are computed."),
    "transactions.IdTag": BY_OPERATORS,
    "transactions.IdTag_chargers": With("transactions.IdTag"),
    "transactions.IdTag_groups": With("transactions.IdTag"),
    "transactions.Tariff": BY_OPERATORS,
    "transactions.Tariff_chargers": With("transactions.Tariff"),
    "transactions.Tariff_groups": With("transactions.Tariff"),
    "transactions.Tariff_id_tags": With("transactions.Tariff"),
    "transactions.UnknownIdTag": Aged("last_seen", REPORTS),
    "transactions.OrphanStop": Aged("received_at", "OCPP_ORPHAN_STOPS_RETENTION", lambda _: Q(transaction=None)),
    "transactions.Reservation": Aged("expiry_date", COMMANDS),
    "chargers.Charger": BY_OPERATORS,
    "chargers.Connector": With("chargers.Charger"),
    "chargers.Variable": With("chargers.Charger"),
    "chargers.VariableChange": Aged("at", REPORTS),
    "chargers.NetworkProfile": With("chargers.Charger"),
    "chargers.InstalledProfile": With("chargers.Charger"),
    "chargers.InstalledCertificate": With("chargers.Charger"),
    "chargers.ChargingLimit": Aged("cleared_at", REPORTS),
    "chargers.Site": BY_OPERATORS,
    "chargers.Site_users": With("chargers.Site"),
    "chargers.Site_roles": With("chargers.Site"),
    "chargers.ChargerGroup": BY_OPERATORS,
    "chargers.ChargerGroup_chargers": With("chargers.ChargerGroup"),
    "chargers.ChargerGroup_users": With("chargers.ChargerGroup"),
    "chargers.ChargerGroup_roles": With("chargers.ChargerGroup"),
    "chargers.SecurityEvent": Aged("received_at", SECURITY),
    "chargers.DataTransfer": Aged("received_at", REPORTS),
    "chargers.Monitor": With("chargers.Charger"),
    "chargers.MonitoringEvent": Aged("received_at", REPORTS),
    "chargers.Finding": Aged("last_seen", REPORTS),
    "chargers.Refusal": Aged("last_at", EVENTS),
    "chargers.Event": Aged("at", EVENTS),
    "chargers.Delivery": With("chargers.Event"),
    "chargers.Webhook": BY_OPERATORS,
    "chargers.Incident": Aged("closed_at", INCIDENTS, lambda _: Q(is_current=False)),
    "chargers.IncidentEntry": With("chargers.Incident"),
    "chargers.NotificationRule": BY_OPERATORS,
    "chargers.NotificationDelivery": (Aged("created_at", INCIDENTS), With("chargers.Incident")),
    "chargers.AuditEntry": Aged("at", AUDIT),
    "chargers.ApiToken": Aged("expiry", LOGINS),
    "dashboard.Heartbeat": Kept("One row, which is overwritten."),
    "dashboard.Preference": With("auth.User"),
    "dashboard.ReportSubscription": BY_OPERATORS,
    "dashboard.FleetMinute": Aged("at", "OCPP_FLEET_RETENTION"),
    "admin.LogEntry": Aged("action_time", AUDIT),
    "sessions.Session": Aged("expire_date", LOGINS),
    "axes.AccessAttempt": Aged("attempt_time", LOGINS),
    "axes.AccessAttemptExpiration": With("axes.AccessAttempt"),
    "axes.AccessFailureLog": Aged("attempt_time", LOGINS),
    "axes.AccessLog": Aged("attempt_time", LOGINS),
    "auth.User": BY_OPERATORS,
    "auth.User_groups": With("auth.User"),
    "auth.User_user_permissions": With("auth.User"),
    "auth.Group": BY_OPERATORS,
    "auth.Group_permissions": With("auth.Group"),
    "auth.Permission": BY_MIGRATE,
    "contenttypes.ContentType": BY_MIGRATE,
    "django_migrations": BY_MIGRATE,
    "django_celery_results.TaskResult": Aged("date_done", RESULTS),
    "django_celery_results.GroupResult": Aged("date_done", RESULTS),
    "django_celery_results.ChordCounter": Kept(
        "The project uses no chords; Celery deletes the row of a finished one."
    ),
    "django_celery_beat.PeriodicTask": OF_BEAT,
    "django_celery_beat.PeriodicTasks": OF_BEAT,
    "django_celery_beat.IntervalSchedule": OF_BEAT,
    "django_celery_beat.CrontabSchedule": OF_BEAT,
    "django_celery_beat.SolarSchedule": OF_BEAT,
    # A schedule that is planned again has a later time, and so another row.
    "django_celery_beat.ClockedSchedule": Aged("clocked_time", RESULTS, lambda _: Q(periodictask=None)),
}


OneRule = TypeVar("OneRule", Aged, Dropped, With, Kept)


def of_kind(kind: type[OneRule]) -> Iterator[tuple[type[models.Model], OneRule]]:
    """(model, rule) of each rule of that kind, in their order."""
    for label, rules in RULES.items():
        for rule in rules if isinstance(rules, tuple) else (rules,):
            if isinstance(rule, kind):
                yield apps.get_model(label), rule
