"""ReserveNow and CancelReservation (OCPP 1.6 §5.13, §5.1): the charger decides the state of a reservation."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from chargers.models import Charger, Connector
from commands.models import Command
from core.ocpp import schemas
from core.ocpp.schemas import JSON
from core.ocpp.timestamps import parse, to_rfc3339
from transactions.models import Reservation, Transaction
from transactions.models.reservations import next_reservation_id
from transactions.services.reservations import ENDS_A_RESERVATION


def complete(payload: JSON, charger: Charger) -> None:
    """Complete a reservation that has a row by its columns; give one without an id the next free one."""
    number = payload.get("reservationId")
    known = type(number) is int and Reservation.objects.filter(pk=number, charger=charger).first()
    if known:
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
    if Reservation.objects.filter(pk=payload["reservationId"]).exclude(charger=charger).exists():
        raise schemas.Violation("reservationId", "This reservation belongs to another charger.", "")
    expiry = parse(payload["expiryDate"])
    if expiry and expiry <= datetime.now(UTC):
        yield "Its expiryDate has passed."
    connector = Connector.objects.filter(charger=charger, connector_id=payload["connectorId"]).first()
    if connector and connector.status != "Available":
        yield f"Connector {connector.connector_id} is {connector.status}."


def submitted(command: Command) -> None:
    """Create the reservation, `Inactive` until the charger accepts it."""
    Reservation.objects.get_or_create(id=command.payload["reservationId"], defaults=_columns(command))


def reserved(command: Command) -> None:
    """Activate an accepted reservation; it replaces one with the same id (OCPP 1.6 §5.13)."""
    if command.status == "Accepted":
        active = _columns(command) | {"state": Reservation.ACTIVE, "ended_because": ""}
        Reservation.objects.update_or_create(
            id=command.payload["reservationId"], charger=command.charger, defaults=active
        )
        _end_at_once(command)


def _end_at_once(command: Command) -> None:
    """End the reservation if a later message of the charger was stored before its answer."""
    reservation = Reservation.objects.filter(pk=command.payload["reservationId"])
    since = {"charger": command.charger_id, "start_received_at__gte": command.sent_at}
    start = Transaction.objects.filter(**since, reservation_id=command.payload["reservationId"]).first()
    if start and start.is_accepted:
        reservation.update(state=Reservation.USED, ended_because=f"StartTransaction {start.pk}")
        return
    connector_ids = [0, command.payload["connectorId"]]
    ending = Connector.objects.filter(
        charger=command.charger, connector_id__in=connector_ids, status__in=ENDS_A_RESERVATION
    )
    if connector := ending.filter(received_at__gte=command.sent_at).first():
        because = f"connector {connector.connector_id} {connector.status}"
        reservation.update(state=Reservation.CANCELLED, ended_because=because)


def cancelled(command: Command) -> None:
    if command.status == "Accepted":
        Reservation.objects.filter(
            pk=command.payload["reservationId"], charger=command.charger, state=Reservation.ACTIVE
        ).update(state=Reservation.CANCELLED, ended_because="CancelReservation")


def _columns(command: Command) -> dict[str, Any]:
    request = command.payload
    return {
        "charger": command.charger,
        "connector_id": request["connectorId"],
        "id_tag": request["idTag"],
        "parent_id_tag": request.get("parentIdTag", ""),
        "expiry_date": parse(request["expiryDate"]) or command.created_at,
    }
