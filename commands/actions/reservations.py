"""Reservations at a charger, of any OCPP version: the charger decides their state."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from chargers.models import Charger, Connector
from commands.models import Command
from core.ocpp import schemas
from core.ocpp.timestamps import parse
from transactions.models import Reservation, Transaction
from transactions.services.reservations import ENDS_A_RESERVATION

Columns = dict[str, Any]  # of a `Reservation`


def known(number: Any, charger: Charger) -> Reservation | None:
    """Return the reservation `number` of `charger`, if there is one."""
    return Reservation.objects.filter(pk=number, charger=charger).first() if type(number) is int else None


def check(member: str, number: int, charger: Charger, expiry: str) -> Iterator[str]:
    """Raise `Violation` for the id of another charger's reservation; warn about a time that has passed."""
    if Reservation.objects.filter(pk=number).exclude(charger=charger).exists():
        raise schemas.Violation(member, "This reservation belongs to another charger.", "")
    moment = parse(expiry)
    if moment and moment <= datetime.now(UTC):
        yield "Its expiryDate has passed."


def activate(command: Command, number: int, columns: Columns) -> None:
    """Activate an accepted reservation; it replaces one with the same id (OCPP 1.6 §5.13, 2.0.1 H01.FR.02).

    It has ended if its charger has reported so since the command was sent, perhaps before its answer was stored.
    """
    if command.status == "Accepted":
        reported = Reservation.objects.filter(pk=number, charger=command.charger).exclude(state=Reservation.ACTIVE)
        if reported.filter(end_reported_at__gte=command.sent_at).update(**columns):
            return
        active = columns | {"state": Reservation.ACTIVE, "ended_because": "", "end_reported_at": None}
        Reservation.objects.update_or_create(id=number, charger=command.charger, defaults=active)
        _end_at_once(command, number, columns)


def _end_at_once(command: Command, number: int, columns: Columns) -> None:
    """End the reservation if a later message of the charger was stored before its answer."""
    reservation = Reservation.objects.filter(pk=number)
    since = {"charger": command.charger_id, "start_received_at__gte": command.sent_at}
    start = Transaction.objects.filter(**since, reservation_id=number).first()
    if start and start.is_accepted:
        reservation.update(state=Reservation.USED, ended_because=f"transaction {start.pk}")
        return
    places = {0, columns["evse_id"]}
    ending = Connector.objects.filter(charger=command.charger, evse_id__in=places, status__in=ENDS_A_RESERVATION)
    if connector := ending.filter(received_at__gte=command.sent_at).first():
        because = f"connector {connector.connector_id} {connector.status}"
        reservation.update(state=Reservation.CANCELLED, ended_because=because)


def cancelled(command: Command) -> None:
    if command.status == "Accepted":
        Reservation.objects.filter(
            pk=command.payload["reservationId"], charger=command.charger, state=Reservation.ACTIVE
        ).update(state=Reservation.CANCELLED, ended_because="CancelReservation")
