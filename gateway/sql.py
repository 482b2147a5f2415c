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

NEWEST_SOCKETS = "SELECT id, connected_at, boot_policy, registration_status FROM chargers_charger WHERE id = ANY(%s)"
