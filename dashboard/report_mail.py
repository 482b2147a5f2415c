"""Send reports by mail, as their subscriptions say.

Each is sent at 06:00 of its time zone about the period that has ended: yesterday, last week (from Monday) or last
month. One that cannot be sent is tried again, later each time, and its subscription shows the reason. It has what is
within reach of the owner, who must have the permission to see it on the page.
"""

import logging
import smtplib
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import translation
from django.utils.translation import gettext

from chargers.models import Site
from chargers.services import access
from core.db import faults
from dashboard import report_files, report_tables
from dashboard.models import DAILY, MONTHLY, WEEKLY, ReportSubscription

logger = logging.getLogger(__name__)

SENT_AT = time(6)
FIRST_RETRY, LAST_RETRY = timedelta(minutes=5), timedelta(hours=6)
DAY = timedelta(days=1)


def visible(user: Any, rows: QuerySet[ReportSubscription]) -> QuerySet[ReportSubscription]:
    """Filter `rows` to those of `user`; users who reach every charger see all."""
    return rows if access.reaches_every_charger(user) else rows.filter(owner=user)


def may_see(user: Any, report: str) -> bool:
    """Return whether `user` has the permission for `report`; with API_AUTH=none an anonymous user has it, too."""
    is_open = not (access.has_login() or user.is_authenticated)
    return is_open or user.has_perm(report_tables.PERMISSIONS[report])


def wrong_with(owner: Any, editor: Any, report: str, group_by: str, site: Site | None) -> dict[str, str]:
    """Return what is wrong with a subscription of `owner`, by the name of the column; {} if it can be sent.

    `editor` may have it sent to other addresses, and so must have the permission for it as well.
    """
    groups = report_tables.GROUPS_OF[report]
    for user in (owner, editor):
        if not may_see(user, report):
            needed = report_tables.PERMISSIONS[report]
            return {"report": f"{user} may not see this report, which needs the permission {needed}."}
    if groups and group_by not in groups:
        return {"group_by": f"This report can be grouped by: {', '.join(groups)}."}
    if site is not None and not access.sites(owner).filter(pk=site.pk).exists():
        return {"site": f"{owner} may not see this site."}
    return {}


COLUMNS = ["name", "report", "group_by", "site", "every", "format", "language", "recipients", "is_enabled"]


@transaction.atomic
def store(subscription: ReportSubscription, now: datetime) -> None:
    """Save a subscription and plan it, if it is new, is enabled again, or has another period.

    If its latest report was not sent, that is tried at once, because the reason may have been mended.
    """
    locked = ReportSubscription.objects.select_for_update(of=("self",)).select_related("site")
    former = locked.filter(pk=subscription.pk).first() if subscription.pk else None
    if former is None:
        plan(subscription, now)
        subscription.save()
        return
    planned = ("every", "zone", "is_enabled")
    if any(getattr(former, name) != getattr(subscription, name) for name in planned):
        plan(subscription, now)
        subscription.failures, subscription.error = 0, ""
    else:
        subscription.due_at = former.due_at
        subscription.retry_at = now if former.failures else former.retry_at
        subscription.failures, subscription.error = former.failures, former.error
    subscription.save(update_fields=[*COLUMNS, "due_at", "retry_at", "failures", "error"])


def plan(subscription: ReportSubscription, after: datetime) -> None:
    """Set `due_at` to the first time after `after` at which a period of the subscription has ended."""
    zone = subscription.zone
    day = after.astimezone(zone).date()
    while not _begins_period(subscription.every, day) or datetime.combine(day, SENT_AT, zone) <= after:
        day += DAY
    subscription.due_at = subscription.retry_at = datetime.combine(day, SENT_AT, zone).astimezone(UTC)


def _begins_period(every: str, day: date) -> bool:
    return every == DAILY or (every == WEEKLY and day.weekday() == 0) or (every == MONTHLY and day.day == 1)


def period_before(every: str, day: date) -> tuple[date, date]:
    """Return the first and the last day of the period that ended before `day`, on which another one begins."""
    last = day - DAY
    return {DAILY: last, WEEKLY: day - 7 * DAY, MONTHLY: last.replace(day=1)}[every], last


def send_due(now: datetime | None = None) -> int:
    """Send the reports that are due, each in a transaction; return the number of those sent."""
    now, sent = now or datetime.now(UTC), 0
    due = Q(is_enabled=True, due_at__lte=now, retry_at__lte=now)
    for pk in list(ReportSubscription.objects.filter(due).values_list("pk", flat=True)):
        with transaction.atomic():
            locked = ReportSubscription.objects.select_for_update(skip_locked=True, of=("self",))
            subscription = locked.select_related("site", "owner").filter(due, pk=pk).first()
            if subscription is not None:
                sent += _try(subscription, now)
    return sent


def _try(subscription: ReportSubscription, now: datetime) -> bool:
    if error := _send(subscription):
        subscription.error = error[:1000]
        subscription.retry_at = now + min(FIRST_RETRY * 2 ** min(subscription.failures, 10), LAST_RETRY)
        subscription.failures += 1
        subscription.save(update_fields=["error", "retry_at", "failures"])
        return False
    subscription.sent_at, subscription.error, subscription.failures = now, "", 0
    plan(subscription, now)
    subscription.save(update_fields=["sent_at", "error", "failures", "due_at", "retry_at"])
    return True


def _send(subscription: ReportSubscription) -> str:
    """Send the report; return why it was not sent, "" if it was."""
    owner, report = subscription.owner, subscription.report
    if wrong := wrong_with(owner, owner, report, subscription.group_by, subscription.site):
        return next(iter(wrong.values()))
    try:
        with transaction.atomic():  # an error of a statement leaves the row of the subscription writable
            message_of(subscription).send()
    except (OSError, smtplib.SMTPException) as error:
        logger.warning("The report %s was not sent: %s", subscription, error)
        return str(error)
    except Exception as error:  # noqa: BLE001  (one report would block all others)
        if faults.kind_of(error):
            raise
        logger.exception("The report %s could not be sent", subscription)
        return f"An internal error ({type(error).__name__}). See the log of the workers."
    return ""


def message_of(subscription: ReportSubscription) -> EmailMessage:
    """Return the mail about the period before `due_at`, with the file."""
    days = period_before(subscription.every, subscription.due_at.astimezone(subscription.zone).date())
    site = str(subscription.site_id or "")
    groups = report_tables.GROUPS_OF[subscription.report]  # that of faults has none
    group_by = subscription.group_by if groups else report_tables.Choice.group_by
    choice = report_tables.Choice(subscription.report, group_by, site=site, days=days)
    with translation.override(subscription.language or settings.LANGUAGE_CODE):
        table = report_tables.table_of(subscription.owner, choice)
        lines = [f"{name}: {value}" for name, value in table.details]
        if subscription.site:
            lines.insert(0, f"{gettext('Site')}: {subscription.site}")
        subject = " ".join(f"{table.title}, {subscription.name}".split())
        mail = EmailMessage(subject, "\n".join(lines) + "\n", to=subscription.addresses)
        content = report_files.made(subscription.format, table)
    kind = report_files.TYPES[subscription.format].partition(";")[0]
    mail.attach(report_tables.file_name(choice, subscription.format), content, kind)
    return mail
