"""RequestStartTransaction (F01, F02) and TriggerMessage (F06)."""

from collections.abc import Iterator

from chargers.models import Charger
from commands.actions.ocpp201 import charging
from commands.actions.ocpp201.id_tokens import CENTRAL, with_type
from commands.models import Command, next_request_id
from core.ocpp import schemas
from core.ocpp.schemas import JSON
from transactions.models import Transaction


def complete_start(payload: JSON, charger: Charger) -> None:
    """Give a start without an id the next free one, and a token without a type that of the id tag of this name."""
    if "remoteStartId" not in payload:
        payload["remoteStartId"] = next_request_id()
    if "idToken" in payload:
        payload["idToken"] = with_type(payload["idToken"], CENTRAL)
    charging.complete_start(payload, charger)


def check_start(payload: JSON, charger: Charger) -> Iterator[str]:
    if payload.get("evseId") == 0:
        raise schemas.Violation("evseId", "EVSE 0 is the charger as a whole: name an EVSE, or leave it out.", "")
    yield from charging.check_start_profile(payload, charger)


def start_submitted(command: Command) -> None:
    """Record the remoteStartId, by which the transaction names this command (F01.FR.25)."""
    Command.objects.filter(pk=command.pk).update(request_id=command.payload["remoteStartId"])


def started(command: Command) -> None:
    """Link a transaction that had begun before, when the cable was plugged in (F02.FR.01)."""
    if command.status == "Accepted" and (reference := command.answer.get("transactionId")):
        begun = Transaction.objects.filter(charger=command.charger).with_reference(reference).first()
        if begun and command.transaction_id is None:
            Command.objects.filter(pk=command.pk).update(transaction=begun)
            charging.install_with_start(command, begun)


def start_for_retry(payload: JSON) -> JSON:
    return {name: value for name, value in payload.items() if name != "remoteStartId"}


def requested(payload: JSON) -> str:
    """Return the message that is sent; the request of each kind of certificate is a SignCertificate (F06)."""
    message: str = payload["requestedMessage"]
    return "SignCertificate" if message.startswith("Sign") else message


def check_trigger(payload: JSON, charger: Charger) -> tuple[()]:
    """Require a connector where the message is about one (F06.FR.13)."""
    if payload["requestedMessage"] == "StatusNotification" and "connectorId" not in payload.get("evse", {}):
        message = "A StatusNotification is about one connector: name its EVSE and the connector."
        raise schemas.Violation("evse.connectorId", message, "")
    return ()
