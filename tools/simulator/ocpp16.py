"""The messages of a simulated charger in OCPP 1.6."""

from typing import TYPE_CHECKING

from core.ocpp.timestamps import now_on_the_wire
from core.ocpp.versions import OCPP16
from tools.simulator import answers16
from tools.simulator.messages import Messages, tag_status

if TYPE_CHECKING:
    from tools.simulator.charger import Connector

NO_ERROR = "NoError"


class Messages16(Messages):
    version = OCPP16
    answers = answers16.ANSWERS

    def boot(self) -> dict:
        return self.charger.boot_notification()

    async def status(self, connector: "Connector") -> None:
        error = connector.error or NO_ERROR
        payload = {"connectorId": connector.number, "errorCode": error, "status": connector.status}
        if connector.error:
            vendor = self.charger.vendor
            its_own = {"vendorId": vendor.boot["chargePointVendor"], "vendorErrorCode": vendor.error_code}
            payload |= {"info": f"Simulated {error}", **its_own}
        await self.charger.call("StatusNotification", payload | {"timestamp": now_on_the_wire()})

    async def authorize(self, token: str) -> str:
        return tag_status(await self.charger.call("Authorize", {"idTag": token}), "idTagInfo")

    async def start(self, connector: "Connector", token: str, remote_start_id: int | None) -> bool:
        start = {"connectorId": connector.number, "idTag": token, "meterStart": round(connector.meter)}
        answer = await self.charger.call("StartTransaction", start | {"timestamp": now_on_the_wire()})
        connector.transaction_id = answer.get("transactionId")
        return tag_status(answer, "idTagInfo") == "Accepted"

    def measure(self, connector: "Connector", power: float, soc: float | None) -> None:
        samples = self.charger.vendor.sampled(connector.meter, power, soc)
        readings = [{"timestamp": now_on_the_wire(), "sampledValue": samples}]
        running = {"transactionId": connector.transaction_id} if connector.transaction_id else {}
        self.charger.post("MeterValues", {"connectorId": connector.number, **running, "meterValue": readings})

    async def stop(self, connector: "Connector", reason: str) -> None:
        stop = {"transactionId": connector.transaction_id, "meterStop": round(connector.meter), "reason": reason}
        await self.charger.call("StopTransaction", stop | {"timestamp": now_on_the_wire()})
