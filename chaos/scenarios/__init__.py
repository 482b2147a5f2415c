"""What is done to the running product: one function each, which returns when the fault is over."""

from chaos.scenarios import connections, database, processes
from chaos.scenarios.skipping import Skipped

__all__ = ["SCENARIOS", "Skipped"]
SCENARIOS = processes.SCENARIOS | connections.SCENARIOS | database.SCENARIOS
