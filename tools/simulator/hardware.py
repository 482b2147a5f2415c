"""Options and state of a simulated charger."""

import asyncio
import random
from dataclasses import dataclass, field


@dataclass
class Options:
    """`pause` and `sample_interval` are in seconds, `power` in W; with `sessions` None there is no end."""

    url: str = "ws://127.0.0.1:8000"
    connectors: int = 2
    id_tag: str = "DEMO-TAG"
    key: str = ""
    ca: str = ""
    certificate: str = ""
    silent: bool = False
    pause: float = 20.0
    sample_interval: float = 10.0
    samples: int = 18
    power: float = 11_000.0
    sessions: int | None = None


@dataclass
class Connector:
    """One outlet; `meter` is its energy register in Wh."""

    number: int
    meter: float = field(default_factory=lambda: random.uniform(1e5, 5e5))
    status: str = "Available"
    transaction_id: int | None = None
    stop_reason: asyncio.Future | None = None


@dataclass
class Hardware:
    """State of a charger that survives a lost connection."""

    charger_id: str
    options: Options
    connectors: dict
    list_version: int = 0
    configuration: dict = field(
        default_factory=lambda: {
            "HeartbeatInterval": "300",
            "MeterValueSampleInterval": "10",
            "ConnectionTimeOut": "60",
            "AuthorizeRemoteTxRequests": "false",
            "NumberOfConnectors": "2",
            "SupportedFeatureProfiles": "Core,FirmwareManagement,LocalAuthListManagement,Reservation,"
            "SmartCharging,RemoteTrigger",
        }
    )

    def connector(self, number):
        return self.connectors.get(number)

    def charging(self, transaction_id):
        """The connector on which `transaction_id` runs, or None."""
        running = self.connectors.values()
        return next((c for c in running if c.transaction_id == transaction_id), None)
