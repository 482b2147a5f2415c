"""The SQL statements of gateway. A test prepares each of them, so that its columns are those of the models."""

# --- retries -----------------------------------------------------------------------------------

# `last_seen` is NULL before the first frame; `greatest` ignores NULL. `seen` is never NULL.
REMEMBER = """
UPDATE chargers_charger c SET
    last_seen = greatest(c.last_seen, s.seen),
    last_call_id = coalesce(s.call_id, c.last_call_id),
    last_call_digest = coalesce(s.digest, c.last_call_digest),
    last_answer = coalesce(s.answer, c.last_answer)
FROM json_to_recordset(%s) AS s(id bigint, seen timestamptz, call_id text, digest text, answer text)
WHERE c.id = s.id
"""

# Finds what forbids calls: (charger, time when the socket of a call was opened, whether a newer one has replaced it,
# boot policy, registration status). A call without a socket has NULL. Most batches get no row.
OBSTACLES = """
SELECT * FROM (
    SELECT s.charger, s.opened, s.opened IS NOT NULL AND s.opened IS DISTINCT FROM c.connected_at AS is_replaced,
        c.boot_policy, c.registration_status
    FROM json_to_recordset(%s) AS s(charger bigint, opened timestamptz)
        LEFT JOIN chargers_charger c ON c.id = s.charger
) o WHERE is_replaced OR coalesce(nullif(registration_status, ''), boot_policy) <> 'Accepted'
"""
