"""A simulated charger, which boots, sends heartbeats, charges, and reconnects when the connection is lost."""

import asyncio
import logging
import math
import random
import ssl
from base64 import b64encode
from urllib.parse import quote

import websockets
from ocpp.v16 import call

from core.observability import context
from core.ocpp.timestamps import now_on_the_wire
from tools.simulator.hardware import Connector, Hardware
from tools.simulator.obedience import ObedientCharger

logger = logging.getLogger("simulator")

VOLTAGE = 230
MAX_RECONNECT_DELAY_S = 60  # the delay starts at 1 s and doubles


async def live(charger_id, options):
    """Run a charger, reconnecting when the connection is lost, until it had `options.sessions` sessions."""
    context.charger_id.set(charger_id)
    connectors = {number: Connector(number) for number in range(1, options.connectors + 1)}
    hardware = Hardware(charger_id, options, connectors)
    delay_s = 1
    while True:
        try:
            await _connect_and_live(hardware)
            return
        except (OSError, websockets.WebSocketException, TimeoutError) as error:
            logger.warning("%s: %s. It reconnects in %s s.", charger_id, error or type(error).__name__, delay_s)
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, MAX_RECONNECT_DELAY_S)


async def _connect_and_live(hardware):
    options = hardware.options
    headers = {}
    if options.key:
        credentials = f"{hardware.charger_id}:{options.key}".encode()
        headers["Authorization"] = f"Basic {b64encode(credentials).decode()}"
    url = f"{options.url}/ws/ocpp/{quote(hardware.charger_id, safe='')}"
    more = {"additional_headers": headers, "open_timeout": 30, "ssl": _tls(options)}
    async with websockets.connect(url, subprotocols=["ocpp1.6"], **more) as connection:
        charger = SimulatedCharger(hardware, connection)
        listening = asyncio.create_task(charger.start())
        living = asyncio.create_task(charger.live())
        try:
            done, _ = await asyncio.wait([listening, living], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (listening, living, *charger.tasks):
                task.cancel()


def _tls(options):
    """TLS context with the trusted roots and the client certificate; None for ws://."""
    if not options.url.startswith("wss://"):
        return None
    context = ssl.create_default_context(cafile=options.ca or None)
    if options.certificate:
        context.load_cert_chain(options.certificate)
    return context


class SimulatedCharger(ObedientCharger):
    """One connection of a simulated charger."""

    def __init__(self, hardware, connection):
        super().__init__(hardware, connection)
        self.tasks = set()

    async def live(self):
        interval = await self.boot()
        heart = self.in_background(self.beat(interval))
        for connector in self.hardware.connectors.values():
            if connector.transaction_id:  # it was charging when the connection was lost
                await self.stop_transaction(connector, "Other")
            await self.report_status(connector, "Available")
        sessions = 0
        while self.options.sessions is None or sessions < self.options.sessions:
            await asyncio.sleep(self.options.pause * random.uniform(0.5, 1.5))
            free = [c for c in self.hardware.connectors.values() if c.status == "Available"]
            if free:
                await self.session(random.choice(free), self.options.id_tag)
                sessions += 1
        heart.cancel()

    async def boot(self):
        answer = await self.call(
            call.BootNotification(
                charge_point_model="Simulated",
                charge_point_vendor="Demo",
                charge_point_serial_number=f"SIM-{self.id}"[:25],
                firmware_version="1.0.0",
            )
        )
        return answer.interval if answer else 60

    async def beat(self, interval):
        while True:
            await asyncio.sleep(max(1, interval))
            await self.call(call.Heartbeat())

    async def report_status(self, connector, status):
        connector.status = status
        await self.call(call.StatusNotification(connector.number, "NoError", status, timestamp=now_on_the_wire()))

    async def session(self, connector, id_tag, remote=False):
        """Plug in, authorise, charge, stop, unplug (OCPP 1.6 §3.5)."""
        await self.report_status(connector, "Preparing")
        if not remote:
            answer = await self.call(call.Authorize(id_tag))
            if not answer or answer.id_tag_info["status"] != "Accepted":
                logger.warning(
                    "%s: the id tag %s is not accepted, so no session starts. Add it to the central system.",
                    self.id,
                    id_tag,
                )
                await self.report_status(connector, "Available")
                return
        connector.stop_reason = asyncio.get_running_loop().create_future()
        started = await self.call(
            call.StartTransaction(connector.number, id_tag, round(connector.meter), now_on_the_wire())
        )
        connector.transaction_id = started.transaction_id
        if started.id_tag_info["status"] != "Accepted":
            self.stop(connector, "DeAuthorized")
        else:
            await self.report_status(connector, "Charging")
            await self.charge(connector)
        await self.stop_transaction(connector, await connector.stop_reason)
        await self.report_status(connector, "Finishing")
        await self.report_status(connector, "Available")

    async def stop_transaction(self, connector, reason):
        meter, now = round(connector.meter), now_on_the_wire()
        await self.call(call.StopTransaction(meter, now, connector.transaction_id, reason=reason))
        connector.transaction_id = None

    async def charge(self, connector):
        """Send samples with a rising energy register; the power rises, stays, and falls as the battery fills."""
        begun = random.uniform(20, 60)
        for sample in range(self.options.samples):
            try:
                await asyncio.wait_for(asyncio.shield(connector.stop_reason), self.options.sample_interval)
                return
            except TimeoutError:
                pass
            progress = (sample + 1) / self.options.samples
            power = self.options.power * min(1, progress * 8) * (1 - math.exp((progress - 1.02) * 12))
            connector.meter += power * self.options.sample_interval / 3600
            soc = begun + (98 - begun) * progress
            await self.measure(connector, power, soc)
        await self.report_status(connector, "SuspendedEV")
        self.stop(connector, "EVDisconnected")

    async def measure(self, connector, power=0.0, soc=None):
        current = power / VOLTAGE / 3
        sampled = [
            {
                "value": str(round(connector.meter)),
                "measurand": "Energy.Active.Import.Register",
                "unit": "Wh",
            },
            {"value": f"{power:.0f}", "measurand": "Power.Active.Import", "unit": "W"},
            {"value": f"{current:.1f}", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
            {"value": str(VOLTAGE), "measurand": "Voltage", "unit": "V", "phase": "L1-N"},
        ]
        if soc is not None:
            sampled.append({"value": f"{soc:.0f}", "measurand": "SoC", "unit": "Percent"})
        values = [{"timestamp": now_on_the_wire(), "sampledValue": sampled}]
        await self.call(call.MeterValues(connector.number, values, connector.transaction_id))

    def stop(self, connector, reason):
        if connector.stop_reason and not connector.stop_reason.done():
            connector.stop_reason.set_result(reason)

    def in_background(self, coroutine):
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task
