"""ChangeAvailability (G03, G04)."""

from django.db.models import Q

from chargers.models import Connector
from commands.models import Command


def changed(command: Command) -> None:
    """Mark the connectors as scheduled until their status follows; without an EVSE all of the charger are meant."""
    if command.status not in ("Accepted", "Scheduled"):
        return
    connectors = Connector.objects.filter(charger=command.charger)
    evse = command.payload.get("evse", {})
    if evse.get("id"):
        connectors = connectors.filter(evse_id=evse["id"])
    if evse.get("connectorId"):
        connectors = connectors.filter(connector_id=evse["connectorId"])
    wanted = command.payload["operationalStatus"]
    connectors.update(scheduled_availability="")
    if command.status == "Scheduled":  # except connectors that already have the status
        unavailable = Q(status="Unavailable")
        connectors.filter(~unavailable if wanted == "Inoperative" else unavailable).update(
            scheduled_availability=wanted
        )
