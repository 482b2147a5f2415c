"""The SQL statements of gateway. A test prepares each of them, so that its columns are those of the models."""

# --- retries -----------------------------------------------------------------------------------

# `last_seen` is NULL before the first CALL; `greatest` ignores NULL. `seen` is never NULL.
REMEMBER = """
WITH s AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS s(
        id bigint, seen timestamptz, call_id text, digest text, answer text, socket timestamptz
    )
), remembered AS (
    UPDATE chargers_charger c SET
        last_seen = greatest(c.last_seen, s.seen),
        last_call_id = coalesce(s.call_id, c.last_call_id),
        last_call_digest = coalesce(s.digest, c.last_call_digest),
        last_answer = coalesce(s.answer, c.last_answer)
    FROM s WHERE c.id = s.id AND (s.socket IS NULL OR s.socket = c.connected_at)
    RETURNING c.id, c.boot_policy, c.registration_status
)
SELECT * FROM remembered
WHERE registration_status IN ('Pending', 'Rejected') OR registration_status = '' AND boot_policy <> 'Accepted'
UNION ALL
SELECT s.id, NULL, NULL FROM s WHERE s.socket IS NOT NULL AND NOT EXISTS (SELECT FROM remembered r WHERE r.id = s.id)
"""

LOCK_CHARGERS = "SELECT FROM chargers_charger WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
