"""Chargers that record every message that the server acknowledged, and every CALL that it wrote to them."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, repeat

from tools.chaos.waits import Waits
from tools.simulator.connection import ACCEPTED
from tools.simulator.sessions import ChargingClient, ChargingClient201, tag_of

ANSWER_TIMEOUT = 30  # seconds, after which a charger drops its connection
# How chargers answer CALLs, by their manner.
ANSWERS = {"steady": ACCEPTED, "idle": ACCEPTED, "slow": 2.0, "silent": None}


@dataclass
class Session:
    """A transaction as its charger knows it: what was acknowledged. Registers are in Wh."""

    start_time: str
    meter_start: int
    samples: int = 0
    meter_stop: int | None = None


@dataclass
class Records:
    acknowledged: int = 0
    boots: int = 0
    sessions: dict = field(default_factory=dict)  # the charger's reference: Session
    status: dict = field(default_factory=dict)  # the last one
    readings: int = 0  # meter values outside sessions
    calls: dict = field(default_factory=dict)  # message id: how often the CALL came
    replied: set = field(default_factory=set)  # message ids that were answered
    faults: list = field(default_factory=list)  # CALLERRORs
    closed: list = field(default_factory=list)  # (when, close code or None where there was none)


class Charger(ChargingClient):
    """`manner`: "steady" answers CALLs at once, "slow" after two seconds, "silent" never; "idle" only boots."""

    first_delay_s, longest_delay_s = 0.25, 5.0
    whole = "connectorId"  # the member that is 0 in a reading of the whole charger

    def __init__(self, charger_id, fleet, manner="steady", url=None):
        self.fleet, self.manner, self.records = fleet, manner, Records()
        super().__init__(url or fleet.url, charger_id, tag_of(hash(charger_id)))
        self.task = None
        self.last_answer = 0.0  # when (`time.monotonic`) the last answer came
        self.away = False  # without power
        self.talks_first, self.said_again = False, 0  # see `talk_first`

    # --- connections -------------------------------------------------------------------------

    def start(self):
        self.task = asyncio.create_task(self.stay_connected())
        return self

    async def connect(self):
        async with self.fleet.gate:
            await super().connect()

    def connected(self, connection):
        if self.connection and not self.connection.transport.is_disconnected:
            self.fleet.former.append(self.connection)
        if self.talks_first and self.calls:
            self._put_others_first()
        super().connected(connection)
        self.go_on()

    def disconnected(self, connection):
        if not connection.ended_here:
            self.records.closed.append((time.monotonic(), connection.close_code))
        super().disconnected(connection)

    def vanish(self):
        """Lose power: the connection is not closed, it is not there any more."""
        self.away, gone = True, self.connection
        self.connection = None
        if gone:
            self.fleet.former.append(gone)

    def come_back(self):
        """Have power again."""
        self.away = False
        self.missing.set()

    # --- messages ----------------------------------------------------------------------------

    @property
    def waiting(self):
        """Whether a message has no answer yet."""
        return bool(self.calls)

    @property
    def asked(self):
        """When the message without an answer was first sent."""
        return self.calls[0].asked

    def go_on(self):
        """Send the next message, unless the fleet is to be still."""
        if self.connection and not self.calls and not self.fleet.still:
            self.post(*next(self.steps))

    def talk_first(self):
        """After the next reconnect say other things before what has no answer, which keeps its message id.

        A reading that belongs to no session is no repetition of anything: the server must remember more than what it
        answered last.
        """
        self.talks_first = len(self.calls) == 1

    def _put_others_first(self):
        self.calls.appendleft(self.framed("MeterValues", {self.whole: 0, **self.reading()}))
        self.calls.appendleft(self.framed("Heartbeat", {}))
        self.talks_first = False
        self.said_again += 1

    def answered(self, call, answer):
        super().answered(call, answer)
        self._acknowledged(call.action, call.payload, answer)
        self._note_answer(call)

    def refused(self, call, error):
        self.records.faults.append((call.action, str(error)))
        self._note_answer(call)

    def _note_answer(self, call):
        self.last_answer = time.monotonic()
        self.fleet.waits.add(self.identity, call.asked, self.last_answer)
        pause = self.fleet.idle_pace if self.manner == "idle" else self.fleet.pace
        asyncio.get_running_loop().call_later(pause, self.go_on)

    def commanded(self, connection, message_id, action, payload):
        self.records.calls[message_id] = self.records.calls.get(message_id, 0) + 1
        super().commanded(connection, message_id, action, payload)

    def answer_to(self, action, payload):
        return ANSWERS[self.manner]

    def reply(self, connection, message_id, answer):
        if sent := super().reply(connection, message_id, answer):
            self.records.replied.add(message_id)
        return sent

    def _acknowledged(self, action, payload, answer):
        records = self.records
        records.acknowledged += 1
        if action == "BootNotification":
            records.boots += 1
        elif action == "Heartbeat":
            off = datetime.fromisoformat(answer["currentTime"]) - datetime.now(UTC)
            self.fleet.clock_error = max(self.fleet.clock_error, abs(off.total_seconds()))
        elif action == "StatusNotification":
            records.status = payload
        elif action == "MeterValues" and "transactionId" not in payload:
            records.readings += 1
        else:
            self._acknowledged_of_session(action, payload)

    def _acknowledged_of_session(self, action, payload):
        sessions = self.records.sessions
        if action == "StartTransaction":
            sessions[str(self.transaction)] = Session(payload["timestamp"], payload["meterStart"])
        elif action == "MeterValues":
            sessions[str(payload["transactionId"])].samples += 1
        elif action == "StopTransaction":
            sessions[str(payload["transactionId"])].meter_stop = payload["meterStop"]

    def life(self):
        if self.manner == "idle":
            return chain([("BootNotification", self.boot)], repeat(("Heartbeat", {})))
        return super().life()


class Charger201(Charger, ChargingClient201):
    """A charger of OCPP 2.0.1."""

    whole = "evseId"

    def _acknowledged_of_session(self, action, payload):
        if action != "TransactionEvent":
            return
        sessions, reference = self.records.sessions, payload["transactionInfo"]["transactionId"]
        register = payload["meterValue"][0]["sampledValue"][0]["value"]
        if payload["eventType"] == "Started":
            sessions[reference] = Session(payload["timestamp"], register)
        sessions[reference].samples += 1
        if payload["eventType"] == "Ended":
            sessions[reference].meter_stop = register


class Fleet:
    """All chargers, every other one of OCPP 2.0.1.

    `still` holds back further messages; `pace`, `idle_pace`: seconds between two of a charger.
    """

    def __init__(self, url):
        self.url, self.pace, self.idle_pace = url, 0.4, 60.0
        self.still = self.over = False
        self.chargers, self.former = {}, []
        self.waits = Waits()
        self.clock_error = 0.0  # seconds by which a server's time, as it was sent, was wrong at most
        self.gate = asyncio.Semaphore(400)

    def add(self, charger_id, manner="steady", url=None):
        kind = (Charger, Charger201)[len(self.chargers) % 2]
        charger = self.chargers[charger_id] = kind(charger_id, self, manner, url)
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
            for charger in self.chargers.values():
                charger.drop_if_unanswered_for(ANSWER_TIMEOUT)

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
        return sum(c.waiting for c in self.chargers.values() if not c.away)

    def all_heard_since(self, moment):
        """Whether each is connected and, unless it is idle, had an answer since `moment` (of `time.monotonic`)."""
        here = [charger for charger in self.chargers.values() if not charger.away]
        return all(c.connection and (c.manner == "idle" or c.last_answer > moment) for c in here)
