"""A simulated charger: it boots, sends heartbeats, charges, answers commands, and goes on without a connection."""

import asyncio
import contextlib
import logging
import math
import random
import ssl
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import uuid4

import picows

from chargers.services.schedules import WATTS
from core.observability import context
from tools.simulator import limits
from tools.simulator.connection import Call, CallError, Client, Connection
from tools.simulator.ocpp16 import Messages16
from tools.simulator.ocpp201 import Messages201
from tools.simulator.quirks import QUIRKS
from tools.simulator.vendors import CONFIGURATION, VENDORS

logger = logging.getLogger("simulator")

ANSWER_TIMEOUT_S = 60
VERSIONS = {"1.6": Messages16, "2.0.1": Messages201}


@dataclass
class Options:
    """`pause`, `sample_interval` and `fault_seconds` are in seconds, `power` is in W.

    With `sessions` None there is no end. `ocpp` is a key of `VERSIONS`. `fault` is an errorCode of OCPP 1.6, "" for
    none; `vendor` and `quirks` are names of `VENDORS` and `QUIRKS`.
    """

    url: str = "ws://127.0.0.1:8000"
    ocpp: str = "1.6"
    connectors: int = 2
    id_tag: str = "DEMO-TAG"
    unknown_tag: bool = False
    key: str = ""
    ca: str = ""
    certificate: str = ""
    silent: bool = False
    vendor: str = "demo"
    quirks: tuple[str, ...] = ()
    fault: str = ""
    fault_seconds: float = 30.0
    pause: float = 20.0
    sample_interval: float = 10.0
    samples: int = 18
    power: float = 11_000.0
    sessions: int | None = None


@dataclass
class Connector:
    """One outlet; `meter` is its energy register in Wh. In OCPP 2.0.1 it is the connector 1 of the EVSE `number`."""

    number: int
    meter: float = field(default_factory=lambda: random.uniform(1e5, 5e5))
    status: str = "Available"
    error: str = ""  # an errorCode of OCPP 1.6, while it is Faulted
    is_inoperative: bool = False  # is to be Unavailable after its session
    transaction_id: int | str | None = None
    events: Iterator[int] = field(default_factory=count)  # numbers of the events of its transaction
    stop_reason: asyncio.Future | None = None


async def live(charger_id: str, options: Options) -> None:
    """Run a charger until it had `options.sessions` sessions."""
    context.charger_id.set(charger_id)
    await SimulatedCharger(charger_id, options).run()


