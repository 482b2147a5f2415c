"""Rules for commands to a charger that is not accepted (OCPP 1.6 §4.2, J errata 3.10)."""

from chargers.models import Charger
from core.ocpp.versions import Version


def reason_not_allowed(charger: Charger, version: Version, action: str) -> str | None:
    """Return the reason why `action` of `version` may not be sent to `charger` now, or None."""
    if charger.effective_status == "Rejected":
        return f"Charger {charger} is Rejected: nothing may be sent to it until it boots again and is accepted."
    if charger.effective_status == "Pending" and action in version.not_while_pending:
        return f"Charger {charger} is Pending: {action} may not be sent until it boots again and is accepted."
    return None
