"""What a charger says of charging. Each function settles a batch of one action, see `chargers.registry`."""

from collections import Counter

import orjson

from chargers import recordset
from chargers.registry import handles
from chargers.times import said
from transactions import readings
from transactions.models import IdTag, OrphanStop, Transaction

NATURAL_KEY = ["charger", "connector_id", "id_tag", "raw_start_time", "meter_start"]

STOP = """
UPDATE transactions_transaction t SET
    stop_time = s.stop_time, raw_stop_time = s.raw_stop_time, stop_received_at = s.received_at,
    meter_stop = s.meter_stop, stop_reason = s.reason, stop_id_tag = s.id_tag
FROM json_to_recordset(%s) AS s(id int, stop_time timestamptz, raw_stop_time text, received_at timestamptz,
    meter_stop int, reason text, id_tag text)
WHERE t.id = s.id
"""


@handles("Authorize")
def authorize(calls):
    """OCPP 1.6 §4.1. An unknown tag is `Invalid`, never an error."""
    infos = IdTag.infos({call.payload["idTag"] for call in calls})
    return [{"idTagInfo": infos[call.payload["idTag"]]} for call in calls]


@handles("StartTransaction")
def start_transaction(calls):
    """OCPP 1.6 §4.8. Always a transaction id, also for a refused tag: the charger may have started offline.

    A start sent again finds its own row by the unique constraint, also from another process at this moment.
    """
    infos = IdTag.infos({call.payload["idTag"] for call in calls})
    started = [_started(call, infos[call.payload["idTag"]]["status"]) for call in calls]
    _refuse_twins(started)
    Transaction.objects.bulk_create(
        started, update_conflicts=True, unique_fields=NATURAL_KEY, update_fields=["meter_start"]
    )
    return [
        {"idTagInfo": infos[call.payload["idTag"]], "transactionId": transaction.pk}
        for call, transaction in zip(calls, started, strict=True)
    ]


def _refuse_twins(started):
    """The same start twice in one batch can't be one statement; alone, each of them can."""
    keys = Counter(tuple(getattr(row, column) for column in NATURAL_KEY[1:]) + (row.charger_id,) for row in started)
    if max(keys.values()) > 1:
        raise ValueError("the same StartTransaction stands twice in a batch")


def _started(call, verdict):
    request = call.payload
    return Transaction(
        charger_id=call.charger,
        connector_id=request["connectorId"],
        id_tag=request["idTag"],
        id_tag_status=verdict,
        reservation_id=request.get("reservationId"),
        start_time=said(request["timestamp"], call.received_at),
        raw_start_time=request["timestamp"][:64],
        start_received_at=call.received_at,
        meter_start=request["meterStart"],
    )


@handles("StopTransaction")
def stop_transaction(calls):
    """OCPP 1.6 §4.10. Never refused: the charger has stopped already. A second stop changes nothing."""
    named = {call.payload["transactionId"] for call in calls}
    # Locked, so that a stop of the same transaction over another socket comes after this one.
    known = {t.pk: t for t in Transaction.objects.select_for_update().filter(pk__in=named).order_by("pk")}
    closing, orphans = {}, []
    for call in calls:
        transaction = known.get(call.payload["transactionId"])
        if transaction is None or transaction.charger_id != call.charger:
            orphans.append(_orphan(call))
        elif transaction.stop_received_at is None:
            closing.setdefault(transaction.pk, call)
    recordset.execute(STOP, [_stopped(call) for call in closing.values()])
    OrphanStop.objects.bulk_create(orphans)
    readings.store(
        [(call, known[pk].connector_id, call.payload.get("transactionData", [])) for pk, call in closing.items()]
    )
    infos = IdTag.infos({call.payload["idTag"] for call in calls if "idTag" in call.payload})
    return [_stop_answer(call, infos) for call in calls]


def _stop_answer(call, infos):
    id_tag = call.payload.get("idTag")
    return {} if id_tag is None else {"idTagInfo": infos[id_tag]}


def _stopped(call):
    request = call.payload
    return {
        "id": request["transactionId"],
        "stop_time": said(request["timestamp"], call.received_at),
        "raw_stop_time": request["timestamp"][:64],
        "received_at": call.received_at,
        "meter_stop": request["meterStop"],
        # Left out, it is Local (OCPP 1.6 §6.49).
        "reason": request.get("reason", "Local"),
        "id_tag": request.get("idTag", ""),
    }


def _orphan(call):
    return OrphanStop(
        charger_id=call.charger,
        reported_transaction_id=call.payload["transactionId"],
        payload=orjson.dumps(call.payload).decode(),
        received_at=call.received_at,
    )


@handles("MeterValues")
def meter_values(calls):
    """OCPP 1.6 §4.7. Kept whatever transaction they name; linked where it is one of the charger's."""
    readings.store([(call, call.payload["connectorId"], call.payload["meterValue"]) for call in calls])
    return [{} for _ in calls]
