"""Claims of commands by a socket, and late replies."""

import pytest
from django.db import IntegrityError

from commands.models import ANSWERED, FINISHED, SENT, TIMED_OUT, Command
from commands.services.delivery import Claim, LateReply, claim, store_late_replies
from tests.support.builders import a_charger, a_command

pytestmark = pytest.mark.django_db


def pair(command):
    return (command.charger_id, command.task_id)


def claims(*commands, token="t"):
    """Return a list of whether each command was claimed."""
    return [at is not None for at in claim([Claim(*pair(command), token) for command in commands])]


def test_a_command_is_claimed_once():
    command = a_command()
    assert claims(command) == [True]
    assert claims(command, token="another") == [False]
    command.refresh_from_db()
    assert command.state == SENT
    assert claim([Claim(*pair(command), "t")]) == [command.sent_at]


def test_another_charger_cannot_claim_a_command():
    assert claim([Claim(a_charger().pk, a_command().task_id, "t")]) == [None]


def test_a_finished_command_is_not_claimed():
    assert claims(a_command(state=FINISHED, outcome=TIMED_OUT)) == [False]


def test_a_charger_has_one_claimed_command_at_a_time():
    first = a_command()
    second = a_command(first.charger)
    other = a_command()
    assert claims(first) == [True]
    assert claims(second, other) == [False, True]


def test_a_repeated_claim_succeeds():
    command = a_command()
    assert claims(command) == claims(command) == [True]


def test_the_database_allows_one_sent_command_for_each_charger():
    first = a_command(state=SENT)
    with pytest.raises(IntegrityError):
        a_command(first.charger, state=SENT)


def test_a_late_reply_changes_only_its_column():
    command = a_command(state=FINISHED, outcome=TIMED_OUT, simulated=True, simulated_response={"status": "Accepted"})
    assert store_late_replies([LateReply(*pair(command), {"type": "reply", "payload": {"status": "Rejected"}})]) == [
        True
    ]
    command.refresh_from_db()
    assert command.late_response == {"status": "Rejected"}
    assert (command.outcome, command.response, command.simulated) == (TIMED_OUT, None, True)


def test_a_timely_answer_is_stored_until_its_task_reads_it():
    command = a_command(state=SENT)
    store_late_replies([LateReply(*pair(command), {"type": "reply", "payload": {"status": "Accepted"}})])
    command.refresh_from_db()
    assert (command.response, command.late_response, command.state) == ({"status": "Accepted"}, None, SENT)


def test_a_second_answer_is_not_stored():
    command = a_command(state=FINISHED, outcome=ANSWERED, response={"status": "Accepted"})
    assert store_late_replies([LateReply(*pair(command), {"type": "reply", "payload": {}})]) == [True]
    assert Command.objects.get(pk=command.pk).late_response is None


def test_a_reply_of_another_charger_or_without_a_command_is_dropped():
    command = a_command(state=FINISHED, outcome=TIMED_OUT)
    event = {"type": "reply", "payload": {}}
    assert store_late_replies(
        [LateReply(a_charger().pk, command.task_id, event), LateReply(command.charger_id, "x", event)]
    ) == [False, False]
    command.refresh_from_db()
    assert command.late_response is None


def test_a_command_that_was_never_sent_has_no_reply():
    command = a_command()
    assert store_late_replies([LateReply(*pair(command), {"type": "reply", "payload": {}})]) == [False]
