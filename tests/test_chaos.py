"""What `make chaos` checks with: a loss that is planted is found, and what is right is not blamed."""

import pytest
from django.db import connection

from chaos import checks
from chaos.fleet import Books, Session
from commands.models import Command
from tests.builders import NOON, a_charger, a_command, a_start, tell
from transactions.models import MeterValue, Transaction

pytestmark = pytest.mark.django_db
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": NOON}


def sql(statement, parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


@pytest.fixture
def books():
    """{charger id: Books} of one charger that had a session, which the database has, too."""
    charger = a_charger("505")
    started = a_start(charger)
    number = tell(charger, "StartTransaction", **started)["transactionId"]
    values = [{"timestamp": NOON, "sampledValue": [{"value": "1500"}]}]
    tell(charger, "MeterValues", connectorId=1, transactionId=number, meterValue=values)
    stopped = {"transactionId": number, "meterStop": 2000, "timestamp": NOON}
    tell(charger, "StopTransaction", **stopped)
    tell(charger, "StatusNotification", **STATUS)
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M")
    return {"505": Books(boots=1, status=STATUS, sessions={number: Session(started, 1, stopped)})}


def found(books):
    lost, twice = checks.lost_and_twice(books, sql)
    return [what for _, _, what in lost], [what for _, _, what in twice]


def test_what_is_stored_is_not_missed(books):
    assert found(books) == ([], [])


@pytest.mark.parametrize(
    ("plant", "lost"),
    [
        (lambda: Transaction.objects.update(stop_received_at=None), ["stop"]),
        (lambda: Transaction.objects.update(meter_stop=1), ["stop"]),
        (lambda: Transaction.objects.update(meter_start=1), ["start"]),
        (lambda: MeterValue.objects.all().delete(), ["meter values"]),
        (lambda: Transaction.objects.get().charger.connectors.update(status="Charging"), ["status"]),
        (lambda: Transaction.objects.get().charger.connectors.all().delete(), ["status"]),
    ],
)
def test_a_planted_loss_is_found(books, plant, lost):
    plant()
    assert found(books) == (lost, [])


def test_a_whole_charger_that_is_gone_is_found(books):
    books["506"] = Books(boots=1, sessions={99: Session(a_start(None))})
    assert found(books) == (["boot", "start"], [])


def test_what_is_there_twice_is_found(books):
    tell(Transaction.objects.get().charger, "StartTransaction", **a_start(None, timestamp="2025-02-26T13:00:00Z"))
    (own,) = books["505"].sessions.values()
    own.samples = 0
    assert found(books) == ([], ["meter values", "transaction"])


def test_a_call_that_came_twice_is_found():
    assert checks.sent_twice({"505": Books(calls={"a": 1, "b": 2})}) == ["b"]


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
def test_what_became_of_a_command_is_judged(columns, replied, verdict):
    command = a_command(a_charger("505"), **{"state": "finished", **columns})
    books = {"505": Books(replied={command.task_id} if replied else set())}
    unfinished, untrue, _ = checks.commands({command.task_id: ("505", "steady")}, books, sql)
    assert (len(unfinished), len(untrue)) == (verdict == "unfinished", verdict == "untrue")


def test_a_command_that_is_not_there_any_more_is_found():
    assert not Command.objects.exists()
    assert checks.commands({"x": ("505", "steady")}, {}, sql)[0] == ["x"]
