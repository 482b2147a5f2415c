"""The effect of ChangeAvailability, in every OCPP version (1.6 §5.2, 2.0.1 G03 and G04)."""

from django.db.models import Q, QuerySet

from chargers.models import Connector
from commands.models import Command


def changed(command: Command, connectors: QuerySet[Connector], wanted: str) -> None:
    """Mark the `connectors` that the command is about as scheduled to be `wanted`, until their status follows."""
    if command.status not in ("Accepted", "Scheduled"):
        return
    connectors.update(scheduled_availability="")
    if command.status == "Scheduled":  # except connectors that already have the status
        unavailable = Q(status="Unavailable")
        connectors.filter(~unavailable if wanted == "Inoperative" else unavailable).update(
            scheduled_availability=wanted
        )
