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
        LEFT JOIN chargers_charger ch ON ch.id = r.charger WHERE r.charger IS NULL OR ch.id IS NOT NULL ORDER BY r.n
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
    SELECT webhook, event, coalesce(charger, 0), 'pending', now() FROM matching ORDER BY event
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

# --- incidents ---------------------------------------------------------------------------------

# The causes of each kind that are present now. Their columns are those of _CAUSE.
_CAUSE = "cause, charger_id, evse_id, connector_id, severity, code, vendor_code, detail, since"

# Connectors that are faulted, and those that were since the last run. HighTemperature is a kind of its own.
FAULTED_CONNECTORS = """
SELECT concat_ws(':', n.charger_id, n.evse_id, n.connector_id), n.charger_id, n.evse_id, n.connector_id,
    CASE n.status WHEN 'Faulted' THEN 'critical' ELSE 'warning' END, left(n.error_code, 100),
    left(n.vendor_error_code, 100), left(n.info, 500), n.received_at
FROM (
    SELECT charger_id, evse_id, connector_id, status, error_code, vendor_error_code, info, received_at
    FROM chargers_connector
    UNION ALL
    SELECT charger_id, (body->>'evse_id')::int, (body->>'connector_id')::int, body->>'status', body->>'error_code',
        body->>'vendor_error_code', body->>'info', at
    FROM chargers_event WHERE at > %(since)s AND kind = 'connector.status'
) AS n
WHERE (n.status = 'Faulted' OR n.error_code NOT IN ('', 'NoError'))
    AND (n.error_code = 'HighTemperature') = (%(kind)s = 'high_temperature')
"""

OFFLINE_CHARGERS = """
SELECT c.id::text, c.id, NULL::int, NULL::int, 'critical', '', '', '', c.disconnected_at
FROM chargers_charger c LEFT JOIN chargers_site s ON s.id = c.site_id
WHERE c.disconnected_at >= c.connected_at
    AND c.disconnected_at < now() - coalesce(s.offline_minutes, %(minutes)s::int) * interval '1 minute'
"""

SILENT_CHARGERS = """
SELECT c.id::text, c.id, NULL::int, NULL::int, 'warning', '', '', '', c.last_seen
FROM chargers_charger c
WHERE (c.disconnected_at IS NULL OR c.disconnected_at < c.connected_at)
    AND greatest(c.last_seen, c.connected_at) < now() - %(minutes)s::int * interval '1 minute'
"""

REFUSED_CHARGERS = """
SELECT concat_ws(':', c.id, r.kind), c.id, NULL::int, NULL::int, 'warning', r.kind, '',
    concat_ws(' ', r.reason, '(' || nullif(r.address, '') || ')'), r.first_at
FROM chargers_refusal r JOIN chargers_charger c ON c.identity = r.charger_id
WHERE r.last_at > now() - interval '1 hour' AND (c.connected_at IS NULL OR c.connected_at <= r.last_at)
"""

# Few of them, and only those that try again, because anyone can invent ids.
UNKNOWN_CHARGERS = """
SELECT r.charger_id, NULL::bigint, NULL::int, NULL::int, 'info', r.charger_id, '',
    concat_ws(' ', r.reason, '(' || nullif(r.address, '') || ')'), r.first_at
FROM chargers_refusal r
WHERE r.kind = 'unknown' AND r.charger_id <> '' AND r.count >= 3 AND r.last_at > now() - interval '1 hour'
    AND NOT EXISTS (SELECT FROM chargers_charger c WHERE c.identity = r.charger_id)
ORDER BY r.first_at, r.id LIMIT 200
"""

REJECTED_MESSAGES = """
SELECT concat_ws(':', f.charger_id, f.action), f.charger_id, NULL::int, NULL::int, 'warning', f.action, '',
    f.example, f.last_seen
FROM chargers_finding f WHERE f.last_seen > %(since)s AND f.kind = 'rejected'
"""

WRONG_CLOCKS = """
SELECT f.charger_id::text, f.charger_id, NULL::int, NULL::int, 'warning', f.action, '', f.example, f.last_seen
FROM chargers_finding f WHERE f.last_seen > %(since)s AND f.kind = 'clock'
"""

