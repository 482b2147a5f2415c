"""The messages of a simulated charger in OCPP 2.0.1."""

from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from core.ocpp.timestamps import now_on_the_wire
from core.ocpp.versions import OCPP201
from tools.simulator import answers201
from tools.simulator.device import Device
from tools.simulator.messages import Messages, tag_status

if TYPE_CHECKING:
    from tools.simulator.charger import Connector, SimulatedCharger

STATUSES = {"Available", "Reserved", "Unavailable", "Faulted"}  # all others are Occupied
CHARGING_STATES = {"Charging", "SuspendedEV"}
# Reason for the end of a transaction: (triggerReason, stoppedReason).
ENDS = {
    "DeAuthorized": ("Deauthorized", "DeAuthorized"),
    "EVDisconnected": ("EVCommunicationLost", "EVDisconnected"),
    "ImmediateReset": ("ResetCommand", "ImmediateReset"),
    "Other": ("AbnormalCondition", "Reboot"),
    "Remote": ("RemoteStop", "Remote"),
    "SoftReset": ("AbnormalCondition", "Reboot"),  # after an update of the firmware
    "UnlockCommand": ("UnlockCommand", "Other"),
}
_SAMPLE = OCPP201.schemas.requests["MeterValues"].resolved["properties"]["meterValue"]["items"]
MEASURANDS = frozenset(_SAMPLE["properties"]["sampledValue"]["items"]["properties"]["measurand"]["enum"])


class Messages201(Messages):
    """An outlet is the connector 1 of an EVSE. `device` has what the charger remembers of its commands."""

    version = OCPP201
    answers = answers201.ANSWERS

    def __init__(self, charger: "SimulatedCharger") -> None:
        super().__init__(charger)
        self.device = Device(charger)
        self.reported: dict[int, str] = {}  # the status of each EVSE that was reported last

    def boot(self) -> dict:
        vendor = self.charger.boot_notification()
        station = {
            "vendorName": vendor["chargePointVendor"],
            "model": vendor["chargePointModel"],
            "serialNumber": vendor["chargePointSerialNumber"][:25],
            "firmwareVersion": vendor["firmwareVersion"],
        }
        modem = {name: vendor[name] for name in ("iccid", "imsi") if name in vendor}
        self.reported = {}
        reason, self.boot_reason = self.boot_reason, "RemoteReset"
        return {"reason": reason, "chargingStation": station | ({"modem": modem} if modem else {})}

    async def status(self, connector: "Connector") -> None:
        status = connector.status if connector.status in STATUSES else "Occupied"
        if self.reported.get(connector.number) != status:
            self.reported[connector.number] = status
            await self.report(connector)
        if connector.transaction_id and connector.status in CHARGING_STATES:
            await self.event(connector, "Updated", "ChargingStateChanged", connector.status)

    async def report(self, connector: "Connector") -> None:
        """Report the status that was reported last."""
        status = {"evseId": connector.number, "connectorId": 1, "connectorStatus": self.reported[connector.number]}
        await self._send("StatusNotification", status | {"timestamp": now_on_the_wire()})

    async def authorize(self, token: str) -> str:
        """Return Accepted without a connection, as OfflineTxForUnknownIdEnabled allows."""
        if self.charger.connection is None:
            return "Accepted"
        return tag_status(await self.charger.call("Authorize", {"idToken": _token(token)}), "idTokenInfo")

    async def start(self, connector: "Connector", token: str, remote_start_id: int | None) -> bool:
        connector.transaction_id, connector.events = str(uuid4()), count()
        info = {} if remote_start_id is None else {"remoteStartId": remote_start_id}
        reservation = self.device.use_reservation(connector.number)
        answer = await self.event(
            connector,
            "Started",
            "Authorized" if remote_start_id is None else "RemoteStart",
            "EVConnected",
            info,
            idToken=_token(token),
            evse={"id": connector.number, "connectorId": 1},
            meterValue=[self.reading(connector, 0.0, None, "Transaction.Begin")],
            **({} if reservation is None else {"reservationId": reservation}),
        )
        return tag_status(answer, "idTokenInfo") in ("", "Accepted")  # "" without a connection

    def measure(self, connector: "Connector", power: float, soc: float | None) -> None:
        readings = [self.reading(connector, power, soc, "Sample.Periodic")]
        if connector.transaction_id:
            event = self._event(connector, "Updated", "MeterValuePeriodic", "Charging", {}, meterValue=readings)
            self.charger.post("TransactionEvent", event)
        else:
            self.charger.post("MeterValues", {"evseId": connector.number, "meterValue": readings})

    async def stop(self, connector: "Connector", reason: str) -> None:
        trigger, stopped = ENDS[reason]
        readings = [self.reading(connector, 0.0, None, "Transaction.End")]
        info = {"stoppedReason": stopped}
        await self.event(connector, "Ended", trigger, "EVConnected", info, meterValue=readings)

    async def event(
        self,
        connector: "Connector",
        kind: str,
        trigger: str,
        state: str,
        info: dict | None = None,
        **members: Any,
    ) -> dict:
        """Send the next TransactionEvent of `connector`; return its answer, {} without a connection."""
        event = self._event(connector, kind, trigger, state, info or {}, **members)
        return await self._send("TransactionEvent", event)

    def _event(self, connector: "Connector", kind: str, trigger: str, state: str, info: dict, **members: Any) -> dict:
        offline = {"offline": True} if self.charger.connection is None else {}
        return {
            "eventType": kind,
            "timestamp": now_on_the_wire(),
            "triggerReason": trigger,
            "seqNo": next(connector.events),
            **offline,
            "transactionInfo": {"transactionId": connector.transaction_id, "chargingState": state, **info},
            **members,
        }

    async def _send(self, action: str, payload: dict) -> dict:
        """Return the answer; without a connection queue the CALL and return {}."""
        if self.charger.connection is None:
            self.charger.post(action, payload)
            return {}
        return await self.charger.call(action, payload)

    def reading(self, connector: "Connector", power: float, soc: float | None, context: str) -> dict:
        """A MeterValue of now, with the samples of the vendor that OCPP 2.0.1 knows."""
        samples = self.charger.vendor.sampled(connector.meter, power, soc)
        converted = [_sampled(sample, context) for sample in samples if _measurand(sample) in MEASURANDS]
        return {"timestamp": now_on_the_wire(), "sampledValue": converted}


def _token(text: str) -> dict:
    return {"idToken": text, "type": "ISO14443"}


def _measurand(sample: dict) -> str:
    """The measurand of a sample of OCPP 1.6, without a phase that some vendors add to it."""
    return sample.get("measurand", "Energy.Active.Import.Register").removesuffix(f".{sample.get('phase', '')}")


def _sampled(sample: dict, context: str) -> dict:
    kept = {name: sample[name] for name in ("phase", "location") if name in sample}
    unit = {"unitOfMeasure": {"unit": sample["unit"]}} if "unit" in sample else {}
    return {"value": float(sample["value"]), "context": context, "measurand": _measurand(sample), **kept, **unit}
