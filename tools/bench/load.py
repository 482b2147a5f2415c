"""The load: simulated chargers that live charging sessions, on uvloop so that they are not the bottleneck.

`python -m tools.bench.load --url ws://… closed|fixed|minutely|storm|idle` prints a JSON object when the chargers are
ready, and one with the figures at the end. A session is authorise, status, start, ten MeterValues of five samples,
two heartbeats, stop, status: 17 messages, each sent when the one before is answered.
"""

import argparse
import asyncio
import json
import os
import resource
import sys
import time
from array import array

import uvloop

from tools.simulator.connection import ACCEPTED, CONNECTION_ERRORS
from tools.simulator.sessions import ChargingClient, ChargingClient201, tag_of

SAMPLES = (
    {"value": "7360.0", "measurand": "Power.Active.Import", "unit": "W"},
    {"value": "32.0", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
    {"value": "230.1", "measurand": "Voltage", "unit": "V", "phase": "L1-N"},
    {"value": "55", "measurand": "SoC", "unit": "Percent", "location": "EV"},
)


class Charger(ChargingClient):
    """A charger that lives sessions. `load` is called back for each answer; `due` is when a CALL was due."""

    handshake_timeout_s = 120.0
    rounds, more_samples = 2, SAMPLES

    def __init__(self, number, load):
        super().__init__(load.given.url, f"{load.given.prefix}{number}", tag_of(number))
        self.load, self.due = load, 0.0

    def connected(self, connection):
        super().connected(connection)
        self.load.connected(self)

    def disconnected(self, connection):
        super().disconnected(connection)
        self.load.lost(self)

    def answer_to(self, action, payload):
        return None if self.load.given.silent else ACCEPTED

    def answered(self, call, answer):
        super().answered(call, answer)
        self.load.answered(self, call.action, answer)

    def refused(self, call, error):
        self.load.fault(f"{call.action} of {self.identity} was refused: {error}")

    def unexpected(self, frame):
        self.load.fault(f"{self.identity} did not expect {frame!r:.100}")

    def next(self, due):
        """Send the next CALL, and return its action or, of a TransactionEvent, its type."""
        self.due = due
        call = self.post(*next(self.steps))
        return call.payload.get("eventType", call.action)


class Charger201(Charger, ChargingClient201):
    """The same in OCPP 2.0.1."""


CHARGERS = {"1.6": Charger, "2.0.1": Charger201}


class Load:
    """What all chargers of one process share: who is up, what was answered when."""

    def __init__(self, given):
        self.given = given
        self.loop = asyncio.get_running_loop()
        self.took = array("d")
        self.faults, self.up, self.booted, self.messages = [], 0, 0, {}
        self.measuring, self.over = False, False
        self.all_booted = self.loop.create_future()

    def connected(self, charger):
        self.up += 1
        charger.next(time.monotonic())

    def lost(self, charger):
        if not self.over:
            self.fault(f"{charger.identity} lost its connection")

    def fault(self, text):
        self.faults.append(text)

    def answered(self, charger, action, answer):
        if action == "BootNotification":
            self._booted(answer)
            return
        if self.measuring:
            self.took.append(time.monotonic() - charger.due)
        if not self.over:
            self.go_on(charger)

    def _booted(self, answer):
        if answer.get("status") != "Accepted":
            self.fault(f"BootNotification was answered {answer}")
        self.booted += 1
        if self.booted == self.given.chargers:
            self.all_booted.set_result(None)

    def go_on(self, charger):
        """Closed loop: the next message goes when the one before is answered."""
        action = charger.next(time.monotonic())
        self.messages[action] = self.messages.get(action, 0) + 1

    async def connect(self, max_handshakes):
        """Connect and boot all chargers, with at most `max_handshakes` handshakes at a time."""
        charger = CHARGERS[self.given.ocpp]
        self.chargers = [charger(number, self) for number in range(self.given.chargers)]
        gate = asyncio.Semaphore(max_handshakes)
        await asyncio.gather(*(self._connect(charger, gate) for charger in self.chargers))
        await asyncio.wait_for(self.all_booted, 300)

    async def _connect(self, charger, gate):
        async with gate:
            for attempt in range(self.given.attempts):
                try:
                    await charger.connect()
                    return
                except CONNECTION_ERRORS as error:
                    self.fault(f"{charger.identity} could not connect ({attempt + 1}): {error!r:.100}")
                    await asyncio.sleep(0.5)


class FixedRate(Load):
    """Each charger has its turn at fixed times; what was due while an answer was waited for counts from then."""

    def go_on(self, charger):
        charger.turn += self.period
        self.loop.call_later(
            charger.turn - time.monotonic(), self._take_turn, charger
        )  # at once, if its turn has passed already

    def _take_turn(self, charger):
        if not self.over:
            action = charger.next(charger.turn)
            self.messages[action] = self.messages.get(action, 0) + 1

    def begin(self):
        self.period = self.given.chargers / self.given.rate
        start = time.monotonic() + 0.1
        for place, charger in enumerate(self.chargers):
            charger.turn = start + self.period * (place / self.given.chargers) - self.period
            self.go_on(charger)


class Minutely(FixedRate):
    """Each charger sends a reading in its turn, of a session that it has begun before the first turn."""

    async def begin_sessions(self):
        self.all_charging, self.charging = self.loop.create_future(), 0
        for charger in self.chargers:
            charger.rounds = sys.maxsize
            Load.go_on(self, charger)
        await asyncio.wait_for(self.all_charging, 300)

    def answered(self, charger, action, answer):
        if action in ("Authorize", "StatusNotification"):
            Load.go_on(self, charger)
        elif action == "StartTransaction":
            self.charging += 1
            if self.charging == self.given.chargers:
                self.all_charging.set_result(None)
        else:
            super().answered(charger, action, answer)


async def closed(given):
    load = Load(given)
    await load.connect(max_handshakes=50)
    _say_ready(load)
    for charger in load.chargers:
        load.go_on(charger)
    return await _measured(load)


async def fixed(given):
    load = FixedRate(given)
    await load.connect(max_handshakes=50)
    _say_ready(load)
    load.begin()
    return await _measured(load)


async def minutely(given):
    load = Minutely(given)
    await load.connect(max_handshakes=50)
    await load.begin_sessions()
    _say_ready(load)
    load.begin()
    return await _measured(load)


def _say_ready(load):
    print(json.dumps({"up": load.up}), flush=True)


async def _measured(load):
    """Warm up, then measure; wait for open calls at the end, so that the stored rows can be compared."""
    await asyncio.sleep(load.given.warmup)
    load.measuring, began, cpu = True, time.perf_counter(), _cpu()
    await asyncio.sleep(load.given.seconds)
    load.measuring, load.over = False, True
    took, busy = time.perf_counter() - began, _cpu() - cpu
    deadline = time.monotonic() + 30
    while any(charger.calls for charger in load.chargers) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    unanswered = sum(bool(charger.calls) for charger in load.chargers)
    return _report(load, seconds=took, cpu=busy / took, unanswered=unanswered)


async def storm(given):
    """All connect and boot at once: seconds until the last one was accepted."""
    load = Load(given)
    began, cpu = time.perf_counter(), _cpu()
    await load.connect(max_handshakes=given.chargers)
    _say_ready(load)
    took = time.perf_counter() - began
    load.over = True
    return _report(load, seconds=took, cpu=(_cpu() - cpu) / took)


async def idle(given):
    """Connect, boot, and stay until stdin ends, answering commands."""
    load = Load(given)
    await load.connect(max_handshakes=50)
    _say_ready(load)
    await asyncio.to_thread(sys.stdin.read)
    load.over = True
    return _report(load, seconds=0, cpu=0)


def _cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _report(load, **figures):
    """Times in milliseconds, `cpu` of this process as a share of one core."""
    took = sorted(load.took)
    at = lambda share: round(took[min(len(took) - 1, int(len(took) * share))] * 1000, 2) if took else None  # noqa: E731
    figures |= {"answered": len(took), "faults": len(load.faults), "first_faults": load.faults[:3]}
    figures |= {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1), "up": load.up}
    return figures | {"messages": load.messages}


def main():
    parser = argparse.ArgumentParser(prog="python -m tools.bench.load", description=__doc__)
    parser.add_argument("kind", choices=["closed", "fixed", "minutely", "storm", "idle"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--chargers", type=int, default=200)
    parser.add_argument("--prefix", default="b")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--warmup", type=float, default=2)
    parser.add_argument("--rate", type=float, default=1000, help="messages a second of all chargers together")
    parser.add_argument("--ocpp", choices=sorted(CHARGERS), default="1.6")
    parser.add_argument("--silent", action="store_true", help="leave commands unanswered")
    parser.add_argument("--attempts", type=int, default=1, help="handshakes of a charger before it gives up")
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    print(json.dumps(uvloop.run(globals()[given.kind](given))), flush=True)
    os._exit(0)  # thousands of sockets need no farewell


if __name__ == "__main__":
    main()