# Of the standard list (OCPP 2.0.1 part 2, appendix 1), without what happens at each start or update.
SEVERE_SECURITY_EVENTS = """
SELECT concat_ws(':', e.charger_id, e.body->>'type'), e.charger_id, NULL::int, NULL::int,
    CASE WHEN e.body->>'type' IN ('TamperDetectionActivated', 'AttemptedReplayAttacks', 'InvalidFirmwareSignature',
        'InvalidFirmwareSigningCertificate', 'SecurityLogWasCleared') THEN 'critical' ELSE 'warning' END,
    e.body->>'type', '', left(e.body->>'tech_info', 500), e.at
FROM chargers_event e
WHERE e.at > %(since)s AND e.kind = 'security.event' AND e.body->>'type' IN (
    'TamperDetectionActivated', 'AttemptedReplayAttacks', 'InvalidFirmwareSignature',
    'InvalidFirmwareSigningCertificate', 'SecurityLogWasCleared', 'MemoryExhaustion', 'MaintenanceLoginFailed',
    'FailedToAuthenticateAtCentralSystem', 'FailedToAuthenticateAtCsms', 'CentralSystemFailedToAuthenticate',
    'CsmsFailedToAuthenticate', 'InvalidCentralSystemCertificate', 'InvalidCsmsCertificate',
    'InvalidChargePointCertificate', 'InvalidChargingStationCertificate', 'InvalidTLSVersion',
    'InvalidTLSCipherSuite')
"""

# Severities from 0, danger, to 4, error (OCPP 2.0.1 N04), and the variable Problem of a component, which has none.
# The latest event of a variable decides. An event of a monitor or of Problem lasts until the charger clears it.
SEVERE_MONITORING_EVENTS = """
WITH latest AS (
    SELECT DISTINCT ON (1) left(concat_ws(':', e.charger_id, coalesce(e.body->>'monitor_id', ''), e.body->>'evse_id',
            e.body->>'connector_id', e.body->>'component', e.body->>'component_instance', e.body->>'variable',
            e.body->>'instance'), 300) AS cause, e.charger_id, e.body, e.at
    FROM chargers_event e WHERE e.at > %(since)s AND e.kind = 'monitoring.event' ORDER BY 1, e.id DESC
)
SELECT l.cause, l.charger_id,
    CASE WHEN (l.body->>'evse_id')::bigint BETWEEN 0 AND 2147483647 THEN (l.body->>'evse_id')::int END,
    CASE WHEN (l.body->>'connector_id')::bigint BETWEEN 0 AND 2147483647 THEN (l.body->>'connector_id')::int END,
    CASE WHEN (l.body->>'severity')::bigint <= 2 THEN 'critical' ELSE 'warning' END,
    concat_ws('.', l.body->>'component', nullif(l.body->>'variable', '')), left(l.body->>'tech_code', 100),
    left(concat_ws(' ', l.body->>'actual_value', nullif(l.body->>'tech_info', '')), 500), l.at
FROM latest l
WHERE NOT coalesce((l.body->>'cleared')::boolean, false) AND ((l.body->>'severity')::bigint <= 4
    OR l.body->>'severity' IS NULL AND l.body->>'variable' = 'Problem' AND l.body->>'actual_value' <> 'false')
UNION ALL
SELECT i.cause, i.charger_id, i.evse_id, i.connector_id, i.severity, i.code, i.vendor_code, i.detail, i.opened_at
FROM chargers_incident i
WHERE i.kind = 'monitoring' AND i.is_current AND i.cleared_at IS NULL
    AND (split_part(i.cause, ':', 2) <> '' OR i.code LIKE '%%.Problem')
    AND NOT EXISTS (SELECT FROM latest l WHERE l.cause = i.cause)
"""

# Problems that a process has found itself: rows of JSON.
REPORTED_CAUSES = """
SELECT r.cause, NULL::bigint, NULL::int, NULL::int, r.severity, r.code, '', r.detail, now()
FROM json_to_recordset(%(rows)s) AS r(cause text, severity text, code text, detail text)
"""

