"""Prometheus counters of transactions (see docs/monitoring.md)."""

from collections.abc import Iterable

from prometheus_client import Counter

from chargers.metrics import registry

orphan_stops = Counter(
    "ocpp_orphan_stops", "StopTransactions that name a transaction which is not in the database.", registry=registry
)
refused = Counter(
    "ocpp_refused_transaction_messages",
    "Messages about transactions that were refused, and are stored until an operator applies them.",
    ["action"],
    registry=registry,
)
# Export 0 from the start, because Prometheus sees the step to 1 only after a 0.
for action in ("StartTransaction", "StopTransaction", "MeterValues"):
    refused.labels(action)


def count_refused(actions: Iterable[str]) -> None:
    """Count refused and stored messages by their actions."""
    for action in actions:
        refused.labels(action).inc()
