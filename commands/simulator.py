"""A simulated charger on the client side of the `ocpp` library: it lives a believable life and obeys commands."""

import asyncio
import logging
import math
import random
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

import websockets
from ocpp.messages import MessageType, unpack
from ocpp.routing import after, on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action

from chargers.times import now_on_the_wire

logger = logging.getLogger("simulator")

VOLTAGE = 230
LONGEST_PAUSE = 60  # seconds between attempts to connect, doubled from one

# What it answers where there is nothing to do.
ANSWERS = {
    Action.cancel_reservation: call_result.CancelReservation("Accepted"),
    Action.clear_cache: call_result.ClearCache("Accepted"),
    Action.clear_charging_profile: call_result.ClearChargingProfile("Accepted"),
    Action.data_transfer: call_result.DataTransfer("UnknownVendorId"),
    Action.get_composite_schedule: call_result.GetCompositeSchedule("Rejected"),
    Action.reserve_now: call_result.ReserveNow("Accepted"),
    Action.set_charging_profile: call_result.SetChargingProfile("Accepted"),
}


@dataclass
class Options:
    """`pause` and `sample_interval` in seconds, `power` in W; `sessions` None: on and on."""

    url: str = "ws://127.0.0.1:8000"
    connectors: int = 2
    id_tag: str = "DEMO-TAG"
    key: str = ""
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
    """What survives a lost connection."""

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


