"""Chargers that keep books: of every message the server acknowledged, and of every CALL that it wrote to them.

They do what OCPP-J 1.6 has chargers do: one message at a time, and after a lost connection the one that has no answer
again, with its id (J errata 3.1). A charger that waits ANSWER_TIMEOUT for an answer gives its connection up.
"""

import asyncio
import contextlib
import json
import logging
import socket
import struct
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import picows

from tools.chaos.waits import Waits

logging.getLogger("picows").setLevel(logging.WARNING)  # a line for each connection

ANSWER_TIMEOUT = 30  # seconds
LONGEST_PAUSE = 5  # seconds between attempts to connect, doubled from a quarter
SAMPLES = 5  # meter values of a session
TAGS = 1000
BOOT = {"chargePointVendor": "Chaos", "chargePointModel": "One", "firmwareVersion": "1.0"}
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: the connection is not closed but reset


def now():
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass
class Session:
    """A transaction as its charger knows it: what was acknowledged."""

    started: dict
    samples: int = 0
    stopped: dict | None = None


@dataclass
class Books:
    acknowledged: int = 0
    boots: int = 0
    sessions: dict = field(default_factory=dict)  # transaction id: Session
    status: dict = field(default_factory=dict)  # the last one
    readings: int = 0  # meter values outside sessions
    calls: dict = field(default_factory=dict)  # message id: how often the CALL came
    replied: set = field(default_factory=set)  # message ids that were answered
    faults: list = field(default_factory=list)  # CALLERRORs
    closed: list = field(default_factory=list)  # (when, close code or None where there was none)


class Connection(picows.WSListener):
    """One socket of a charger; of a former one nothing is heard any more."""

    def __init__(self, charger):
        self.charger, self.transport, self.was_told = charger, None, False

    def on_ws_connected(self, transport):
        self.transport = transport
        self.charger.connected(self)

    def on_ws_disconnected(self, transport):
        if not self.was_told:
            self.charger.books.closed.append((time.monotonic(), None))
        self.charger.disconnected(self)

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == picows.WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == picows.WSMsgType.CLOSE:
            self.was_told = True
            self.charger.books.closed.append((time.monotonic(), frame.get_close_code()))
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type == picows.WSMsgType.TEXT:
            self.charger.heard(self, json.loads(frame.get_payload_as_bytes()))

    def send(self, *frame):
        if self.transport is None or self.transport.is_disconnected:
            return False
        self.transport.send(picows.WSMsgType.TEXT, json.dumps(frame, separators=(",", ":")).encode())
        return True

    def reset(self):
        """Without a farewell: RST."""
        self.was_told = True  # by us
        raw = self.transport.underlying_transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.underlying_transport.abort()


