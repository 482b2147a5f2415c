"""A charger that lives session after session without pauses of its own, for load: many fit into one process."""

from collections.abc import Iterator
from itertools import count
from uuid import uuid4

from core.ocpp.timestamps import now_on_the_wire as now
from core.ocpp.versions import OCPP201
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


class ChargingClient201(ChargingClient):
    """The same sessions in OCPP 2.0.1: each of its messages has the content of the one of 1.6."""

    version = OCPP201
    boot = {
        "reason": "PowerUp",
        "chargingStation": {"vendorName": "Load", "model": "One", "firmwareVersion": "1.0"},
    }

    def __init__(self, url: str, charger_id: str, tag: str) -> None:
        super().__init__(url, charger_id, tag)
        self.token = {"idToken": {"idToken": tag, "type": "ISO14443"}}
        self.reference = ""

    def answered(self, call: Call, answer: dict) -> None:
        """Its transaction is known by a text of its own, so no answer tells it."""

    def session(self) -> Iterator[tuple[str, dict]]:
        """The messages of one session; a step is taken when the one before was answered."""
        self.reference, self.numbers = str(uuid4()), count()
        yield "Authorize", self.token
        yield self._occupied("Occupied")
        place = {"evse": {"id": 1, "connectorId": 1}}
        begin = place | self.token | {"meterValue": [self._register("Transaction.Begin")]}
        yield self.event("Started", "Authorized", {"chargingState": "Charging"}, **begin)
        for _ in range(self.rounds):
            for _ in range(self.readings):
                self.energy += WH_PER_READING
                yield self.event("Updated", "MeterValuePeriodic", **self.reading())
            yield "Heartbeat", {}
        end = self.token | {"meterValue": [self._register("Transaction.End")]}
        yield self.event("Ended", "StopAuthorized", {"stoppedReason": "Local"}, **end)
        yield self._occupied("Available")

    def event(self, kind: str, trigger: str, info: dict | None = None, **members: dict | list) -> tuple[str, dict]:
        """The next TransactionEvent of the session."""
        about = {"eventType": kind, "triggerReason": trigger, "timestamp": now(), "seqNo": next(self.numbers)}
        return "TransactionEvent", about | {
            "transactionInfo": {"transactionId": self.reference, **(info or {})}
        } | members

    def reading(self) -> dict:
        samples = [{"value": self.energy, **SAMPLE}, *map(_sampled_201, self.more_samples)]
        return {"meterValue": [{"timestamp": now(), "sampledValue": samples}]}

    def _register(self, context: str) -> dict:
        return {"timestamp": now(), "sampledValue": [{"value": self.energy, **SAMPLE, "context": context}]}

    @staticmethod
    def _occupied(status: str) -> tuple[str, dict]:
        payload = {"evseId": 1, "connectorId": 1, "connectorStatus": status, "timestamp": now()}
        return "StatusNotification", payload


SAMPLE = {"measurand": "Energy.Active.Import.Register", "context": "Sample.Periodic"}


def _sampled_201(sample: dict) -> dict:
    """The form of a sample of 1.6 in 2.0.1."""
    others = {name: value for name, value in sample.items() if name not in ("value", "unit")}
    unit = {"unitOfMeasure": {"unit": sample["unit"]}} if "unit" in sample else {}
    return {"value": float(sample["value"]), **others, **unit}
