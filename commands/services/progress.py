"""Append the notifications of later deliveries, such as uploads, to the commands that requested them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from django.db import transaction
from django.db.models import QuerySet

from chargers.services import events
from chargers.services.notifications import TransferReport
from commands import sql
from commands.actions.base import Delivery
from commands.actions.table import action_of
from commands.models import ANSWERED, CALL_ERROR, Command
from commands.services import mailbox
from core.db import bulk_sql
from core.db.guard import logs_failure
from core.ocpp.schemas import JSON
from core.ocpp.timestamps import to_rfc3339

RequestKey = tuple[int, int | None]  # charger (primary key), id of its command
IDLE = "Idle"  # the status of a charger that transfers nothing
MAX_PROGRESS_ENTRIES = 100
MAX_RECENT_TRANSFERS = 5  # among which the one of a notification without an id is searched
# The answer to a command for which the charger cancels an earlier one, and the status of that one's delivery.
CANCELLED_FORMER = "AcceptedCanceled"
# After any other status the charger delivers nothing; answers of OCPP 1.6 may have none.
DELIVERS = ("", "Accepted", CANCELLED_FORMER)


def append(
    actions: Sequence[str], reports: Sequence[TransferReport], contents: Mapping[RequestKey, list[JSON]] | None = None
) -> list[Command | None]:
    """Append `reports` to `progress` of the commands `actions` that requested them, also after a reboot.

    Return the command of each, None if there is none. `contents` are whole reports to store with their commands.
    """
    commands = _commands_of(actions, reports)
    changed = {}
    for report, command in zip(reports, commands, strict=True):
        if command and (delivery := _delivery(command)):
            _append(command, delivery, report)
            changed[command.pk] = command
    _write(list(changed.values()), contents or {})
    return commands


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
        _write([cancelled], {})


def _append(command: Command, delivery: Delivery, report: TransferReport) -> None:
    if not _is_done(delivery, command):
        ends = report.status in delivery.done | delivery.failed | {CANCELLED_FORMER}
        command.completed_at = report.received_at if ends else None
    step = {"status": report.status, "at": to_rfc3339(report.received_at)}
    command.progress = [*command.progress, step][-MAX_PROGRESS_ENTRIES:]
    if command.completed_at == report.received_at:
        _announce(command, report.status)
    else:
        events.notify_live("command.progress", command.charger_id, task_id=command.task_id)


def _write(commands: Sequence[Command], contents: Mapping[RequestKey, list[JSON]]) -> None:
    columns = ("id", "progress", "completed_at")
    rows = [
        {column: getattr(command, column) for column in columns} | {"report": contents.get(_key(command))}
        for command in commands
    ]
    bulk_sql.execute(sql.STORE_PROGRESS, rows)


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


def _commands_of(actions: Sequence[str], reports: Sequence[TransferReport]) -> list[Command | None]:
    """Return the command of each report, locked: by its request id, else the latest one that has not ended."""
    commands = Command.objects.select_for_update().filter(action__in=actions)
    active = [report for report in reports if report.status != IDLE]
    ids = {report.request_id for report in active} - {None}
    chargers = {report.charger for report in active if report.request_id is not None}
    # In one order, so that two transactions do not wait for each other; of two with the same id the later one counts.
    named = list(commands.filter(charger__in=chargers, request_id__in=ids).order_by("pk")) if ids else []
    known, of_report = {command.pk: command for command in named}, {_key(command): command for command in named}
    for charger in sorted({report.charger for report in active if report.request_id is None}):
        if latest := _latest(commands.filter(charger=charger)):
            of_report[charger, None] = known.get(latest.pk, latest)
    return [
        None if report.status == IDLE else of_report.get((report.charger, report.request_id)) for report in reports
    ]


def _key(command: Command) -> RequestKey:
    return command.charger_id, command.request_id


def _latest(commands: QuerySet[Command]) -> Command | None:
    """Return the latest of the `commands` of a charger that may deliver, None if its delivery has ended."""
    sent = commands.filter(sent_at__isnull=False)[:MAX_RECENT_TRANSFERS]
    latest = next((command for command in sent if not _is_refused(command)), None)
    delivery = _delivery(latest) if latest else None
    return latest if latest and delivery and not _is_done(delivery, latest) else None
