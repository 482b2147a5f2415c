"""Store what chargers report about customers (OCPP 2.0.1 N09, N10), encrypted, with the command that requested it."""

from dataclasses import dataclass
from typing import cast

from chargers.services.notifications import TransferReport
from commands.actions.requests import COMPLETE
from commands.models import Command, CustomerInformationPart
from commands.services import progress
from commands.services.reports import PART
from core.db import sealing
from core.ocpp.calls import Call
from core.ocpp.redaction import HIDDEN

ACTION = "CustomerInformation"


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a report; `seq_no` counts from 0 and is None where the message has none."""

    call: Call
    request_id: int
    is_last: bool
    data: str
    seq_no: int | None = None


def collect(parts: list[Part]) -> None:
    """Store `parts` with the commands that requested them; a repeated part changes nothing.

    Personal data that no command has requested is not stored, because nobody could find and delete it. It is a
    finding.
    """
    for part in parts:
        commands = Command.objects.filter(charger=part.call.charger, action=ACTION, request_id=part.request_id)
        if command := commands.first():
            _store(command, part)
        else:
            part.call.find("requestId", "unknown_value", part.request_id)


def _store(command: Command, part: Part) -> None:
    stored = CustomerInformationPart.objects.filter(command=command)
    _, is_new = stored.get_or_create(
        command=command,
        seq_no=stored.count() if part.seq_no is None else part.seq_no,
        defaults={"is_last": part.is_last, "data": part.data, "received_at": part.call.received_at},
    )
    if is_new:
        status = COMPLETE if _is_whole(dict(stored.values_list("seq_no", "is_last"))) else PART
        report = TransferReport(part.call.charger, status, part.call.received_at, part.request_id)
        progress.append([ACTION], [report])


def _is_whole(parts: dict[int, bool]) -> bool:
    """Whether the last part and all before it are in `parts` ({seq_no: whether it is the last})."""
    last = min((seq_no for seq_no, is_last in parts.items() if is_last), default=None)
    return last is not None and last < len(parts) and parts.keys() >= set(range(last + 1))


def information(command: Command) -> str | None:
    """Return what the charger has reported so far, None for nothing; for users who may view `command` only."""
    parts = CustomerInformationPart.objects.filter(command=command)
    try:
        return "".join(cast(sealing.Sealed, part.data).opened() for part in parts) if parts else None
    except sealing.Unreadable:
        return HIDDEN
