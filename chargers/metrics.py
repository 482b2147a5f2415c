"""What a process counts of sockets, messages, the inbox and events, for Prometheus (see docs/monitoring.md).

No label holds what a charger chose: an unknown action is "other", an unknown close code too, or one charger could
make series without end.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from chargers import budgets, faults, schemas

# One of our own: others' libraries register in the package's, and what is not ours is not told.
disable_created_metrics()
registry = CollectorRegistry()
ProcessCollector(registry=registry)

OTHER = "other"
ACTIONS = frozenset(schemas.ACTIONS)
REASONS = {400: "subprotocol", 401: "credentials", 404: "unknown", 426: "upgrade", 429: "too_often"}  # by HTTP status
# Those of RFC 6455 §7.4.1 and our own; a charger may send any number.
CLOSE_CODES = frozenset([*range(1000, 1016), 4001, 4003])
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

messages = Counter(
    "ocpp_messages",
    "CALLs of chargers by how they were answered: result, repeated, outdated, or the code of the CALLERROR.",
    ["action", "outcome"],
    registry=registry,
)
late_replies = Counter(
    "ocpp_late_replies", "Answers of chargers that came when their task had given up.", registry=registry
)
unasked_replies = Counter("ocpp_unasked_replies", "Answers of chargers to what nobody asked.", registry=registry)
batch_size = Histogram(
    "ocpp_inbox_batch_size",
    "Entries in a batch of the inbox.",
    registry=registry,
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
batch_seconds = Histogram(
    "ocpp_inbox_batch_seconds", "Time a batch took to be settled and committed.", registry=registry, buckets=FAST
)
inbox_latency = Histogram(
    "ocpp_inbox_latency_seconds",
    "From the arrival of the oldest CALL of a batch to its commit.",
    registry=registry,
    buckets=FAST,
)
commit_failures = Counter(
    "ocpp_commit_failures",
    "Attempts to commit a batch that failed, by kind: away, read_only, full, table_locked, slow (it is tried again), "
    "locked (the chargers concerned are set aside), spoiled (one entry's fault), lost (a fault of ours).",
    ["kind"],
    registry=registry,
)
refused_handshakes = Counter(
    "ocpp_refused_handshakes", "Sockets that were not opened, by reason.", ["reason"], registry=registry
)
opened_sockets = Counter("ocpp_opened_sockets", "Sockets of chargers that were opened.", registry=registry)
closed_sockets = Counter(
    "ocpp_closed_sockets",
    "Sockets of chargers that have ended, by close code (1009: too large, 4001: replaced).",
    ["code"],
    registry=registry,
)
open_sockets = Gauge("ocpp_open_sockets", "Sockets of chargers that this process holds.", registry=registry)
inbox_waiting = Gauge(
    "ocpp_inbox_waiting",
    "Entries that wait for the next batch; from 5000 on no socket is read.",
    registry=registry,
)
chargers_set_aside = Gauge(
    "ocpp_chargers_set_aside", "Chargers that wait until another session unlocks their rows.", registry=registry
)
held_sockets = Counter(
    "ocpp_held_sockets", "Times a socket was not read for a moment, because it brought too much.", registry=registry
)
event_loop_lag = Histogram(
    "ocpp_event_loop_lag_seconds",
    "How late the event loop of a web process was, looked at twice a second.",
    registry=registry,
    buckets=FAST,
)
events_told = Counter("ocpp_events_told", "Events told to what listened: pages and streams.", registry=registry)
events_untold = Counter(
    "ocpp_events_untold",
    "Events that dashboards and streams were not told live: Redis was away, too many waited, or a fault of ours.",
    ["reason"],
    registry=registry,
)
messages_kept = Counter("ocpp_message_log_kept", "Frames that the message log has written.", registry=registry)
messages_dropped = Counter(
    "ocpp_message_log_dropped",
    "Frames that the message log lacks: too many waited to be written, or a fault of ours.",
    ["reason"],
    registry=registry,
)
findings = Counter(
    "ocpp_findings",
    "Messages of chargers that departed from OCPP, by action and kind (see docs/tolerance.md).",
    ["action", "kind"],
    registry=registry,
)
budget_exceeded = Counter(
    "ocpp_budget_exceeded",
    "Messages of chargers past a budget: they were taken later, or not all of them was stored.",
    ["budget"],
    registry=registry,
)
webhook_deliveries = Counter(
    "ocpp_webhook_deliveries",
    "Attempts to tell a webhook of an event: delivered, failed (it is tried again), dead (it is not).",
    ["outcome"],
    registry=registry,
)

# What may happen one day is told from the start, as 0: Prometheus sees the step to 1 only where there was a 0.
for counter, values in (
    (commit_failures, (*faults.KINDS, "spoiled", "lost")),
    (refused_handshakes, (*REASONS.values(), OTHER)),
    (closed_sockets, ("1009",)),
    (messages_dropped, ("too_many", "fault")),
    (events_untold, ("redis_away", "too_many", "fault")),
    (webhook_deliveries, ("delivered", "failed", "dead")),
    (budget_exceeded, budgets.BUDGETS),
):
    for value in values:
        counter.labels(value)

_children = {}  # of `messages`: looking one up by its labels costs more than counting


def count_message(action, outcome):
    """A CALL was answered; `outcome` is one of ours, never a word of the charger."""
    key = (action if action in ACTIONS else OTHER, outcome)
    child = _children.get(key)
    if child is None:
        child = _children[key] = messages.labels(*key)
    child.inc()


def count_finding(action, field, kind):
    """The member `field` of a message of `action`, or of an answer to it, departed from OCPP in the way `kind`."""
    action = action.removesuffix("Response")
    findings.labels(action if action in ACTIONS else OTHER, kind).inc()
    if budget := budgets.exceeded(field, kind):
        budget_exceeded.labels(budget.name).inc()


def count_refusal(status):
    """A handshake was refused with this HTTP status."""
    refused_handshakes.labels(REASONS.get(status, OTHER)).inc()


def count_close(code):
    """A socket has ended; the code may be of the charger's choosing."""
    closed_sockets.labels(str(code) if code in CLOSE_CODES else OTHER).inc()


def count_untold(reason, events):
    if events > 0:
        events_untold.labels(reason).inc(events)
