"""Append the notifications of later deliveries, such as uploads, to the commands that requested them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from django.db import transaction

from chargers.services import events
from chargers.services.notifications import TransferReport
from commands.actions.base import Delivery
from commands.actions.table import action_of
from commands.models import ANSWERED, CALL_ERROR, Command
from commands.services import mailbox
from core.db.guard import logs_failure
from core.ocpp.schemas import JSON
from core.ocpp.timestamps import to_rfc3339

MAX_PROGRESS_ENTRIES = 100
MAX_RECENT_TRANSFERS = 5  # among which the one of a notification without an id is searched
# The answer to a command for which the charger cancels an earlier one, and the status of that one's delivery.
CANCELLED_FORMER = "AcceptedCanceled"
# After any other status the charger delivers nothing; answers of OCPP 1.6 may have none.
DELIVERS = ("", "Accepted", CANCELLED_FORMER)


@logs_failure
def append(actions: Sequence[str], reports: list[TransferReport]) -> None:
    """Append the reports to `progress` of the commands `actions` that requested them, also after a reboot."""
    for report in reports:
        append_one(actions, report)


def append_one(actions: Sequence[str], report: TransferReport) -> Command | None:
    """Append a report to the command that requested it; return that command, None if there is none."""
    command = None if report.status == "Idle" else _command_of(report, actions)
    if command and (delivery := _delivery(command)):
        _append(command, delivery, report)
    return command


def append_part(report: TransferReport, content: list[JSON] | None) -> Command | None:
    """Append the arrival of a part of a report to its command; return it, None if no command has the request id.

    `content` is the whole report, if it is complete and small.
    """
    commands = Command.objects.select_for_update(of=("self",)).filter(request_id=report.request_id)
    command = commands.filter(charger=report.charger).select_related("charger").first()
    if command and (delivery := _delivery(command)):
        _append(command, delivery, report)
        if content is not None:
            Command.objects.filter(pk=command.pk).update(report=content)
    return command


@logs_failure
def cancel_former(command: Command) -> None:
    """End the deliveries of earlier commands of this action, which the charger has cancelled for `command`.

    The charger may notify that itself, before or after its answer (N01.FR.20), or not at all (L01.FR.24).
    """
    delivery = _delivery(command)
    if delivery is None:
        return
    former = Command.objects.select_for_update().filter(charger=command.charger, action=command.action)
    for cancelled in former.filter(pk__lt=command.pk, sent_at__isnull=False, completed_at=None):
        report = TransferReport(command.charger_id, CANCELLED_FORMER, datetime.now(UTC), cancelled.request_id)
        _append(cancelled, delivery, report)


def _append(command: Command, delivery: Delivery, report: TransferReport) -> None:
    if not _is_done(delivery, command):
        ends = report.status in delivery.done | delivery.failed | {CANCELLED_FORMER}
        command.completed_at = report.received_at if ends else None
    command.progress.append({"status": report.status, "at": to_rfc3339(report.received_at)})
    columns = {"progress": command.progress[-MAX_PROGRESS_ENTRIES:], "completed_at": command.completed_at}
    Command.objects.filter(pk=command.pk).update(**columns)
    if command.completed_at == report.received_at:
        _announce(command, report.status)
    else:
        events.notify_live("command.progress", command.charger_id, task_id=command.task_id)


def _announce(command: Command, status: str) -> None:
    body = {"task_id": command.task_id, "action": command.action, "request_id": command.request_id, "status": status}
    events.record_event("command.completed", command.charger_id, **body, requested_by=command.requested_by)
    transaction.on_commit(partial(mailbox.completions.put, command.task_id), robust=True)


def may_deliver(command: Command) -> bool:
    """Whether notifications may follow the finished `command`, because it was sent and has something to deliver."""
    delivery = _delivery(command)
    is_empty = command.outcome == ANSWERED and delivery is not None and delivery.is_empty(command.answer)
    return delivery is not None and command.sent_at is not None and not is_empty and not _is_refused(command)


def _delivery(command: Command) -> Delivery | None:
    return action_of(command.version, command.action).delivery


def _is_refused(command: Command) -> bool:
    return command.outcome == CALL_ERROR or (command.outcome == ANSWERED and command.status not in DELIVERS)


def _is_done(delivery: Delivery, command: Command) -> bool:
    return any(step["status"] in delivery.done | {CANCELLED_FORMER} for step in command.progress)


def _command_of(report: TransferReport, actions: Sequence[str]) -> Command | None:
    """Return the command of a report: by its request id, else the latest one whose delivery has not ended."""
    commands = Command.objects.select_for_update().filter(charger=report.charger, action__in=actions)
    if report.request_id is not None:
        return commands.filter(request_id=report.request_id).first()
    sent = commands.filter(sent_at__isnull=False)[:MAX_RECENT_TRANSFERS]
    latest = next((command for command in sent if not _is_refused(command)), None)
    delivery = _delivery(latest) if latest else None
    return latest if latest and delivery and not _is_done(delivery, latest) else None
