"""CustomerInformation (N09, N10)."""

from collections.abc import Iterator

from chargers.models import Charger
from commands.actions.base import FollowUp
from commands.models import Command, LocalList
from core.ocpp import schemas
from core.ocpp.schemas import JSON

REFERENCES = ("customerIdentifier", "idToken", "customerCertificate")


def check(payload: JSON, charger: Charger) -> Iterator[str]:
    """Require exactly one reference to a customer (N09.FR.04, N09.FR.09, N10.FR.08)."""
    named = [member for member in REFERENCES if member in payload]
    if len(named) != 1 or payload[named[0]] == "":
        message = f"Name the customer by exactly one of {', '.join(REFERENCES)}."
        raise schemas.Violation(named[-1] if named else REFERENCES[0], message, "")
    if not payload["report"] and not payload["clear"]:  # N09.FR.07
        yield "Neither report nor clear is true, so the charger has nothing to do and should reject it."


def cleared(command: Command) -> FollowUp | None:
    """Remove a cleared id token from the local list too, which a charger does not change by itself (N10.FR.02)."""
    token = command.payload.get("idToken")
    if command.status != "Accepted" or not command.payload["clear"] or token is None:
        return None
    held = LocalList.objects.filter(charger=command.charger).first()
    if held is None or token["idToken"].upper() not in {known.upper() for known in held.entries}:
        return None
    removed = [{"idToken": token}]
    return FollowUp("SendLocalList", {"updateType": "Differential", "localAuthorizationList": removed})
