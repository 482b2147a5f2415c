"""The SQL statements of commands. A test prepares each of them, so that its columns are those of the models."""

from commands.models import command_totals
from transactions.sql import Totals, report

_LISTED = ", ".join(command_totals.COUNTS)
_SUMMED = ", ".join(f"sum(q.{name})" for name in command_totals.COUNTS)

# --- models/batch ------------------------------------------------------------------------------

COUNT_BATCH_ITEMS = """
SELECT CASE WHEN item.state = 'created' THEN c.state ELSE item.state END, c.outcome, c.simulated,
    c.confirmation, count(*)
FROM commands_batchitem item LEFT JOIN commands_command c ON c.id = item.command_id
WHERE item.batch_id = %s GROUP BY 1, 2, 3, 4
"""

# --- batches -----------------------------------------------------------------------------------

CREATE_BATCH_ITEMS = """
INSERT INTO commands_batchitem (batch_id, charger_id, due_at, state, reason)
SELECT %s, r.charger, r.due_at, 'waiting', '' FROM json_to_recordset(%s) AS r(charger bigint, due_at timestamptz)
"""

# --- confirmation ------------------------------------------------------------------------------

# Only pending ones that no other worker has looked at meanwhile, so that each is decided and read back once.
CONFIRM = """
UPDATE commands_command c SET confirmation = s.confirmation, confirmation_detail = s.detail,
    confirmed_at = CASE s.confirmation WHEN 'confirmed' THEN clock_timestamp() END,
    look_at = CASE s.confirmation WHEN 'pending' THEN s.look_at END
FROM json_to_recordset(%s) AS s(id bigint, confirmation text, detail text, look_at timestamptz,
    looked_at timestamptz)
WHERE c.id = s.id AND c.confirmation = 'pending' AND c.look_at = s.looked_at
RETURNING c.id
"""

# --- progress ----------------------------------------------------------------------------------

STORE_PROGRESS = """
UPDATE commands_command c
SET progress = s.progress, completed_at = s.completed_at, report = coalesce(s.report, c.report)
FROM json_to_recordset(%s) AS s(id bigint, progress text, completed_at timestamptz, report text)
WHERE c.id = s.id
"""

# --- delivery ----------------------------------------------------------------------------------

# `lower` and the count make PostgreSQL use the index of task ids and one look-up per charger. Without them it may
# choose an index of all commands under way, because its statistics of their number are often outdated.
CLAIM = """
WITH s AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS s(charger bigint, task_id text, token text)
), claimed AS (
    UPDATE commands_command c SET state = 'sent', sent_at = now(), claim_token = s.token FROM s
    WHERE c.task_id = s.task_id AND c.charger_id = s.charger AND lower(c.state) = 'queued'
        AND (SELECT count(*) FROM commands_command o WHERE o.charger_id = c.charger_id AND o.state = 'sent') = 0
    RETURNING c.charger_id, c.task_id, c.claim_token, c.sent_at
)
SELECT * FROM claimed
UNION ALL
SELECT c.charger_id, c.task_id, c.claim_token, c.sent_at FROM s
JOIN commands_command c ON c.task_id = s.task_id AND c.charger_id = s.charger AND c.claim_token = s.token
"""

# --- lifecycle ---------------------------------------------------------------------------------

# The result of the task is stored by the same statement, because Celery would need a transaction of its own for it.
FINISH = """
WITH finished AS (
    UPDATE commands_command c SET state = 'finished', outcome = %(outcome)s, response = %(response)s,
        error = %(error)s, simulated = %(simulated)s, simulated_response = %(simulated_response)s,
        finished_at = clock.now, completed_at = CASE WHEN %(may_deliver)s THEN c.completed_at ELSE clock.now END,
        confirmation = %(confirmation)s::text, confirmation_detail = %(confirmation_detail)s, noted = %(noted)s,
        look_at = CASE %(confirmation)s::text WHEN 'pending' THEN clock.now END,
        confirm_until = clock.now + make_interval(secs => %(within_s)s)
    FROM (SELECT clock_timestamp() AS now) AS clock
    WHERE c.id = %(id)s AND c.state = %(state)s
        AND (NOT %(is_silent)s OR (c.response IS NULL AND c.error IS NULL))
    RETURNING c.task_id, c.finished_at
), result AS (
    INSERT INTO django_celery_results_taskresult (task_id, task_name, task_args, task_kwargs, worker, status,
        content_type, content_encoding, result, meta, date_created, date_done)
    SELECT task_id, %(task_name)s, %(task_args)s, '"{}"', %(worker)s, 'SUCCESS', 'application/json', 'utf-8',
        %(result)s, '{"children": []}', finished_at, finished_at FROM finished
    ON CONFLICT (task_id) DO UPDATE SET worker = excluded.worker, status = excluded.status, result = excluded.result,
        date_done = excluded.date_done
)
SELECT finished_at FROM finished
"""

NEXT_COMMAND = """
SELECT task_id, action FROM commands_command WHERE charger_id = %s AND state <> 'finished' ORDER BY id LIMIT 1
"""

# --- remote_starts -----------------------------------------------------------------------------

REMOTE_STARTS = """
SELECT id FROM commands_command
WHERE action = 'RemoteStartTransaction' AND transaction_id IS NULL AND charger_id = ANY(%s)
    AND sent_at > clock_timestamp() - make_interval(secs => %s)
"""

# --- submission --------------------------------------------------------------------------------

COUNT_QUEUED = """
SELECT count(*) FROM commands_command WHERE charger_id = %s AND state = 'queued' AND requested_by <> %s
"""

# --- incidents ---------------------------------------------------------------------------------

