"""ChangeAvailability (G03, G04)."""

from commands.actions import availability
from commands.models import Command


def changed(command: Command) -> None:
    """Without an EVSE all connectors of the charger are meant."""
    connectors = command.charger.connectors.all()
    evse = command.payload.get("evse", {})
    if evse.get("id"):
        connectors = connectors.filter(evse_id=evse["id"])
    if evse.get("connectorId"):
        connectors = connectors.filter(connector_id=evse["connectorId"])
    availability.changed(command, connectors, command.payload["operationalStatus"])
