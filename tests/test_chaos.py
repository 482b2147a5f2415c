"""The checks of `make chaos` find planted losses and report nothing else."""

import asyncio
import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from django.db import connection

from commands.models import Command
from tests.support.builders import NOON, a_charger, a_command, a_start, tell
from tools.chaos import checks
from tools.chaos.clocks import Clocks
from tools.chaos.fleet import Charger, Fleet, Records, Session
from tools.chaos.operator import Operator
from tools.chaos.waits import Waits
from transactions.models import Reading, Transaction

pytestmark = pytest.mark.django_db
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": NOON}


def sql(statement, parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


@pytest.fixture
def records():
    """{charger id: Records} of one charger that had a session, which is stored."""
    charger = a_charger("505")
    started = a_start(charger)
    number = tell(charger, "StartTransaction", **started)["transactionId"]
    values = [{"timestamp": NOON, "sampledValue": [{"value": "1500"}]}]
    tell(charger, "MeterValues", connectorId=1, transactionId=number, meterValue=values)
    stopped = {"transactionId": number, "meterStop": 2000, "timestamp": NOON}
    tell(charger, "StopTransaction", **stopped)
    tell(charger, "StatusNotification", **STATUS)
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M")
    return {"505": Records(boots=1, status=STATUS, sessions={str(number): Session(NOON, 1000, 1, 2000)})}


def found(records):
    lost, twice = checks.lost_and_twice(records, sql)
    return [what for _, _, what in lost], [what for _, _, what in twice]


def test_stored_rows_are_not_reported_as_missing(records):
    assert found(records) == ([], [])


@pytest.mark.parametrize(
    ("plant", "lost"),
    [
        (lambda: Transaction.objects.update(stop_received_at=None), ["stop"]),
        (lambda: Transaction.objects.update(meter_stop=1), ["stop"]),
        (lambda: Transaction.objects.update(meter_start=1), ["start"]),
        (lambda: Reading.objects.all().delete(), ["meter values"]),
        (lambda: Transaction.objects.get().charger.connectors.update(status="Charging"), ["status"]),
        (lambda: Transaction.objects.get().charger.connectors.all().delete(), ["status"]),
    ],
)
def test_a_planted_loss_is_found(records, plant, lost):
    plant()
    assert found(records) == (lost, [])


def test_a_missing_charger_is_found(records):
    records["506"] = Records(boots=1, sessions={"99": Session(NOON, 1000)})
    assert found(records) == (["boot", "start"], [])


def test_duplicate_rows_are_found(records):
    tell(Transaction.objects.get().charger, "StartTransaction", **a_start(None, timestamp="2025-02-26T13:00:00Z"))
    (own,) = records["505"].sessions.values()
    own.samples = 0
    assert found(records) == ([], ["meter values", "transaction"])


def test_readings_outside_sessions_are_counted(records):
    values = [{"timestamp": NOON, "sampledValue": [{"value": "1500"}]}]
    tell(Transaction.objects.get().charger, "MeterValues", connectorId=0, meterValue=values)
    assert found(records) == ([], ["reading"])
    records["505"].readings = 2
    assert found(records) == (["reading"], [])


def test_a_stored_command_that_was_refused_is_found():
    a_command(a_charger("505"), idempotency_key="taken")
    assert checks.half_taken(["taken", "refused"], sql) == ["taken"]


def test_an_impatient_charger_repeats_its_unanswered_message_after_others():
    sent, charger = [], Charger("505", Fleet("ws://127.0.0.1:1"))
    line = SimpleNamespace(
        send=lambda frame: sent.append(json.loads(frame)), transport=SimpleNamespace(is_disconnected=True)
    )

    async def live():
        charger.connected(line)
        charger.talk_first()
        charger.connected(line)
        for _ in range(3):
            charger.heard(line, json.dumps([3, charger.calls[0].message_id, {"currentTime": NOON}]))
            charger.go_on()

    asyncio.run(live())
    assert [frame[2] for frame in sent] == [
        *("BootNotification", "Heartbeat", "MeterValues", "BootNotification", "Authorize")
    ]
    assert sent[0] == sent[3]
    assert (charger.said_again, charger.records.readings) == (1, 1)


def test_a_command_sent_twice_is_found():
    assert checks.sent_twice({"505": Records(calls={"a": 1, "b": 2})}) == ["b"]


@pytest.mark.parametrize(
    ("columns", "replied", "verdict"),
    [
        ({"outcome": "answered", "response": {"status": "Accepted"}}, True, "right"),
        ({"outcome": "answered", "response": {"status": "Accepted"}}, False, "untrue"),
        ({"outcome": "answered", "response": {}, "simulated": True}, True, "untrue"),
        ({"outcome": "timed_out", "simulated": True}, False, "right"),
        ({"outcome": "timed_out"}, False, "untrue"),
        ({"outcome": "timed_out", "simulated": True, "response": {"status": "Accepted"}}, True, "untrue"),
        ({"outcome": "failed"}, False, "untrue"),
        ({"state": "sent", "outcome": ""}, False, "unfinished"),
    ],
)
def test_the_outcome_of_a_command_is_judged(columns, replied, verdict):
    command = a_command(a_charger("505"), **{"state": "finished", **columns})
    records = {"505": Records(replied={command.task_id} if replied else set())}
    unfinished, untrue, _ = checks.commands({command.task_id: ("505", "steady")}, records, sql)
    assert (len(unfinished), len(untrue)) == (verdict == "unfinished", verdict == "untrue")


def test_a_missing_command_is_found():
    assert not Command.objects.exists()
    assert checks.commands({"x": ("505", "steady")}, {}, sql)[0] == ["x"]


def a_waiting_charger(charger_id, asked=None):
    return SimpleNamespace(identity=charger_id, waiting=asked is not None, asked=asked)


def test_the_p99_counts_an_unanswered_message():
    waits, chargers = Waits(), [a_waiting_charger("505"), a_waiting_charger("506", asked=2.0)]
    for sent in range(10):
        waits.add("505", sent, sent + 0.5)
    assert waits.p99(chargers, 0, 9) == 7.0
    assert waits.p99(chargers[:1], 0, 9) == 0.5


def test_the_p99_counts_only_what_was_sent_in_time_and_by_these_chargers():
    waits = Waits()
    for charger_id, sent, answered in (("505", 1, 2), ("505", 10, 40), ("506", 1, 40)):
        waits.add(charger_id, sent, answered)
    assert waits.p99([a_waiting_charger("505")], 0, 9) == 1
    assert waits.p99([a_waiting_charger("507")], 0, 9) is None


@pytest.fixture
def operator(tmp_path):
    """An operator whose log had a line before the fault, and who was asked before it."""
    (tmp_path / "web-1.log").write_text("2026-11-29 03:54:58,997 ERROR gateway.batch_writer: earlier\n")
    operator = Operator("http://127.0.0.1:1", tmp_path)
    operator.ready, operator.metrics = [(9, 200, {"warning of beat"})], [(9, figures(4, "web:a", 1))]
    operator.begin()
    return operator


def figures(failures, process, is_up):
    failed = (("kind", "waited_out"), ("process", process))
    return {("ocpp_commit_failures_total", failed): failures, ("ocpp_up", (("part", "database"),)): is_up}


def test_the_report_has_the_changes_of_readiness(operator):
    faulty = {"warning of beat", "database (OperationalError)"}
    operator.ready += [(10, 200, {"warning of beat"}), (11, 503, faulty), (12, 503, faulty), (15, None, set())]
    shown = "200; 503, database (OperationalError) from 1 s on; no answer from 5 s on"
    assert operator.report(10)["readyz"] == shown


def test_the_report_has_the_figures_that_rose_and_fell(operator):
    operator.metrics += [(11, figures(6, "web:a", 0)), (12, None), (13, figures(3, "web:b", 1))]
    shown = "`ocpp_commit_failures_total` waited_out +5, `ocpp_up` database down to 0, no answer 1 times"
    assert operator.report(10)["metrics"] == shown


def test_the_report_counts_lines_of_the_log(operator, tmp_path):
    said = "2026-11-29 03:54:{n},997 WARNING gateway.batch_writer: Charger 'chaos-{n}' waits\nTraceback\n"
    with (tmp_path / "web-1.log").open("a") as log:
        log.write(said.format(n=10) + said.format(n=11) + "2026-11-29 03:54:59,997 INFO uvicorn: usual\n")
    assert operator.report(10)["log"] == "2 × `WARNING gateway.batch_writer: Charger … waits`"


def test_the_report_says_that_nothing_was_reported(operator):
    assert operator.report(10) == {"readyz": "", "metrics": "nothing", "log": "nothing"}


READ_CLOCKS = """
import sys, time, datetime
for _ in sys.stdin:
    began = time.monotonic()
    time.sleep(0.01)
    print(time.time(), datetime.datetime.now().timestamp(), time.monotonic() - began, flush=True)
"""


@pytest.mark.skipif(not Clocks.are_possible(), reason="there is no C compiler")
def test_a_clock_step_changes_the_time_but_no_sleep(tmp_path):
    clocks = Clocks(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-c", READ_CLOCKS],
        env=os.environ | clocks.environment("web"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        for seconds in (0, 3600, -3600, 0):
            clocks.step("web", seconds)
            child.stdin.write("now\n")
            child.stdin.flush()
            *body, slept = map(float, child.stdout.readline().split())
            assert body == [pytest.approx(time.time() + seconds, abs=60)] * 2
            assert 0 < slept < 60
