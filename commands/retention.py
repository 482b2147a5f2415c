"""How long the rows of each table are kept: a rule for every table of the database, which `housekeeping` carries out.

A rule judges the age of a row by a column and a setting in days, or says with which table the rows go, or why they
are kept. A transaction is evidence of what was billed: nothing here deletes one, nor the tags it names.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import Q

from chargers import partitions
from commands.models import FINISHED, Batch, BatchItem, CertificateRequest, Upload
from commands.roles import MADE

AT_ONCE = 1000  # rows that are deleted in one transaction


def _all(before: datetime) -> Q:
    return Q()


@dataclass(frozen=True)
class Aged:
    """Rows whose `column` is older than `setting` days are deleted, those among them that meet `only(before)`.

    A row without a moment in the column is kept. `first` is given the primary keys of rows that are about to go.
    """

    column: str
    setting: str
    only: Callable[[datetime], Q] = _all
    first: Callable[[list], None] | None = None

    def due(self, model: type[models.Model], before: datetime) -> models.QuerySet:
        """The rows of `model` that are older than `before` and are to go."""
        return model._default_manager.filter(self.only(before), **{f"{self.column}__lt": before})


@dataclass(frozen=True)
class Dropped:
    """Whole partitions are dropped, `setting` days after the last moment in them."""

    setting: str
    periods: partitions.Periods


@dataclass(frozen=True)
class With:
    """The rows go with the row of `parent` (a label) that they belong to."""

    parent: str


@dataclass(frozen=True)
class Kept:
    """The rows are kept, and `why`."""

    why: str


Rule = Aged | Dropped | With | Kept
COMMANDS, EVENTS, RESULTS = "OCPP_COMMANDS_RETENTION", "OCPP_EVENTS_RETENTION", "OCPP_RESULTS_RETENTION"
AUDIT, LOGINS = "OCPP_AUDIT_RETENTION", "OCPP_LOGINS_RETENTION"
REPORTS, SECURITY = "OCPP_REPORTS_RETENTION", "OCPP_SECURITY_RETENTION"
BY_OPERATORS = Kept("Operators make and delete them.")
BY_MIGRATE = Kept("`migrate` makes them; they are as many as the program has.")
OF_BEAT = Kept("The plan of Celery beat: a row for each step and schedule.")


def _over(before: datetime) -> Q:
    """Finished commands; one of a batch stays as long as its batch is under way."""
    under_way = Batch.objects.filter(finished_at=None, created_at__lt=before)
    return Q(state=FINISHED) & ~Q(member__batch__in=under_way)


def _without_a_certificate(before: datetime) -> Q:
    return Q(not_after=None, state__in=[CertificateRequest.REJECTED, CertificateRequest.FAILED])


def portions(rows: models.QuerySet) -> Iterator[list]:
    """The primary keys of `rows` in lists of at most AT_ONCE: each is deleted in a transaction of its own, so that
    nobody waits long for a lock."""
    left = rows.order_by("pk")
    while keys := list(left.values_list("pk", flat=True)[:AT_ONCE]):
        yield keys
        left = rows.order_by("pk").filter(pk__gt=keys[-1])


def _delete_members(batches: list[UUID]) -> None:
    """A batch may have as many as there are chargers: too many for the transaction in which it is deleted."""
    for keys in portions(BatchItem.objects.filter(batch__in=batches)):
        BatchItem.objects.filter(pk__in=keys).delete()


def _delete_uploads(commands: list[int]) -> None:
    """The files that were uploaded for `commands` (primary keys)."""
    for upload in Upload.objects.filter(command__in=commands).exclude(file=""):
        upload.file.delete(save=False)


# By label of the model, or by name of a table that has no model. They are carried out in this order: a batch holds
# back its commands, so it comes before them.
RULES: dict[str, Rule | tuple[Rule, ...]] = {
    "transactions.MeterValue": Dropped("OCPP_METER_VALUES_RETENTION", partitions.MONTHS),
    "chargers.Message": Dropped("OCPP_MESSAGES_RETENTION", partitions.DAYS),
    "commands.Batch": Aged("finished_at", COMMANDS, first=_delete_members),
    "commands.Member": With("commands.Batch"),
    "commands.Command": Aged("created_at", COMMANDS, _over, _delete_uploads),
    "commands.Upload": With("commands.Command"),
    "commands.CertificateRequest": (
        Aged("not_after", SECURITY),
        Aged("received_at", SECURITY, _without_a_certificate),
    ),
    "commands.LocalList": With("chargers.Charger"),
    "chargers.HeldSerial": With("chargers.Charger"),
    "commands.ChargingProfile": BY_OPERATORS,
    "commands.Firmware": BY_OPERATORS,
    "commands.Schedule": BY_OPERATORS,
    "transactions.Transaction": Kept("Evidence of what was billed."),
    "transactions.IdTag": BY_OPERATORS,
    "transactions.UnknownIdTag": Aged("last_seen", REPORTS),
    "transactions.OrphanStop": Aged("received_at", "OCPP_ORPHAN_STOPS_RETENTION", lambda _: Q(transaction=None)),
    "transactions.Reservation": Aged("expiry_date", COMMANDS),
    "chargers.Charger": BY_OPERATORS,
    "chargers.Connector": With("chargers.Charger"),
    "chargers.ConfigurationKey": With("chargers.Charger"),
    "chargers.InstalledProfile": With("chargers.Charger"),
    "chargers.InstalledCertificate": With("chargers.Charger"),
    "chargers.ChargerGroup": BY_OPERATORS,
    "chargers.ChargerGroup_chargers": With("chargers.ChargerGroup"),
    "chargers.ChargerGroup_users": With("chargers.ChargerGroup"),
    "chargers.ChargerGroup_roles": With("chargers.ChargerGroup"),
    "chargers.SecurityEvent": Aged("received_at", SECURITY),
    "chargers.DataTransfer": Aged("received_at", REPORTS),
    "chargers.Finding": Aged("last_seen", REPORTS),
    "chargers.Refusal": Aged("last_at", EVENTS),
    "chargers.Event": Aged("at", EVENTS),
    "chargers.Delivery": With("chargers.Event"),
    "chargers.Webhook": BY_OPERATORS,
    "chargers.AuditEntry": Aged("at", AUDIT, lambda _: ~Q(kind=MADE)),
    "chargers.ApiToken": Aged("expiry", LOGINS),
    "dashboard.Heartbeat": Kept("One row, which is written again and again."),
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
    "django_celery_results.ChordCounter": Kept("Nothing here has a chord; Celery removes the row of one that ends."),
    "django_celery_beat.PeriodicTask": OF_BEAT,
    "django_celery_beat.PeriodicTasks": OF_BEAT,
    "django_celery_beat.IntervalSchedule": OF_BEAT,
    "django_celery_beat.CrontabSchedule": OF_BEAT,
    "django_celery_beat.SolarSchedule": OF_BEAT,
    # A schedule that is planned anew has a later moment, and so another row.
    "django_celery_beat.ClockedSchedule": Aged("clocked_time", RESULTS, lambda _: Q(periodictask=None)),
}


def of_kind(kind: type) -> Iterator[tuple[type[models.Model], Rule]]:
    """(model, rule) of each rule of that kind, in their order."""
    for label, rules in RULES.items():
        for rule in rules if isinstance(rules, tuple) else (rules,):
            if isinstance(rule, kind):
                yield apps.get_model(label), rule
