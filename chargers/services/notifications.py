"""Store security events, transfers of data and the progress of transfers of files, each once (decision 0026)."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar, cast

from django.db.models import F, Q

from chargers import sql
from chargers.models import Charger, DataTransfer, SecurityEvent
from chargers.services import budgets, events
from core.db import bulk_sql, sealing
from core.ocpp.calls import Call, CallKey, Received
from core.ocpp.redaction import without_secrets

logger = logging.getLogger(__name__)

Record = TypeVar("Record", bound=Any)  # a model whose rows have `charger`, `call_id` and `received_at`
Report = TypeVar("Report", bound=Received)


class TransferReport(NamedTuple):
    """The progress of a firmware update or of an upload, as a charger (primary key) reports it.

    `request_id` is that of the command which requested the transfer, None where the message has none.
    """

    charger: int
    status: str
    received_at: datetime
    request_id: int | None = None


def record_transfer_status(column: str, reports: list[TransferReport]) -> None:
    """Store the latest status in `column` of the chargers: firmware_status, diagnostics_status or log_status."""
    rows = [{"id": r.charger, "status": r.status, "received_at": r.received_at} for r in reports]
    bulk_sql.execute(sql.RECORD_TRANSFER_STATUS.format(column=column), rows)


@dataclass(frozen=True, slots=True)
class ReportedEvent:
    """A security event as a charger reports it; `raw_timestamp` is its time as sent, `tech_info` has no secrets."""

    call: Call
    type: str
    timestamp: datetime
    raw_timestamp: str
    tech_info: str


def record_security_events(reported: list[ReportedEvent]) -> None:
    """Store security events within the budget of each charger (security whitepaper §5.15)."""
    known = records_of(SecurityEvent, reported, _is_same_event)
    new = [event for event in reported if event.call.key not in known]
    stored = budgets.within_rate(new, "security_events")
    SecurityEvent.objects.bulk_create(map(_security_event, stored))
    for event in stored:
        fields = {"type": event.type, "tech_info": event.tech_info, "timestamp": event.timestamp}
        events.record_event("security.event", event.call.charger, **fields)


def _security_event(event: ReportedEvent) -> SecurityEvent:
    return SecurityEvent(
        charger_id=event.call.charger,
        type=event.type,
        timestamp=event.timestamp,
        raw_timestamp=event.raw_timestamp,
        tech_info=event.tech_info,
        call_id=event.call.message_id,
        received_at=event.call.received_at,
    )


def _is_same_event(stored: SecurityEvent, event: ReportedEvent) -> bool:
    sent = event.type, event.raw_timestamp, event.tech_info
    return (stored.type, stored.raw_timestamp, stored.tech_info) == sent


@dataclass(frozen=True, slots=True)
class VendorMessage:
    """A DataTransfer from a charger, with its secrets."""

    call: Call
    vendor_id: str
    message_id: str
    data: str


# Answers a message of the charger with this id: (status, data or None).
Answer = Callable[[str | None, VendorMessage], tuple[str, str | None]]


def answer_data_transfers(messages: list[VendorMessage], answer: Answer) -> list[tuple[str, str]]:
    """Answer each message once by `answer`, and store it within the budget of its charger. Return (status, data)."""
    known = records_of(DataTransfer, messages, _is_same_transfer)
    new = [message for message in messages if message.call.key not in known]
    chargers = Charger.objects.filter(pk__in={message.call.charger for message in new})
    charger_ids = dict(chargers.values_list("pk", "identity"))
    transfers = known | {m.call.key: _process(m, answer(charger_ids.get(m.call.charger), m)) for m in new}
    within = budgets.within_rate(new, "data_transfers")
    DataTransfer.objects.bulk_create(transfers[message.call.key] for message in within)
    return [(transfers[m.call.key].status, _answer_data(transfers[m.call.key])) for m in messages]


def _is_same_transfer(stored: DataTransfer, message: VendorMessage) -> bool:
    sent = message.vendor_id, message.message_id, without_secrets(message.data)
    return (stored.vendor_id, stored.message_id, stored.data) == sent


def _answer_data(transfer: DataTransfer) -> str:
    """Return the data of a stored answer, "" if no key can decrypt it."""
    sealed = cast(sealing.Sealed | None, transfer.sealed_answer)
    try:
        return sealed.opened() if sealed else transfer.answered_data
    except sealing.Unreadable as error:
        logger.warning("A repeated DataTransfer is answered without its data, which no key can decrypt: %s", error)
        return ""


def _process(message: VendorMessage, answer: tuple[str, str | None]) -> DataTransfer:
    status, answered = answer
    return DataTransfer(
        charger_id=message.call.charger,
        vendor_id=message.vendor_id,
        message_id=message.message_id,
        data=without_secrets(message.data),
        status=status,
        answered_data=without_secrets(answered or ""),
        sealed_answer=answered if without_secrets(answered) != answered else None,
        call_id=message.call.message_id,
        received_at=message.call.received_at,
    )


def records_of(
    model: type[Record], reports: Sequence[Report], same: Callable[[Record, Report], bool]
) -> dict[CallKey, Record]:
    """Return {key of the call: record} of those `reports` that have left a record since their charger's last boot.

    `same` compares their contents, because some chargers count message ids from 1 at each boot.
    """
    stored = model.objects.filter(
        Q(received_at__gt=F("charger__last_boot_at")) | Q(charger__last_boot_at=None),
        charger_id__in={report.call.charger for report in reports},
        call_id__in={report.call.message_id for report in reports},
    )
    by_id = defaultdict(list)
    for record in stored:
        by_id[record.charger_id, record.call_id].append(record)
    found = {}
    for report in reports:
        sent_with_its_id = by_id[report.call.charger, report.call.message_id]
        if record := next((record for record in sent_with_its_id if same(record, report)), None):
            found[report.call.key] = record
    return found
