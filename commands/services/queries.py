"""Look up one command by its task id with one prepared statement, because tasks and polling clients do so often.

The ORM builds its statement on each call, which takes five times as long as running it (see docs/performance.md).
"""

import time

from chargers.models import Charger
from commands.models import Command
from core.db import bulk_sql

OWN = len(Command._meta.concrete_fields)
# In the order of the model, as `from_db` requires.
OF_CHARGER = ("id", "identity", "boot_policy", "registration_status", "validation", "ocpp_version")
FIND = f"""
SELECT {bulk_sql.columns(Command)}, {", ".join(f"ch.{column}" for column in OF_CHARGER)},
    (SELECT f.task_id FROM commands_command f WHERE f.id = c.follows_id),
    (SELECT count(*) FROM commands_command earlier
        WHERE earlier.charger_id = c.charger_id AND earlier.id < c.id AND earlier.state <> 'finished') = 0,
    extract(epoch FROM clock_timestamp() - c.created_at)::float8,
    extract(epoch FROM clock_timestamp() - c.sent_at)::float8
FROM commands_command c JOIN chargers_charger ch ON ch.id = c.charger_id WHERE c.task_id = %s
"""


def _moment_s(ago_s: float) -> float:
    """The time `ago_s` seconds ago by `time.monotonic`; now if it is in the future, after a clock was set back."""
    return time.monotonic() - max(0.0, ago_s)


def get_command(task_id: str) -> Command | None:
    """Return the `Command`, None for an unknown id.

    Its attribute `is_first` says whether it is the first unfinished command of its charger. The columns of the
    charger that are not in `OF_CHARGER` are loaded on access.
    """
    rows = bulk_sql.query(FIND, [task_id])
    if not rows:
        return None
    *columns, caused_by, is_first, submitted_ago_s, sent_ago_s = rows[0]
    command: Command = bulk_sql.instance(Command, columns[:OWN])
    command.charger = Charger.from_db("default", OF_CHARGER, columns[OWN:])
    if caused_by:
        command.follows = Command(pk=command.follows_id, task_id=caused_by)
    command.is_first = is_first
    command.submitted_s = _moment_s(submitted_ago_s)
    if sent_ago_s is not None:
        command.sent_s = _moment_s(sent_ago_s)
    return command
