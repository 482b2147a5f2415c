"""End reservations when they are used or when their connector cannot be used (OCPP 1.6 §5.13)."""

from chargers.services.connectors import ConnectorStatus
from core.db import bulk_sql

ENDS_A_RESERVATION = ("Faulted", "Unavailable")  # statuses of its connector

USE_RESERVATION = """
UPDATE transactions_reservation r SET state = 'Used', ended_because = 'StartTransaction ' || s.transaction
FROM json_to_recordset(%s) AS s(id bigint, charger bigint, transaction int)
WHERE r.id = s.id AND r.charger_id = s.charger AND r.state = 'Active'
"""

# Only a notification that became the status of its connector (STATUS in `chargers.sql`) counts, whatever its
# time; one that the charger queued offline before the reservation was made does not end it.
END_RESERVATIONS = """
UPDATE transactions_reservation r SET
    state = 'Cancelled', ended_because = 'connector ' || s.connector_id || ' ' || s.status
FROM json_to_recordset(%s) AS s(charger bigint, connector_id int, status text, timestamp timestamptz,
        received_at timestamptz)
    JOIN chargers_connector k ON k.charger_id = s.charger AND k.connector_id = s.connector_id
        AND k.received_at = s.received_at
WHERE r.charger_id = s.charger AND r.state = 'Active' AND s.connector_id IN (0, r.connector_id)
    AND (s.timestamp >= r.created_at - interval '5 minutes' OR NOT EXISTS (
        SELECT FROM chargers_charger h WHERE h.id = s.charger
            AND s.timestamp >= h.disconnected_at - interval '1 minute' AND s.timestamp < h.connected_at))
"""


def use(used: list[tuple[int, int, int]]) -> None:
    """Mark reservations as used: (reservation id, charger, transaction id)."""
    names = ("id", "charger", "transaction")
    bulk_sql.execute(USE_RESERVATION, [dict(zip(names, row, strict=True)) for row in used])


def end_unusable(statuses: list[ConnectorStatus]) -> None:
    """Cancel the reservations of connectors that cannot be used."""
    columns = ("charger", "connector_id", "status", "timestamp", "received_at")
    unusable = [status for status in statuses if status.status in ENDS_A_RESERVATION]
    bulk_sql.execute(END_RESERVATIONS, [{column: getattr(s, column) for column in columns} for s in unusable])
