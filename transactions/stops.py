"""Store StopTransactions: on time, late, or attached by hand."""

from datetime import datetime
from typing import NamedTuple

from chargers import events
from core.db import bulk_sql
from core.ocpp.timestamps import clock_is_off, parse_or
from transactions import energy, readings

# A real stop replaces a close by hand and removes `superseded_by`. A second stop changes nothing. The charging
# profiles of a transaction are deleted with its stop.
STOP = """
WITH s AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS s(id int, charger bigint, stop_time timestamptz, raw_stop_time text,
        received_at timestamptz, meter_stop bigint, raw_meter_stop text, reason text, id_tag text, clock_skew boolean)
), stopped AS (
    UPDATE transactions_transaction t SET
        stop_time = s.stop_time, raw_stop_time = s.raw_stop_time, stop_received_at = s.received_at,
        meter_stop = s.meter_stop, raw_meter_stop = s.raw_meter_stop, stop_reason = s.reason,
        stop_id_tag = s.id_tag, superseded_by_id = NULL,
        clock_skew = t.clock_skew OR s.clock_skew OR s.stop_time < t.start_time
    FROM s WHERE t.id = s.id AND t.charger_id = s.charger AND num_nonnulls(t.stop_received_at) = 0
    RETURNING t.id, t.energy_wh, t.energy_source, t.clock_skew
), ended AS (
    DELETE FROM chargers_installedprofile p USING stopped WHERE p.transaction_id = stopped.id
)
SELECT t.charger_id, t.id, t.connector_id, t.id_tag, t.start_time, stopped.id IS NOT NULL, stopped.energy_wh,
    stopped.energy_source, stopped.clock_skew
FROM s JOIN transactions_transaction t ON t.id = s.id AND t.charger_id = s.charger
    LEFT JOIN stopped ON stopped.id = t.id
"""


class Named(NamedTuple):
    """The transaction that a stop names; `ended` is true if this stop ended it."""

    charger: int
    id: int
    connector_id: int
    id_tag: str
    start_time: datetime
    ended: bool
    energy_wh: int | None
    energy_source: str | None
    clock_skew: bool | None


def store(calls):
    """Write the first stop of each transaction; return {(charger, transaction id): `Named`} of the named ones."""
    first = {}
    for call in calls:
        if 0 < (call.payload.get("transactionId") or 0) <= readings.LARGEST_ID:
            first.setdefault((call.charger, call.payload["transactionId"]), call)
    rows = {key: _stopped(*key, call) for key, call in sorted(first.items())}
    stopped = map(Named._make, bulk_sql.execute(STOP, list(rows.values())))
    named = {(t.charger, t.id): t for t in stopped}
    ended = [t for t in named.values() if t.ended]
    known = readings.store(
        [
            readings.Readings(call, t.connector_id, call.payload.get("transactionData", []), t.id)
            for t in ended
            for call in [first[t.charger, t.id]]
        ]
    )
    known |= _evidence(ended, known, rows)
    for t in ended:
        _record_event(t, rows[t.charger, t.id], *known.get(t.id, (t.energy_wh, t.energy_source)))
    return named


def _evidence(ended, known, rows):
    """Return {id: (Wh, source)} of the `ended` transactions for which unlinked readings are better evidence."""
    doubtful = [
        t for t in ended if not t.clock_skew and known.get(t.id, (t.energy_wh, t.energy_source))[1] != energy.STOP
    ]
    spans = [(t.charger, t.id, t.connector_id, t.start_time, rows[t.charger, t.id]["stop_time"]) for t in doubtful]
    return readings.take_in(spans)


def _record_event(transaction, stop, energy_wh, energy_source):
    fields = {name: stop[name] for name in ("stop_time", "meter_stop", "reason")}
    fields |= {"transaction_id": transaction.id, "connector_id": transaction.connector_id}
    fields |= {"id_tag": transaction.id_tag, "energy_wh": energy_wh, "energy_source": energy_source}
    events.record_event("transaction.stopped", transaction.charger, **fields)


def _stopped(charger, transaction_id, call):
    request = call.payload
    skew = clock_is_off(request["timestamp"], call.received_at)
    if skew:
        call.find("timestamp", "clock", request["timestamp"])
    energy.check(call, "meterStop")
    return {
        "id": transaction_id,
        "charger": charger,
        "stop_time": parse_or(request["timestamp"], call.received_at),
        "raw_stop_time": request["timestamp"][:64],
        "received_at": call.received_at,
        "meter_stop": request.get("meterStop"),
        "raw_meter_stop": call.as_sent.get("meterStop", ""),
        # The default is Local (OCPP 1.6 §6.49).
        "reason": request.get("reason", "Local"),
        "id_tag": request.get("idTag", ""),
        "clock_skew": skew,
    }
