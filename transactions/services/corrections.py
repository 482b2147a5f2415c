"""Let an operator correct a session. The values that its charger sent stay stored beside the corrections."""

from datetime import UTC, datetime
from typing import Any

from django.db import transaction as database
from rest_framework.exceptions import ValidationError

from chargers.services import audit, events
from core.http.errors import Conflict
from transactions.models import Transaction
from transactions.services import costs, energy

COLUMNS = {
    "meter_start": "corrected_meter_start",
    "meter_stop": "corrected_meter_stop",
    "end_time": "corrected_stop_time",
    "note": "note",
}
METERS = ("meter_start", "meter_stop")


@database.atomic
def correct(transaction: Transaction, by: str, changes: dict[str, Any]) -> Transaction:
    """Apply `changes` to `transaction` and return it reloaded; `by` is a user's name.

    `changes` has members of COLUMNS: meters in Wh that OCPP can hold, `end_time` a datetime. None removes a
    correction. Raises `Conflict` for a meter value or a time of a session that is under way, `ValidationError`
    ({member: [reason]}) for an impossible value.
    """
    row = Transaction.objects.select_for_update().get(pk=transaction.pk)
    before = {name: getattr(row, COLUMNS[name]) for name in changes}
    requested = {name: "" if name == "note" and value is None else value for name, value in changes.items()}
    changed = {name: value for name, value in requested.items() if value != before[name]}
    if changed:
        _write(row, by, changed)
        before = {name: before[name] for name in changed}
        audit.record("changed", "transaction", row.pk, row.charger_id, before, changed)
    if set(changed) - {"note"}:
        _record_event(row, by, costs.settle([row.pk]))
    corrected: Transaction = Transaction.objects.select_related("charger").get(pk=row.pk)
    return corrected


def _write(row: Transaction, by: str, changed: dict[str, Any]) -> None:
    for name, value in changed.items():
        setattr(row, COLUMNS[name], value)
    columns = [COLUMNS[name] for name in changed]
    if set(changed) - {"note"}:
        if row.status == "Ongoing":
            raise Conflict("This session is under way: close it first, then correct it. A note is possible now.")
        _check_time(row, changed)
        is_corrected = any(getattr(row, column) is not None for name, column in COLUMNS.items() if name != "note")
        row.corrected_at, row.corrected_by = (datetime.now(UTC), by) if is_corrected else (None, "")
        columns += ["corrected_at", "corrected_by"]
    row.save(update_fields=columns)
    if set(changed) & set(METERS):
        _check_meters(row)
    row.refresh_from_db(fields=["energy_wh", "energy_source"])


def _check_time(row: Transaction, changed: dict[str, Any]) -> None:
    end = changed.get("end_time")
    if end is not None and end > datetime.now(UTC):
        raise ValidationError({"end_time": ["It is in the future."]})
    if end is not None and end < row.start_time:
        raise ValidationError({"end_time": [f"It is before the start at {row.start_time.isoformat()}."]})


def _check_meters(row: Transaction) -> None:
    """A corrected meter value must give an energy."""
    base = row.meter_base
    if row.corrected_meter_stop is not None:
        if base is None:
            raise ValidationError({"meter_start": ["No meter value is known of the start: give it as well."]})
        if row.corrected_meter_stop < base:
            raise ValidationError({"meter_stop": [f"It is below the start at {base} Wh."]})
    if row.corrected_meter_stop is None and row.corrected_meter_start is not None:
        end = row.meter_stop if row.energy_source == energy.STOP else row.meter_latest
        if end is None or end < row.corrected_meter_start:
            wrong = "No meter value is known of the end" if end is None else f"It is above the stop at {end} Wh"
            raise ValidationError({"meter_start": [f"{wrong}: correct meter_stop as well."]})


def _record_event(row: Transaction, by: str, settled: dict[int, costs.Cost]) -> None:
    fields = {"transaction_id": row.pk, "energy_wh": row.energy_wh, "energy_source": row.energy_source}
    fields |= costs.members(settled, row.pk)
    events.record_event("transaction.corrected", row.charger_id, **fields, corrected_by=by)
