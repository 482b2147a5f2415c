"""CostUpdated (I02)."""

from chargers.models import Charger
from core.ocpp.schemas import JSON
from transactions.models import Transaction
from transactions.services import costs


def complete(payload: JSON, charger: Charger) -> None:
    """Fill in the cost of the named transaction so far, if a tariff applies to it."""
    reference = payload.get("transactionId")
    if "totalCost" in payload or not isinstance(reference, str):
        return
    named = Transaction.objects.filter(charger=charger).with_reference(reference).first()
    if named and (cost := costs.cost(named)) is not None:
        payload["totalCost"] = float(cost)
