"""One command by its task id, with one prepared statement: a task looks itself up, and clients poll it without end.

The ORM makes its statement anew each time, which takes five times as long as running it (see docs/performance.md).
"""

import time

from chargers import bulk_sql
from chargers.models import Charger
from commands.models import Command

OWN = len(Command._meta.concrete_fields)
OF_CHARGER = ("id", "charger_id", "boot_policy", "registration_status")
FIND = f"""
SELECT {bulk_sql.columns(Command)}, {", ".join(f"ch.{column}" for column in OF_CHARGER)},
    (SELECT f.task_id FROM commands_command f WHERE f.id = c.follows_id),
    (SELECT count(*) FROM commands_command earlier
        WHERE earlier.charger_id = c.charger_id AND earlier.id < c.id AND earlier.state <> 'finished') = 0,
    extract(epoch FROM clock_timestamp() - c.created_at)::float8,
    extract(epoch FROM clock_timestamp() - c.sent_at)::float8
FROM commands_command c JOIN chargers_charger ch ON ch.id = c.charger_id WHERE c.task_id = %s
"""


def _moment_s(ago_s):
    """The moment so many seconds ago by `time.monotonic`. One in the future, after a clock was set back, is now."""
    return None if ago_s is None else time.monotonic() - max(0.0, ago_s)


def get_command(task_id):
    """The `Command`, None for an unknown id. It knows whether it `is_first` of its charger's unfinished ones; of its
    charger, what is not needed here is read when it is asked for."""
    rows = bulk_sql.query(FIND, [task_id])
    if not rows:
        return None
    *columns, caused_by, is_first, asked_ago, sent_ago = rows[0]
    command = bulk_sql.instance(Command, columns[:OWN])
    command.charger = Charger.from_db("default", OF_CHARGER, columns[OWN:])
    if caused_by:
        command.follows = Command(pk=command.follows_id, task_id=caused_by)
    command.is_first = is_first
    command.asked_s, command.sent_s = _moment_s(asked_ago), _moment_s(sent_ago)
    return command
