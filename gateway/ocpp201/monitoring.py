"""Handle NotifyMonitoringReport, NotifyEvent and NotifyCustomerInformation of OCPP 2.0.1 (N02, N07 to N10)."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

from chargers.models.monitors import CUSTOM, HARDWIRED, PRECONFIGURED
from chargers.services import budgets, connectors, monitors
from chargers.services.connectors import ConnectorStatus
from chargers.services.monitors import ReportedEvent, ReportedMonitor
from commands.actions.ocpp201 import monitoring, names
from commands.services import customers, reports
from core.ocpp.calls import Call
from core.ocpp.redaction import without_secrets
from core.ocpp.schemas import JSON
from core.ocpp.timestamps import clamp, parse_or
from gateway.ocpp201 import parts
from transactions.services import reservations

SOURCES = {"CustomMonitor": CUSTOM, "PreconfiguredMonitor": PRECONFIGURED, "HardWiredMonitor": HARDWIRED}
IDS = range(1, 2**31)  # of an EVSE and a connector


def notify_monitoring_report(calls: list[Call]) -> list[dict[str, Any]]:
    """Store the monitors of each part at once. A whole report of all monitors replaces the stored ones (N02)."""
    current, new = parts.store(calls, _part)
    excess = monitors.report([(call.charger, _monitors(call.payload)) for call in current], parts.times(current))
    for call in current:
        if call.charger in excess:
            call.find(*budgets.BUDGETS["monitors"].finding, excess[call.charger])
    for report in reports.assemble(new, "GetMonitoringReport"):
        settings = (setting for item in report.items for setting in item.get("variableMonitoring", []))
        monitoring.reported(report.command, [setting["id"] for setting in settings])
    return [{} for _ in calls]


def _part(call: Call) -> reports.Part:
    sent = call.payload
    is_last = not sent.get("tbc", False)
    return reports.Part(call, sent["requestId"], is_last, sent.get("monitor", []), sent.get("seqNo"))


def _monitors(payload: JSON) -> Iterator[ReportedMonitor]:
    for item in payload.get("monitor", []):
        for setting in item["variableMonitoring"]:
            value = setting.get("value")
            yield ReportedMonitor(
                names.read(item),
                setting["id"],
                type=setting["type"],
                value=value if value is not None and isfinite(value) else None,
                severity=setting.get("severity"),
                transaction=setting["transaction"],
            )


def notify_event(calls: list[Call]) -> list[dict[str, Any]]:
    """Store events (N07, N08), and the statuses of connectors in them, which may stand for StatusNotifications."""
    monitors.record_events([_event(call, event) for call in calls for event in call.payload["eventData"]])
    reported = [(call, status) for call in calls for status in _statuses(call)]
    connectors.record(reported)
    reservations.end_unusable([status for _, status in reported])
    return [{} for _ in calls]


def _event(call: Call, sent: JSON) -> ReportedEvent:
    head, event = call.payload, without_secrets(sent)
    return ReportedEvent(
        call,
        names.read(event),
        timestamp=parse_or(event["timestamp"], call.received_at),
        raw_timestamp=event["timestamp"][:64],
        generated_at=parse_or(head["generatedAt"], call.received_at),
        raw_generated_at=head["generatedAt"][:64],
        event_id=event.get("eventId"),
        cause=event.get("cause"),
        trigger=event["trigger"],
        notification_type=event["eventNotificationType"],
        actual_value=event["actualValue"],
        cleared=event.get("cleared", False),
        tech_code=event.get("techCode", ""),
        tech_info=event.get("techInfo", ""),
        monitor_id=event.get("variableMonitoringId"),
        source=SOURCES.get(event["eventNotificationType"], ""),
        reference=event.get("transactionId", ""),
        seq_no=head.get("seqNo"),
    )


def _statuses(call: Call) -> Iterator[ConnectorStatus]:
    """Yield the statuses of connectors in the events of a NotifyEvent."""
    for event in call.payload["eventData"]:
        name = names.read(event)
        is_status = (name.component.lower(), name.variable.lower()) == ("connector", "availabilitystate")
        evse_id, connector_id = name.evse_id or 0, name.connector_id or 0
        if is_status and event["actualValue"] and evse_id in IDS and connector_id in IDS:
            yield ConnectorStatus(
                call.charger,
                evse_id=evse_id,
                connector_id=connector_id,
                status=event["actualValue"],
                timestamp=clamp(event["timestamp"], call.received_at),
                raw_timestamp=event["timestamp"][:64],
                received_at=call.received_at,
            )


def notify_customer_information(calls: list[Call]) -> list[dict[str, Any]]:
    """Store what a charger knows of a customer with the command that requested it (N09, N10)."""
    customers.collect([_information(call) for call in calls])
    return [{} for _ in calls]


def _information(call: Call) -> customers.Part:
    sent = call.payload
    return customers.Part(call, sent["requestId"], not sent.get("tbc", False), sent["data"], sent.get("seqNo"))
