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
    """Remove the tokens of a cleared customer from the local list, which a charger may not change (N10.FR.02)."""
    if command.status != "Accepted" or not command.payload["clear"]:
        return None
    held = LocalList.objects.filter(charger=command.charger).first()
    listed = [entry["idToken"] for entry in held.entries if "idToken" in entry] if held else []
    request = command.payload.opened()  # with a PIN
    removed = [{"idToken": token} for token in listed if _is_of_customer(token, request)]
    return (
        FollowUp("SendLocalList", {"updateType": "Differential", "localAuthorizationList": removed})
        if removed
        else None
    )


def _is_of_customer(token: JSON, payload: JSON) -> bool:
    """Whether `token` is the one of the request; a customer identifier is a token, if one has the same text."""
    wanted = payload.get("idToken") or {"idToken": payload.get("customerIdentifier", ""), "type": token["type"]}
    return _identity(token) == _identity(wanted)


def _identity(token: JSON) -> tuple[str, str]:
    """Return the text, which is compared without case, and the type."""
    return token["idToken"].casefold(), token["type"]
