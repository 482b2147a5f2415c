"""What a process counts of commands, for Prometheus (see docs/monitoring.md)."""

from prometheus_client import Counter, Gauge, Histogram

from chargers.metrics import registry

asked = Counter("ocpp_commands_asked", "Commands that were asked for, by action.", ["action"], registry=registry)
finished = Counter(
    "ocpp_commands_finished", "Commands that have ended, by outcome.", ["action", "outcome"], registry=registry
)
simulated = Counter(
    "ocpp_commands_simulated",
    "Commands whose result stands in for an answer that did not come.",
    ["action"],
    registry=registry,
)
answer_seconds = Histogram(
    "ocpp_command_answer_seconds",
    "From a CALL being written to its charger's answer being taken.",
    registry=registry,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 300),
)
queue_seconds = Histogram(
    "ocpp_command_queue_seconds",
    "From a command being asked for to its CALL being written.",
    registry=registry,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
under_way = Gauge("ocpp_commands_under_way", "Commands that a worker carries out just now.", registry=registry)
abandoned = Counter(
    "ocpp_commands_taken_up", "Commands that had no task and were given one by the sweep.", registry=registry
)
sweeps = Counter(
    "ocpp_sweeps",
    "Sweeps for what was abandoned: done, waits (something was away), failed.",
    ["outcome"],
    registry=registry,
)

for outcome in ("done", "waits", "failed"):
    sweeps.labels(outcome)

ANSWERS = ("answered", "invalid_response", "call_error")  # the outcomes of commands that their charger answered


def count_end(command):
    """`command` has ended, and that is in the books."""
    finished.labels(command.action, command.outcome).inc()
    if command.simulated:
        simulated.labels(command.action).inc()
    if command.sent_at:
        queue_seconds.observe(max(0.0, (command.sent_at - command.created_at).total_seconds()))
        if command.outcome in ANSWERS:
            answer_seconds.observe(max(0.0, (command.finished_at - command.sent_at).total_seconds()))
