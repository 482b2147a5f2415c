"""A charger that lives session after session without pauses of its own, for load: many fit into one process."""

from collections.abc import Iterator

from core.ocpp.timestamps import now_on_the_wire as now
from tools.simulator.connection import Call, Client

TAGS = 1000
WH_PER_READING = 100
REGISTER = {"measurand": "Energy.Active.Import.Register", "unit": "Wh", "context": "Sample.Periodic"}


def tag_of(number: int) -> str:
    """One of `TAGS` id tags."""
    return f"TAG{number % TAGS:04d}"


class ChargingClient(Client):
    """A client with one connector, whose `steps` are its messages. `post` the next one whenever it is due."""

    boot: dict = {"chargePointVendor": "Load", "chargePointModel": "One", "firmwareVersion": "1.0"}
    readings = 5  # between two heartbeats of a session
    rounds = 1  # of readings and a heartbeat
    more_samples: tuple[dict, ...] = ()  # of each reading, besides the energy register

    def __init__(self, url: str, charger_id: str, tag: str) -> None:
        super().__init__(url, charger_id)
        self.tag, self.energy = {"idTag": tag}, 0
        self.transaction: int | None = None
        self.steps = self.life()

    def answered(self, call: Call, answer: dict) -> None:
        self.transaction = answer.get("transactionId", self.transaction)

    def life(self) -> Iterator[tuple[str, dict]]:
        yield "BootNotification", self.boot
        while True:
            yield from self.session()

    def session(self) -> Iterator[tuple[str, dict]]:
        """The messages of one session; a step is taken when the one before was answered."""
        self.transaction = None
        yield "Authorize", self.tag
        yield self._status("Charging")
        yield "StartTransaction", {"connectorId": 1, **self.tag, "meterStart": self.energy, "timestamp": now()}
        if self.transaction is None:  # the start was refused and is stored so
            return
        for _ in range(self.rounds):
            for _ in range(self.readings):
                self.energy += WH_PER_READING
                yield "MeterValues", {"connectorId": 1, "transactionId": self.transaction, **self.reading()}
            yield "Heartbeat", {}
        stop = {"transactionId": self.transaction, **self.tag, "meterStop": self.energy, "timestamp": now()}
        yield "StopTransaction", stop | {"reason": "Local"}
        yield self._status("Available")

    def reading(self) -> dict:
        """The member `meterValue`, of now."""
        samples = [{"value": str(self.energy), **REGISTER}, *self.more_samples]
        return {"meterValue": [{"timestamp": now(), "sampledValue": samples}]}

    @staticmethod
    def _status(status: str) -> tuple[str, dict]:
        payload = {"connectorId": 1, "errorCode": "NoError", "status": status, "timestamp": now()}
        return "StatusNotification", payload
