"""ReserveNow and CancelReservation (H01, H02)."""

from collections.abc import Iterator

from chargers.models import Charger, Connector
from commands.actions import reservations
from commands.actions.ocpp201.id_tokens import group_id_token, id_token, with_type
from commands.models import Command
from core.ocpp import schemas
from core.ocpp.schemas import JSON
from core.ocpp.timestamps import parse, to_rfc3339
from transactions.models import Reservation
from transactions.models.reservations import next_reservation_id


def complete(payload: JSON, charger: Charger) -> None:
    """Complete a reservation that has a row by its columns; give one without an id the next free one.

    The admin names a stored reservation by `reservationId` in every OCPP version.
    """
    if "reservationId" in payload:
        payload.setdefault("id", payload.pop("reservationId"))
    if known := reservations.known(payload.get("id"), charger):
        for member, value in _members(known).items():
            payload.setdefault(member, value)
    if "id" not in payload:
        payload["id"] = next_reservation_id()
    for member in ("idToken", "groupIdToken"):
        if member in payload:
            payload[member] = with_type(payload[member])


def _members(known: Reservation) -> JSON:
    members: JSON = {"expiryDateTime": to_rfc3339(known.expiry_date)}
    members["idToken"] = (
        id_token(known.id_tag, known.id_token_type) if known.id_token_type else {"idToken": known.id_tag}
    )
    if known.evse_id:
        members["evseId"] = known.evse_id
    if known.connector_type:
        members["connectorType"] = known.connector_type
    if known.parent_id_tag:
        members["groupIdToken"] = group_id_token(known.parent_id_tag)
    return members


def check(payload: JSON, charger: Charger) -> Iterator[str]:
    if payload.get("evseId") == 0:
        raise schemas.Violation("evseId", "EVSE 0 is the charger as a whole: name an EVSE, or leave it out.", "")
    yield from reservations.check("id", payload["id"], charger, payload["expiryDateTime"])
    connectors = Connector.objects.filter(charger=charger, evse_id=payload.get("evseId", 0))
    if connector := connectors.exclude(status="Available").first():
        yield f"Connector {connector.connector_id} is {connector.status}."


def submitted(command: Command) -> None:
    """Create the reservation, `Inactive` until the charger accepts it."""
    Reservation.objects.get_or_create(id=command.payload["id"], defaults=_columns(command))


def reserved(command: Command) -> None:
    reservations.activate(command, command.payload["id"], _columns(command))


def _columns(command: Command) -> reservations.Columns:
    request = command.payload.opened()  # a PIN too, by which the reservation is sent again
    return {
        "charger": command.charger,
        "evse_id": request.get("evseId", 0),
        "connector_id": 0,
        "connector_type": request.get("connectorType", ""),
        "id_tag": request["idToken"]["idToken"],
        "id_token_type": request["idToken"]["type"],
        "parent_id_tag": request.get("groupIdToken", {}).get("idToken", ""),
        "expiry_date": parse(request["expiryDateTime"]) or command.created_at,
    }


cancelled = reservations.cancelled
