"""The costs of messages and commands in statements, round trips, bytes of WAL and operations of Redis.

They do not depend on the speed of the machine, so they show an additional statement that a benchmark cannot show.
"""

import json
import math
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.db import connection
from psycopg import pq

from chargers.models import Charger
from chargers.services import connections
from commands.models import ANSWERED, FINISHED, Command
from commands.services import delivery, lifecycle, submission
from commands.services.delivery import Claim
from commands.services.queries import get_command
from core.db import faults
from core.ocpp.versions import OCPP201
from core.redis.connections import sync_redis
from gateway.calls import commits
from gateway.commits import Batch, Entry
from gateway.ocpp16 import HANDLERS
from gateway.ocpp201 import HANDLERS as HANDLERS_201
from tests.support.builders import NOON, a_call, a_charger, a_command, a_start, a_tag, open_socket, settle
from tests.support.charging201 import a_profile, a_session, a_station
from tests.support.live import an_id
from tools.bench.load import SAMPLES
from tools.simulator.connection import ACCEPTED
from tools.simulator.sessions import REGISTER, ChargingClient201
from transactions.models import Reading, Transaction

START = datetime(2025, 2, 26, tzinfo=UTC)
STATUS = {"connectorId": 1, "errorCode": "NoError"}
NAMED = {"component": {"name": "EVSE"}, "variable": {"name": "Power"}}
MONITOR = {"id": 1, "transaction": False, "value": 5.0, "type": "Delta", "severity": 8}
# The payload of each message at a time, with a meter in Wh; `transactionId` is added.
MESSAGES = {
    "Heartbeat": lambda at, meter: {},
    "Authorize": lambda at, meter: {"idTag": "ABC"},
    "StatusNotification": lambda at, meter: STATUS | {"status": "Charging", "timestamp": at},
    "StartTransaction": lambda at, meter: a_start(None, meterStart=meter, timestamp=at),
    "MeterValues": lambda at, meter: {"connectorId": 1, "meterValue": [a_reading(at, meter)]},
    "StopTransaction": lambda at, meter: {"meterStop": meter, "timestamp": at},
}
MIX = " ".join(MESSAGES)
SESSION = f"Authorize StatusNotification StartTransaction {'MeterValues ' * 10}Heartbeat Heartbeat StopTransaction"
# (statements, round trips) of a batch of these actions, with BEGIN and COMMIT, for any number of chargers.
MOST_OF_A_BATCH = {
    "Heartbeat": (3, 3),  # nothing is written: only the newest sockets are read
    "Authorize": (4, 4),  # the tags of all chargers are found at once
    "StatusNotification": (5, 5),  # the connectors and events of all chargers are written at once
    "StartTransaction": (9, 9),  # repetitions and superseded transactions are found for all chargers at once
    "MeterValues": (5, 6),  # readings are copied, and the energy of their transactions is counted, at once
    "StopTransaction": (8, 8),  # all transactions are ended, and priced, at once
    MIX: (16, 17),  # kinds share one transaction and one check of sockets
}
# The same for a batch of TransactionEvents (OCPP 2.0.1) of these types, each with a reading.
MOST_OF_EVENTS = {
    "Started": (9, 10),  # the transaction is begun with all its columns, without a look-up and a fold
    "Updated": (5, 6),  # the same as MeterValues of 1.6
    "Ended": (8, 9),  # the transaction is ended by the statement that finds it and counts the readings
    "Ended after a gap": (11, 12),  # the transaction is locked while it is found, and folded
}
# (statements, round trips) of a command in the web process, in the writer, and in the worker, with BEGIN and COMMIT.
MOST_OF_A_COMMAND = {"submission": (5, 5), "claim": (3, 3), "end": (5, 5)}
# The command that requests a report, its payload, and the content of a part of the report.
REPORTS = {
    "NotifyReport": (
        *("GetBaseReport", {"requestId": 7, "reportBase": "FullInventory"}),
        {"seqNo": 0, "generatedAt": NOON, "reportData": [NAMED | {"variableAttribute": [{"value": "1"}]}]},
    ),
    "ReportChargingProfiles": (
        *("GetChargingProfiles", {"requestId": 7, "chargingProfile": {}}),
        {
            **{"chargingLimitSource": "CSO", "evseId": 1},
            "chargingProfile": [a_profile("TxProfile", id=number, transactionId="TX") for number in (1, 2)],
        },
    ),
    "NotifyDisplayMessages": (
        *("GetDisplayMessages", {"requestId": 7}),
        {"messageInfo": [{"id": number, "transactionId": "TX"} for number in (1, 2)]},
    ),
    "NotifyMonitoringReport": (
        *("GetMonitoringReport", {"requestId": 7}),
        {"seqNo": 0, "generatedAt": NOON, "monitor": [NAMED | {"variableMonitoring": [MONITOR]}]},
    ),
}
MOST_OF_PARTS = 14  # statements of a batch of parts
MOST_WAL_OF_A_MESSAGE = 700  # bytes: one row for a reading, and none of its charger, see decisions 0025 and 0026
MOST_REDIS_OPERATIONS_OF_A_COMMAND = 33  # a command takes a fixed number from its POST to the answer to a poll


