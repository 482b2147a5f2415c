"""The SQL statements of chargers. A test prepares each of them, so that its columns are those of the models."""

# --- audit -------------------------------------------------------------------------------------

INSERT_AUDIT_ENTRY = """
INSERT INTO chargers_auditentry (at, who, address, action, kind, name, charger_id, before, after)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

# --- boots -------------------------------------------------------------------------------------

RECORD_BOOT = """
UPDATE chargers_charger c SET
    vendor = s.vendor, model = s.model, serial_number = s.serial_number,
    charge_box_serial_number = s.charge_box_serial_number, firmware_version = s.firmware_version,
    iccid = s.iccid, imsi = s.imsi, meter_type = s.meter_type, meter_serial_number = s.meter_serial_number,
    boot_reason = s.reason, last_boot_at = s.received_at, registration_status = c.boot_policy
FROM json_to_recordset(%s) AS s(
    id bigint, vendor text, model text, serial_number text, charge_box_serial_number text,
    firmware_version text, iccid text, imsi text, meter_type text, meter_serial_number text,
    reason text, received_at timestamptz)
WHERE c.id = s.id
RETURNING c.id, c.boot_policy
"""

# The first charger that sends a serial number holds it, unless the number is the id of another charger.
HOLD_SERIALS = """
INSERT INTO chargers_heldserial (charger_id, serial)
SELECT DISTINCT ON (s.serial) s.charger, s.serial FROM json_to_recordset(%s) AS s(n int, charger bigint, serial text)
WHERE NOT EXISTS (SELECT FROM chargers_heldserial h WHERE h.serial = s.serial)
    AND NOT EXISTS (SELECT FROM chargers_charger c WHERE c.identity = s.serial AND c.id <> s.charger)
ORDER BY s.serial, s.n ON CONFLICT (serial) DO NOTHING RETURNING charger_id
"""

# A charger still holds some former serial numbers, because it may leave one out of a BootNotification, or send
# another one after a repair.
FREE_SERIALS = """
DELETE FROM chargers_heldserial WHERE id IN (
    SELECT id FROM (
        SELECT h.id, row_number() OVER (PARTITION BY h.charger_id ORDER BY h.id DESC) AS nth
        FROM chargers_heldserial h JOIN chargers_charger c ON c.id = h.charger_id
        WHERE c.id = ANY(%s) AND h.serial NOT IN (c.serial_number, c.charge_box_serial_number)
    ) AS former WHERE nth > %s
)
"""

# --- connections -------------------------------------------------------------------------------

LOCK_CHARGERS = "SELECT FROM chargers_charger WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"

# The rows are locked, see `gateway.calls.process_batch`. If the socket before has ended since this one was admitted,
# the charger was never offline. If it is still open, its connection was lost without a close, so the charger was
# offline since `last_seen`.
# When the OCPP version changes, connectors are forgotten, because each version numbers them differently. The DELETE
# reads the version from before the UPDATE.
OPEN_SOCKETS = """
WITH s AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS s(id bigint, admitted timestamptz, ocpp_version text)
), forgotten AS (
    DELETE FROM chargers_connector n USING s JOIN chargers_charger c ON c.id = s.id
    WHERE n.charger_id = s.id AND c.ocpp_version NOT IN ('', s.ocpp_version)
        AND (c.connected_at IS NULL OR c.connected_at < s.admitted)
)
UPDATE chargers_charger c SET connected_at = s.admitted, ocpp_version = s.ocpp_version,
    disconnected_at = CASE WHEN c.disconnected_at >= s.admitted THEN NULL
        WHEN c.disconnected_at >= c.connected_at THEN c.disconnected_at
        WHEN c.last_seen < s.admitted THEN c.last_seen END,
    last_seen = greatest(c.last_seen, s.admitted)
FROM s
WHERE c.id = s.id AND (c.connected_at IS NULL OR c.connected_at < s.admitted)
RETURNING c.id, clock_timestamp(), c.connected_at, c.last_call_id, c.last_call_digest, c.last_answer
"""

CLOSE_SOCKETS = """
UPDATE chargers_charger c SET disconnected_at = greatest(clock_timestamp(), c.connected_at)
FROM json_to_recordset(%s) AS s(id bigint, opened timestamptz)
WHERE c.id = s.id AND c.connected_at = s.opened
    AND (c.disconnected_at IS NULL OR c.disconnected_at < c.connected_at) RETURNING c.id, c.disconnected_at