# Chargers whose last finished command has failed, within a day. Columns: see `_CAUSE` in `chargers.sql`.
FAILED_COMMANDS = """
SELECT c.id::text, c.id, NULL::int, NULL::int, CASE last.outcome WHEN 'call_error' THEN 'info' ELSE 'warning' END,
    last.action, '',
    concat_ws(': ', last.outcome, nullif(left(last.error::jsonb->>'code', 100), '')), last.finished_at
FROM chargers_charger c CROSS JOIN LATERAL (
    SELECT k.action, k.outcome, k.error, k.finished_at FROM commands_command k
    WHERE k.charger_id = c.id AND k.state = 'finished' AND k.outcome <> 'cancelled' ORDER BY k.id DESC LIMIT 1
) AS last
WHERE last.outcome <> 'answered' AND last.finished_at > now() - interval '1 day'
"""

# Those that have stopped by themselves.
STOPPED_CAMPAIGNS = """
SELECT c.id::text, NULL::bigint, NULL::int, NULL::int, 'warning', c.name, '', c.reason,
    coalesce((SELECT max(i.ended_at) FROM commands_campaignitem i
        WHERE i.campaign_id = c.id AND i.state = 'failed'), c.resumed_at)
FROM commands_campaign c WHERE c.state = 'stopped' AND c.reason <> ''
"""

# --- command_totals ----------------------------------------------------------------------------

ANY_STALE_DAY = "SELECT 1 FROM commands_stalecommandday LIMIT 1"

TAKE_STALE_DAYS = """
DELETE FROM commands_stalecommandday
WHERE id IN (SELECT id FROM commands_stalecommandday ORDER BY id LIMIT %s) RETURNING charger_id, day
"""

# `whole` are chargers of which every day is computed, `days` rows with a charger and a local day.
DELETE_DAY_TOTALS = """
DELETE FROM commands_commanddaytotal d WHERE d.charger_id = ANY(%(whole)s)
    OR (d.charger_id, d.day) IN (
        SELECT s.charger, s.day FROM json_to_recordset(%(days)s) AS s(charger bigint, day date))
"""

# Those that are stored are counted by their quarters of an hour, as those that were deleted are.
INSERT_DAY_TOTALS = f"""
INSERT INTO commands_commanddaytotal (charger_id, day, action, {_LISTED})
SELECT q.charger_id, l.day, q.action, {_SUMMED}
FROM (
    SELECT c.charger_id, c.action, date_bin('15 minutes', c.created_at, '2000-01-01Z') AS quarter,
        {command_totals.COUNTED}
    FROM commands_command c WHERE c.charger_id = ANY(%(chargers)s) AND c.state = 'finished'
        AND c.created_at >= %(since)s AND c.created_at < %(until)s
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT charger_id, action, quarter, {_LISTED} FROM commands_deletedcommands
    WHERE charger_id = ANY(%(chargers)s) AND quarter >= %(since)s AND quarter < %(until)s
) q JOIN chargers_charger c ON c.id = q.charger_id
    LEFT JOIN chargers_site p ON p.id = c.site_id,
    LATERAL (SELECT (q.quarter AT TIME ZONE coalesce(p.time_zone, %(zone)s))::date AS day) l
WHERE q.charger_id = ANY(%(whole)s) OR (q.charger_id, l.day) IN (
    SELECT s.charger, s.day FROM json_to_recordset(%(days)s) AS s(charger bigint, day date))
GROUP BY 1, 2, 3
"""

_ADDED = ", ".join(f"{name} = d.{name} + excluded.{name}" for name in command_totals.COUNTS)

# One statement, so that the totals that others compute meanwhile count each row once.
MERGE_DELETED_COMMANDS = f"""
WITH q AS (
    DELETE FROM commands_deletedcommands WHERE id IN (
        SELECT id FROM commands_deletedcommands WHERE NOT is_merged ORDER BY id LIMIT %s)
    RETURNING *
), merged AS (
    INSERT INTO commands_deletedcommands AS d (charger_id, action, quarter, is_merged, {_LISTED})
    SELECT q.charger_id, q.action, q.quarter, true, {_SUMMED} FROM q GROUP BY 1, 2, 3 ORDER BY 1, 3, 2
    ON CONFLICT (charger_id, quarter, action) WHERE is_merged DO UPDATE SET {_ADDED}
)
SELECT count(*) FROM q
"""

DELETE_MONTH_TOTALS = """
DELETE FROM commands_commandmonthtotal m WHERE m.charger_id = ANY(%(whole)s)
    OR (m.charger_id, m.month) IN (
        SELECT s.charger, s.month FROM json_to_recordset(%(months)s) AS s(charger bigint, month date))
"""

INSERT_MONTH_TOTALS = f"""
INSERT INTO commands_commandmonthtotal (charger_id, month, action, {_LISTED})
SELECT q.charger_id, l.month, q.action, {_SUMMED}
FROM commands_commanddaytotal q, LATERAL (SELECT date_trunc('month', q.day::timestamp)::date AS month) l
WHERE q.charger_id = ANY(%(chargers)s) AND (q.charger_id = ANY(%(whole)s) OR (q.charger_id, l.month) IN (
    SELECT s.charger, s.month FROM json_to_recordset(%(months)s) AS s(charger bigint, month date)))
GROUP BY 1, 2, 3
"""

# --- command_reports ---------------------------------------------------------------------------

_COMMANDS = Totals(
    by_day="commands_commanddaytotal",
    by_month="commands_commandmonthtotal",
    sums=command_totals.COUNTS,
    own="action",
    has_own_by_month=True,
    split="''",
    charted="commands",
)
REPORT = {
    (group, narrowed): report(_COMMANDS, group, narrowed)
    for group in ("site", "charger", "action", "day", "month")
    for narrowed in (False, True)
}
