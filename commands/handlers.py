"""What a charger's socket asks of commands, in batches like everything else it writes."""

from django.db.models import Q

from chargers import recordset
from chargers.registry import hook
from commands.models import ANSWERED, CALL_ERROR, FINISHED, QUEUED, Command

CLAIM = """
UPDATE commands_command c SET state = 'sent', sent_at = now()
FROM json_to_recordset(%s) AS s(charger bigint, task_id text)
WHERE c.task_id = s.task_id AND c.charger_id = s.charger AND c.state = 'queued'
    AND NOT EXISTS (SELECT FROM commands_command o WHERE o.charger_id = c.charger_id AND o.state = 'sent')
RETURNING c.charger_id, c.task_id
"""


@hook("claim")
def claim(wanted):
    """Which of `wanted`, (charger, task id) pairs, may be written now: queued until here, sent from here on.

    Committed before the CALL is written, so that a task delivered twice, or sent twice, is written once.
    """
    rows = [{"charger": charger, "task_id": task_id} for charger, task_id in sorted(wanted)]
    claimed = recordset.execute(CLAIM, rows)
    return [pair in claimed for pair in wanted]


@hook("late_reply")
def late_reply(replies):
    """Keep replies nobody waits for any more: (charger, task id, event). Whether each was asked for at all."""
    return [_keep(charger, task_id, event) for charger, task_id, event in replies]


def _keep(charger, task_id, event):
    asked = Command.objects.filter(charger_id=charger, task_id=task_id).exclude(state=QUEUED)
    unanswered = ~Q(state=FINISHED) | ~Q(outcome__in=[ANSWERED, CALL_ERROR])
    asked.filter(unanswered, late_response=None).update(late_response=event.get("payload", event.get("error")))
    return asked.exists()
