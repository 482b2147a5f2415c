"""End reservations: used, at a connector that cannot be used, or as the charger reports (OCPP 1.6 §5.13, 2.0.1 H)."""

from dataclasses import dataclass
from datetime import datetime

from chargers.services.connectors import ConnectorStatus
from core.db import bulk_sql
from transactions import sql
from transactions.models import Reservation

ENDS_A_RESERVATION = ("Faulted", "Unavailable")  # statuses of its connector
STATES = {"Expired": Reservation.EXPIRED}  # of a reported end; any other is a cancellation


@dataclass(frozen=True, slots=True)
class Ended:
    """A charger reports that its reservation has ended, `status` says why."""

    charger: int
    reservation_id: int
    status: str
    received_at: datetime


def end(ended: list[Ended]) -> None:
    """End those that are active, or whose ReserveNow is not answered yet."""
    rows = [
        {
            "id": one.reservation_id,
            "charger": one.charger,
            "state": STATES.get(one.status, Reservation.CANCELLED),
            "because": f"ReservationStatusUpdate {one.status}"[:100],
            "received_at": one.received_at,
        }
        for one in ended
    ]
    bulk_sql.execute(sql.END_REPORTED_RESERVATIONS, rows)


def use(used: list[tuple[int, int, int]]) -> None:
    """Mark reservations as used: (reservation id, charger, transaction id)."""
    names = ("id", "charger", "transaction")
    bulk_sql.execute(sql.USE_RESERVATION, [dict(zip(names, row, strict=True)) for row in used])


def end_unusable(statuses: list[ConnectorStatus]) -> None:
    """Cancel the reservations of connectors that cannot be used."""
    columns = ("charger", "evse_id", "connector_id", "status", "timestamp", "received_at")
    unusable = [status for status in statuses if status.status in ENDS_A_RESERVATION]
    bulk_sql.execute(sql.END_RESERVATIONS, [{column: getattr(s, column) for column in columns} for s in unusable])
