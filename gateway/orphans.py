"""Apply messages that wait for an operator: stops of unknown transactions, and refused ones about transactions."""

from types import ModuleType
from typing import Any

from django.db import transaction as database
from rest_framework.exceptions import ValidationError

from chargers.services import audit
from core.http.errors import Conflict
from core.ocpp import schemas, tolerance
from core.ocpp.calls import Call
from core.ocpp.versions import BY_SUBPROTOCOL, OCPP16, OCPP201
from gateway.ocpp16 import orphans as ocpp16
from gateway.ocpp201 import orphans as ocpp201
from transactions.models import OrphanStop, Transaction

# The part of each OCPP version: MEMBERS ({member of the REST body: member of a payload}), members_of(orphan),
# completed(orphan, body) and apply(call, body).
PARTS: dict[str, ModuleType] = {OCPP16.subprotocol: ocpp16, OCPP201.subprotocol: ocpp201}


def members_of(orphan: OrphanStop) -> dict[str, str]:
    """Return {member of the REST body: member of the payload} of those that an operator may complete."""
    members: dict[str, str] = PARTS[orphan.ocpp_version].members_of(orphan)
    return members


@database.atomic
def apply(orphan: OrphanStop, body: dict[str, Any]) -> Transaction:
    """Apply `orphan` as if its charger had sent it in this form, and return its transaction.

    `body` has members of `members_of` that complete or replace those of the payload. Raises `Conflict` if it was
    applied already or its transaction cannot take it, `ValidationError` if a member is missing or wrong.
    """
    orphan = OrphanStop.objects.select_for_update().get(pk=orphan.pk)
    if orphan.transaction_id is not None:
        raise Conflict("This message was applied already.")
    part, members = PARTS[orphan.ocpp_version], members_of(orphan)
    if unknown := body.keys() - members.keys():
        raise ValidationError(
            {name: [f"A {orphan.action} has no {part.MEMBERS.get(name, name)}."] for name in unknown}
        )
    orphan.transaction = part.apply(_read(orphan, part.completed(orphan, body), members), body)
    orphan.save(update_fields=["transaction"])
    after = {"action": orphan.action, "orphan_stop": orphan.pk} | body
    audit.record("attached", "transaction", orphan.transaction_id, orphan.charger_id, after=after)
    return orphan.transaction


def _read(orphan: OrphanStop, payload: dict[str, Any], members: dict[str, str]) -> Call:
    """Return the CALL of `orphan` with `payload`, parsed leniently."""
    call: Call = orphan.as_call()
    try:
        reading = tolerance.read_request(BY_SUBPROTOCOL[orphan.ocpp_version], orphan.action, payload, clean=False)
    except schemas.Violation as violation:
        names = {member: name for name, member in members.items()}
        raise ValidationError({names.get(violation.field, "payload"): [violation.message]}) from violation
    assert reading is not None  # with clean=False each payload is read
    call.payload, call.as_sent = reading.payload, reading.as_sent
    return call
