"""Progress of transfers: notifications of a charger are appended to the command that requested the transfer."""

from chargers.services.notifications import TransferReport
from commands.actions.ocpp16 import transfers
from commands.models import ANSWERED, CALL_ERROR, Command
from core.db.guard import logs_failure
from core.ocpp.timestamps import to_rfc3339

MAX_PROGRESS_ENTRIES = 100
MAX_RECENT_TRANSFERS = 5  # among which the one of a notification without an id is searched
REFUSALS = ("Rejected", "InvalidCertificate", "RevokedCertificate")


@logs_failure
def append(action: str, reports: list[TransferReport]) -> None:
    """Append the reports to `progress` of the commands `action` that requested the transfers, also after a reboot."""
    for report in reports:
        if command := _command_of(report, action):
            command.progress.append({"status": report.status, "at": to_rfc3339(report.received_at)})
            Command.objects.filter(pk=command.pk).update(progress=command.progress[-MAX_PROGRESS_ENTRIES:])


def _command_of(report: TransferReport, action: str) -> Command | None:
    """Return the command of a report: by its request id, else the latest one whose transfer has not ended."""
    if report.status == "Idle" and report.request_id is None:
        return None
    commands = Command.objects.select_for_update().filter(charger=report.charger, action=action)
    if report.request_id is not None:
        return commands.filter(request_id=report.request_id).first()
    sent = commands.filter(sent_at__isnull=False).exclude(outcome=CALL_ERROR)[:MAX_RECENT_TRANSFERS]
    latest = next((c for c in sent if c.outcome != ANSWERED or c.status not in REFUSALS), None)
    has_ended = latest and latest.progress and latest.progress[-1]["status"] in transfers.FINAL_STATUSES
    return None if has_ended else latest
