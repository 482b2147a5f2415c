"""The SQL statements of commands. A test prepares each of them, so that its columns are those of the models."""

# --- models/batch ------------------------------------------------------------------------------

COUNT_BATCH_ITEMS = """
SELECT CASE WHEN item.state = 'created' THEN c.state ELSE item.state END, c.outcome, c.simulated, count(*)
FROM commands_batchitem item LEFT JOIN commands_command c ON c.id = item.command_id
WHERE item.batch_id = %s GROUP BY 1, 2, 3
"""

# --- batches -----------------------------------------------------------------------------------

CREATE_BATCH_ITEMS = """
INSERT INTO commands_batchitem (batch_id, charger_id, due_at, state, reason)
SELECT %s, r.charger, r.due_at, 'waiting', '' FROM json_to_recordset(%s) AS r(charger bigint, due_at timestamptz)
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