# Compare the causes with the current incidents of the kind. Each of the updates has rows of its own: those with a
# cause, those whose cause is absent from now on, those whose cause was absent long enough, and those that ended an
# hour ago. The columns of `cause` are those of _CAUSE.
_RECONCILE_INCIDENTS = """
WITH cause AS MATERIALIZED (
    SELECT DISTINCT ON (c.cause) c.* FROM ({causes}) AS c({columns}) ORDER BY c.cause, c.severity, c.since DESC
), known AS MATERIALIZED (
    SELECT i.id, i.cleared_at IS NOT NULL AS has_recurred,
        i.state = 'closed' AND i.cleared_at IS NOT NULL AS is_reopened,
        (i.severity, i.code, i.vendor_code) IS DISTINCT FROM (c.severity, c.code, c.vendor_code) AS has_changed, c.*
    FROM cause c JOIN chargers_incident i ON i.kind = %(kind)s AND i.cause = c.cause AND i.is_current
    WHERE i.cleared_at IS NOT NULL OR i.last_seen_at < now() - interval '5 minutes'
        OR (i.severity, i.code, i.vendor_code, i.detail)
            IS DISTINCT FROM (c.severity, c.code, c.vendor_code, c.detail)
), seen AS (
    UPDATE chargers_incident i SET last_seen_at = now(), cleared_at = NULL, severity = k.severity, code = k.code,
        vendor_code = k.vendor_code, detail = k.detail, recurrences = i.recurrences + k.has_recurred::int,
        state = CASE WHEN k.is_reopened THEN 'open' ELSE i.state END,
        closed_at = CASE WHEN k.is_reopened THEN NULL ELSE i.closed_at END,
        closed_by = CASE WHEN k.is_reopened THEN '' ELSE i.closed_by END,
        acknowledged_at = CASE WHEN k.is_reopened THEN NULL ELSE i.acknowledged_at END,
        acknowledged_by = CASE WHEN k.is_reopened THEN '' ELSE i.acknowledged_by END
    FROM known k WHERE i.id = k.id
    RETURNING i.id, i.charger_id, i.severity, i.code, i.detail, i.recurrences, k.has_recurred, k.is_reopened,
        k.has_changed
), opened AS (
    INSERT INTO chargers_incident (kind, cause, severity, charger_id, evse_id, connector_id, code, vendor_code,
        detail, state, is_current, opened_at, last_seen_at, acknowledged_by, closed_by)
    SELECT %(kind)s, c.cause, c.severity, c.charger_id, c.evse_id, c.connector_id, c.code, c.vendor_code, c.detail,
        'open', true, least(c.since, now()), now(), '', ''
    FROM cause c WHERE NOT EXISTS (SELECT FROM chargers_incident i
        WHERE i.kind = %(kind)s AND i.cause = c.cause AND i.is_current)
    ON CONFLICT DO NOTHING RETURNING id, charger_id, severity, code, detail
), cleared AS (
    UPDATE chargers_incident i SET cleared_at = now()
    WHERE i.kind = %(kind)s AND i.is_current AND i.cleared_at IS NULL
        AND NOT EXISTS (SELECT FROM cause c WHERE c.cause = i.cause)
), closed AS (
    UPDATE chargers_incident i SET state = 'closed', closed_at = now(), closed_by = ''
    WHERE i.kind = %(kind)s AND i.is_current AND i.state <> 'closed'
        AND i.cleared_at <= now() - %(settling)s::int * interval '1 second'
        AND NOT EXISTS (SELECT FROM cause c WHERE c.cause = i.cause)
    RETURNING i.id, i.charger_id, i.severity, i.code, i.recurrences
), forgotten AS (
    UPDATE chargers_incident i SET is_current = false
    WHERE i.kind = %(kind)s AND i.is_current AND i.state = 'closed'
        AND i.cleared_at < now() - interval '1 hour' AND i.closed_at < now() - interval '1 hour'
        AND NOT EXISTS (SELECT FROM cause c WHERE c.cause = i.cause)
), entries AS (
    INSERT INTO chargers_incidententry (incident_id, at, action, who, text)
    SELECT id, now(), 'opened', '', concat_ws(': ', nullif(code, ''), nullif(detail, '')) FROM opened
    UNION ALL
    SELECT id, now(), 'recurred', '', recurrences::text FROM seen WHERE has_recurred
    UNION ALL
    SELECT id, now(), 'changed', '', concat_ws(': ', nullif(code, ''), nullif(detail, '')) FROM seen
    WHERE has_changed AND NOT has_recurred
    UNION ALL
    SELECT id, now(), 'closed', '', '' FROM closed
    ON CONFLICT (incident_id) WHERE action = 'recurred' DO UPDATE SET at = excluded.at, text = excluded.text
)
SELECT id, charger_id, severity, code, 'opened', 0 FROM opened
UNION ALL
SELECT id, charger_id, severity, code, CASE WHEN is_reopened THEN 'reopened' ELSE 'changed' END, recurrences FROM seen
WHERE is_reopened OR has_changed
UNION ALL
SELECT id, charger_id, severity, code, 'closed', recurrences FROM closed
"""


