"""Messages that wait for an operator: stops of unknown transactions, and refused messages about transactions."""

from collections.abc import Callable

from django.db import transaction as database
from rest_framework.exceptions import ValidationError

from chargers import audit
from chargers.inbox import Call
from chargers.registry import hook
from core.http.errors import Conflict
from core.ocpp import schemas, tolerance
from core.ocpp.tolerance import INT64
from transactions import handlers, metrics, stops
from transactions.models import OrphanStop, Transaction

# Members with which an operator completes the payload: {member of the REST body: member of the payload}.
MEMBERS = {
    "transaction_id": "transactionId",
    "connector_id": "connectorId",
    "id_tag": "idTag",
    "meter_start": "meterStart",
    "meter_stop": "meterStop",
    "timestamp": "timestamp",
}


# --- stored when refused -----------------------------------------------------------------------


@hook("refused")
def store_refused(items: list[tuple]) -> list[None]:
    """Store refused messages about transactions: (charger's primary key, action, payload as JSON or any
    text, reason, time of receipt). A repeated message is stored once."""
    new = OrphanStop.keep(map(_refused, items))
    database.on_commit(lambda: metrics.count_refused(new))
    return [None] * len(items)


def _refused(item: tuple) -> OrphanStop:
    charger, action, payload, reason, received_at = item
    row = OrphanStop(charger_id=charger, action=action, received_at=received_at)
    # PostgreSQL cannot store U+0000 in a text.
    row.payload, row.refused_because = (text.replace("\0", "\N{REPLACEMENT CHARACTER}") for text in (payload, reason))
    named = row.request.get("transactionId")
    if isinstance(named, int) and not isinstance(named, bool) and abs(named) <= INT64:
        row.reported_transaction_id = named
    return row


def members_of(orphan: OrphanStop) -> dict[str, str]:
    """Return the entries of MEMBERS that the action of `orphan` has."""
    known = schemas.schema(orphan.action)["properties"]
    return {name: member for name, member in MEMBERS.items() if member in known}


# --- applied by hand -------------------------------------------------------------------------


@database.atomic
def apply(orphan: OrphanStop, completed: dict) -> Transaction:
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


def _completed(orphan: OrphanStop, completed: dict) -> Call:
    """Return the CALL of `orphan` with the members of `completed`, parsed leniently."""
    if unknown := completed.keys() - members_of(orphan).keys():
        raise ValidationError({name: [f"A {orphan.action} has no {MEMBERS[name]}."] for name in unknown})
    names_one = orphan.refused_because and orphan.reported_transaction_id is not None
    if orphan.action != "StartTransaction" and "transaction_id" not in completed and not names_one:
        raise ValidationError({"transaction_id": ["Say which transaction it is about."]})
    call = orphan.as_call()
    payload = call.payload | {MEMBERS[name]: value for name, value in completed.items()}
    try:
        reading = tolerance.read(orphan.action, payload, clean=False)
    except schemas.Violation as violation:
        names = {member: name for name, member in MEMBERS.items()}
        raise ValidationError({names.get(violation.field, "payload"): [violation.message]}) from violation
    assert reading is not None  # with clean=False each payload is read
    call.payload, call.as_sent = reading.payload, reading.as_sent
    return call


def _start(call: Call) -> Transaction:
    (answer,) = handlers.start_transaction([call])
    return Transaction.objects.get(pk=answer["transactionId"])


def _stop(call: Call) -> Transaction:
    transaction = _named(call)
    if transaction is None or transaction.stop_received_at is not None:
        raise Conflict("Only a transaction of this charger that has no stop can take a stop, and only one.")
    stops.store([call])
    return transaction


def _readings(call: Call) -> Transaction:
    transaction = _named(call)
    if transaction is None:
        raise Conflict("Only a transaction of this charger can take its readings.")
    handlers.meter_values([call])
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
