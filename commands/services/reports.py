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
Key = tuple[int, str, int, int | None, str]  # charger, action, request id, number, digest
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


def store(parts: list[Part]) -> list[Part]:
    """Store `parts`, and return those that were not stored before; a repeated part changes nothing.

    A part is known by its number and its content, because some chargers give each part the same number.
    """
    rows = {_key(row): (row, part) for row, part in ((_row(part), part) for part in parts)}
    new = [rows[key] for key in rows.keys() - _stored(parts)]
    new.sort(key=lambda each: (each[0].charger_id, parts.index(each[1])))
    ReportPart.objects.bulk_create([row for row, _ in new], ignore_conflicts=True)
    return [part for _, part in new]


def assemble(new: list[Part]) -> list[Report]:
    """Return the reports that have become whole by the parts `new`, which are stored.

    Parts with a number are whole when the last one and all before it are stored, others when the last one has
    arrived. The report is stored with its command too, if it is small.
    """
    return [report for part in new if (report := _whole(part))]


def _row(part: Part) -> ReportPart:
    items = without_secrets(part.items)
    return ReportPart(
        charger_id=part.call.charger,
        action=part.call.action,
        request_id=part.request_id,
        seq_no=part.seq_no,
        digest=blake2b(orjson.dumps(items), digest_size=16).hexdigest(),
        is_last=part.is_last,
        items=items,
        received_at=part.call.received_at,
    )


def _key(row: ReportPart) -> Key:
    return row.charger_id, row.action, row.request_id, row.seq_no, row.digest


def _stored(parts: list[Part]) -> set[Key]:
    """Return the keys of what is stored of the reports to which `parts` belong, and perhaps of some others."""
    chargers, ids = {part.call.charger for part in parts}, {part.request_id for part in parts}
    rows = ReportPart.objects.filter(charger__in=chargers, request_id__in=ids)
    return set(rows.values_list("charger_id", "action", "request_id", "seq_no", "digest"))


def _whole(part: Part) -> Report | None:
    """Return the report that `part` completes, None if others are missing. Note the progress of its command."""
    charger = part.call.charger
    stored = ReportPart.objects.filter(charger=charger, action=part.call.action, request_id=part.request_id)
    is_whole = _is_whole(list(stored.values_list("seq_no", "is_last")))
    report = TransferReport(charger, COMPLETE if is_whole else PART, part.call.received_at, part.request_id)
    items = [item for one in stored for item in one.items] if is_whole else []
    command = progress.append_part(report, items if is_whole and _is_small(items) else None)
    return Report(charger, part.request_id, items, command) if is_whole else None


def _is_whole(stored: list[tuple[int | None, bool]]) -> bool:
    """Whether the last part and all before it are stored: (number, whether it is the last) of each."""
    lasts = [number for number, is_last in stored if is_last]
    if not lasts or lasts[0] is None:
        return bool(lasts)
    return lasts[0] <= len(stored) and {number for number, _ in stored} >= set(range(lasts[0] + 1))


def _is_small(items: list[JSON]) -> bool:
    return len(orjson.dumps(items)) <= MAX_REPORT_LENGTH
