"""Simulated chargers on the client side of the `ocpp` library."""

from tools.simulator.charger import live
from tools.simulator.hardware import Options

__all__ = ["Options", "live"]
