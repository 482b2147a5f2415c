"""Faults for the running product: one function each, which returns when the fault has ended."""

from tools.chaos.scenarios import clocks, connections, database, processes, redis
from tools.chaos.scenarios.skipping import Skipped

__all__ = ["SCENARIOS", "Skipped"]
SCENARIOS = processes.SCENARIOS | connections.SCENARIOS | database.SCENARIOS | redis.SCENARIOS | clocks.SCENARIOS
