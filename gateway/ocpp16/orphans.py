"""Apply messages that wait for an operator: stops of unknown transactions, and refused ones about transactions."""

from collections.abc import Callable
from typing import Any

from django.db import transaction as database
from rest_framework.exceptions import ValidationError

from chargers.services import audit
from core.http.errors import Conflict
from core.ocpp import schemas, tolerance
from core.ocpp.calls import Call
from core.ocpp.versions import OCPP16
from gateway.ocpp16 import transactions
from transactions.models import OrphanStop, Transaction
from transactions.services import stops

# Members with which an operator completes the payload: {member of the REST body: member of the payload}.
MEMBERS = {
    "transaction_id": "transactionId",
    "connector_id": "connectorId",
    "id_tag": "idTag",
    "meter_start": "meterStart",
    "meter_stop": "meterStop",
    "timestamp": "timestamp",
}


def members_of(orphan: OrphanStop) -> dict[str, str]:
    """Return the entries of MEMBERS that the action of `orphan` has."""
    known = OCPP16.schemas.requests[orphan.action].tree["properties"]
    return {name: member for name, member in MEMBERS.items() if member in known}


@database.atomic
def apply(orphan: OrphanStop, completed: dict[str, Any]) -> Transaction:
    """Apply `orphan` as if its charger had sent it in this form, and return its transaction.

    `completed` has members of MEMBERS that complete or replace those of the payload. Raises `Conflict` if it was
    applied already or its transaction cannot take it, `ValidationError` if a member is missing or wrong.
    """
    orphan = OrphanStop.objects.select_for_update().get(pk=orphan.pk)
    if orphan.transaction_id is not None:
        raise Conflict("This message was applied already.")
    call = _completed(orphan, completed)
    orphan.transaction = APPLIED[orphan.action](call)
    orphan.save(update_fields=["transaction"])
    after = {"action": orphan.action, "orphan_stop": orphan.pk} | completed
    audit.record("attached", "transaction", orphan.transaction_id, orphan.charger_id, after=after)
    return orphan.transaction


def _completed(orphan: OrphanStop, completed: dict[str, Any]) -> Call:
    """Return the CALL of `orphan` with the members of `completed`, parsed leniently."""
    if unknown := completed.keys() - members_of(orphan).keys():
        raise ValidationError({name: [f"A {orphan.action} has no {MEMBERS[name]}."] for name in unknown})
    names_one = orphan.refused_because and orphan.reported_transaction_id is not None
    if orphan.action != "StartTransaction" and "transaction_id" not in completed and not names_one:
        raise ValidationError({"transaction_id": ["Say which transaction it is about."]})
    call: Call = orphan.as_call()
    payload = call.payload | {MEMBERS[name]: value for name, value in completed.items()}
    try:
        reading = tolerance.read_request(OCPP16, orphan.action, payload, clean=False)
    except schemas.Violation as violation:
        names = {member: name for name, member in MEMBERS.items()}
        raise ValidationError({names.get(violation.field, "payload"): [violation.message]}) from violation
    assert reading is not None  # with clean=False each payload is read
    call.payload, call.as_sent = reading.payload, reading.as_sent
    return call


def _start(call: Call) -> Transaction:
    (answer,) = transactions.start_transaction([call])
    return Transaction.objects.get(pk=answer["transactionId"])


def _stop(call: Call) -> Transaction:
    transaction = _named(call)
    if transaction is None or transaction.stop_received_at is not None:
        raise Conflict("Only a transaction of this charger that has no stop can take a stop, and only one.")
    stops.end([transactions.stop(call)])
    return transaction


def _readings(call: Call) -> Transaction:
    transaction = _named(call)
    if transaction is None:
        raise Conflict("Only a transaction of this charger can take its readings.")
    transactions.meter_values([call])
    return transaction


def _named(call: Call) -> Transaction | None:
    """Return the transaction that `call` names, locked; None if it is not one of this charger's."""
    filters = {"pk": call.payload["transactionId"], "charger": call.charger}
    return Transaction.objects.select_for_update().filter(**filters).first()


APPLIED: dict[str, Callable[[Call], Transaction]] = {
    "StartTransaction": _start,
    "StopTransaction": _stop,
    "MeterValues": _readings,
}