def a_reading(at, meter):
    """A reading of five samples."""
    return {"timestamp": at, "sampledValue": [{"value": str(meter), **REGISTER}, *SAMPLES]}


@pytest.fixture
def plans(monkeypatch):
    """Keep the plans of statements, which the writer would discard every few seconds by one more statement."""
    monkeypatch.setattr(faults._writer, "plans_expire_at", math.inf)


class Fleet:
    """Chargers with open sockets. `transactions` has their last ones, {primary key: transactionId}."""

    def __init__(self, size):
        self.chargers, self.transactions, self.minutes = [a_charger() for _ in range(size)], {}, 0
        opened = [connections.ConnectionOpened(one.pk, datetime.now(UTC), "ocpp1.6") for one in self.chargers]
        newest = zip(opened, connections.open_sockets(opened), strict=True)
        self.sockets = {socket.charger: found.opened_at for socket, found in newest}

    def entries(self, action, **members):
        """The entries of one batch, a minute and 100 Wh after the one before, so that it is not a repetition."""
        self.minutes += 1
        at = (START + timedelta(minutes=self.minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for charger in self.chargers:
            call = a_call(charger, action, **MESSAGES[action](at, self.minutes * 100) | members)
            call.socket = self.sockets[charger.pk]
            if action in ("MeterValues", "StopTransaction"):
                call.payload["transactionId"] = self.transactions[charger.pk]
            yield Entry(HANDLERS[action], call)

    def send(self, action, **members):
        """Send a message of each charger in one batch."""
        entries = [*self.entries(action, **members)]
        for entry, answer in zip(entries, commit(entries), strict=True):
            if action == "StartTransaction":
                self.transactions[entry.charger] = answer["transactionId"]

    def live_a_session(self):
        """Send 17 messages of each charger."""
        for action in SESSION.split():
            self.send(action)
        self.send("StatusNotification", status="Available")


def commit(entries):
    """Commit one batch as the writer does while no `last_seen` is due. Return the payloads of the answers."""
    return [json.loads(answer)[2] for answer in commits.commit_with_retry(Batch(entries, {}))]


def traced(work):
    """(statements, round trips) of `work`, from the trace of libpq."""
    libpq = connection.connection.pgconn
    with tempfile.TemporaryFile("w+") as trace:
        libpq.trace(trace.fileno())
        libpq.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        work()
        libpq.untrace()
        trace.seek(0)
        seen = Counter(line.split("\t")[2].strip() for line in trace if line.startswith("B\t"))
    return seen["CommandComplete"], seen["ReadyForQuery"] + seen["CopyInResponse"]


def cost_of_a_batch(actions, size):
    """What `traced` returns for a batch with `size` chargers of each of the actions."""
    entries = []
    for action in actions.split():
        fleet = Fleet(size)
        if action in ("MeterValues", "StopTransaction"):
            fleet.send("StartTransaction")
        entries += fleet.entries(action)
    return traced(lambda: commit(entries))


@pytest.mark.django_db
@pytest.mark.parametrize("actions", MOST_OF_A_BATCH, ids=lambda actions: "mix" if actions == MIX else actions)
def test_a_batch_takes_few_statements_for_any_number_of_chargers(plans, actions):
    a_tag("ABC")
    cost_of_a_batch(actions, 2)  # prepares the statements
    few, many = cost_of_a_batch(actions, 2), cost_of_a_batch(actions, 50)
    assert few == many
    assert all(cost <= most for cost, most in zip(many, MOST_OF_A_BATCH[actions], strict=True)), many


def cost_of_parts(action, size, **members):
    """What `traced` returns for a batch with a part of a report of each of `size` chargers."""
    requested, payload, content = REPORTS[action]
    calls = []
    for _ in range(size):
        charger = a_station()
        a_command(charger, requested, payload, request_id=7, sent_at=START, state=FINISHED)
        a_session(charger, own_reference="TX")
        calls.append(a_call(charger, action, requestId=7, **content, **members))
    return traced(lambda: settle(*calls))


@pytest.mark.django_db
@pytest.mark.parametrize("action", REPORTS)
def test_parts_of_reports_take_few_statements_for_any_number_of_chargers(plans, action):
    cost_of_parts(action, 2, tbc=True)  # prepares the statements
    few, many = (cost_of_parts(action, size, tbc=True)[0] for size in (2, 20))
    assert few == many <= MOST_OF_PARTS, (few, many)
    # What a whole report lacks is searched for by one statement for each, because each has its own criteria.
    few, many = (cost_of_parts(action, size)[0] for size in (2, 20))
    assert many - few <= 18, (few, many)
    assert Command.objects.exclude(completed_at=None).count() == 22
    assert Command.objects.exclude(report=None).count() == 22


class Sessions:
    """Sessions of chargers of OCPP 2.0.1, one each, whose events are sent in batches."""

    def __init__(self, size):
        self.stations = [ChargingClient201("", a_charger().identity, "ABC") for _ in range(size)]
        self.chargers = {one.identity: one for one in Charger.objects.filter(identity__in=self.identities)}
        self.sockets = {identity: open_socket(one) for identity, one in self.chargers.items()}
        self.lives = {station.identity: station.session() for station in self.stations}

    @property
    def identities(self):
        return [station.identity for station in self.stations]

    def entries(self, event_type):
        """The entries of the batch in which each session sends its next event of a type; it skips other messages."""
        for identity, life in self.lives.items():
            payload = next(payload for _, payload in life if payload.get("eventType") == event_type)
            call = a_call(self.chargers[identity], "TransactionEvent", **payload)
            call.version, call.socket = OCPP201, self.sockets[identity]
            yield Entry(HANDLERS_201["TransactionEvent"], call)


@pytest.mark.django_db
def test_a_batch_of_events_takes_few_statements_for_any_number_of_chargers(plans):
    a_tag("ABC", type="ISO14443")

    def costs(size):
        whole, broken = Sessions(size), Sessions(size)
        cost = {name: traced(partial(commit, [*whole.entries(name)])) for name in ("Started", "Updated")}
        for _ in range(ChargingClient201.readings - 1):
            commit([*whole.entries("Updated")])
        commit([*broken.entries("Started")])
        ends = {"Ended": whole, "Ended after a gap": broken}
        return cost | {name: traced(partial(commit, [*some.entries("Ended")])) for name, some in ends.items()}

    costs(2)  # prepares the statements
    few, many = costs(2), costs(50)
    assert few == many
    for name, most in MOST_OF_EVENTS.items():
        assert all(cost <= limit for cost, limit in zip(many[name], most, strict=True)), many


@pytest.mark.django_db(transaction=True)
def test_a_command_takes_few_statements(plans):
    charger = a_charger()

    def costs():
        task_id = None

        def submit():
            nonlocal task_id
            task_id = submission.submit(charger, "ClearCache", {}).task_id

        def claim():
            entry = Entry(delivery.claim, Claim(charger.pk, task_id, uuid4().hex))
            assert all(commits.commit_with_retry(Batch([entry], {})))

        def finish(command):
            ending = {"state": FINISHED, "outcome": ANSWERED, "response": ACCEPTED, "error": None}
            assert lifecycle._record(command, ending).completed_at

        yield traced(submit)
        yield traced(claim)
        yield traced(partial(finish, get_command(task_id)))

    [*costs()]  # prepares the statements
    assert dict(zip(MOST_OF_A_COMMAND, costs(), strict=True)) == MOST_OF_A_COMMAND


def wal_position():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_insert_lsn() - '0/0'")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_a_message_of_a_session_takes_few_bytes_of_wal():
    """The least of three rounds counts, because a checkpoint adds images of pages to the round that follows."""
    a_tag("ABC")
    fleet, rounds = Fleet(50), []
    for _ in range(4):
        before = wal_position()
        fleet.live_a_session()
        rounds.append((wal_position() - before) / (17 * 50))
    assert (Transaction.objects.count(), Reading.objects.count()) == (4 * 50, 4 * 50 * 10)
    assert min(rounds[1:]) <= MOST_WAL_OF_A_MESSAGE, rounds


def redis_operations():
    """How many operations Redis has carried out for all its clients; those of scripts count as well."""
    return sum(command["calls"] for command in sync_redis().info("commandstats").values())


def operations_during(work):
    """(operations, seconds) of `work`."""
    operations, began = redis_operations(), time.monotonic()
    work()
    return redis_operations() - operations, time.monotonic() - began


def test_a_command_takes_few_operations_of_redis(live):
    """The operations of an idle system in the same time are left out. The least of three rounds counts."""
    with live.charger(an_id(), ClearCache=ACCEPTED) as charger:

        def commands():
            for _ in range(20):
                assert live.finished(live.ask(charger.identity, "ClearCache", {}))["outcome"] == "answered"

        commands()
        idle, seconds = operations_during(lambda: time.sleep(2))
        rounds = [operations_during(commands) for _ in range(3)]
    each = [(operations - idle * took / seconds) / 20 for operations, took in rounds]
    assert min(each) <= MOST_REDIS_OPERATIONS_OF_A_COMMAND, each
