"""Assemble the reports that chargers deliver in parts, in any order and with repetitions."""

from collections import defaultdict
from dataclasses import dataclass
from hashlib import blake2b

import orjson
from django.db.models import QuerySet

from chargers.services.notifications import TransferReport
from commands.actions.requests import COMPLETE
from commands.models import Command, ReportPart
from commands.services import progress
from commands.services.progress import RequestKey
from core.ocpp.calls import Call
from core.ocpp.redaction import without_secrets
from core.ocpp.schemas import JSON

PART = "Part"  # the status of a part that does not complete its report
Key = tuple[int, str, int, int | None, str]  # charger, action, request id, number, digest
ReportKey = tuple[int, int]  # charger, request id
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
    """A whole report: the `items` of all its parts, in their order. `command` is the one that requested it."""

    items: list[JSON]
    command: Command


def store(parts: list[Part]) -> list[Part]:
    """Store `parts`, and return those that were not stored before; a repeated part changes nothing.

    A part is known by its number and its content, because some chargers give each part the same number.
    """
    rows = {_key(row): (row, part) for row, part in ((_row(part), part) for part in parts)}
    new = [rows[key] for key in rows.keys() - _stored(parts)]
    new.sort(key=lambda each: (each[0].charger_id, parts.index(each[1])))
    ReportPart.objects.bulk_create([row for row, _ in new], ignore_conflicts=True)
    return [part for _, part in new]


def assemble(new: list[Part], *actions: str) -> list[Report]:
    """Return the reports that have become whole by the parts `new`, which are stored and of one kind of message.

    Parts with a number are whole when the last one and all before it are stored, others when the last one has
    arrived. `actions` are those of the commands that request such a report. A report that none of them has requested
    is left out. A small report is stored with its command too.
    """
    if not new:
        return []
    whole = _whole(new)
    finals = {_report_of(part): part for part in new}
    arrivals = [
        TransferReport(
            part.call.charger,
            COMPLETE if _report_of(part) in whole and part is finals[_report_of(part)] else PART,
            part.call.received_at,
            part.request_id,
        )
        for part in new
    ]
    small: dict[RequestKey, list[JSON]] = {
        key: items for key, items in whole.items() if len(orjson.dumps(items)) <= MAX_REPORT_LENGTH
    }
    commands = dict(zip(map(_report_of, new), progress.append(actions, arrivals, small), strict=True))
    return [Report(items, command) for key, items in whole.items() if (command := commands[key])]


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
    return set(_rows(parts).values_list("charger_id", "action", "request_id", "seq_no", "digest"))


def _rows(parts: list[Part]) -> QuerySet[ReportPart]:
    """Return what is stored of the reports to which `parts` belong, and perhaps of some others."""
    chargers, ids = {part.call.charger for part in parts}, {part.request_id for part in parts}
    return ReportPart.objects.filter(charger__in=chargers, request_id__in=ids)


def _report_of(part: Part) -> ReportKey:
    return part.call.charger, part.request_id


def _whole(new: list[Part]) -> dict[ReportKey, list[JSON]]:
    """Return the items of those reports of the parts `new` of which nothing is missing."""
    rows = _rows(new).filter(action=new[0].call.action)
    stored = defaultdict(list)
    for charger, request_id, number, is_last in rows.values_list("charger_id", "request_id", "seq_no", "is_last"):
        stored[charger, request_id].append((number, is_last))
    whole: dict[ReportKey, list[JSON]] = {key: [] for key in map(_report_of, new) if _is_whole(stored[key])}
    if whole:
        chargers, ids = ({key[n] for key in whole} for n in (0, 1))
        for row in rows.filter(charger__in=chargers, request_id__in=ids):
            whole.get((row.charger_id, row.request_id), []).extend(row.items)
    return whole


def _is_whole(stored: list[tuple[int | None, bool]]) -> bool:
    """Whether the last part and all before it are stored: (number, whether it is the last) of each."""
    lasts = [number for number, is_last in stored if is_last]
    if not lasts or lasts[0] is None:
        return bool(lasts)
    return lasts[0] <= len(stored) and {number for number, _ in stored} >= set(range(lasts[0] + 1))
