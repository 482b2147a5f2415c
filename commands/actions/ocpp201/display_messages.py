"""SetDisplayMessage (O01, O02, O06), GetDisplayMessages (O03, O04) and ClearDisplayMessage (O05)."""

from collections.abc import Iterator
from datetime import UTC, datetime

from django.db.models import Q

from chargers.models import Charger, Variable
from chargers.models.variables import ACTUAL
from commands.models import Command, DisplayMessage, next_request_id
from commands.services import display_messages
from commands.services.display_messages import Criteria, Shown
from core.ocpp import schemas
from core.ocpp.schemas import JSON
from core.ocpp.timestamps import parse
from transactions.models import Transaction

CONTROLLER = "DisplayMessageCtrlr"  # the component that describes the displays of a charger
UNKNOWN = "Unknown"  # the status of an answer: there is no such message


def shown(info: JSON) -> Shown:
    """Decode a MessageInfo, in which everything except the id may be missing, because a charger may have sent it."""
    message, display = info.get("message", {}), info.get("display", {})
    evse = display.get("evse", {})
    return Shown(
        message_id=info["id"],
        priority=info.get("priority", ""),
        state=info.get("state", ""),
        start_at=parse(info.get("startDateTime", "")),
        end_at=parse(info.get("endDateTime", "")),
        transaction_reference=info.get("transactionId", ""),
        format=message.get("format", ""),
        language=message.get("language", ""),
        content=message.get("content", ""),
        component=display.get("name", ""),
        component_instance=display.get("instance", ""),
        evse_id=evse.get("id"),
        connector_id=evse.get("connectorId"),
    )


# --- SetDisplayMessage -----------------------------------------------------------------------


def complete_set(payload: JSON, charger: Charger) -> None:
    """Give a message without an id one that its charger does not have yet."""
    message = payload.get("message")
    if isinstance(message, dict) and "id" not in message:
        number = next_request_id()
        while display_messages.is_taken(charger.pk, number):
            number = next_request_id()
        payload["message"] = {"id": number, **message}


def check_set(payload: JSON, charger: Charger) -> Iterator[str]:
    """Refuse a message for a transaction that the charger never had; warn of what it has to reject or cannot show."""
    message = payload["message"]
    yield from _of_transaction(message, charger)
    yield from _of_times(message)
    yield from _unsupported(message, charger)
    yield from _of_display(message, charger)


def _of_transaction(message: JSON, charger: Charger) -> Iterator[str]:
    if (reference := message.get("transactionId")) is None:
        return
    transaction = Transaction.objects.filter(charger=charger).with_reference(reference).first()
    if transaction is None:
        raise schemas.Violation("message.transactionId", "The charger has no transaction with this id.", "")
    if transaction.stop_received_at:
        yield "Its transaction has ended, and the charger removes a message at the end of its transaction."


def _of_times(message: JSON) -> Iterator[str]:
    start, end = parse(message.get("startDateTime", "")), parse(message.get("endDateTime", ""))
    now = datetime.now(UTC)
    if end and end <= max(start or now, now):
        yield "It is never shown, because its endDateTime has passed or is not after its startDateTime."


def _unsupported(message: JSON, charger: Charger) -> Iterator[str]:
    """Yield what the charger does not support, as far as it has reported what it supports."""
    values = _controller(charger)
    used = {
        "SupportedPriorities": message["priority"],
        "SupportedStates": message.get("state", ""),
        "SupportedFormats": message["message"]["format"],
    }
    for variable, value in used.items():
        supported = [each.strip() for each in (values.get(variable) or "").split(",") if each.strip()]
        if value and supported and value not in supported:
            yield f"The charger has reported {variable} {', '.join(supported)}, without {value}."
    if "false" in (values.get("Available"), values.get("Enabled")):
        yield "The charger has reported that it shows no messages."


def _controller(charger: Charger) -> dict[str, str | None]:
    rows = Variable.objects.filter(charger=charger, component=CONTROLLER, instance="", attribute=ACTUAL)
    return dict(rows.values_list("variable", "value"))


def _of_display(message: JSON, charger: Charger) -> Iterator[str]:
    """Yield a warning if the charger has reported its components, but not the one that shall show the message."""
    if (display := message.get("display")) is None:
        return
    components = Variable.objects.filter(charger=charger).exclude(component="")
    wanted = Q(component__iexact=display["name"], component_instance__iexact=display.get("instance", ""))
    if components.exists() and not components.filter(wanted).exists():
        yield f"The charger has reported no component {display['name']}."


def was_set(command: Command) -> None:
    if command.status == "Accepted":
        sent_at = command.sent_at or command.created_at
        display_messages.accept(command.charger_id, shown(command.payload["message"]), sent_at)


# --- GetDisplayMessages and ClearDisplayMessage ----------------------------------------------


def criteria_of(payload: JSON) -> Criteria:
    """Decode the criteria of a GetDisplayMessages."""
    ids = payload.get("id")
    return Criteria(None if ids is None else tuple(ids), payload.get("priority", ""), payload.get("state", ""))


def were_read(command: Command) -> None:
    """Delete the messages that the charger does not have (O03.FR.06, O04.FR.02); others it reports later."""
    if command.status == UNKNOWN:
        reported(command, [])


def reported(command: Command, message_ids: list[int]) -> None:
    """Delete the messages that meet the criteria of `command`, except those that its whole report has."""
    since = command.sent_at or command.created_at
    display_messages.remove(command.charger_id, criteria_of(command.payload), since, message_ids)


def was_cleared(command: Command) -> None:
    """Delete the message, which the charger has removed or never had."""
    if command.status in ("Accepted", UNKNOWN):
        DisplayMessage.objects.filter(charger=command.charger, message_id=command.payload["id"]).delete()
