"""How a transaction ends by its charger's word: a StopTransaction, on time, late, or attached by hand."""

from django.db import transaction as database

from chargers import recordset
from chargers.models import InstalledProfile
from chargers.times import clock_is_off, said
from transactions import readings
from transactions.models import OrphanStop, Transaction

# A real stop wins over one by hand, and shows that the transaction was not stuck.
STOP = """
UPDATE transactions_transaction t SET
    stop_time = s.stop_time, raw_stop_time = s.raw_stop_time, stop_received_at = s.received_at,
    meter_stop = s.meter_stop, stop_reason = s.reason, stop_id_tag = s.id_tag, superseded_by_id = NULL,
    clock_skew = t.clock_skew OR s.clock_skew OR s.stop_time < t.start_time
FROM json_to_recordset(%s) AS s(id int, stop_time timestamptz, raw_stop_time text, received_at timestamptz,
    meter_stop int, reason text, id_tag text, clock_skew boolean)
WHERE t.id = s.id AND t.stop_received_at IS NULL
"""


def store(stops):
    """Write `stops`, {transaction: call}: each ends its transaction, whose charging profiles end with it."""
    recordset.execute(STOP, [_stopped(t.pk, call) for t, call in stops.items()])
    readings.store(
        [(call, t.connector_id, call.payload.get("transactionData", []), t.pk) for t, call in stops.items()]
    )
    if stops:
        InstalledProfile.objects.filter(transaction_id__in=[transaction.pk for transaction in stops]).delete()


def _stopped(transaction_id, call):
    request = call.payload
    return {
        "id": transaction_id,
        "stop_time": said(request["timestamp"], call.received_at),
        "raw_stop_time": request["timestamp"][:64],
        "received_at": call.received_at,
        "meter_stop": request["meterStop"],
        # Left out, it is Local (OCPP 1.6 §6.49).
        "reason": request.get("reason", "Local"),
        "id_tag": request.get("idTag", ""),
        "clock_skew": clock_is_off(request["timestamp"], call.received_at),
    }


@database.atomic
def attach(orphan, transaction_id):
    """Make an `OrphanStop` the stop of a transaction of its charger that has none; whether it could be."""
    orphan = OrphanStop.objects.select_for_update().get(pk=orphan.pk)
    wanted = Transaction.objects.select_for_update().filter(
        pk=transaction_id, charger=orphan.charger_id, stop_received_at=None
    )
    found = wanted.first()
    if found is None or orphan.transaction_id:
        return False
    store({found: orphan.as_call()})
    orphan.transaction = found
    orphan.save(update_fields=["transaction"])
    return True
