"""Simulated chargers on the client side of the `ocpp` library."""

from commands.simulator.charger import live
from commands.simulator.hardware import Options

__all__ = ["Options", "live"]
