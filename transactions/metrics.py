"""What a process counts of transactions, for Prometheus (see docs/monitoring.md)."""

from prometheus_client import Counter

from chargers.metrics import registry

orphan_stops = Counter(
    "ocpp_orphan_stops", "StopTransactions of transactions that are not in the books.", registry=registry
)
