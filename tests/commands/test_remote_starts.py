"""The link from a RemoteStartTransaction to the transaction that follows it."""

from datetime import UTC, datetime, timedelta

import pytest

from chargers.models import Variable
from commands.actions.ocpp16 import charging
from commands.actions.ocpp16.table import ACTIONS
from commands.services.lifecycle import _finish
from commands.services.queries import get_command
from tests.support.builders import a_charger, a_command, a_start, tell

pytestmark = pytest.mark.django_db
ACCEPTED = {"state": "finished", "outcome": "answered", "response": {"status": "Accepted"}}


def a_remote_start(charger, ago=1, **more):
    payload = {"idTag": "ABC", **more.pop("payload", {})}
    columns = ACCEPTED | {"sent_at": datetime.now(UTC) - timedelta(seconds=ago)} | more
    return a_command(charger, "RemoteStartTransaction", payload, **columns)


def start(charger, seconds=0, **members):
    """Start a transaction now, or `seconds` later, and return its id."""
    moment = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    return tell(charger, "StartTransaction", **a_start(charger, timestamp=moment, **members))["transactionId"]


def linked(command):
    command.refresh_from_db()
    return command.transaction_id


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"payload": {"connectorId": 1}},
        {"payload": {"idTag": "abc"}},
        {"state": "sent", "outcome": "", "response": None},
    ],
)
def test_the_next_start_is_linked_to_the_command(columns):
    command = a_remote_start(a_charger(), **columns)
    assert linked(command) is None
    assert start(command.charger) == linked(command)


@pytest.mark.parametrize(
    "columns",
    [
        {"payload": {"connectorId": 2}},
        {"payload": {"idTag": "OTHER"}},
        {"response": {"status": "Rejected"}},
        {"outcome": "timed_out", "simulated": True, "response": None},
        {"ago": 500},
        {"ago": 86_500},
    ],
)
def test_an_unrelated_start_is_not_linked(columns):
    command = a_remote_start(a_charger(), **columns)
    start(command.charger)
    assert linked(command) is None


def test_the_connection_timeout_of_the_charger_limits_the_link():
    command = a_remote_start(a_charger(), ago=500)
    Variable.objects.create(charger=command.charger, variable="ConnectionTimeOut", value="900")
    assert start(command.charger) == linked(command)


@pytest.mark.parametrize("nonsense", ["9" * 400, "²", "-1", "", None])
def test_an_invalid_connection_timeout_is_ignored(nonsense):
    command = a_remote_start(a_charger())
    Variable.objects.create(charger=command.charger, variable="ConnectionTimeOut", value=nonsense)
    assert start(command.charger) == linked(command)


def test_an_earlier_offline_start_is_not_linked():
    command = a_remote_start(a_charger())
    start(command.charger, seconds=-3600)
    assert linked(command) is None


def test_each_start_is_linked_to_the_oldest_open_command():
    charger = a_charger()
    first, second = a_remote_start(charger, ago=9), a_remote_start(charger, ago=5)
    one = start(charger)
    assert (linked(first), linked(second)) == (one, None)
    two = start(charger, connectorId=2)
    assert (linked(first), linked(second)) == (one, two)


def test_a_repeated_start_is_linked_once():
    charger, again = a_charger(), {"timestamp": datetime.now(UTC).isoformat()}
    first, second = a_remote_start(charger, ago=9), a_remote_start(charger, ago=5)
    for _ in range(2):
        tell(charger, "StartTransaction", **a_start(charger, **again))
    assert linked(first)
    assert linked(second) is None


@pytest.mark.parametrize(
    ("columns", "kept"),
    [
        ({"response": {"status": "Rejected"}}, False),
        ({"outcome": "call_error", "response": None}, False),
        ({"outcome": "timed_out", "response": None}, True),
    ],
)
def test_a_refusal_removes_the_link_of_an_earlier_start(columns, kept):
    profile = {"chargingProfileId": 9, "stackLevel": 0, "chargingProfilePurpose": "TxProfile"}
    payload = {"chargingProfile": profile}
    command = a_remote_start(a_charger(), state="sent", outcome="", response=None, payload=payload)
    start(command.charger)
    assert linked(command)
    assert command.charger.installed_profiles.exists()
    for column, value in columns.items():
        setattr(command, column, value)
    row = ACTIONS["RemoteStartTransaction"]
    (row.answered if command.response else row.not_answered)(command)
    assert bool(linked(command)) == kept
    assert not command.charger.installed_profiles.exists()


@pytest.mark.django_db(transaction=True)
def test_a_refusal_removes_the_profile_of_an_earlier_start():
    profile = {"chargingProfileId": 9, "stackLevel": 0, "chargingProfilePurpose": "TxProfile"}
    columns = {"state": "sent", "outcome": "", "response": None, "payload": {"chargingProfile": profile}}
    under_way = get_command(a_remote_start(a_charger(), **columns).task_id)
    start(under_way.charger)
    assert under_way.charger.installed_profiles.exists()
    _finish(under_way, "answered", response={"status": "Rejected"})
    assert not under_way.charger.installed_profiles.exists()


def test_a_refused_start_leaves_the_profile_of_another_transaction():
    profile = {"chargingProfileId": 9, "stackLevel": 0, "chargingProfilePurpose": "TxProfile"}
    charger = a_charger()
    charging.install(charger, 1, profile, 77)
    refused = a_remote_start(charger, payload={"chargingProfile": profile}, response={"status": "Rejected"})
    ACTIONS["RemoteStartTransaction"].answered(refused)
    assert charger.installed_profiles.count() == 1
