"""The part of OCPP 2.0.1 in messages that wait for an operator, see `gateway.orphans`."""

from typing import Any

from rest_framework.exceptions import ValidationError

from core.ocpp.calls import Call
from gateway.ocpp201 import transactions
from transactions.models import OrphanStop, Transaction
from transactions.services import readings, transaction_events

# {member of the REST body: member of the payload}
EVENT_MEMBERS = {"transaction_id": "transactionInfo.transactionId", "timestamp": "timestamp"}
READINGS_MEMBERS = {"transaction_id": "evseId"}
MEMBERS = READINGS_MEMBERS | EVENT_MEMBERS


def members_of(orphan: OrphanStop) -> dict[str, str]:
    """Return the members that an operator may complete: the transaction, and the time of an event."""
    return EVENT_MEMBERS if orphan.action == "TransactionEvent" else READINGS_MEMBERS


def completed(orphan: OrphanStop, body: dict[str, Any]) -> dict[str, Any]:
    """Return the payload of `orphan` with the members of `body`. The transaction is one of the charger's."""
    payload, info = orphan.request, orphan.request.get("transactionInfo")
    info = info if isinstance(info, dict) else {}
    if "transaction_id" in body:
        named = Transaction.objects.filter(pk=body["transaction_id"], charger=orphan.charger_id).first()
        if named is None:
            raise ValidationError({"transaction_id": ["This is no transaction of the charger."]})
        payload = payload | _named(orphan.action, named, info)
    elif orphan.action != "TransactionEvent" or not info.get("transactionId"):
        raise ValidationError({"transaction_id": ["Say which transaction it is about."]})
    return payload | ({"timestamp": body["timestamp"]} if "timestamp" in body else {})


def _named(action: str, transaction: Transaction, info: dict[str, Any]) -> dict[str, Any]:
    if action == "TransactionEvent":
        return {"transactionInfo": info | {"transactionId": transaction.reference}}
    return {"evseId": transaction.evse_id or 0}


def apply(call: Call, body: dict[str, Any]) -> Transaction:
    """Process the completed message, and return its transaction."""
    if call.action == "TransactionEvent":
        (outcome,) = transaction_events.store([transactions.event(call)])
        return Transaction.objects.get(pk=outcome.transaction_id)
    readings.store([transactions.meter_readings(call, body["transaction_id"])])
    return Transaction.objects.get(pk=body["transaction_id"])
