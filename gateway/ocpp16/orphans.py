"""The part of OCPP 1.6 in messages that wait for an operator, see `gateway.orphans`."""

from collections.abc import Callable
from typing import Any

from rest_framework.exceptions import ValidationError

from core.http.errors import Conflict
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


def completed(orphan: OrphanStop, body: dict[str, Any]) -> dict[str, Any]:
    """Return the payload of `orphan` with the members of `body`."""
    names_one = orphan.refused_because and orphan.reported_transaction_id is not None
    if orphan.action != "StartTransaction" and "transaction_id" not in body and not names_one:
        raise ValidationError({"transaction_id": ["Say which transaction it is about."]})
    return orphan.request | {MEMBERS[name]: value for name, value in body.items()}


def apply(call: Call, body: dict[str, Any]) -> Transaction:
    """Process the completed message, and return its transaction."""
    return APPLIED[call.action](call)


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
