"""Handle the messages of OCPP 2.0.1 about the charger itself. Each function answers CALLs of one action."""

from typing import Any

from chargers.services import boots, connectors, notifications
from commands.services.submission import read_configuration
from core.ocpp.calls import Call, CallKey
from core.ocpp.timestamps import clamp
from gateway import common
from transactions.services import reservations

INVALID_CERTIFICATE = "InvalidChargingStationCertificate"  # a security event that the central system records itself


def boot_notification(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer by the operator's policy for the charger (B01, B02, B03), and read its device model if set so."""
    foreign = _with_foreign_certificates(calls)
    own = [call for call in calls if call.key not in foreign]
    statuses = dict(zip((call.key for call in own), boots.record([_boot(call) for call in own]), strict=True))
    read_configuration({call.charger for call in own if statuses[call.key] == "Accepted"})
    return [common.registration(statuses.get(call.key, "Rejected")) for call in calls]


def _with_foreign_certificates(calls: list[Call]) -> set[CallKey]:
    """Return the keys of boots with another serial number than the client certificate has (B01.FR.11).

    Their sockets are closed (B01.FR.12). A certificate with the id of the charger as its name has no serial number.
    """
    foreign = [call for call in calls if _has_foreign_certificate(call)]
    for call in foreign:
        call.closes = "The serial number is not that of the client certificate."
        call.find("chargingStation.serialNumber", "rejected", call.payload["chargingStation"]["serialNumber"])
    notifications.record_security_events([_mismatch(call) for call in foreign])
    return {call.key for call in foreign}


def _has_foreign_certificate(call: Call) -> bool:
    serial = call.payload["chargingStation"].get("serialNumber")
    return bool(serial and call.serials) and serial not in call.serials


def _mismatch(call: Call) -> notifications.ReportedEvent:
    names = ", ".join(sorted(call.serials))
    tech_info = f"It booted as {call.payload['chargingStation']['serialNumber']} with the certificate of {names}."
    return notifications.ReportedEvent(call, INVALID_CERTIFICATE, call.received_at, "", tech_info)


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