async def live(charger_id, options):
    """Connect, live, and connect again when the connection is lost; ends after `options.sessions` sessions."""
    connectors = {number: Connector(number) for number in range(1, options.connectors + 1)}
    hardware = Hardware(charger_id, options, connectors)
    pause = 1
    while True:
        try:
            await _connect_and_live(hardware)
            return
        except (OSError, websockets.WebSocketException, TimeoutError) as error:
            logger.warning("%s: %s; connects again in %s s", charger_id, error or type(error).__name__, pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def _connect_and_live(hardware):
    options = hardware.options
    headers = {}
    if options.key:
        credentials = f"{hardware.charger_id}:{options.key}".encode()
        headers["Authorization"] = f"Basic {b64encode(credentials).decode()}"
    url = f"{options.url}/ws/ocpp/{quote(hardware.charger_id, safe='')}"
    async with websockets.connect(
        url, subprotocols=["ocpp1.6"], additional_headers=headers, open_timeout=30
    ) as connection:
        charger = SimulatedCharger(hardware, connection)
        listening = asyncio.create_task(charger.start())
        living = asyncio.create_task(charger.live())
        try:
            done, _ = await asyncio.wait([listening, living], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            listening.cancel()
            living.cancel()


class SimulatedCharger(ChargePoint):
    """One connection of a charger's life. Handlers are named after the action they answer."""

    def __init__(self, hardware, connection):
        super().__init__(hardware.charger_id, connection, response_timeout=60)
        self.hardware, self.options = hardware, hardware.options
        self.tasks = set()
        for action, answer in ANSWERS.items():
            self.route_map[action] = {"_on_action": lambda answer=answer, **_: answer}

    async def route_message(self, raw_msg):
        if self.options.silent and unpack(raw_msg).message_type_id == MessageType.Call:
            return
        await super().route_message(raw_msg)

    # --- its life ----------------------------------------------------------------------------

    async def live(self):
        interval = await self.boot()
        heart = self.in_background(self.beat(interval))
        for connector in self.hardware.connectors.values():
            await self.tell(connector, "Available")
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

    async def tell(self, connector, status):
        connector.status = status
        await self.call(call.StatusNotification(connector.number, "NoError", status, timestamp=now_on_the_wire()))

    async def session(self, connector, id_tag, remote=False):
        """Plug in, authorise, charge, stop, unplug (OCPP 1.6 §3.5)."""
        await self.tell(connector, "Preparing")
        if not remote:
            answer = await self.call(call.Authorize(id_tag))
            if not answer or answer.id_tag_info["status"] != "Accepted":
                logger.warning("%s: id tag %s is not accepted, nobody charges", self.id, id_tag)
                await self.tell(connector, "Available")
                return
        connector.stop_reason = asyncio.get_running_loop().create_future()
        started = await self.call(
            call.StartTransaction(connector.number, id_tag, round(connector.meter), now_on_the_wire())
        )
        connector.transaction_id = started.transaction_id
        if started.id_tag_info["status"] != "Accepted":
            self.stop(connector, "DeAuthorized")
        else:
            await self.tell(connector, "Charging")
            await self.charge(connector)
        await self.call(
            call.StopTransaction(
                round(connector.meter),
                now_on_the_wire(),
                connector.transaction_id,
                reason=await connector.stop_reason,
                id_tag=id_tag,
            )
        )
        connector.transaction_id = None
        await self.tell(connector, "Finishing")
        await self.tell(connector, "Available")

    async def charge(self, connector):
        """Samples with a rising energy register: power ramps up, holds, and fades as the battery fills."""
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
        await self.tell(connector, "SuspendedEV")
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

    def connector(self, number):
        return self.hardware.connectors.get(number)

    def charging(self, transaction_id):
        """The connector on which `transaction_id` runs, or None."""
        running = self.hardware.connectors.values()
        return next((c for c in running if c.transaction_id == transaction_id), None)

    # --- commands ----------------------------------------------------------------------------

    @on(Action.remote_start_transaction)
    def remote_start_transaction(self, id_tag, connector_id=None, **_):
        free = self._free(connector_id)
        return call_result.RemoteStartTransaction("Accepted" if free else "Rejected")

    @after(Action.remote_start_transaction)
    def after_remote_start_transaction(self, id_tag, connector_id=None, **_):
        if free := self._free(connector_id):
            self.in_background(self.session(free, id_tag, remote=True))

    def _free(self, connector_id):
        wanted = [self.connector(connector_id)] if connector_id else self.hardware.connectors.values()
        return next((c for c in wanted if c and c.status == "Available"), None)

    @on(Action.remote_stop_transaction)
    def remote_stop_transaction(self, transaction_id):
        connector = self.charging(transaction_id)
        return call_result.RemoteStopTransaction("Accepted" if connector else "Rejected")

    @after(Action.remote_stop_transaction)
    def after_remote_stop_transaction(self, transaction_id):
        if connector := self.charging(transaction_id):
            self.stop(connector, "Remote")

    @on(Action.reset)
    def reset(self, type):
        return call_result.Reset("Accepted")

    @after(Action.reset)
    async def after_reset(self, type):
        for connector in self.hardware.connectors.values():
            self.stop(connector, f"{type}Reset")
        await asyncio.sleep(1)
        await self._connection.close()

    @on(Action.unlock_connector)
    def unlock_connector(self, connector_id):
        known = self.connector(connector_id)
        return call_result.UnlockConnector("Unlocked" if known else "NotSupported")

    @after(Action.unlock_connector)
    def after_unlock_connector(self, connector_id):
        if connector := self.connector(connector_id):
            self.stop(connector, "UnlockCommand")

    @on(Action.change_availability)
    def change_availability(self, connector_id, type):
        wanted = self._availability(connector_id)
        busy = any(c.transaction_id for c in wanted)
        return call_result.ChangeAvailability("Scheduled" if busy else "Accepted" if wanted else "Rejected")

    @after(Action.change_availability)
    async def after_change_availability(self, connector_id, type):
        for connector in self._availability(connector_id):
            if not connector.transaction_id:
                await self.tell(connector, "Available" if type == "Operative" else "Unavailable")

    def _availability(self, connector_id):
        """Connector 0 is all of them (OCPP 1.6 §5.2)."""
        connectors = self.hardware.connectors
        return list(connectors.values()) if connector_id == 0 else [c for c in [self.connector(connector_id)] if c]

    @on(Action.get_configuration)
    def get_configuration(self, key=None):
        known = self.hardware.configuration
        keys = [
            {"key": name, "readonly": name.startswith(("Number", "Supported")), "value": known[name]}
            for name in (key or known)
            if name in known
        ]
        return call_result.GetConfiguration(keys, [name for name in key or [] if name not in known])

    @on(Action.change_configuration)
    def change_configuration(self, key, value):
        if key not in self.hardware.configuration:
            return call_result.ChangeConfiguration("NotSupported")
        self.hardware.configuration[key] = value
        return call_result.ChangeConfiguration("Accepted")

    @on(Action.get_local_list_version)
    def get_local_list_version(self):
        return call_result.GetLocalListVersion(self.hardware.list_version)

    @on(Action.send_local_list)
    def send_local_list(self, list_version, update_type, **_):
        self.hardware.list_version = list_version
        return call_result.SendLocalList("Accepted")

    @on(Action.trigger_message)
    def trigger_message(self, requested_message, connector_id=None):
        return call_result.TriggerMessage("Accepted")

    @after(Action.trigger_message)
    async def after_trigger_message(self, requested_message, connector_id=None):
        connectors = [self.connector(connector_id)] if connector_id else self.hardware.connectors.values()
        if requested_message == "BootNotification":
            await self.boot()
        elif requested_message == "Heartbeat":
            await self.call(call.Heartbeat())
        elif requested_message == "FirmwareStatusNotification":
            await self.call(call.FirmwareStatusNotification("Idle"))
        elif requested_message == "DiagnosticsStatusNotification":
            await self.call(call.DiagnosticsStatusNotification("Idle"))
        for connector in filter(None, connectors):
            if requested_message == "StatusNotification":
                await self.tell(connector, connector.status)
            elif requested_message == "MeterValues":
                await self.measure(connector)

    @on(Action.get_diagnostics)
    def get_diagnostics(self, location, **_):
        return call_result.GetDiagnostics(f"diagnostics-{datetime.now(UTC):%Y%m%d}.log")

    @after(Action.get_diagnostics)
    async def after_get_diagnostics(self, location, **_):
        for status in ("Uploading", "Uploaded"):
            await self.call(call.DiagnosticsStatusNotification(status))

    @on(Action.update_firmware)
    def update_firmware(self, location, retrieve_date, **_):
        return call_result.UpdateFirmware()

    @after(Action.update_firmware)
    async def after_update_firmware(self, location, retrieve_date, **_):
        for status in ("Downloading", "Downloaded", "Installing", "Installed"):
            await self.call(call.FirmwareStatusNotification(status))
            await asyncio.sleep(1)