def reconcile_incidents(causes: str) -> str:
    """Return the statement that reconciles the incidents of a kind with `causes`, a SELECT."""
    return _RECONCILE_INCIDENTS.format(causes=causes, columns=_CAUSE)


# The rules that apply to incidents that have changed. The end of an incident is notified once an hour, and only by
# rules that notified its beginning.
RULES_OF_INCIDENTS = """
SELECT r.id, i.id, s.reason, s.number, t.time_zone
FROM json_to_recordset(%s) AS s(id bigint, reason text, number int)
JOIN chargers_incident i ON i.id = s.id
LEFT JOIN chargers_charger c ON c.id = i.charger_id LEFT JOIN chargers_site t ON t.id = c.site_id
JOIN chargers_notificationrule r ON r.is_enabled AND (r.site_id IS NULL OR r.site_id = c.site_id)
    AND (r.kinds = '[]' OR r.kinds ? i.kind)
    AND array_position(ARRAY['info', 'warning', 'critical'], i.severity::text)
        >= array_position(ARRAY['info', 'warning', 'critical'], r.severity::text)
WHERE s.reason <> 'closed' OR (r.notify_end
    AND EXISTS (SELECT FROM chargers_notificationdelivery d WHERE d.rule_id = r.id AND d.incident_id = i.id)
    AND NOT EXISTS (SELECT FROM chargers_notificationdelivery d WHERE d.rule_id = r.id AND d.incident_id = i.id
        AND d.reason = 'closed' AND d.created_at > now() - interval '1 hour'))
"""

# Incidents that recurred since the last message of a rule, which is at least an hour old.
RECURRED_INCIDENTS = """
SELECT r.id, i.id, 'recurred', i.recurrences, t.time_zone
FROM chargers_incident i
CROSS JOIN LATERAL (SELECT rule_id, max(created_at) AS last_at, max(number) AS number
    FROM chargers_notificationdelivery WHERE incident_id = i.id GROUP BY rule_id) d
JOIN chargers_notificationrule r ON r.id = d.rule_id AND r.is_enabled
LEFT JOIN chargers_charger c ON c.id = i.charger_id LEFT JOIN chargers_site t ON t.id = c.site_id
WHERE i.state = 'open' AND i.recurrences > d.number AND d.last_at < now() - interval '1 hour'
"""

# Open incidents that nobody has acknowledged in the time of a rule since its first message.
ESCALATED_INCIDENTS = """
SELECT r.id, i.id, 'escalated', 0, NULL
FROM chargers_incident i
JOIN chargers_notificationdelivery d ON d.incident_id = i.id AND d.reason = 'opened'
    AND (d.state <> 'pending' OR d.attempts > 0)
JOIN chargers_notificationrule r ON r.id = d.rule_id AND r.is_enabled
    AND coalesce(d.delivered_at, d.created_at) < now() - r.escalate_after * interval '1 minute'
WHERE i.state = 'open' AND NOT EXISTS (SELECT FROM chargers_notificationdelivery e
    WHERE e.rule_id = r.id AND e.incident_id = i.id AND e.reason = 'escalated')
"""

SAVE_NOTIFICATIONS = """
INSERT INTO chargers_notificationdelivery (rule_id, incident_id, reason, number, state, created_at, due_at)
SELECT s.rule, s.incident, s.reason, s.number, 'pending', now(), s.due_at
FROM json_to_recordset(%s) AS s(rule bigint, incident bigint, reason text, number int, due_at timestamptz)
ORDER BY s.incident ON CONFLICT DO NOTHING
"""

ADD_INCIDENT_ENTRIES = """
INSERT INTO chargers_incidententry (incident_id, at, action, who, text)
SELECT s.incident, clock_timestamp(), s.action, s.who, s.text
FROM json_to_recordset(%s) AS s(incident bigint, action text, who text, text text) WHERE s.incident IS NOT NULL
"""
