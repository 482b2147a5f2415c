"""Handle the messages of OCPP 2.0.1 about reservations (block H)."""

from typing import Any

from core.ocpp.calls import Call
from transactions.services import reservations


def reservation_status_update(calls: list[Call]) -> list[dict[str, Any]]:
    """End a reservation that has expired or that the charger has removed (H01.FR.16, .17; H04.FR.01)."""
    ended = [
        reservations.Ended(
            call.charger, call.payload["reservationId"], call.payload["reservationUpdateStatus"], call.received_at
        )
        for call in calls
    ]
    reservations.end(ended)
    return [{} for _ in calls]
