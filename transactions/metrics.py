"""What a process counts of transactions, for Prometheus (see docs/monitoring.md)."""

from collections.abc import Iterable

from prometheus_client import Counter

from chargers.metrics import registry

orphan_stops = Counter(
    "ocpp_orphan_stops", "StopTransactions of transactions that are not in the books.", registry=registry
)
refused = Counter(
    "ocpp_refused_transaction_messages",
    "Messages about transactions that were refused, and are kept until an operator applies them.",
    ["action"],
    registry=registry,
)
# Told from the start, as 0: Prometheus sees the step to 1 only where there was a 0.
for action in ("StartTransaction", "StopTransaction", "MeterValues"):
    refused.labels(action)


def count_refused(actions: Iterable[str]) -> None:
    """Messages of these actions were refused and kept."""
    for action in actions:
        refused.labels(action).inc()
