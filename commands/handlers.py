"""What a charger's socket asks of commands, in batches like everything else it writes."""

from chargers import recordset
from chargers.registry import hook
from commands.models import ANSWERED, CALL_ERROR, FINISHED, QUEUED, SENT, Command

CLAIM = """
UPDATE commands_command c SET state = 'sent', sent_at = now(), claim_token = s.token
FROM json_to_recordset(%s) AS s(charger bigint, task_id text, token text)
WHERE c.task_id = s.task_id AND c.charger_id = s.charger AND c.state = 'queued'
    AND NOT EXISTS (SELECT FROM commands_command o WHERE o.charger_id = c.charger_id AND o.state = 'sent')
"""


@hook("claim")
def claim(wanted):
    """Which of `wanted`, (charger, task id, token), may be written now: queued until here, sent from here on.

    Committed before the CALL is written, so that a task delivered twice, or sent twice, is written once. A
    claim is known by its token, so that one whose commit seemed lost is still the claimant's when tried again.
    """
    recordset.execute(CLAIM, [dict(zip(("charger", "task_id", "token"), row, strict=True)) for row in sorted(wanted)])
    ours = Command.objects.filter(task_id__in=[task_id for _, task_id, _ in wanted])
    claimed = set(ours.values_list("charger_id", "task_id", "claim_token"))
    return [row in claimed for row in wanted]


@hook("late_reply")
def late_reply(replies):
    """Keep replies that nobody was there to take: (charger, task id, event). Whether each was asked for at all."""
    return [_keep(charger, task_id, event) for charger, task_id, event in replies]


def _keep(charger, task_id, event):
    asked = Command.objects.filter(charger_id=charger, task_id=task_id).exclude(state=QUEUED)
    told = {"response": event["payload"]} if event["type"] == "reply" else {"error": event["error"]}
    # In time, but Redis was away: its task finds it when it gives up waiting.
    if not asked.filter(state=SENT, response=None, error=None).update(**told):
        unanswered = asked.filter(state=FINISHED, late_response=None).exclude(outcome__in=[ANSWERED, CALL_ERROR])
        unanswered.update(late_response=event.get("payload", event.get("error")))
    return asked.exists()