class Charger:
    """`manner`: "steady" answers CALLs at once, "slow" after two seconds, "silent" never; "idle" only boots."""

    def __init__(self, charger_id, fleet, manner="steady", url=None):
        self.charger_id, self.fleet, self.manner = charger_id, fleet, manner
        self.url = url or fleet.url
        self.books, self.numbers = Books(), count(1)
        self.connection = self.waiting = self.task = None
        self.since = self.asked = self.last_answer = 0.0  # sent last, sent first, answered last
        self.away = False  # it stays away, as without power
        self.energy = 0
        self.before, self.later, self.said_again = [], None, 0  # see `talk_first`
        self.steps = self._life()

    # --- connections -------------------------------------------------------------------------

    def start(self):
        self.task = asyncio.create_task(self._stay_connected())
        return self

    async def _stay_connected(self):
        pause = 0.25
        while not self.fleet.over:
            if self.away or self.connection:
                await asyncio.sleep(0.1)
                continue
            try:
                async with self.fleet.gate:
                    await asyncio.wait_for(self.connect(), 15)
                pause = 0.25
            except (OSError, picows.WSError, TimeoutError):
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def connect(self):
        """A new connection, whether or not there is one: the newest counts."""
        headers = {"Sec-WebSocket-Protocol": "ocpp1.6"}
        listener = Connection(self)
        await picows.ws_connect(lambda: listener, f"{self.url}/{self.charger_id}", extra_headers=headers)

    def connected(self, connection):
        former, self.connection = self.connection, connection
        if former and not former.transport.is_disconnected:
            self.fleet.former.append(former)
        if self.waiting and self.before:
            self.later, self.waiting = (self.waiting, self.asked), None
        if self.waiting:
            self._send()  # once more
        else:
            self.go_on()

    def disconnected(self, connection):
        if connection is self.connection:
            self.connection = None

    def vanish(self):
        """Lose power: the connection is not closed, it is not there any more."""
        self.away, gone = True, self.connection
        self.connection = None
        if gone:
            self.fleet.former.append(gone)

    def drop(self):
        if self.connection:
            self.connection.reset()

    # --- messages ----------------------------------------------------------------------------

    def go_on(self):
        """The next message, unless the fleet is to be still."""
        if self.connection is None or self.waiting or self.fleet.still and not self.later:
            return
        self.waiting, self.asked = self._next()
        self._send()

    def _next(self):
        """The next message, and when it was or is sent first."""
        if self.later and not self.before:
            (message, asked), self.later = self.later, None
            self.said_again += 1
            return message, asked
        action, payload = self.before.pop(0) if self.later else next(self.steps)
        return (f"{self.charger_id[-20:]}-{next(self.numbers)}", action, payload), time.monotonic()

    def talk_first(self):
        """After the next reconnect say other things before what has no answer, which keeps its message id.

        A reading that belongs to no session is no repetition of anything: the server must remember more than what it
        answered last.
        """
        if self.waiting and not self.later:
            reading = [{"timestamp": now(), "sampledValue": [{"value": str(self.energy)}]}]
            self.before = [("Heartbeat", {}), ("MeterValues", {"connectorId": 0, "meterValue": reading})]

    def _send(self):
        self.since = time.monotonic()
        self.connection.send(2, *self.waiting)

    def heard(self, connection, frame):
        kind, message_id = frame[:2]
        if kind == 2:  # counted whichever socket it comes by
            self._asked(connection, message_id)
        elif connection is not self.connection:
            return
        elif self.waiting and message_id == self.waiting[0]:
            _, action, payload = self.waiting
            self.waiting, self.last_answer = None, time.monotonic()
            self.fleet.waits.add(self.charger_id, self.asked, self.last_answer)
            if kind == 3:
                self._acknowledged(action, payload, frame[2])
            else:
                self.books.faults.append((action, frame[2:]))
            pause = self.fleet.idle_pace if self.manner == "idle" else self.fleet.pace
            asyncio.get_running_loop().call_later(pause, self.go_on)

    def _asked(self, connection, message_id):
        self.books.calls[message_id] = self.books.calls.get(message_id, 0) + 1
        if self.manner in ("steady", "idle"):
            self._reply(connection, message_id)
        elif self.manner == "slow":
            asyncio.get_running_loop().call_later(2, self._reply, connection, message_id)

    def _reply(self, connection, message_id):
        if connection.send(3, message_id, {"status": "Accepted"}):
            self.books.replied.add(message_id)

    def _acknowledged(self, action, payload, answer):
        books = self.books
        books.acknowledged += 1
        if action == "BootNotification":
            books.boots += 1
        elif action == "Heartbeat":
            off = datetime.fromisoformat(answer["currentTime"]) - datetime.now(UTC)
            self.fleet.clock_error = max(self.fleet.clock_error, abs(off.total_seconds()))
        elif action == "StatusNotification":
            books.status = payload
        elif action == "StartTransaction":
            self.transaction = answer["transactionId"]
            books.sessions[self.transaction] = Session(payload)
        elif action == "MeterValues" and "transactionId" not in payload:
            books.readings += 1
        elif action == "MeterValues":
            books.sessions[payload["transactionId"]].samples += 1
        elif action == "StopTransaction":
            books.sessions[payload["transactionId"]].stopped = payload

    def _life(self):
        yield "BootNotification", BOOT
        while self.manner == "idle":
            yield "Heartbeat", {}
        place, tag = {"connectorId": 1}, {"idTag": f"TAG{hash(self.charger_id) % TAGS:04d}"}
        while True:
            yield "Authorize", tag
            yield "StatusNotification", place | {"errorCode": "NoError", "status": "Charging", "timestamp": now()}
            self.transaction = None
            yield "StartTransaction", place | tag | {"meterStart": self.energy, "timestamp": now()}
            of = {"transactionId": self.transaction}
            if self.transaction is None:  # the start was refused and is stored so
                continue
            for _ in range(SAMPLES):
                self.energy += 100
                values = [{"timestamp": now(), "sampledValue": [{"value": str(self.energy)}]}]
                yield "MeterValues", place | of | {"meterValue": values}
            yield "Heartbeat", {}
            yield "StopTransaction", of | tag | {"meterStop": self.energy, "timestamp": now()}
            yield "StatusNotification", place | {"errorCode": "NoError", "status": "Available", "timestamp": now()}


class Fleet:
    """All chargers. `still` holds back further messages; `pace`, `idle_pace`: seconds between two of a charger."""

    def __init__(self, url):
        self.url, self.pace, self.idle_pace = url, 0.4, 60.0
        self.still = self.over = False
        self.chargers, self.former = {}, []
        self.waits = Waits()
        self.clock_error = 0.0  # seconds by which a server's time, as it was sent, was wrong at most
        self.gate = asyncio.Semaphore(400)

    def add(self, charger_id, manner="steady", url=None):
        charger = self.chargers[charger_id] = Charger(charger_id, self, manner, url)
        return charger.start()

    def remove(self, charger_ids):
        for charger_id in charger_ids:
            charger = self.chargers.pop(charger_id)
            charger.task.cancel()
            charger.away = True
            charger.drop()

    async def watch(self):
        """Give up connections on which an answer does not come, as chargers do."""
        while not self.over:
            await asyncio.sleep(1)
            late = time.monotonic() - ANSWER_TIMEOUT
            for charger in self.chargers.values():
                if charger.waiting and charger.connection and charger.since < late:
                    gone, charger.connection = charger.connection, None
                    gone.reset()

    def go_on(self):
        self.still = False
        for charger in self.chargers.values():
            charger.go_on()

    @property
    def present(self):
        """Ids of the chargers with a socket."""
        return {charger_id for charger_id, charger in self.chargers.items() if charger.connection}

    @property
    def unanswered(self):
        return sum(bool(c.waiting or c.later) for c in self.chargers.values() if not c.away)

    def all_heard_since(self, moment):
        """Whether each is connected and, unless it is idle, had an answer since `moment` (of `time.monotonic`)."""
        here = [charger for charger in self.chargers.values() if not charger.away]
        return all(c.connection and (c.manner == "idle" or c.last_answer > moment) for c in here)
