"""ReserveNow and CancelReservation (OCPP 1.6 §5.13, §5.1)."""

from collections.abc import Iterator

from chargers.models import Charger, Connector
from commands.actions import reservations
from commands.models import Command
from core.ocpp.schemas import JSON
from core.ocpp.timestamps import parse, to_rfc3339
from transactions.models import Reservation
from transactions.models.reservations import next_reservation_id


def complete(payload: JSON, charger: Charger) -> None:
    """Complete a reservation that has a row by its columns; give one without an id the next free one."""
    if known := reservations.known(payload.get("reservationId"), charger):
        members = {
            "connectorId": known.connector_id,
            "expiryDate": to_rfc3339(known.expiry_date),
            "idTag": known.id_tag,
        }
        if known.parent_id_tag:
            members["parentIdTag"] = known.parent_id_tag
        for member, value in members.items():
            payload.setdefault(member, value)
    if "reservationId" not in payload:
        payload["reservationId"] = next_reservation_id()


def check(payload: JSON, charger: Charger) -> Iterator[str]:
    yield from reservations.check("reservationId", payload["reservationId"], charger, payload["expiryDate"])
    connector = Connector.objects.filter(charger=charger, connector_id=payload["connectorId"]).first()
    if connector and connector.status != "Available":
        yield f"Connector {connector.connector_id} is {connector.status}."


def submitted(command: Command) -> None:
    """Create the reservation, `Inactive` until the charger accepts it."""
    Reservation.objects.get_or_create(id=command.payload["reservationId"], defaults=_columns(command))


def reserved(command: Command) -> None:
    reservations.activate(command, command.payload["reservationId"], _columns(command))


def _columns(command: Command) -> reservations.Columns:
    request = command.payload
    return {
        "charger": command.charger,
        "evse_id": request["connectorId"],
        "connector_id": request["connectorId"],
        "id_tag": request["idTag"],
        "parent_id_tag": request.get("parentIdTag", ""),
        "expiry_date": parse(request["expiryDate"]) or command.created_at,
    }


cancelled = reservations.cancelled
