"""End reservations when they are used or when their connector cannot be used (OCPP 1.6 §5.13)."""

from chargers.services.connectors import ConnectorStatus
from core.db import bulk_sql
from transactions import sql

ENDS_A_RESERVATION = ("Faulted", "Unavailable")  # statuses of its connector


def use(used: list[tuple[int, int, int]]) -> None:
    """Mark reservations as used: (reservation id, charger, transaction id)."""
    names = ("id", "charger", "transaction")
    bulk_sql.execute(sql.USE_RESERVATION, [dict(zip(names, row, strict=True)) for row in used])


def end_unusable(statuses: list[ConnectorStatus]) -> None:
    """Cancel the reservations of connectors that cannot be used."""
    columns = ("charger", "connector_id", "status", "timestamp", "received_at")
    unusable = [status for status in statuses if status.status in ENDS_A_RESERVATION]
    bulk_sql.execute(sql.END_RESERVATIONS, [{column: getattr(s, column) for column in columns} for s in unusable])