"""

# --- connectors --------------------------------------------------------------------------------

# The status received last is stored, because the charger's clock may be wrong. A status is skipped if the stored one
# was sent with the same time, since the charger repeats it, or if its time is older than the stored one and lies in
# the last time offline, since it was queued then. One minute is added before, because a lost connection is noticed by
# a ping up to a minute later. The CASE reads the charger's row only for an older time.
RECORD_STATUS = """
INSERT INTO chargers_connector AS c (charger_id, evse_id, connector_id, status, error_code, info, vendor_id,
    vendor_error_code, timestamp, raw_timestamp, received_at)
SELECT * FROM json_to_recordset(%s) AS s(charger bigint, evse_id int, connector_id int, status text, error_code text,
    info text, vendor_id text, vendor_error_code text, timestamp timestamptz, raw_timestamp text,
    received_at timestamptz)
ON CONFLICT (charger_id, connector_id, evse_id) DO UPDATE SET
    status = excluded.status, error_code = excluded.error_code, info = excluded.info,
    vendor_id = excluded.vendor_id, vendor_error_code = excluded.vendor_error_code,
    timestamp = excluded.timestamp, raw_timestamp = excluded.raw_timestamp, received_at = excluded.received_at,
    scheduled_availability = CASE (excluded.status = 'Unavailable')
        WHEN (c.scheduled_availability = 'Inoperative') THEN '' ELSE c.scheduled_availability END
WHERE CASE
    WHEN (excluded.raw_timestamp, excluded.status, excluded.error_code, excluded.info, excluded.vendor_id,
            excluded.vendor_error_code)
        = (nullif(c.raw_timestamp, ''), c.status, c.error_code, c.info, c.vendor_id, c.vendor_error_code) THEN false
    WHEN excluded.timestamp >= c.timestamp THEN true
    ELSE NOT EXISTS (SELECT FROM chargers_charger h WHERE h.id = excluded.charger_id
        AND excluded.timestamp >= h.disconnected_at - interval '1 minute' AND excluded.timestamp < h.connected_at) END
RETURNING charger_id, evse_id, connector_id
"""

CONNECTORS = "SELECT charger_id, evse_id, connector_id FROM chargers_connector WHERE charger_id = ANY(%s)"

# --- events ------------------------------------------------------------------------------------

# `nextval` also gives an id to events that are not stored, because live listeners receive every event. It is applied
# to sorted rows, because the order of a join depends on the plan, and ids are the order of events.
RECORD_EVENTS = """
WITH s AS MATERIALIZED (
    SELECT nextval('chargers_event_id_seq') AS id, sorted.* FROM (
        SELECT r.*, ch.identity FROM json_to_recordset(%s)
            AS r(n int, kind text, charger bigint, at timestamptz, body jsonb, stored boolean)
        JOIN chargers_charger ch ON ch.id = r.charger ORDER BY r.n
    ) AS sorted
), matching AS MATERIALIZED (
    SELECT s.id AS event, s.charger, w.id AS webhook FROM chargers_webhook w JOIN s ON w.kinds ? s.kind
    WHERE w.is_enabled AND (w.group_id IS NULL OR EXISTS (SELECT FROM chargers_chargergroup_chargers g
        WHERE g.chargergroup_id = w.group_id AND g.charger_id = s.charger))
), recorded AS (
    INSERT INTO chargers_event (id, kind, charger_id, at, body)
    SELECT id, kind, charger, at, body FROM s WHERE stored OR id IN (SELECT event FROM matching) ORDER BY id
), deliveries AS (
    INSERT INTO chargers_delivery (webhook_id, event_id, charger, state, due_at)
    SELECT webhook, event, charger, 'pending', now() FROM matching ORDER BY event
)
SELECT n, id, identity FROM s
"""

UNSTORED_EVENTS_ARE_WANTED = """
SELECT EXISTS (SELECT FROM chargers_webhook WHERE is_enabled AND kinds ? 'transaction.updated')
"""

# --- findings ----------------------------------------------------------------------------------

COUNT_FINDINGS = """
INSERT INTO chargers_finding AS f (charger_id, action, field, kind, count, first_seen, last_seen, example)
SELECT s.charger, s.action, s.field, s.kind, s.count, s.first_seen, s.last_seen, s.example
FROM json_to_recordset(%s) AS s(charger bigint, action text, field text, kind text, count bigint,
    first_seen timestamptz, last_seen timestamptz, example text)
