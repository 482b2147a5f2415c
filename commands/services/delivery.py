"""Delivery of commands to sockets: the claim before a CALL is written, late replies, and triggered messages."""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models.functions import Now

from chargers.services import events
from commands import sql
from commands.actions.table import ACTIONS, action_of
from commands.models import ANSWERED, CALL_ERROR, FINISHED, QUEUED, SENT, Command
from commands.services.mailbox import Answer
from core.db import bulk_sql
from core.ocpp.frames import storable

TRIGGER_LIFETIME = timedelta(minutes=5)
# The actions of any version that request a message of a charger.
TRIGGERS = {action.name for actions in ACTIONS.values() for action in actions.values() if action.triggers}


class Claim(NamedTuple):
    """A socket is about to write the command `task_id` of a charger (primary key); `token` is new for each claim."""

    charger: int
    task_id: str
    token: str


def claim(wanted: list[Claim]) -> list[datetime | None]:
    """Change commands from queued to sent.

    Return for each the time of its claim, or None if it may not be written. The claim is committed before the CALL
    is written, so that a task that is delivered or sent twice is written once. A repeated claim with the same token
    succeeds, because the commit of the first one may only have seemed lost.
    """
    rows = [row._asdict() for row in sorted(wanted)]
    claimed = {tuple(row): sent_at for *row, sent_at in bulk_sql.execute(sql.CLAIM, rows)}
    for charger, task_id, _ in claimed:
        events.notify_live("command.sent", charger, task_id=task_id)
    return [claimed.get(tuple(row)) for row in wanted]


class LateReply(NamedTuple):
    """A reply that no task received: `event` is that of the mailbox, `reply` with a payload or `error`."""

    charger: int
    task_id: str
    event: Answer


def store_late_replies(replies: list[LateReply]) -> list[bool]:
    """Store replies, and return for each whether it has a command."""
    return [_store_reply(*reply) for reply in replies]


def _store_reply(charger: int, task_id: str, event: Answer) -> bool:
    sent = Command.objects.filter(charger_id=charger, task_id=task_id).exclude(state=QUEUED)
    command = sent.first()
    if command is None:
        return False
    column, received = ("response", event["payload"]) if event["type"] == "reply" else ("error", event["error"])
    answer = storable(command.payload.hide_in(received))
    # The reply is in time, but Redis was unavailable; the task finds it in the row at the end of its wait.
    if not sent.filter(state=SENT, response=None, error=None).update(**{column: answer}):
        unanswered = sent.filter(state=FINISHED, late_response=None).exclude(outcome__in=[ANSWERED, CALL_ERROR])
        unanswered.update(late_response=answer)
    return True


def triggered(calls: set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Return those of `calls`, (charger, action), that a command has triggered; a Pending charger may send them."""
    triggers = Command.objects.filter(
        charger__in={charger for charger, _ in calls},
        action__in=TRIGGERS,
        sent_at__gt=Now() - TRIGGER_LIFETIME,
    )
    messages = {(c.charger_id, _triggered_message(c)) for c in triggers if may_have_been_accepted(c)}
    return messages & calls


def _triggered_message(command: Command) -> str:
    """Return the action of the message, "" if the version of the command does not trigger any by it."""
    triggers = action_of(command.version, command.action).triggers
    return triggers(command.payload) if triggers else ""


def may_have_been_accepted(command: Command) -> bool:
    """Return whether the charger has accepted it, or may have, because its answer is not stored yet."""
    return command.state == SENT or (command.outcome == ANSWERED and command.status == "Accepted")
