"""Prometheus metrics of sockets, messages, the batch writer and events of one process (see docs/monitoring.md).

No label value is chosen by a charger, because one charger could then create an unlimited number of series. An unknown
action or close code is counted as "other".
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from chargers.services import budgets
from core.db import faults
from core.ocpp.versions import BY_SUBPROTOCOL

# A registry of this project's own, because libraries register their metrics in the default one.
disable_created_metrics()
registry = CollectorRegistry()
ProcessCollector(registry=registry)

OTHER = "other"
ACTIONS = frozenset().union(*(version.schemas.actions for version in BY_SUBPROTOCOL.values()))
REASONS = {400: "subprotocol", 401: "credentials", 404: "unknown", 426: "upgrade", 429: "too_often"}  # by HTTP status
# The close codes of RFC 6455 §7.4.1 and of this server. A charger may send any number.
CLOSE_CODES = frozenset([*range(1000, 1016), 4001, 4003])
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

messages = Counter(
    "ocpp_messages",
    "CALLs of chargers by outcome: result, repeated, outdated (by a replaced socket), or the code of the CALLERROR.",
    ["action", "outcome"],
    registry=registry,
)
late_replies = Counter(
    "ocpp_late_replies", "Answers of chargers that were received after their task had ended.", registry=registry
)
unasked_replies = Counter(
    "ocpp_unasked_replies", "Answers of chargers whose message id is that of no command.", registry=registry
)
batch_size = Histogram(
    "ocpp_batch_writer_batch_size",
    "Entries in a batch.",
    registry=registry,
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
batch_seconds = Histogram(
    "ocpp_batch_writer_batch_seconds", "Time to process and commit a batch.", registry=registry, buckets=BUCKETS_S
)
batch_writer_latency = Histogram(
    "ocpp_batch_writer_latency_seconds",
    "Time from receiving the oldest CALL of a batch to the commit.",
    registry=registry,
    buckets=BUCKETS_S,
)
commit_failures = Counter(
    "ocpp_commit_failures",
    "Failed attempts to commit a batch by kind: away, read_only, full, table_locked, slow (the batch is retried), "
    "locked (the chargers concerned are set aside), spoiled (one entry failed), lost (an error of this server).",
    ["kind"],
    registry=registry,
)
refused_handshakes = Counter(
    "ocpp_refused_handshakes", "Handshakes that were refused, by reason.", ["reason"], registry=registry
)
opened_sockets = Counter("ocpp_opened_sockets", "Opened sockets of chargers.", registry=registry)
closed_sockets = Counter(
    "ocpp_closed_sockets",
    "Closed sockets of chargers by close code (1009: too large, 4001: replaced).",
    ["code"],
    registry=registry,
)
open_sockets = Gauge("ocpp_open_sockets", "Open sockets of chargers in this process.", registry=registry)
batch_writer_waiting = Gauge(
    "ocpp_batch_writer_waiting",
    "Entries that wait for the next batch. No socket is read while there are 5000 or more.",
    registry=registry,
)
chargers_set_aside = Gauge(
    "ocpp_chargers_set_aside",
    "Chargers that wait for another database session to unlock their rows.",
    registry=registry,
)
batch_writer_oldest = Gauge(
    "ocpp_batch_writer_oldest_seconds",
    "Time for which the oldest unanswered message of a charger has waited.",
    registry=registry,
)
held_sockets = Counter(
    "ocpp_held_sockets",
    "How often reading a socket was paused, because its charger sent too much.",
    registry=registry,
)
event_loop_lag = Histogram(
    "ocpp_event_loop_lag_seconds",
    "Delay of the event loop of a web process, measured twice a second.",
    registry=registry,
    buckets=BUCKETS_S,
)
events_published = Counter(
    "ocpp_events_published", "Events published live to dashboards and streams.", registry=registry
)
events_unpublished = Counter(
    "ocpp_events_unpublished",
    "Events that were not published live to dashboards and streams: Redis was unavailable, too many waited, or an "
    "error of this server.",
    ["reason"],
    registry=registry,
)
messages_kept = Counter("ocpp_message_log_kept", "Frames that the message log has stored.", registry=registry)
messages_dropped = Counter(
    "ocpp_message_log_dropped",
    "Frames that are missing in the message log: too many waited, or an error of this server.",
    ["reason"],
    registry=registry,
)
findings = Counter(
    "ocpp_findings",
    "Messages of chargers that depart from OCPP, by action and kind (see docs/tolerance.md).",
    ["action", "kind"],
    registry=registry,
)
budget_exceeded = Counter(
    "ocpp_budget_exceeded",
    "Messages of chargers beyond a budget: they were processed later, or not completely stored.",
    ["budget"],
    registry=registry,
)
notifications = Counter(
    "ocpp_notifications",
    "Attempts to send notifications of incidents: delivered, failed (is retried), dead (is not retried).",
    ["outcome"],
    registry=registry,
)
webhook_deliveries = Counter(
    "ocpp_webhook_deliveries",
    "Attempts to deliver an event to a webhook: delivered, failed (is retried), dead (is not retried).",
    ["outcome"],
    registry=registry,
)

# Series are created as 0 at the start, because Prometheus sees the step to 1 only after a 0.
for counter, values in (
    (commit_failures, (*faults.KINDS, "spoiled", "lost")),
    (refused_handshakes, (*REASONS.values(), OTHER)),
    (closed_sockets, ("1009",)),
    (messages_dropped, ("too_many", "fault")),
    (events_unpublished, ("redis_away", "too_many", "fault")),
    (webhook_deliveries, ("delivered", "failed", "dead")),
    (budget_exceeded, budgets.BUDGETS),
):
    for value in values:
        counter.labels(value)

_children: dict = {}  # children of `messages`, because looking one up by its labels costs more than counting


def count_message(action: str, outcome: str) -> None:
    """Count an answered CALL. `outcome` must not be chosen by the charger."""
    key = (action if action in ACTIONS else OTHER, outcome)
    child = _children.get(key)
    if child is None:
        child = _children[key] = messages.labels(*key)
    child.inc()


def count_finding(action: str, field: str, kind: str) -> None:
    """Count a finding of `kind` in the member `field` of a message of `action`, or of an answer to it."""
    action = action.removesuffix("Response")
    findings.labels(action if action in ACTIONS else OTHER, kind).inc()
    if budget := budgets.exceeded(field, kind):
        budget_exceeded.labels(budget.name).inc()


def count_refusal(status: int) -> None:
    """Count a handshake that was refused with this HTTP status."""
    refused_handshakes.labels(REASONS.get(status, OTHER)).inc()


def count_close(code: int | None) -> None:
    """Count a closed socket. The charger may have chosen the code."""
    closed_sockets.labels(str(code) if code in CLOSE_CODES else OTHER).inc()


def count_unpublished(reason: str, events: int) -> None:
    events_unpublished.labels(reason).inc(events)
