"""Record the status of connectors (OCPP 1.6 §4.9)."""

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

from chargers import sql
from chargers.services import budgets, events
from core.db import bulk_sql
from core.ocpp.calls import Call

STATUS_EVENT_FIELDS = (
    *("evse_id", "connector_id", "status"),
    *("error_code", "info", "vendor_id", "vendor_error_code", "timestamp"),
)


class ConnectorStatus(NamedTuple):
    """The status of a connector as its charger (primary key) reports it; connector 0 is the EVSE or charger itself.

    `timestamp` is the time of the charger, limited to the time of receipt; `raw_timestamp` is its text as sent.
    """

    charger: int
    evse_id: int
    connector_id: int
    status: str
    timestamp: datetime
    raw_timestamp: str
    received_at: datetime
    error_code: str = ""
    info: str = ""
    vendor_id: str = ""
    vendor_error_code: str = ""


def record(reported: list[tuple[Call, ConnectorStatus]]) -> None:
    """Store statuses within the budget of each charger, and record an event for each that is stored."""
    statuses = {(s.charger, s.evse_id, s.connector_id): s for s in _within_limit(reported)}
    for key in bulk_sql.execute(sql.RECORD_STATUS, [status._asdict() for status in statuses.values()]):
        status = statuses[key]
        fields = {name: getattr(status, name) for name in STATUS_EVENT_FIELDS}
        events.record_event("connector.status", status.charger, **fields)


def _within_limit(reported: list[tuple[Call, ConnectorStatus]]) -> list[ConnectorStatus]:
    """Return the statuses of connectors that may be stored. Only large ids need a query."""
    limit = budgets.BUDGETS["connectors"].limit
    high = {status.charger for _, status in reported if limit and _is_high(status, limit)}
    known = defaultdict(set)
    for charger, *place in bulk_sql.query(sql.CONNECTORS, [bulk_sql.array(sorted(high))]) if high else ():
        known[charger].add(tuple(place))
    return [status for call, status in reported if not high or _has_room(call, status, known[status.charger], limit)]


def _is_high(status: ConnectorStatus, limit: int) -> bool:
    """Whether connectors with ids up to these may be more than `limit`. In OCPP 1.6 both ids are the same."""
    evse_id, connector_id = status.evse_id, status.connector_id
    return (connector_id if evse_id == connector_id else max(1, evse_id) * max(1, connector_id)) > limit


def _has_room(call: Call, status: ConnectorStatus, known: set[tuple[int, ...]], limit: int) -> bool:
    place = status.evse_id, status.connector_id
    if not _is_high(status, limit) or place in known or len(known) < limit:
        return True
    call.find(*budgets.BUDGETS["connectors"].finding, status.connector_id)
    return False
