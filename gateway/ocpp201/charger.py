"""Handle the messages of OCPP 2.0.1 about the charger itself. Each function answers CALLs of one action."""

from typing import Any

from chargers.services import boots, connectors
from commands.services.submission import read_configuration
from core.ocpp.calls import Call
from core.ocpp.timestamps import clamp
from gateway import common
from transactions.services import reservations


def boot_notification(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer by the operator's policy for the charger (B01, B02, B03), and read its device model if set so."""
    statuses = boots.record([_boot(call) for call in calls])
    accepted = {call.charger for call, status in zip(calls, statuses, strict=True) if status == "Accepted"}
    read_configuration(accepted)
    return [common.registration(status) for status in statuses]


def _boot(call: Call) -> boots.Boot:
    station = call.payload["chargingStation"]
    modem = station.get("modem", {})
    return boots.Boot(
        id=call.charger,
        received_at=call.received_at,
        vendor=station.get("vendorName", ""),
        model=station.get("model", ""),
        serial_number=station.get("serialNumber", ""),
        firmware_version=station.get("firmwareVersion", ""),
        iccid=modem.get("iccid", ""),
        imsi=modem.get("imsi", ""),
        reason=call.payload["reason"],
    )


def status_notification(calls: list[Call]) -> list[dict[str, Any]]:
    """Store the status of connectors (G01), and end reservations of those that cannot be used (H01)."""
    reported = [(call, _connector_status(call)) for call in calls]
    connectors.record(reported)
    reservations.end_unusable([status for _, status in reported])
    return [{} for _ in calls]


def _connector_status(call: Call) -> connectors.ConnectorStatus:
    sent = call.payload
    return connectors.ConnectorStatus(
        charger=call.charger,
        evse_id=sent["evseId"],
        connector_id=sent["connectorId"],
        status=sent["connectorStatus"],
        timestamp=clamp(sent["timestamp"], call.received_at),
        raw_timestamp=sent["timestamp"][:64],
        received_at=call.received_at,
    )