class SimulatedCharger(Client):
    """What happens without a connection is queued, and sent when there is one."""

    def __init__(self, charger_id: str, options: Options) -> None:
        super().__init__(f"{options.url}/ws/ocpp", charger_id, key=options.key, tls=_tls(options))
        self.options, self.vendor = options, VENDORS[options.vendor]
        self.quirks = [QUIRKS[name] for name in options.quirks]
        self.installs = all(quirk.installs for quirk in self.quirks)
        self.firmware_version = self.vendor.boot["firmwareVersion"]
        self.connectors = {number: Connector(number) for number in range(1, options.connectors + 1)}
        self.configuration = CONFIGURATION | self.vendor.configuration
        self.messages = VERSIONS[options.ocpp](self)
        self.version = self.messages.version
        self.list_version = self.sessions = 0
        self.profiles: dict[int, tuple[int, dict]] = {}  # id: (EVSE, profile as sent)
        self.reservations: dict[int, int] = {}  # id: EVSE, 0 for any
        self.restarting = asyncio.Event()
        self.tasks: set[asyncio.Task] = set()

    def boot_notification(self) -> dict:
        """The BootNotification in OCPP 1.6, with the firmware that was installed last."""
        return self.vendor.boot_notification(self.identity) | {"firmwareVersion": self.firmware_version}

    def connectors_of(self, number: int | None) -> list[Connector]:
        """The connectors that a command means: all if it names none or 0, none if it names an unknown one."""
        return [connector for connector in self.connectors.values() if not number or connector.number == number]

    # --- life --------------------------------------------------------------------------------

    async def run(self) -> None:
        connecting = asyncio.gather(self.stay_connected(), self._watch())  # which end only by an unexpected error
        try:
            while not await self._live_until_reset(connecting):
                logger.info("%s restarts.", self.identity)
        finally:
            connecting.cancel()
            self.disconnect()
            with contextlib.suppress(asyncio.CancelledError):
                await connecting  # otherwise asyncio logs that its exception was not retrieved

    async def _live_until_reset(self, connecting: asyncio.Future) -> bool:
        """Live until the last session or a Reset; return whether it was the last session."""
        self.restarting.clear()
        life, reset = (asyncio.create_task(each) for each in (self.live(), self.restarting.wait()))
        try:
            done, _ = await asyncio.wait([life, reset, connecting], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            return life in done
        finally:
            for task in (life, reset, *self.tasks):
                task.cancel()

    async def restart(self, kind: str) -> None:
        """Stop the sessions, and boot again on a new connection a second later; `kind` is Soft or Hard."""
        for connector in self.connectors.values():
            self.stop(connector, f"{kind}Reset")
        await asyncio.sleep(1)
        self.disconnect()
        self.restarting.set()

    async def live(self) -> None:
        interval_s = await self.boot()
        self.in_background(self._beat(interval_s))
        for connector in self.connectors.values():
            if connector.transaction_id:  # of before a restart
                await self.stop_transaction(connector, "Other")
            await self._release(connector)
        while self.options.sessions is None or self.sessions < self.options.sessions:
            await asyncio.sleep(self.options.pause * random.uniform(0.5, 1.5))
            if free := [c for c in self.connectors.values() if c.status == "Available"]:
                await self._visit(random.choice(free))

    async def _visit(self, connector: Connector) -> None:
        tag = f"UNKNOWN-{uuid4().hex[:8]}" if self.options.unknown_tag else self.options.id_tag
        await self.session(connector, tag)
        if self.options.fault:
            await self.break_down(connector)
        self.sessions += 1

    async def boot(self) -> float:
        """Send BootNotification until it is accepted; return the heartbeat interval in seconds."""
        while True:
            answer = await self.call("BootNotification", self.messages.boot())
            status, interval_s = answer.get("status"), max(1, answer.get("interval", 60))
            if status == "Accepted":
                return interval_s
            logger.warning(
                "%s: BootNotification was answered %s; it is sent again in %s s.", self.identity, status, interval_s
            )
            await asyncio.sleep(interval_s)

    async def _beat(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            if self.connection:
                await self.call("Heartbeat", {})

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.drop_if_unanswered_for(ANSWER_TIMEOUT_S)

    def in_background(self, coroutine: Coroutine) -> None:
        """Run a part of this life, which a restart ends."""
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # --- charging ----------------------------------------------------------------------------

    async def report_status(self, connector: Connector, status: str, error: str = "") -> None:
        connector.status, connector.error = status, error
        await self.messages.status(connector)

    async def _release(self, connector: Connector) -> None:
        """Nothing is plugged in any more."""
        await self.report_status(connector, "Unavailable" if connector.is_inoperative else "Available")

    def change_availability(self, connectors: list[Connector], wanted: str) -> str:
        """Make `connectors` Operative or Inoperative, those in use after their sessions. Return the status."""
        for connector in connectors:
            connector.is_inoperative = wanted == "Inoperative"
            if not connector.transaction_id:
                self.in_background(self._release(connector))
        busy = any(connector.transaction_id for connector in connectors)
        return "Scheduled" if busy else "Accepted" if connectors else "Rejected"

    async def break_down(self, connector: Connector) -> None:
        """Be Faulted for a while."""
        await self.report_status(connector, "Faulted", self.options.fault)
        await asyncio.sleep(self.options.fault_seconds)
        await self._release(connector)

    async def session(self, connector: Connector, token: str, remote_start_id: int | None = None) -> None:
        """Plug in, authorise, charge, stop, unplug (OCPP 1.6 §3.5). `remote_start_id` is that of the command."""
        await self.report_status(connector, "Preparing")
        if remote_start_id is not None or await self._is_authorized(token):
            await self._transaction(connector, token, remote_start_id)
            await self.report_status(connector, "Finishing")
        await self._release(connector)

    async def _is_authorized(self, token: str) -> bool:
        status = await self.messages.authorize(token)
        if status != "Accepted":
            logger.warning(
                "%s: the id tag %s is %s, so no session starts. Add it to the central system.",
                *(self.identity, token, status or "refused"),
            )
        return status == "Accepted"

    async def _transaction(self, connector: Connector, token: str, remote_start_id: int | None) -> None:
        stop_reason = connector.stop_reason = asyncio.get_running_loop().create_future()
        if await self.messages.start(connector, token, remote_start_id):
            await self.report_status(connector, "Charging")
            await self._charge(connector, stop_reason)
        else:
            self.stop(connector, "DeAuthorized")
        if connector.transaction_id is not None:
            await self.stop_transaction(connector, await stop_reason)

    async def stop_transaction(self, connector: Connector, reason: str) -> None:
        await self.messages.stop(connector, reason)
        connector.transaction_id = None

    async def _charge(self, connector: Connector, stop_reason: asyncio.Future) -> None:
        """Send samples with a rising energy register; the power rises, stays, and falls as the battery fills."""
        begun = random.uniform(20, 60)
        for sample in range(self.options.samples):
            await asyncio.wait([stop_reason], timeout=self.options.sample_interval)
            if stop_reason.done():
                return
            progress = (sample + 1) / self.options.samples
            power = self.options.power * min(1, progress * 8) * (1 - math.exp((progress - 1.02) * 12))
            if self.profiles:
                power = min(power, limits.limit_at(self, datetime.now(UTC), connector.number, WATTS))
            connector.meter += power * self.options.sample_interval / 3600
            self.measure(connector, power, begun + (98 - begun) * progress)
        await self.report_status(connector, "SuspendedEV")
        self.stop(connector, "EVDisconnected")

    def measure(self, connector: Connector, power: float = 0.0, soc: float | None = None) -> None:
        """Queue the meter values of now; `power` in W, `soc` in %."""
        self.messages.measure(connector, power, soc)

    def stop(self, connector: Connector, reason: str) -> None:
        if connector.stop_reason and not connector.stop_reason.done():
            connector.stop_reason.set_result(reason)

    # --- at the wire -------------------------------------------------------------------------

    def post(self, action: str, payload: Any) -> Call:
        call = super().post(action, payload)
        if any(action in quirk.twice for quirk in self.quirks):
            super().post(action, payload)
        return call

    def as_text(self, action: str, payload: Any) -> str:
        for quirk in self.quirks:
            payload = quirk.changed(action, payload)
        text = super().as_text(action, payload)
        for quirk in self.quirks:
            text = quirk.spoil.get(action, str)(text)
        return text

    def refused(self, call: Call, error: CallError) -> None:
        """Go on as if the answer were empty."""
        logger.warning("%s: %s was refused: %s", self.identity, call.action, error)
        self.answered(call, {})

    def answer_to(self, action: str, payload: dict) -> Any:
        if self.options.silent:
            return None
        for quirk in self.quirks:
            if action in quirk.answers:
                return quirk.answers[action](payload)
        answer = self.messages.answers.get(action, CallError("NotImplemented", f"{action} is unknown"))
        return answer(self, payload) if callable(answer) else answer

    def connected(self, connection: Connection) -> None:
        logger.info("%s is connected.", self.identity)
        super().connected(connection)

    def report_disconnected(self, error: Exception | None, delay_s: float) -> None:
        problem = "the connection was lost" if error is None else _problem(error)
        logger.warning("%s: %s. It connects again in %g s.", self.identity, problem, delay_s)


def _problem(error: Exception) -> str:
    """The reason why a handshake failed."""
    if isinstance(error, picows.WSHandshakeError) and error.response:
        body = (error.raw_body or b"").decode(errors="replace").strip().rstrip(".")
        return f"the connection was refused ({error.response.status.value}): {body}"
    return f"the connection failed: {error or type(error).__name__}"


def _tls(options: Options) -> ssl.SSLContext | None:
    """TLS context with the trusted roots and the client certificate; None for ws://."""
    if not options.url.startswith("wss://"):
        return None
    context = ssl.create_default_context(cafile=options.ca or None)
    if options.certificate:
        context.load_cert_chain(options.certificate)
    return context
