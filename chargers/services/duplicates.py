"""Find the record that an earlier copy of a CALL has left (decision 0020)."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.db.models import F, Q

from core.ocpp.calls import CallKey, Received

Record = TypeVar("Record", bound=Any)  # a model whose rows have `charger`, `call_id` and `received_at`
Report = TypeVar("Report", bound=Received)


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
