"""The messages of a simulated charger that differ between OCPP versions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from core.ocpp.versions import Version

if TYPE_CHECKING:
    from tools.simulator.charger import Connector, SimulatedCharger


class Messages:
    """What `charger` sends, and how it answers commands, in one OCPP version.

    The states of connectors are named as in OCPP 1.6, which has a status for each state of a session.
    """

    version: ClassVar[Version]
    answers: ClassVar[Mapping[str, Any]]  # by action: the payload of the CALLRESULT, or a function that returns it

    def __init__(self, charger: "SimulatedCharger") -> None:
        self.charger = charger
        self.boot_reason = "PowerUp"  # of the next BootNotification in OCPP 2.0.1

    def boot(self) -> dict:
        """The payload of BootNotification."""
        raise NotImplementedError

    async def status(self, connector: "Connector") -> None:
        """Report the status of `connector`, which has changed."""
        raise NotImplementedError

    async def authorize(self, token: str) -> str:
        """Return the status of `token`, "" if the request was refused."""
        raise NotImplementedError

    async def start(self, connector: "Connector", token: str, remote_start_id: int | None) -> bool:
        """Start a transaction, and return whether its token is accepted."""
        raise NotImplementedError

    def measure(self, connector: "Connector", power: float, soc: float | None) -> None:
        """Queue the meter values of now; `power` in W, `soc` in %."""
        raise NotImplementedError

    async def stop(self, connector: "Connector", reason: str) -> None:
        """End the transaction of `connector`."""
        raise NotImplementedError


def tag_status(answer: dict, member: str) -> str:
    return answer.get(member, {}).get("status", "")
