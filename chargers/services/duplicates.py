"""Find the record that an earlier copy of a CALL has left (decision 0020)."""

from collections import defaultdict

from django.db.models import F, Q


def records_of(model, calls, same):
    """Return {key: record} of those `calls` that have left a record in `model` since their charger's last boot.

    `same(record, call)` compares their contents, because some chargers count message ids from 1 at each boot.
    """
    stored = model.objects.filter(
        Q(received_at__gt=F("charger__last_boot_at")) | Q(charger__last_boot_at=None),
        charger_id__in={call.charger for call in calls},
        call_id__in={call.message_id for call in calls},
    )
    by_id = defaultdict(list)
    for record in stored:
        by_id[record.charger_id, record.call_id].append(record)
    matching = {call.key: [r for r in by_id[call.charger, call.message_id] if same(r, call)] for call in calls}
    return {key: records[0] for key, records in matching.items() if records}
