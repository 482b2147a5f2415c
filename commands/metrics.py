"""Metrics of commands for Prometheus, counted by each process (see docs/monitoring.md)."""

from prometheus_client import Counter, Gauge, Histogram

from chargers.metrics import registry
from commands.models import Command

submitted = Counter(
    "ocpp_commands_submitted", "Commands that were submitted, by action.", ["action"], registry=registry
)
finished = Counter(
    "ocpp_commands_finished", "Commands that have finished, by outcome.", ["action", "outcome"], registry=registry
)
simulated = Counter(
    "ocpp_commands_simulated",
    "Commands without an answer that got a simulated result.",
    ["action"],
    registry=registry,
)
answer_seconds = Histogram(
    "ocpp_command_answer_seconds",
    "Seconds from the sending of a CALL to the recording of its answer.",
    registry=registry,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 300),
)
queue_seconds = Histogram(
    "ocpp_command_queue_seconds",
    "Seconds from the submission of a command to the sending of its CALL.",
    registry=registry,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
under_way = Gauge("ocpp_commands_under_way", "Commands that workers are running now.", registry=registry)
orphaned = Counter(
    "ocpp_commands_taken_up", "Commands without a task that the sweep enqueued again.", registry=registry
)
sweeps = Counter(
    "ocpp_sweeps",
    "Sweeps by outcome: done, waits (database or broker unavailable), failed.",
    ["outcome"],
    registry=registry,
)

for outcome in ("done", "waits", "failed"):
    sweeps.labels(outcome)

ANSWERS = ("answered", "invalid_response", "call_error")  # outcomes with an answer of the charger


def count_end(command: Command) -> None:
    """Count `command`, whose end is committed."""
    finished.labels(command.action, command.outcome).inc()
    if command.simulated:
        simulated.labels(command.action).inc()
    if command.sent_at:
        queue_seconds.observe(max(0.0, (command.sent_at - command.created_at).total_seconds()))
        if command.outcome in ANSWERS and command.finished_at:
            answer_seconds.observe(max(0.0, (command.finished_at - command.sent_at).total_seconds()))