JOIN chargers_charger c ON c.id = s.charger
ON CONFLICT (charger_id, action, field, kind) DO UPDATE SET count = f.count + excluded.count,
    last_seen = greatest(f.last_seen, excluded.last_seen), example = excluded.example
"""

# The stored findings of chargers that would exceed the limit with `found` more findings.
KNOWN_FINDINGS = """
SELECT f.charger_id, f.action, f.field, f.kind FROM json_to_recordset(%s) AS s(charger bigint, found int)
JOIN chargers_finding f ON f.charger_id = s.charger
WHERE s.found + (SELECT count(*) FROM chargers_finding c WHERE c.charger_id = s.charger) > %s
"""

# Budgets that chargers exceed now and have not exceeded in the last ten minutes, so that a new episode begins.
NEW_EPISODES = """
SELECT c.id, c.identity, s.field FROM json_to_recordset(%s) AS s(charger bigint, field text)
JOIN chargers_charger c ON c.id = s.charger
WHERE NOT EXISTS (SELECT FROM chargers_finding f WHERE f.charger_id = s.charger AND f.field = s.field
    AND f.kind = 'out_of_range' AND f.last_seen > now() - interval '10 minutes')
ORDER BY c.id, s.field
"""

# --- notifications -----------------------------------------------------------------------------

RECORD_TRANSFER_STATUS = """
UPDATE chargers_charger c SET {column} = s.status, {column}_at = s.received_at
FROM json_to_recordset(%s) AS s(id bigint, status text, received_at timestamptz)
WHERE c.id = s.id
"""

# --- refusals ----------------------------------------------------------------------------------

COUNT_REFUSALS = """
INSERT INTO chargers_refusal (charger_id, kind, status, reason, address, count, first_at, last_at)
SELECT s.charger_id, s.kind, s.status, s.reason, s.address, s.count, s.first_at, s.last_at
FROM json_to_recordset(%s) AS s(charger_id text, kind text, status int, reason text, address text, count bigint,
    first_at timestamptz, last_at timestamptz)
ON CONFLICT (charger_id, kind) DO UPDATE SET status = excluded.status, reason = excluded.reason,
    address = excluded.address, count = chargers_refusal.count + excluded.count, last_at = excluded.last_at
RETURNING id
"""

TRIM_REFUSALS = (
    "DELETE FROM chargers_refusal WHERE id IN (SELECT id FROM chargers_refusal ORDER BY last_at DESC OFFSET %s)"
)

# --- webhooks ----------------------------------------------------------------------------------

# Chargers take turns: the first event of each, then the second of each, and so on. The index finds them in one step
# for each charger, however many deliveries of one charger are pending.
DELIVERIES_IN_TURN = """
WITH RECURSIVE waiting AS (
    (SELECT charger FROM chargers_delivery WHERE webhook_id = %(webhook)s AND state = 'pending'
        ORDER BY charger LIMIT 1)
    UNION ALL
    SELECT (SELECT d.charger FROM chargers_delivery d WHERE d.webhook_id = %(webhook)s AND d.state = 'pending'
        AND d.charger > w.charger ORDER BY d.charger LIMIT 1)
    FROM waiting w WHERE w.charger IS NOT NULL
)
SELECT due.id FROM waiting w CROSS JOIN LATERAL (
    SELECT id, event_id, row_number() OVER (ORDER BY event_id) AS turn FROM chargers_delivery
    WHERE webhook_id = %(webhook)s AND state = 'pending' AND charger = w.charger AND due_at <= now()
    ORDER BY event_id LIMIT %(of_one_charger)s
) AS due ORDER BY due.turn, due.event_id LIMIT %(page_size)s
"""

DROP_SURPLUS_DELIVERIES = """
UPDATE chargers_delivery SET state = 'dead', error = %(error)s WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY charger ORDER BY event_id DESC) AS nth FROM chargers_delivery
        WHERE webhook_id = %(webhook)s AND state = 'pending'
    ) AS waiting WHERE nth > %(limit)s
) RETURNING charger
"""
