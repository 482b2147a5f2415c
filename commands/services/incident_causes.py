"""The rules of incidents about chargers, their commands and firmware campaigns."""

from chargers.services import incident_causes, incidents
from chargers.services.incidents import Rule
from commands import sql

RULES = (
    *incident_causes.RULES,
    Rule("command_failed", sql.FAILED_COMMANDS),
    Rule("campaign_stopped", sql.STOPPED_CAMPAIGNS),
)


def reconcile() -> None:
    """Open and close the incidents of chargers, see `chargers.services.incidents`."""
    incidents.reconcile(RULES)
