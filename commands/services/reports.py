"""Assemble the reports that chargers deliver in parts, in any order and with repetitions."""

from dataclasses import dataclass
from hashlib import blake2b

import orjson

from chargers.services.notifications import TransferReport
from commands.actions.requests import COMPLETE
from commands.models import Command, ReportPart
from commands.services import progress
from core.ocpp.calls import Call
from core.ocpp.redaction import without_secrets
from core.ocpp.schemas import JSON

PART = "Part"  # the status of a part that does not complete its report
MAX_REPORT_LENGTH = 64 * 1024  # characters of JSON of a report that is shown with its command


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a report.

    `request_id` is that of the command that requested it, `seq_no` counts from 0 and is None where the message has
    none. `items` is the list in the message.
    """

    call: Call
    request_id: int
    is_last: bool
    items: list[JSON]
    seq_no: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report: the `items` of all its parts, in their order. `command` is None if none has its request id."""

    charger: int
    request_id: int
    items: list[JSON]
    command: Command | None


def collect(parts: list[Part]) -> list[Report]:
    """Store `parts`, and return the reports that have become whole by them, see `store` and `assemble`."""
    return assemble(store(parts))


def store(parts: list[Part]) -> list[Part]:
    """Store `parts`, and return those that were not stored before; a repeated part changes nothing."""
    return [part for part in parts if _is_new(part)]


def assemble(new: list[Part]) -> list[Report]:
    """Return the reports that have become whole by the parts `new`, which are stored.

    Parts with a number are whole when the last one and all before it are stored, others when the last one has
    arrived. The report is stored with its command too, if it is small.
    """
    return [report for part in new if (report := _whole(part))]


def _is_new(part: Part) -> bool:
    """Store a part, and return whether it was not stored before."""
    items = without_secrets(part.items)
    digest = blake2b(orjson.dumps(items), digest_size=16).hexdigest() if part.seq_no is None else ""
    _, is_new = ReportPart.objects.get_or_create(
        charger_id=part.call.charger,
        action=part.call.action,
        request_id=part.request_id,
        seq_no=part.seq_no,
        digest=digest,
        defaults={"is_last": part.is_last, "items": items, "received_at": part.call.received_at},
    )
    return bool(is_new)


def _whole(part: Part) -> Report | None:
    """Return the report that `part` completes, None if others are missing. Note the progress of its command."""
    charger = part.call.charger
    stored = list(ReportPart.objects.filter(charger=charger, action=part.call.action, request_id=part.request_id))
    is_whole = _is_whole(stored)
    report = TransferReport(charger, COMPLETE if is_whole else PART, part.call.received_at, part.request_id)
    items = [item for one in stored for item in one.items] if is_whole else []
    command = progress.append_part(report, items if is_whole and _is_small(items) else None)
    return Report(charger, part.request_id, items, command) if is_whole else None


def _is_whole(stored: list[ReportPart]) -> bool:
    last = next((part for part in stored if part.is_last), None)
    if last is None or last.seq_no is None:
        return last is not None
    return {part.seq_no for part in stored} >= set(range(last.seq_no + 1)) if last.seq_no <= len(stored) else False


def _is_small(items: list[JSON]) -> bool:
    return len(orjson.dumps(items)) <= MAX_REPORT_LENGTH
