"""Compare the database with a simple model, under random starts, stops, retries, reconnects and offline queues."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.station import Station

CHARGERS, CONNECTORS = 3, 2
LONG_AGO = datetime(2025, 2, 26, tzinfo=UTC)
chargers = st.integers(0, CHARGERS - 1)
# Commits of readings in this context take so long, with all locks held.
SLOW, SLOW_COMMIT_S = "Trigger", 0.3
SLOW_COMMITS = f"""
CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep({SLOW_COMMIT_S}); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow_commits AFTER INSERT ON transactions_reading DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (strpos(NEW.samples, '"{SLOW}"') > 0) EXECUTE FUNCTION slow_commit()
"""
NO_SLOW_COMMITS = "DROP FUNCTION IF EXISTS slow_commit CASCADE"
MEANWHILE = {
    "Heartbeat": {},
    "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Charging"},
    "DataTransfer": {"vendorId": "meanwhile"},
    "FirmwareStatusNotification": {"status": "Idle"},
}


@dataclass
class Session:
    """The expected record of one transaction."""

    charger: int
    request: dict
    pk: int
    meter_stop: int | None = None
    closed: bool = False
    superseded: bool = False
    readings: list = field(default_factory=list)
    read: int = 0  # readings that are stored, also those after its end

    @property
    def under_way(self):
        return self.meter_stop is None and not self.closed

    @property
    def order(self):
        return self.request["timestamp"], self.pk

    @property
    def energy(self):
        """Return Wh by evidence: the stop unless the reading before it contradicts it, else the highest reading."""
        start, stop = self.request["meterStart"], self.meter_stop
        if stop is not None and stop >= start:
            newest = self._charged(self.readings[-1]) if self.readings else 0
            if stop - start >= newest - newest // 100 - 100:
                return stop - start
        if self.readings and (max(self.readings) >= start - 1000 or max(self.readings) > 0):
            return self._charged(max(self.readings))
        return None if stop is None else 0

    def _charged(self, register):
        """A register far below the start counts from the start of the session."""
        start = self.request["meterStart"]
        return max(0, register - start) if register >= start - 1000 else register

    def expected(self):
        status = "Ongoing" if self.under_way else "Completed"
        return status, self.energy, self.superseded, self.request["connectorId"]


def has_right_clock(session):
    """Return whether the clock of a charger moves on. Otherwise an equal start is a new session."""
    return session.request["connectorId"] <= CONNECTORS


class Records(RuleBasedStateMachine):
    """Several chargers, whose sockets are accepted by any web process."""

    live = None

    @initialize()
    def connect(self):
        self.stations = [Station(self.live).connect() for _ in range(CHARGERS)]
        self.older = []
        self.sessions, self.orphans, self.clock = [], [0] * CHARGERS, 0
        self.read, self.transfers = [], [0] * CHARGERS

    def teardown(self):
        for station in [*getattr(self, "stations", []), *getattr(self, "older", [])]:
            station.drop()

    def _timestamp(self, ahead=1):
        self.clock += ahead
        return (LONG_AGO + timedelta(seconds=self.clock)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _some(self, data, wanted=lambda session: True):
        return data.draw(st.sampled_from([s for s in self.sessions if wanted(s)]))

    # --- what chargers do ------------------------------------------------------------------------

    @rule(charger=chargers, connector=st.integers(1, CONNECTORS), meter=st.integers(0, 5000), late=st.booleans())
    def start(self, charger, connector, meter, late):
        """Start a session, or with `late` an offline one that is older than the ongoing one."""
        timestamp = self._timestamp()
        if late:
            timestamp = timestamp.replace("2025", "2024")
        request = {"connectorId": connector, "idTag": "MODEL", "meterStart": meter, "timestamp": timestamp}
        answer = self.stations[charger].call("StartTransaction", **request)
        assert answer["transactionId"] not in {s.pk for s in self.sessions}
        self.sessions.append(Session(charger, request, answer["transactionId"]))
        self._supersede(charger, connector)

    def _supersede(self, charger, connector):
        here = [s for s in self.sessions if s.charger == charger and s.request["connectorId"] == connector]
        under_way = sorted((s for s in here if s.under_way), key=lambda s: s.order)
        for session in under_way[:-1]:
            session.superseded = True

    @precondition(lambda self: any(map(has_right_clock, self.sessions)))
    @rule(data=st.data())
    def start_again(self, data):
        session = self._some(data, has_right_clock)
        answer = self.stations[session.charger].call("StartTransaction", **session.request)
        assert answer["transactionId"] == session.pk
        self._supersede(session.charger, session.request["connectorId"])

    @rule(charger=chargers, connector=st.integers(1, CONNECTORS))
    def start_over_two_sockets_at_once(self, charger, connector):
        """Repeat a start over a new connection while the first one is being processed."""
        older = self.stations[charger]
        newer = Station(self.live, older.identity).connect()
        newer.numbers = iter(range(1_000_000, 2_000_000))
        request = {"connectorId": connector, "idTag": "MODEL", "meterStart": 7, "timestamp": self._timestamp()}
        with ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(s.call, "StartTransaction", **request) for s in (older, newer)]
            answers = [call.result() for call in calls if call.exception() is None]
        assert answers and len({answer["transactionId"] for answer in answers}) == 1
        self.stations[charger] = newer
        self.older.append(older)
        again = newer.call("StartTransaction", **request)
        assert again["transactionId"] == answers[0]["transactionId"]
        self.sessions.append(Session(charger, request, again["transactionId"]))
        self._supersede(charger, connector)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), meter=st.integers(0, 9000))
    def stop(self, data, meter):
        """Stop a session. The first stop counts, also one by hand; a second changes nothing."""
        session = self._some(data)
        self.stations[session.charger].stop(session.pk, "Local", meter, timestamp=self._timestamp())
        if session.meter_stop is None:
            session.meter_stop, session.superseded = meter, False

    @rule(charger=chargers, data=st.data())
    def stop_what_is_not_its_own(self, charger, data):
        others = [s.pk for s in self.sessions if s.charger != charger]
        named = data.draw(st.sampled_from([-1, 0, 2**31 - 1, *others]))
        self.stations[charger].stop(named, "Local", 1, timestamp=self._timestamp())
        self.orphans[charger] += 1

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), meter=st.integers(0, 9000))
    def read_the_meter(self, data, meter):
        session = self._some(data)
        self._count(session, self._sent(session, self._reading(session, meter)), meter)

    def _sent(self, session, request):
        """Return the frame of a MeterValues that was sent and answered."""
        frame = json.dumps([2, f"reading-{self.clock}", "MeterValues", request])
        self._send(session, frame)
        return frame

    def _send(self, session, frame):
        station = self.stations[session.charger]
        station.socket.send(frame)
        assert station.next_frame(lambda frame: frame[0] != 2) == [3, json.loads(frame)[1], {}]

    def _reading(self, session, meter, context="Sample.Periodic"):
        values = [{"timestamp": self._timestamp(), "sampledValue": [{"value": str(meter), "context": context}]}]
        return {"connectorId": session.request["connectorId"], "transactionId": session.pk, "meterValue": values}

    def _count(self, session, frame, meter):
        self.read.append((session, frame))
        session.read += 1
        if session.under_way:
            session.readings.append(meter)

    @precondition(lambda self: self.read)
    @rule(data=st.data())
    def send_a_reading_again(self, data):
        """Repeat a reading of any age over any socket."""
        self._send(*data.draw(st.sampled_from(self.read)))

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), meter=st.integers(0, 9000), n=st.integers(0, 5), seconds=st.sampled_from([0.02, 0.1, 0.5]))
    def read_while_commits_are_slow(self, data, meter, n, seconds):
        """Send a reading, reconnect without its answer, send `n` others, and repeat it."""
        session = self._some(data)
        station = self.stations[session.charger]
        request = self._reading(session, meter, SLOW)
        frame = json.dumps([2, f"slow-{self.clock}", "MeterValues", request])
        station.socket.send(frame)
        time.sleep(seconds)
        newer = Station(self.live, station.identity).connect()
        newer.numbers = count(1_000_000 * (len(self.older) + 1))
        self.stations[session.charger] = newer
        self.older.append(station)
        for action in data.draw(st.lists(st.sampled_from(sorted(MEANWHILE)), min_size=n, max_size=n)):
            newer.call(action, **MEANWHILE[action])
            self.transfers[session.charger] += action == "DataTransfer"
        self._send(session, frame)
        self._count(session, frame, meter)

    @rule(charger=chargers, others=st.lists(st.sampled_from(["Heartbeat", "FirmwareStatusNotification"]), max_size=4))
    def send_a_transfer_again(self, charger, others):
        """Repeat a DataTransfer with its message id over a new connection."""
        frame = json.dumps([2, f"transfer-{self._timestamp()}", "DataTransfer", {"vendorId": "again"}])
        for _ in range(2):
            station = self.stations[charger]
            station.socket.send(frame)
            assert station.next_frame(lambda frame: frame[0] != 2)[0] == 3
            for action in others:
                station.call(action, **MEANWHILE[action])
            self.reconnect(charger)
        self.transfers[charger] += 1

    @rule(charger=chargers)
    def reconnect(self, charger):
        station = self.stations[charger]
        station.drop()
        station.connect()

    @rule(charger=chargers, sessions=st.integers(1, 3))
    def come_back_with_an_offline_queue(self, charger, sessions):
        self.reconnect(charger)
        for _ in range(sessions):
            self.start(charger, 1, 100, False)
            self.stations[charger].stop(self.sessions[-1].pk, "Local", 300, timestamp=self._timestamp(60))
            self.sessions[-1].meter_stop, self.sessions[-1].superseded = 300, False

    # --- clocks that show a time for the second time ---------------------------------------------

    @rule(charger=chargers, energies=st.lists(st.integers(1, 9000), min_size=1, max_size=3), data=st.data())
    def charge_under_a_standing_clock(self, charger, energies, data):
        """Charge with a clock that stands at 1970, a register that begins at 0, and lost answers."""
        request = {"connectorId": 3, "idTag": "MODEL", "meterStart": 0, "timestamp": "1970-01-01T00:00:00Z"}
        for energy in energies:
            self._charge(charger, request, energy, data, request["timestamp"])

    @rule(charger=chargers, energies=st.lists(st.integers(1, 9000), min_size=1, max_size=3), data=st.data())
    def charge_after_each_boot_at_the_same_time(self, charger, energies, data):
        """Charge with a clock and message ids that restart at each boot."""
        request = {"connectorId": 4, "idTag": "MODEL", "meterStart": 0, "timestamp": "2020-01-01T00:00:09Z"}
        for energy in energies:
            self.reconnect(charger)
            station = self.stations[charger]
            station.numbers = count(1)
            station.call("BootNotification", chargePointVendor="V", chargePointModel="M")
            self._charge(charger, request, energy, data, "2020-01-01T00:30:00Z")

    def _charge(self, charger, request, energy, data, stopped_at):
        """Charge one session, whose start and stop are repeated as often as their answers are lost."""
        known = {s.pk for s in self.sessions}
        answers = [self.stations[charger].call("StartTransaction", **request)]
        for reconnects in data.draw(st.lists(st.booleans(), max_size=2)):
            if reconnects:
                self.reconnect(charger)
            answers.append(self.stations[charger].call("StartTransaction", **request))
        assert len({answer["transactionId"] for answer in answers}) == 1
        session = Session(charger, request, answers[0]["transactionId"], meter_stop=energy)
        assert session.pk not in known
        for _ in range(data.draw(st.integers(1, 2))):
            self.stations[charger].stop(session.pk, "Local", energy, timestamp=stopped_at)
        self.sessions.append(session)

    # --- what operators do -----------------------------------------------------------------------

    @precondition(lambda self: any(s.under_way for s in self.sessions))
    @rule(data=st.data())
    def close_by_hand(self, data):
        session = self._some(data, lambda s: s.under_way)
        charger_id = self.stations[session.charger].identity
        path = f"/api/ocpp/transactions/{charger_id}/{session.pk}/close/"
        assert self.live.request("POST", path)[0] == 200
        session.closed = True

    # --- the database ----------------------------------------------------------------------------

    @invariant()
    def the_books_are_the_model(self):
        for number, station in enumerate(getattr(self, "stations", [])):
            booked = {
                row["transaction_id"]: (
                    row["status"],
                    row["energy_wh"],
                    row["superseded_by"] is not None,
                    row["connector_id"],
                )
                for row in station.transactions
            }
            assert booked == {s.pk: s.expected() for s in self.sessions if s.charger == number}
            orphans = self.live.get(f"/api/ocpp/orphan-stops/?charger_id={station.identity}")
            assert orphans["count"] == self.orphans[number]

    @invariant()
    def all_is_stored_once(self):
        sessions = [session for session in getattr(self, "sessions", []) if session.read]
        ids = [session.pk for session in sessions]
        found = dict(self.live.rows(READ, ids)) if ids else {}
        assert found == {session.pk: session.read for session in sessions}
        for number, station in enumerate(getattr(self, "stations", [])):
            assert self.live.rows(TRANSFERRED, station.identity) == [(self.transfers[number],)]


READ = "SELECT transaction_id, count(*) FROM transactions_metervalue WHERE transaction_id = ANY(%s) GROUP BY 1"
TRANSFERRED = """
SELECT count(*) FROM chargers_datatransfer t JOIN chargers_charger c ON c.id = t.charger_id WHERE c.identity = %s
"""


@pytest.fixture
def slow_commits(live):
    live.execute(NO_SLOW_COMMITS)
    live.execute(SLOW_COMMITS)
    yield
    live.execute(NO_SLOW_COMMITS)


@pytest.mark.timeout(400)  # because many histories are played, each at the pace of its slow commits
def test_the_database_agrees_with_the_model(live, slow_commits):
    Records.live = live
    run_state_machine_as_test(
        Records,
        settings=settings(
            max_examples=8,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
