"""Whether changes that a charger accepted wait for its next boot. All OCPP versions share this."""

from chargers.models import Charger
from commands.models import Command


def is_awaited(command: Command, status: str) -> bool:
    """Whether the change with this `status` waits for a boot; not if the charger booted after it was sent."""
    booted_at = Charger.objects.values_list("last_boot_at", flat=True).get(pk=command.charger_id)
    has_booted = booted_at and command.sent_at and booted_at > command.sent_at
    return status == "RebootRequired" and not has_booted
