"""The SQL statements of transactions. A test prepares each of them, so that its columns are those of the models."""

from dataclasses import dataclass, replace

from transactions.services import energy

MAX_UNLINKED = 5000  # readings without a transaction that are read as evidence for one

# --- models ------------------------------------------------------------------------------------

KEEP_ORPHANS = """
WITH s AS MATERIALIZED (
    SELECT r.*, NOT r.has_meter_value AND (SELECT count(*) FROM transactions_orphanstop o
        WHERE o.charger_id = r.charger_id AND o.transaction_id IS NULL) >= %s AS is_past
    FROM json_to_recordset(%s) AS r(charger_id bigint, ocpp_version text, action text, refused_because text,
        reported_transaction_id bigint, payload text, received_at timestamptz, has_meter_value boolean)
    JOIN chargers_charger c ON c.id = r.charger_id
), kept AS (
    INSERT INTO transactions_orphanstop
        (charger_id, ocpp_version, action, refused_because, reported_transaction_id, payload, received_at)
    SELECT charger_id, ocpp_version, action, refused_because, reported_transaction_id, payload, received_at
    FROM s WHERE NOT is_past
    ON CONFLICT (charger_id, action, md5(payload)) DO NOTHING RETURNING charger_id, action
)
SELECT charger_id, action, false FROM kept UNION ALL SELECT charger_id, action, true FROM s WHERE is_past
"""

# --- id_tokens ---------------------------------------------------------------------------------

# Rows are locked in one order, because starts lock those of their tokens too.
NOTE_AUTHORIZATIONS = """
WITH s AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS s(id bigint, at timestamptz)
), locked AS MATERIALIZED (
    SELECT t.id, s.at FROM s JOIN transactions_idtag t ON t.id = s.id ORDER BY t.id FOR NO KEY UPDATE OF t
)
UPDATE transactions_idtag t SET last_authorized_at = l.at FROM locked l
WHERE t.id = l.id AND (t.last_authorized_at >= l.at) IS NOT TRUE
"""

# The limits apply only to a tag that is not in the list yet. Returns the tags that did not fit, each with the budget
# that is used up.
LIST_UNKNOWN_TAGS = """
WITH s AS MATERIALIZED (
    SELECT r.*, CASE
        WHEN EXISTS (SELECT FROM transactions_unknownidtag k
            WHERE upper(k.id_tag) = upper(r.id_tag) AND k.type = r.type) THEN ''
        WHEN (SELECT count(*) FROM transactions_unknownidtag k WHERE k.charger_id = r.charger) >= %s
            THEN 'unknown_tags'
        WHEN (SELECT count(*) FROM transactions_unknownidtag) >= %s THEN 'all_unknown_tags' ELSE '' END AS past
    FROM json_to_recordset(%s) AS r(n int, id_tag text, type text, charger bigint, seen timestamptz)
), listed AS (
    INSERT INTO transactions_unknownidtag AS u (id_tag, type, charger_id, first_seen, last_seen, presented)
    SELECT id_tag, type, charger, seen, seen, 1 FROM s WHERE past = '' ORDER BY n
    ON CONFLICT (upper(id_tag), type) DO UPDATE SET
        charger_id = excluded.charger_id, last_seen = excluded.last_seen, presented = u.presented + 1
)
SELECT n, past FROM s WHERE past <> ''
"""

# --- readings ----------------------------------------------------------------------------------

_MAX_REGISTER = f"""coalesce(
    t.corrected_meter_start, CASE WHEN t.meter_start BETWEEN 0 AND {energy.MOST_WH} THEN t.meter_start END,
    t.meter_first, s.first, s.register
) + {energy.MOST_AT_ONCE_WH} + {energy.MOST_WH_PER_S} * greatest(extract(
    epoch FROM greatest(s.at - t.start_time, now() - t.start_received_at)), 0)"""


def _if_possible(register: str) -> str:
    """Return SQL that is true if a session can have reached `register`; most pass without the duration."""
    return f"""({register} <= t.meter_start + {energy.MOST_AT_ONCE_WH}
            AND t.meter_start BETWEEN 0 AND {energy.MOST_WH}
        OR {register} <= {_MAX_REGISTER})"""


# Updates the named transactions that belong to the charger and returns them. An open transaction takes the newest
# readings; a stopped one with an implausible stop takes readings from before it. A message with `since` counts
# only if it is newer than all readings of its transaction, because others may be stored already, see `store`. Rows
# omit `unnamed` if the message names its transaction, and `first` and `newest` if both equal the highest register.
# TransactionEvents may arrive in any order, so an earlier reading of one may replace the first register.
# `num_nonnulls`, here and elsewhere, makes PostgreSQL use the primary key: its statistics on open transactions lag,
# so it may prefer the index of all of them. With `<` it expects a third of the rows, with `=` almost none, so that it
# would read a young table whole. `greatest` ignores nulls.
_TAKES = f"""(num_nonnulls(t.stop_received_at, t.closed_at) = 0 OR num_nonnulls(t.stop_received_at) = 1
    AND (s.of_stop OR t.energy_source <> '{energy.STOP}' AND s.at <= t.stop_time))"""

_IS_NEWEST = "(s.at >= t.read_until) IS NOT FALSE"  # a charger may deliver readings in another order

_ADVANCED = f"""is_id_used = t.is_id_used OR s.unnamed IS NULL,
    meter_first = CASE WHEN num_nonnulls(t.meter_first) = 0 AND {_TAKES}
        AND {_if_possible("coalesce(s.first, s.register)")} THEN coalesce(s.first, s.register)
        WHEN t.own_reference <> '' AND s.at < t.read_until AND coalesce(s.first, s.register) < t.meter_first
        THEN coalesce(s.first, s.register) ELSE t.meter_first END,
    meter_latest = CASE WHEN {_TAKES} THEN greatest(t.meter_latest, CASE
        WHEN {_if_possible("s.register")} THEN s.register
        WHEN {_if_possible("s.newest")} THEN s.newest END) ELSE t.meter_latest END,
    meter_newest = CASE WHEN {_TAKES} AND {_if_possible("coalesce(s.newest, s.register)")}
        THEN coalesce(s.newest, s.register) ELSE t.meter_newest END,
    power_latest = CASE WHEN {_TAKES} AND {_IS_NEWEST} THEN coalesce(s.power, t.power_latest)
        ELSE t.power_latest END,
    soc_latest = CASE WHEN {_TAKES} AND {_IS_NEWEST} THEN coalesce(s.soc, t.soc_latest) ELSE t.soc_latest END,
    read_until = greatest(t.read_until, s.at)"""
_READ = """unnamed boolean, since timestamptz, at timestamptz, of_stop boolean, first bigint, register bigint,
    newest bigint, power int, soc smallint"""
ADVANCE = f"""
UPDATE transactions_transaction t SET {_ADVANCED}
FROM json_to_recordset(%s) AS s(charger bigint, transaction int, {_READ})
WHERE t.id = s.transaction AND t.charger_id = s.charger AND (s.since > t.read_until) IS NOT FALSE
RETURNING t.charger_id, t.id, t.evse_id, t.connector_id, num_nonnulls(t.stop_received_at, t.closed_at) = 0,
    t.energy_wh, t.energy_source
"""

# Events that must each be the next one of an open transaction without a gap, on its EVSE. The newest transaction with
# the reference is looked up first, so that an id that was used again is left to FIND_TRANSACTIONS. If another process
# has stored the number meanwhile, the condition does not hold any more.
_NUMBERED = "n int, charger bigint, reference text, seq_no bigint, evse_id int, connector_id int, charging_state text"
_NEWEST = """LATERAL (
        SELECT t.id FROM transactions_transaction t
        WHERE t.charger_id = s.charger AND t.own_reference = s.reference AND t.own_reference <> ''
        ORDER BY t.recurrence DESC LIMIT 1
    ) t"""
_IS_NEXT = """t.id = s.id AND t.numbered_until = s.seq_no - 1
    AND num_nonnulls(t.missing_since, t.stop_received_at, t.closed_at) < 1 AND t.recurrence < 1
    AND coalesce(t.evse_id = s.evse_id, s.evse_id IS NULL)
    AND coalesce(t.connector_id = s.connector_id, s.connector_id IS NULL)"""

# The same as ADVANCE for plain events, which say nothing new about their transaction.
ADVANCE_BY_EVENTS = f"""
WITH s AS MATERIALIZED (
    SELECT s.*, t.id FROM json_to_recordset(%s) AS s({_NUMBERED}, {_READ}), {_NEWEST}
)
UPDATE transactions_transaction t SET numbered_until = s.seq_no, {_ADVANCED}
FROM s WHERE {_IS_NEXT} AND coalesce(t.charging_state = s.charging_state, true)
RETURNING s.n, EXISTS (SELECT FROM transactions_tariff), t.id, t.evse_id, t.connector_id, t.energy_wh, t.energy_source
"""

# Finds the readings that are stored with a message's id: those of its transaction; for a message without one, the
# unlinked ones of its EVSE and those of the latest transaction there, to which they may have been linked. Those
# without a readable time were stored with the time of their receipt; `since` is NULL for others.
STORED_READINGS = """
SELECT s.n, m.raw_timestamp, m.samples
FROM json_to_recordset(%s) AS s(n int, charger bigint, transaction int, evse int, times timestamptz[],
    at timestamptz, since timestamptz, hash int), LATERAL (
    SELECT * FROM transactions_reading m WHERE m.charger_id = s.charger AND m.message_hash = s.hash
        AND m.transaction_id = coalesce(s.transaction, (
            SELECT t.id FROM transactions_transaction t WHERE t.charger_id = s.charger
                AND t.evse_id = s.evse AND t.start_time <= s.at ORDER BY t.start_time DESC LIMIT 1))
    UNION ALL
    SELECT * FROM transactions_reading m WHERE m.charger_id = s.charger AND m.evse_id = s.evse
        AND m.transaction_id IS NULL AND m.timestamp = ANY(s.times) AND m.message_hash = s.hash
    UNION ALL
    SELECT * FROM transactions_reading m WHERE m.charger_id = s.charger AND m.evse_id = s.evse
        AND m.transaction_id IS NULL AND m.timestamp >= s.since AND m.message_hash = s.hash
) m
"""

# Finds the only transaction that is open on an EVSE, for readings that name none.
RUNNING_TRANSACTIONS = """
SELECT s.n, min(t.id) FROM json_to_recordset(%s) AS s(n int, charger bigint, evse int, at timestamptz)
JOIN transactions_transaction t ON t.charger_id = s.charger AND t.evse_id = s.evse
    AND t.stop_received_at IS NULL AND num_nonnulls(t.closed_at, t.superseded_by_id) < 1
    AND (t.clock_skew OR s.at >= t.start_time)
GROUP BY s.n HAVING count(*) = 1
"""

# Finds energy registers that name no transaction and lie within one; it uses the index of such readings.
UNLINKED_READINGS = f"""
SELECT s.transaction, m.timestamp, m.number, m.unit, m.phase, m.reading_id, m.received_at FROM json_to_recordset(%s)
    AS s(charger bigint, transaction int, evse int, began timestamptz, ended timestamptz), LATERAL (
    SELECT * FROM transactions_metervalue m
    WHERE m.charger_id = s.charger AND m.evse_id = s.evse AND m.transaction_id IS NULL
        AND m.timestamp BETWEEN s.began AND s.ended
        AND m.measurand = '{energy.IMPORT_REGISTER}' AND m.location = 'Outlet'
        AND m.number IS NOT NULL
    ORDER BY m.timestamp DESC LIMIT {MAX_UNLINKED}
) m ORDER BY s.transaction, m.timestamp
"""

LINK_READINGS = """
UPDATE transactions_reading m SET transaction_id = s.transaction
FROM json_to_recordset(%s) AS s(transaction int, id bigint, received_at timestamptz)
WHERE m.id = s.id AND m.received_at = s.received_at
"""

# --- reservations ------------------------------------------------------------------------------

USE_RESERVATION = """
UPDATE transactions_reservation r SET state = 'Used', ended_because = 'transaction ' || s.transaction
FROM json_to_recordset(%s) AS s(id bigint, charger bigint, transaction int)
WHERE r.id = s.id AND r.charger_id = s.charger AND r.state = 'Active'
"""

# Only a notification that became the status of its connector (STATUS in `chargers.sql`) counts, whatever its
# time; one that the charger queued offline before the reservation was made does not end it.
END_RESERVATIONS = """
UPDATE transactions_reservation r SET
    state = 'Cancelled', ended_because = 'connector ' || s.connector_id || ' ' || s.status
FROM json_to_recordset(%s) AS s(charger bigint, evse_id int, connector_id int, status text,
        timestamp timestamptz, received_at timestamptz)
    JOIN chargers_connector k ON k.charger_id = s.charger AND k.evse_id = s.evse_id
        AND k.connector_id = s.connector_id AND k.received_at = s.received_at
WHERE r.charger_id = s.charger AND r.state = 'Active' AND s.evse_id IN (0, coalesce(r.evse_id, r.connector_id))
    AND (s.timestamp >= r.created_at - interval '5 minutes' OR NOT EXISTS (
        SELECT FROM chargers_charger h WHERE h.id = s.charger
            AND s.timestamp >= h.disconnected_at - interval '1 minute' AND s.timestamp < h.connected_at))
"""

# A charger reports the end, perhaps before its answer to ReserveNow is stored. A repeated report changes no state.
END_REPORTED_RESERVATIONS = """
UPDATE transactions_reservation r SET
    end_reported_at = s.received_at,
    state = CASE WHEN r.state IN ('Active', 'Inactive') THEN s.state ELSE r.state END,
    ended_because = CASE WHEN r.state IN ('Active', 'Inactive') THEN s.because ELSE r.ended_because END
FROM json_to_recordset(%s) AS s(id bigint, charger bigint, state text, because text, received_at timestamptz)
WHERE r.id = s.id AND r.charger_id = s.charger
"""

# --- costs -------------------------------------------------------------------------------------


def _tariff(charger: str, id_tag: str, type: str, only: str = "true") -> str:
    """Return the SQL of the tariff for the token `id_tag` of `type` at `charger`, see `models.Tariff`."""
    return f"""(
    SELECT f.* FROM transactions_tariff f, LATERAL (SELECT
        EXISTS (SELECT FROM transactions_tariff_id_tags g WHERE g.tariff_id = f.id) AS has_tags,
        EXISTS (SELECT FROM transactions_tariff_chargers g WHERE g.tariff_id = f.id)
            OR EXISTS (SELECT FROM transactions_tariff_groups g WHERE g.tariff_id = f.id) AS has_places) l
    WHERE {only}
        AND (NOT l.has_tags OR EXISTS (SELECT FROM transactions_tariff_id_tags g
            JOIN transactions_idtag k ON k.id = g.idtag_id WHERE g.tariff_id = f.id
                AND upper(k.id_tag) = upper({id_tag}) AND (k.type IN ('', {type}) OR {type} = '')))
        AND (NOT l.has_places
            OR EXISTS (SELECT FROM transactions_tariff_chargers g
                WHERE g.tariff_id = f.id AND g.charger_id = {charger})
            OR EXISTS (SELECT FROM transactions_tariff_groups g
                JOIN chargers_chargergroup_chargers m USING (chargergroup_id)
                WHERE g.tariff_id = f.id AND m.charger_id = {charger}))
    ORDER BY l.has_tags DESC, l.has_places DESC, f.id LIMIT 1)"""


# Minutes by the charger's clock, unless it is wrong; of a session that is under way, until now.
_MINUTES = """greatest(0, extract(epoch FROM CASE WHEN t.clock_skew AND t.corrected_stop_time IS NULL
        THEN coalesce(t.stop_received_at, t.closed_at, now()) - t.start_received_at
        ELSE coalesce(t.corrected_stop_time, t.stop_time, now()) - t.start_time END) / 60)"""
_COSTS = f"""SELECT t.id, f.id AS tariff_id, f.currency, round((f.per_session
    + f.energy_per_kwh * coalesce(t.energy_wh, 0) / 1000 + f.per_minute * {_MINUTES}
) * (1 + f.vat_percent / 100), 2) AS cost
FROM transactions_transaction t, LATERAL {_tariff("t.charger_id", "t.id_tag", "t.id_token_type")} f
WHERE t.id = ANY(%s)"""

COSTS = f"SELECT c.id, c.cost FROM ({_COSTS}) c"

SETTLE_COSTS = f"""
UPDATE transactions_transaction t SET total_cost = c.cost, currency = c.currency, tariff_id = c.tariff_id
FROM ({_COSTS}) c WHERE t.id = c.id RETURNING t.id, t.total_cost, t.currency
"""

# The texts of tariffs for tokens at chargers that support tariffs or messages.
TARIFF_TEXTS = f"""
SELECT s.n, f.text FROM json_to_recordset(%s) AS s(n int, charger bigint, id_tag text, type text),
    LATERAL {_tariff("s.charger", "s.id_tag", "s.type", "f.text <> ''")} f
WHERE EXISTS (SELECT FROM chargers_variable v WHERE v.charger_id = s.charger AND v.variable = 'Available'
    AND v.component IN ('TariffCostCtrlr', 'DisplayMessageCtrlr') AND v.instance IN ('', 'Tariff')
    AND v.value = 'true')
"""

# --- starts ------------------------------------------------------------------------------------

# A repeated start finds its own row, even while another process inserts it.
START = """
INSERT INTO transactions_transaction AS t (charger_id, own_reference, evse_id, connector_id, id_tag, id_token_type,
    id_tag_status, charging_state, reservation_id,
    start_time, raw_start_time, start_received_at, meter_start, raw_meter_start, clock_skew, start_message_id,
    recurrence, raw_stop_time, stop_reason, stop_id_tag)
SELECT s.*, '', '', '' FROM json_to_recordset(%s) AS s(charger_id bigint, own_reference text, evse_id int,
    connector_id int, id_tag text, id_token_type text, id_tag_status text, charging_state text, reservation_id bigint,
    start_time timestamptz, raw_start_time text,
    start_received_at timestamptz, meter_start bigint, raw_meter_start text, clock_skew boolean,
    start_message_id text, recurrence int)
ON CONFLICT (charger_id, connector_id, id_tag, raw_start_time, meter_start, recurrence) WHERE own_reference = ''
    DO UPDATE SET meter_start = excluded.meter_start
RETURNING t.charger_id, t.connector_id, t.id_tag, t.raw_start_time, t.meter_start, t.id, xmax = 0,
    t.is_id_used OR t.stop_received_at IS NOT NULL, t.start_message_id, t.start_time, t.start_received_at,
    t.raw_stop_time, t.stop_received_at, t.energy_wh,
    CASE WHEN xmax <> 0 THEN (SELECT last_boot_at FROM chargers_charger c WHERE c.id = t.charger_id) END,
    CASE WHEN xmax <> 0 THEN (SELECT connected_at FROM chargers_charger c WHERE c.id = t.charger_id) END,
    CASE WHEN xmax <> 0 THEN (SELECT max(n.recurrence) FROM transactions_transaction n
        WHERE n.charger_id = t.charger_id AND n.own_reference = '' AND n.connector_id = t.connector_id
            AND n.id_tag = t.id_tag
            AND n.raw_start_time = t.raw_start_time AND n.meter_start IS NOT DISTINCT FROM t.meter_start) END
"""

# The latest start on an EVSE supersedes the others, in whichever order the messages arrived. If the clock of a
# start is wrong, the time of receipt counts. The window function makes PostgreSQL look up each EVSE by itself.
# `ended` is a transaction that was not known on its EVSE before its end. It supersedes others as well.
SUPERSEDE = """
UPDATE transactions_transaction older SET superseded_by_id = open.latest
FROM json_to_recordset(%s) AS s(charger bigint, evse_id int, ended int), LATERAL (
    SELECT t.id, first_value(t.id) OVER (
        ORDER BY CASE WHEN t.clock_skew THEN t.start_received_at ELSE t.start_time END DESC, t.id DESC
    ) AS latest
    FROM (
        SELECT * FROM transactions_transaction t
        WHERE t.charger_id = s.charger AND t.evse_id = s.evse_id
            AND t.stop_received_at IS NULL AND num_nonnulls(t.closed_at) < 1
        UNION ALL
        SELECT * FROM transactions_transaction t WHERE t.id = s.ended
    ) t
) open
WHERE older.id = open.id AND open.id <> open.latest
    AND num_nonnulls(older.stop_received_at, older.closed_at, older.superseded_by_id) < 1
"""

# --- stops -------------------------------------------------------------------------------------

# A real stop replaces a close by hand and removes `superseded_by`. A second stop changes nothing. The charging
# profiles of a transaction are deleted with its stop.
STOP = """
WITH s AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS s(id int, charger bigint, stop_time timestamptz, raw_stop_time text,
        received_at timestamptz, meter_stop bigint, raw_meter_stop text, reason text, id_tag text, clock_skew boolean)
), stopped AS (
    UPDATE transactions_transaction t SET
        stop_time = s.stop_time, raw_stop_time = s.raw_stop_time, stop_received_at = s.received_at,
        meter_stop = s.meter_stop, raw_meter_stop = s.raw_meter_stop, stop_reason = s.reason,
        stop_id_tag = s.id_tag, superseded_by_id = NULL,
        clock_skew = t.clock_skew OR s.clock_skew OR s.stop_time < t.start_time
    FROM s WHERE t.id = s.id AND t.charger_id = s.charger AND num_nonnulls(t.stop_received_at) < 1
    RETURNING t.id, t.energy_wh, t.energy_source, t.clock_skew
), ended AS (
    DELETE FROM chargers_installedprofile p USING stopped WHERE p.transaction_id = stopped.id
)
SELECT t.charger_id, t.id, t.evse_id, t.connector_id, t.id_tag, t.start_time, stopped.id IS NOT NULL,
    stopped.energy_wh, stopped.energy_source, stopped.clock_skew
FROM s JOIN transactions_transaction t ON t.id = s.id AND t.charger_id = s.charger
    LEFT JOIN stopped ON stopped.id = t.id
"""

# --- transaction_events ------------------------------------------------------------------------

# What is known of the transactions of events, and whether the number of an event changes what is known of gaps: it
# does unless all numbers up to it are stored or, beyond a gap, those just before it and none after it. The number of
# the latest event is not read, because PostgreSQL would read all events of the transaction on that page of the index.
# The transactions are locked, so that the statements that follow see the events of another process. The first one
# with their reference is locked before them, because two processes may otherwise lock an older and a newer one in two
# orders: `transaction_events._found` may choose another one after this statement has locked the newest one. Rows omit
# members without a value. `locked` is counted and not joined, because a join would read all of it for each row. An
# id that is in use on several EVSEs at once is looked for among the few sessions before.
FIND_TRANSACTIONS = """
WITH s AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS s(n int, charger bigint, reference text, seq_no bigint, recurrence int)
), found AS MATERIALIZED (
    SELECT s.n, s.seq_no, t.id, CASE WHEN t.recurrence > 0 THEN (
        SELECT f.id FROM transactions_transaction f
        WHERE f.charger_id = s.charger AND f.own_reference = s.reference AND f.own_reference <> ''
        ORDER BY f.recurrence LIMIT 1) END AS first
    FROM s CROSS JOIN LATERAL (
        SELECT t.id, t.recurrence FROM transactions_transaction t
        WHERE t.charger_id = s.charger AND t.own_reference = s.reference AND t.own_reference <> ''
            AND (s.recurrence IS NULL OR t.recurrence = s.recurrence)
        ORDER BY t.recurrence DESC LIMIT 1
    ) t
), locked AS MATERIALIZED (
    SELECT t.id FROM (
        SELECT id FROM found UNION SELECT first FROM found WHERE num_nonnulls(first) = 1
    ) f JOIN transactions_transaction t ON t.id = f.id ORDER BY t.id FOR NO KEY UPDATE OF t
)
SELECT f.n, t.id, t.charging_state, t.evse_id, t.connector_id, t.id_tag, t.id_token_type,
    num_nonnulls(t.stop_received_at) = 1,
    CASE WHEN num_nonnulls(t.missing_since) = 0 THEN coalesce(f.seq_no <= t.numbered_until, false)
        ELSE EXISTS (SELECT FROM transactions_recordedevent e
                WHERE e.transaction_id = t.id AND e.seq_no = f.seq_no - 1)
            AND NOT EXISTS (SELECT FROM transactions_recordedevent e
                WHERE e.transaction_id = t.id AND e.seq_no > f.seq_no) END,
    EXISTS (SELECT FROM transactions_tariff), t.recurrence, t.start_time, t.stop_time,
    CASE WHEN t.recurrence > 0 THEN EXISTS (SELECT FROM transactions_transaction o
        WHERE o.charger_id = t.charger_id AND o.own_reference = t.own_reference AND o.own_reference <> ''
            AND o.recurrence BETWEEN t.recurrence - 8 AND t.recurrence - 1
            AND num_nonnulls(o.stop_received_at, o.closed_at, o.superseded_by_id) = 0) ELSE false END
FROM found f JOIN transactions_transaction t ON t.id = f.id
WHERE (SELECT count(*) FROM locked) >= 0
"""

_OF_REFERENCE = "t.charger_id = s.charger AND t.own_reference = s.reference AND t.own_reference <> ''"
_HAD_BEGUN = "(s.timestamp IS NULL OR t.start_time <= s.timestamp)"
_IS_OPEN = "num_nonnulls(t.stop_received_at, t.closed_at, t.superseded_by_id) = 0"
_IS_ON_EVSE = "(t.evse_id = s.evse_id) IS TRUE"
_MAY_BE_ON_EVSE = "(nullif(t.evse_id, 0) = s.evse_id) IS NOT FALSE"  # one of them may be unknown
_HAS_TOKEN = "(t.id_tag <> '' AND upper(t.id_tag) = upper(s.id_token)) IS TRUE"
_IS_NAMED = f"CASE WHEN s.evse_id > 0 THEN {_IS_ON_EVSE} ELSE {_HAS_TOKEN} END"
_HAS_EVENT = """EXISTS (SELECT FROM transactions_transactionevent e
            WHERE e.transaction_id = t.id AND e.seq_no = s.seq_no AND e.digest = s.digest)"""


def _one_of_reference(condition: str, order: str) -> str:
    """Return SQL for the recurrence of the first transaction with the reference by `order`."""
    return f"""(SELECT t.recurrence FROM transactions_transaction t
        WHERE {_OF_REFERENCE} AND {condition} ORDER BY t.recurrence {order} LIMIT 1)"""


# The transaction that had begun at the time of an event, or else the first one with its reference, and the next one.
# Without a time it is the newest one. Those on another EVSE than that of the event count only if there are no others.
# An event that is no start belongs to the one that has it, or to an open one on its EVSE, or if it names none, to an
# open one of its token. `is_rivalled` says that another open one fits as well. Rows omit members without
# a value.
SESSIONS_OF_REFERENCE = f"""
WITH s AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS s(n int, charger bigint, reference text, seq_no bigint, digest int,
        timestamp timestamptz, evse_id int, id_token text, is_start boolean)
), near AS MATERIALIZED (
    SELECT s.*, coalesce(
        CASE WHEN NOT s.is_start AND num_nonnulls(s.timestamp) = 1 THEN {_one_of_reference(_HAS_EVENT, "DESC")} END,
        CASE WHEN NOT s.is_start AND num_nonnulls(s.evse_id, s.id_token) > 0 THEN
            {_one_of_reference(f"{_HAD_BEGUN} AND {_IS_OPEN} AND {_IS_NAMED}", "DESC")} END,
        {_one_of_reference(f"{_HAD_BEGUN} AND {_MAY_BE_ON_EVSE}", "DESC")},
        {_one_of_reference(_MAY_BE_ON_EVSE, "")},
        {_one_of_reference(_HAD_BEGUN, "DESC")},
        0) AS recurrence,
        {_one_of_reference("true", "DESC")} AS newest
    FROM s
), places AS MATERIALIZED (
    SELECT s.*, {_one_of_reference(f"t.recurrence > s.recurrence AND {_MAY_BE_ON_EVSE}", "")} AS next FROM near s
)
SELECT s.n, s.newest, t.recurrence, t.evse_id, t.id_tag, t.start_time, t.stop_time, t.stop_received_at, t.clock_skew,
    c.last_boot_at > coalesce(t.stop_received_at, e.received_until),
    NOT chosen.is_on_evse AND EXISTS (SELECT FROM transactions_transaction t
        WHERE {_OF_REFERENCE} AND t.recurrence <> s.recurrence AND t.recurrence >= s.newest - 8
            AND {_HAD_BEGUN} AND {_IS_OPEN} AND {_MAY_BE_ON_EVSE} AND (NOT chosen.has_token OR {_HAS_TOKEN})), e.*
FROM places s JOIN transactions_transaction t ON {_OF_REFERENCE} AND t.recurrence IN (s.recurrence, s.next)
    JOIN chargers_charger c ON c.id = t.charger_id
    CROSS JOIN LATERAL (SELECT {_IS_ON_EVSE} AS is_on_evse, {_HAS_TOKEN} AS has_token) chosen
    CROSS JOIN LATERAL (
        SELECT max(e.received_at) AS received_until, max(e.timestamp), count(*),
            bool_or(e.seq_no = s.seq_no AND e.digest = s.digest), bool_or(e.seq_no = s.seq_no),
            bool_or(e.event_type = 'Started'), min(e.seq_no) FILTER (WHERE e.event_type = 'Ended')
        FROM transactions_transactionevent e WHERE e.transaction_id = t.id
    ) e
ORDER BY s.n, t.recurrence
"""

# The transaction of a charger's first event, with the columns that this event alone computes, see FOLD_EVENTS. A
# start may count its reading as well, see ADVANCE. Another process may have inserted it meanwhile. Rows omit members
# without a value.
BEGIN_TRANSACTION = """
INSERT INTO transactions_transaction AS t (charger_id, own_reference, evse_id, connector_id, id_tag, id_token_type,
    id_tag_status, charging_state, reservation_id, remote_start_id, meter_start, start_time, raw_start_time,
    start_received_at, clock_skew, recurrence, numbered_until, meter_first, meter_latest, meter_newest, power_latest,
    soc_latest, read_until, raw_stop_time, stop_reason, stop_id_tag)
SELECT s.charger, s.reference, s.evse_id, s.connector_id, coalesce(s.id_token, ''), coalesce(s.id_token_type, ''),
    coalesce(s.id_token_status, ''), coalesce(s.charging_state, ''), s.reservation_id, s.remote_start_id,
    s.meter_start, s.timestamp, s.raw_timestamp, s.received_at, coalesce(s.clock_skew, false),
    coalesce(s.recurrence, 0), CASE WHEN s.event_type = 'Started' AND s.seq_no >= 0 THEN s.seq_no END,
    s.register, s.register, s.register, s.power, s.soc, s.at, '', '', ''
FROM json_to_recordset(%s) AS s(charger bigint, reference text, evse_id int, connector_id int, id_token text,
    id_token_type text, id_token_status text, charging_state text, reservation_id bigint, remote_start_id bigint,
    meter_start bigint, timestamp timestamptz, raw_timestamp text, received_at timestamptz, clock_skew boolean,
    recurrence int, event_type text, seq_no bigint, register bigint, power int, soc smallint, at timestamptz)
ON CONFLICT (charger_id, own_reference, recurrence) WHERE own_reference <> '' DO NOTHING
RETURNING t.charger_id, t.own_reference, t.id, EXISTS (SELECT FROM transactions_tariff), t.energy_wh, t.energy_source
"""

# Inserts the events that are not stored, and returns those. One that `is_update` may be a plain event that is stored
# with its reading. Rows omit members without a value.
INSERT_TRANSACTION_EVENTS = """
INSERT INTO transactions_recordedevent (transaction_id, seq_no, digest, event_type, trigger_reason, timestamp,
    raw_timestamp, clock_skew, received_at, offline, charging_state, stopped_reason, evse_id, connector_id,
    id_token, id_token_type, id_token_status, meter_start, meter_stop, reservation_id, remote_start_id, details)
SELECT s.transaction, s.seq_no, s.digest, s.event_type, coalesce(s.trigger_reason, ''), s.timestamp, s.raw_timestamp,
    coalesce(s.clock_skew, false), s.received_at, coalesce(s.offline, false), coalesce(s.charging_state, ''),
    coalesce(s.stopped_reason, ''), s.evse_id, s.connector_id, coalesce(s.id_token, ''),
    coalesce(s.id_token_type, ''), coalesce(s.id_token_status, ''), s.meter_start, s.meter_stop, s.reservation_id,
    s.remote_start_id, coalesce(s.details, '')
FROM json_to_recordset(%s) AS s(transaction int, seq_no bigint, digest int, event_type text, trigger_reason text,
    timestamp timestamptz, raw_timestamp text, clock_skew boolean, received_at timestamptz, offline boolean,
    charging_state text, stopped_reason text, evse_id int, connector_id int, id_token text, id_token_type text,
    id_token_status text, meter_start bigint, meter_stop bigint, reservation_id bigint, remote_start_id bigint,
    details text, is_update boolean)
WHERE s.is_update IS NULL OR NOT EXISTS (SELECT FROM transactions_reading r
    WHERE r.transaction_id = s.transaction AND r.message_hash = s.digest AND r.seq_no = s.seq_no)
ON CONFLICT (transaction_id, seq_no, digest) DO NOTHING RETURNING transaction_id
"""

VERDICTS_OF_EVENTS = """
SELECT s.n, e.id_token_status FROM json_to_recordset(%s) AS s(n int, transaction int, seq_no bigint, digest int)
JOIN transactions_recordedevent e
    ON e.transaction_id = s.transaction AND e.seq_no = s.seq_no AND e.digest = s.digest
"""


def _first(column: str, order: str, condition: str = "") -> str:
    """Return SQL for the value of `column` in the first event by `order` among those that meet `condition`."""
    only = f" FILTER (WHERE {condition})" if condition else ""
    return f"(array_agg(e.{column} ORDER BY {order}){only})[1]"


_BY_START = "e.event_type <> 'Started', e.seq_no, e.timestamp, e.id"
_BY_NUMBER = "e.seq_no, e.timestamp, e.id"
_LATEST = "e.seq_no DESC, e.timestamp DESC, e.id DESC"
_ENDS = "e.event_type = 'Ended'"
# A token that ends a transaction begins it only if no other token is known.
_STOPS = f"({_ENDS} OR e.trigger_reason IN ('StopAuthorized', 'Deauthorized'))"
_BY_TOKEN = f"{_STOPS}, {_BY_NUMBER}"

_FOLDED = """t.id, t.charger_id, t.evse_id, t.connector_id, t.id_tag, t.id_token_type, t.id_tag_status,
        t.start_time, t.meter_start, t.reservation_id, t.remote_start_id, t.stop_received_at, t.stop_time,
        t.meter_stop, t.stop_reason, t.energy_wh, t.energy_source, t.clock_skew"""

# Computes the columns of transactions from all their events, so the order in which these arrive does not matter.
# Plain events change none of them. The charging profiles of a transaction are deleted with its end. An end that was
# received first stays, whatever follows. Numbers are counted from the start on, or else from 0 on. All are stored up
# to `numbered_until` as it was, and from there as far as they follow one another. Beyond that events are missing.
FOLD_EVENTS = f"""
WITH f AS MATERIALIZED (
    SELECT e.transaction_id AS id,
        {_first("timestamp", _BY_START)} AS start_time, {_first("raw_timestamp", _BY_START)} AS raw_start_time,
        {_first("received_at", _BY_START)} AS start_received_at,
        {_first("evse_id", _LATEST, "e.evse_id IS NOT NULL")} AS evse_id,
        {_first("connector_id", _LATEST, "e.connector_id IS NOT NULL")} AS connector_id,
        {_first("id_token", _BY_TOKEN, "e.id_token_status <> ''")} AS id_tag,
        {_first("id_token_type", _BY_TOKEN, "e.id_token_status <> ''")} AS id_token_type,
        {_first("id_token_status", _BY_TOKEN, "e.id_token_status <> ''")} AS id_tag_status,
        {_first("charging_state", _LATEST, "e.charging_state <> ''")} AS charging_state,
        {_first("reservation_id", _BY_NUMBER, "e.reservation_id IS NOT NULL")} AS reservation_id,
        {_first("remote_start_id", _BY_NUMBER, "e.remote_start_id IS NOT NULL")} AS remote_start_id,
        {_first("meter_start", _BY_NUMBER, "e.meter_start IS NOT NULL")} AS meter_start,
        {_first("timestamp", "e.id", _ENDS)} AS stop_time, {_first("raw_timestamp", "e.id", _ENDS)} AS raw_stop_time,
        {_first("received_at", "e.id", _ENDS)} AS stop_received_at,
        {_first("stopped_reason", "e.id", _ENDS)} AS stop_reason,
        {_first("id_token", _LATEST, f"{_STOPS} AND e.id_token_status <> ''")} AS stop_id_tag,
        {_first("id_token_type", _LATEST, f"{_STOPS} AND e.id_token_status <> ''")} AS stop_id_token_type,
        {_first("meter_stop", "e.id", f"{_ENDS} AND e.meter_stop IS NOT NULL")} AS meter_stop,
        bool_or(e.clock_skew) AS clock_skew, max(e.seq_no) AS highest,
        coalesce(min(e.seq_no) FILTER (WHERE e.event_type = 'Started' AND e.seq_no >= 0), 0) - 1 AS before
    FROM transactions_recordedevent e WHERE e.transaction_id = ANY(%s) GROUP BY 1
), numbered AS MATERIALIZED (
    SELECT f.*, coalesce((
        SELECT max(e.seq_no) FROM (
            SELECT e.seq_no, dense_rank() OVER (ORDER BY e.seq_no) AS place FROM transactions_recordedevent e
            WHERE e.transaction_id = f.id AND e.seq_no > n.known
        ) e WHERE e.seq_no = n.known + e.place
    ), n.known) AS until
    FROM f JOIN transactions_transaction t ON t.id = f.id
        CROSS JOIN LATERAL (SELECT greatest(t.numbered_until, f.before) AS known) n
), folded AS (
    UPDATE transactions_transaction t SET
        start_time = f.start_time, raw_start_time = f.raw_start_time, start_received_at = f.start_received_at,
        evse_id = f.evse_id, connector_id = f.connector_id, id_tag = coalesce(f.id_tag, ''),
        id_token_type = coalesce(f.id_token_type, ''), id_tag_status = coalesce(f.id_tag_status, ''),
        charging_state = coalesce(f.charging_state, ''), reservation_id = f.reservation_id,
        remote_start_id = f.remote_start_id, meter_start = f.meter_start, meter_stop = f.meter_stop,
        stop_time = CASE WHEN num_nonnulls(f.stop_time) = 1 THEN f.stop_time ELSE t.stop_time END,
        raw_stop_time = coalesce(f.raw_stop_time, ''), stop_received_at = f.stop_received_at,
        stop_reason = CASE WHEN num_nonnulls(f.stop_time) = 1 THEN coalesce(nullif(f.stop_reason, ''), 'Local')
            ELSE '' END,
        stop_id_tag = coalesce(f.stop_id_tag, ''), stop_id_token_type = coalesce(f.stop_id_token_type, ''),
        clock_skew = f.clock_skew OR coalesce(f.stop_time < f.start_time, false),
        superseded_by_id = CASE WHEN num_nonnulls(f.stop_time) = 0 THEN t.superseded_by_id END,
        numbered_until = nullif(f.until, f.before),
        missing_since = CASE WHEN f.highest > f.until THEN coalesce(t.missing_since, now()) END
    FROM numbered f WHERE t.id = f.id
    RETURNING {_FOLDED}
), ended AS (
    DELETE FROM chargers_installedprofile p USING folded
    WHERE p.transaction_id = folded.id AND num_nonnulls(folded.stop_received_at) = 1
)
SELECT * FROM folded
"""

# The same for the end of transactions all of whose other events are stored, with the count of its readings. A token
# that ends a transaction without one begins it, so it is left to FOLD_EVENTS.
END_BY_EVENTS = f"""
WITH s AS MATERIALIZED (
    SELECT s.*, t.id FROM json_to_recordset(%s) AS s({_NUMBERED}, {_READ}, timestamp timestamptz, raw_timestamp text,
        received_at timestamptz, meter_stop bigint, stopped_reason text, id_token text, id_token_type text), {_NEWEST}
), ended AS (
    UPDATE transactions_transaction t SET numbered_until = s.seq_no, {_ADVANCED},
        charging_state = coalesce(nullif(s.charging_state, ''), t.charging_state), meter_stop = s.meter_stop,
        stop_time = s.timestamp, raw_stop_time = s.raw_timestamp, stop_received_at = s.received_at,
        stop_reason = coalesce(nullif(s.stopped_reason, ''), 'Local'),
        stop_id_tag = coalesce(s.id_token, t.stop_id_tag),
        stop_id_token_type = CASE WHEN s.id_token IS NULL THEN t.stop_id_token_type ELSE s.id_token_type END,
        clock_skew = t.clock_skew OR s.timestamp < t.start_time, superseded_by_id = NULL
    FROM s WHERE {_IS_NEXT} AND (s.id_token IS NULL OR t.id_tag <> '')
    RETURNING s.n, EXISTS (SELECT FROM transactions_tariff), {_FOLDED}
), profiles AS (
    DELETE FROM chargers_installedprofile p USING ended WHERE p.transaction_id = ended.id
)
SELECT * FROM ended
"""

# --- day_totals --------------------------------------------------------------------------------

ANY_STALE_DAY = "SELECT 1 FROM transactions_staleday LIMIT 1"

TAKE_STALE_DAYS = """
DELETE FROM transactions_staleday WHERE id IN (SELECT id FROM transactions_staleday ORDER BY id LIMIT %s)
RETURNING charger_id, day
"""

# `whole` are chargers of which every day is computed, `days` rows with a charger and a local day.
DELETE_DAY_TOTALS = """
DELETE FROM transactions_daytotal d WHERE d.charger_id = ANY(%(whole)s)
    OR (d.charger_id, d.day) IN (
        SELECT s.charger, s.day FROM json_to_recordset(%(days)s) AS s(charger bigint, day date))
"""

# The local day is the one on which a session began, in the zone of its charger's site. Dates that Python cannot
# represent become the first or the last one. The duration is rounded as `Transaction.duration_seconds` is.
INSERT_DAY_TOTALS = """
INSERT INTO transactions_daytotal
    (charger_id, day, id_tag, currency, sessions, charged, succeeded, without_energy, energy_wh, duration_s, cost)
SELECT t.charger_id, l.day, l.id_tag, t.currency, count(*), count(*) FILTER (WHERE t.energy_wh > 0),
    count(*) FILTER (WHERE t.energy_wh > 0 AND num_nonnulls(t.stop_received_at) = 1
        AND t.stop_reason = ANY(string_to_array(%(usual)s, ' '))),
    count(*) - count(t.energy_wh), coalesce(sum(t.energy_wh), 0),
    coalesce(sum(greatest(0, round(extract(
        epoch FROM coalesce(t.corrected_stop_time, t.stop_time) - t.start_time)::double precision))), 0),
    coalesce(sum(t.total_cost), 0)
FROM transactions_transaction t JOIN chargers_charger c ON c.id = t.charger_id
    LEFT JOIN chargers_site p ON p.id = c.site_id, LATERAL (SELECT
        greatest(least((t.start_time AT TIME ZONE coalesce(p.time_zone, %(zone)s))::date, '9999-12-31'), '0001-01-01')
            AS day,
        CASE WHEN t.id_token_type = %(key_code)s AND t.id_tag <> '' THEN %(hidden)s ELSE t.id_tag END AS id_tag) l
WHERE t.charger_id = ANY(%(chargers)s) AND num_nonnulls(t.stop_received_at, t.closed_at) > 0
    AND t.start_time >= %(since)s AND t.start_time < %(until)s
    AND (t.charger_id = ANY(%(whole)s) OR (t.charger_id, l.day) IN (
        SELECT s.charger, s.day FROM json_to_recordset(%(days)s) AS s(charger bigint, day date)))
GROUP BY 1, 2, 3, 4
"""

DELETE_MONTH_TOTALS = """
DELETE FROM transactions_monthtotal m WHERE m.charger_id = ANY(%(whole)s)
    OR (m.charger_id, m.month) IN (
        SELECT s.charger, s.month FROM json_to_recordset(%(months)s) AS s(charger bigint, month date))
"""

INSERT_MONTH_TOTALS = """
INSERT INTO transactions_monthtotal
    (charger_id, month, currency, sessions, charged, succeeded, without_energy, energy_wh, duration_s, cost)
SELECT d.charger_id, l.month, d.currency, sum(d.sessions), sum(d.charged), sum(d.succeeded), sum(d.without_energy),
    sum(d.energy_wh), sum(d.duration_s), sum(d.cost)
FROM transactions_daytotal d, LATERAL (SELECT date_trunc('month', d.day::timestamp)::date AS month) l
WHERE d.charger_id = ANY(%(chargers)s) AND (d.charger_id = ANY(%(whole)s) OR (d.charger_id, l.month) IN (
    SELECT s.charger, s.month FROM json_to_recordset(%(months)s) AS s(charger bigint, month date)))
GROUP BY 1, 2, 3
"""

# --- reports -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Totals:
    """Tables of totals by day and by month, and how a report sums them.

    `own` is a column by which they may be grouped, too, and to one value of which a report may be restricted; it is
    one of `by_month`, too, if `has_own_by_month`. `split` is an expression by which the sums of a group are split.
    `charted` is the sum by which the largest groups are chosen.
    """

    by_day: str
    by_month: str
    sums: tuple[str, ...]
    own: str
    has_own_by_month: bool
    split: str
    charted: str


# The key of a group, the columns that name it, the tables that have these, and the order of the lines. A key is never
# NULL, so that keys can be joined.
_KEYS = {
    "site": (
        "coalesce(c.site_id, 0)",
        ("nullif(g.key, 0)", "s.name"),
        "LEFT JOIN chargers_site s ON s.id = g.key",
        's.name COLLATE "C" NULLS LAST',
    ),
    "charger": (
        "p.charger_id",
        ("c.identity", "c.site_id", "s.name"),
        "JOIN chargers_charger c ON c.id = g.key LEFT JOIN chargers_site s ON s.id = c.site_id",
        'c.identity COLLATE "C"',
    ),
    "day": ("p.day", ("g.key",), "", "g.key"),
    "month": ("to_char(p.day, 'YYYY-MM')", ("g.key",), "", "g.key"),
}


def report(totals: Totals, group: str, narrowed: bool) -> str:
    """Return the statement of a report by `group`; with `narrowed` only %(chargers)s count.

    It returns (place by name, place by the charted sum, columns of the key, split, sums) of the requested groups:
    `limit` of them after `offset`, and the `largest`. A row of the sum of all groups, one for each split, has
    NULL as its place, and their number as the second column.
    """
    own, split, sums = totals.own, totals.split, ", ".join(totals.sums)
    summed = ", ".join(f"sum({name}) AS {name}" for name in totals.sums)
    value, names, joins, order = _KEYS.get(group) or (f"p.{own}", ("g.key",), "", 'g.key COLLATE "C"')
    only = "AND charger_id = ANY(%(chargers)s::bigint[])" if narrowed else ""
    of_days = f"{only} AND (%(own)s::text = '' OR {own} = %(own)s)"
    of_months, own_of_month = (of_days, own) if totals.has_own_by_month else (only, "''")
    return f"""
WITH p AS (
    SELECT charger_id, month AS day, {own_of_month} AS {own}, {split} AS split, {sums} FROM {totals.by_month}
    WHERE month BETWEEN %(month_first)s::date AND %(month_last)s::date {of_months}
    UNION ALL
    SELECT charger_id, day, {own}, {split}, {sums} FROM {totals.by_day}
    WHERE day BETWEEN %(head_first)s::date AND %(head_last)s::date {of_days}
    UNION ALL
    SELECT charger_id, day, {own}, {split}, {sums} FROM {totals.by_day}
    WHERE day BETWEEN %(tail_first)s::date AND %(tail_last)s::date {of_days}
), g AS MATERIALIZED (
    SELECT {value} AS key, p.split, {summed} FROM p JOIN chargers_charger c ON c.id = p.charger_id GROUP BY 1, 2
), k AS (
    SELECT g.key, {", ".join(f"{name} AS name{n}" for n, name in enumerate(names))},
        row_number() OVER (ORDER BY {order}) AS place,
        row_number() OVER (ORDER BY sum(g.{totals.charted}) DESC, {order}) AS rank
    FROM g {joins} GROUP BY {", ".join(str(n + 1) for n in range(len(names) + 1))}
)
SELECT k.place, k.rank, {", ".join(f"name{n}" for n in range(len(names)))}, g.split,
    {", ".join(f"g.{name}" for name in totals.sums)}
FROM k JOIN g ON g.key = k.key
WHERE (k.place > %(offset)s::bigint AND k.place <= %(offset)s::bigint + %(limit)s::bigint)
    OR k.rank <= %(largest)s::bigint
UNION ALL
SELECT NULL, (SELECT count(*) FROM k), {", ".join("NULL" for _ in names)}, split, {summed} FROM g GROUP BY split
ORDER BY 1
"""


SESSION_SUMS = ("sessions", "charged", "succeeded", "without_energy", "energy_wh", "duration_s", "cost")
_SESSIONS = Totals(
    by_day="transactions_daytotal",
    by_month="transactions_monthtotal",
    sums=SESSION_SUMS,
    own="id_tag",
    has_own_by_month=False,
    split="currency",
    charted="energy_wh",
)
_GROUPS = [(group, narrowed) for group in ("site", "charger", "id_tag", "day", "month") for narrowed in (False, True)]
ENERGY = {group: report(_SESSIONS, *group) for group in _GROUPS}
SUCCESS = {group: report(replace(_SESSIONS, charted="sessions"), *group) for group in _GROUPS}

# --- outages -----------------------------------------------------------------------------------

# Times at which a charger is offline last from one event of its connections until the next one, those of a status
# from one status of the connector until another one. Events that repeat the state change nothing. Outages that are
# stored already stand for the event that began them, which may be deleted; one that has ended is not changed.
STORE_OUTAGES = """
WITH w AS MATERIALIZED (SELECT CASE WHEN %(everything)s THEN '-infinity' ELSE coalesce(
        (SELECT max(began_at) FROM transactions_outage) - %(margin)s * interval '1 second', '-infinity') END AS since
), e AS MATERIALIZED (
    SELECT e.id, e.charger_id, e.kind = 'connector.status' AS is_status,
        coalesce((e.body ->> 'evse_id')::int, 0) AS evse_id,
        coalesce((e.body ->> 'connector_id')::int, 0) AS connector_id,
        coalesce((e.body ->> 'since')::timestamptz, e.at) AS at,
        CASE WHEN e.kind = 'charger.offline' THEN 'offline' WHEN e.body ->> 'status' = 'Faulted' THEN 'faulted'
            WHEN e.body ->> 'status' = 'Unavailable' THEN 'unavailable' ELSE '' END AS kind,
        coalesce(e.body ->> 'error_code', '') AS error_code, coalesce(e.body ->> 'vendor_id', '') AS vendor_id,
        coalesce(e.body ->> 'vendor_error_code', '') AS vendor_error_code
    FROM chargers_event e, w
    WHERE e.kind IN ('charger.online', 'charger.offline', 'connector.status') AND e.at >= w.since
), known AS (
    SELECT * FROM e UNION ALL
    SELECT o.event_id, o.charger_id, o.kind <> 'offline', o.evse_id, o.connector_id, o.began_at, o.kind, o.error_code,
        o.vendor_id, o.vendor_error_code
    FROM transactions_outage o, w WHERE (o.ended_at IS NULL OR o.ended_at >= w.since)
        AND NOT EXISTS (SELECT FROM e WHERE e.id = o.event_id)
), changes AS (
    SELECT *, (kind, error_code, vendor_id, vendor_error_code) IS DISTINCT FROM lag(
        (kind, error_code, vendor_id, vendor_error_code)) OVER place AND (kind <> '' OR lag(kind) OVER place <> '')
        AS is_change
    FROM known WINDOW place AS (PARTITION BY charger_id, is_status, evse_id, connector_id ORDER BY at, id)
), spans AS (
    SELECT *, lead(at) OVER (PARTITION BY charger_id, is_status, evse_id, connector_id ORDER BY at, id) AS ended_at
    FROM changes WHERE is_change
)
INSERT INTO transactions_outage AS o (charger_id, event_id, evse_id, connector_id, kind, error_code, vendor_id,
    vendor_error_code, began_at, ended_at)
SELECT charger_id, id, evse_id, connector_id, kind, error_code, vendor_id, vendor_error_code, at, ended_at
FROM spans WHERE kind <> ''
ON CONFLICT (event_id) DO UPDATE SET ended_at = excluded.ended_at
    WHERE num_nonnulls(o.ended_at) = 0 AND num_nonnulls(excluded.ended_at) = 1
"""

# --- availability ------------------------------------------------------------------------------

# The periods in the zones of chargers, until now, without the time before a charger was added. A charger that has
# never connected has none.
_PERIODS_OF_CHARGERS = """
chosen AS MATERIALIZED (
    SELECT c.id, c.identity, c.site_id, s.name AS site_name, p.month, greatest(p.begins, c.created_at) AS begins,
        least(p.ends, now()) AS ends
    FROM chargers_charger c LEFT JOIN chargers_site s ON s.id = c.site_id
    JOIN json_to_recordset(%(periods)s) AS p(zone text, month text, begins timestamptz, ends timestamptz)
        ON p.zone = coalesce(s.time_zone, %(zone)s)
    WHERE c.id = ANY(%(chargers)s) AND c.connected_at IS NOT NULL
        AND greatest(p.begins, c.created_at) < least(p.ends, now())
)"""
_SPAN = "tstzrange(greatest(o.began_at, k.begins), least(coalesce(o.ended_at, k.ends), k.ends))"


def _seconds(only: str) -> str:
    """Return SQL for the seconds in which one of the outages that meet the condition `only` was under way."""
    return f"""coalesce((SELECT sum(extract(epoch FROM upper(r) - lower(r)))
        FROM unnest(range_agg({_SPAN}) FILTER (WHERE {only})) r), 0)"""


AVAILABILITY = f"""
WITH {_PERIODS_OF_CHARGERS}, ports AS (
    SELECT c.*, k.evse_id FROM chosen c, LATERAL (
        SELECT DISTINCT n.evse_id FROM chargers_connector n WHERE n.charger_id = c.id AND n.evse_id > 0
        UNION ALL
        SELECT 0 WHERE NOT EXISTS (SELECT FROM chargers_connector n WHERE n.charger_id = c.id AND n.evse_id > 0)
    ) k
)
SELECT k.month, k.site_id, k.site_name, k.identity, k.id, k.evse_id,
    round(extract(epoch FROM k.ends - k.begins)), round(l.simple), round(l.nevi), round(l.nevi - l.counted)
FROM ports k, LATERAL (
    SELECT {_seconds("o.kind IN ('offline', 'faulted')")} AS simple, {_seconds("true")} AS nevi,
        {_seconds("o.excluded_because = ''")} AS counted
    FROM transactions_outage o
    WHERE o.charger_id = k.id AND o.evse_id IN (0, k.evse_id) AND o.began_at < k.ends
        AND (o.ended_at IS NULL OR o.ended_at > k.begins)
) l
"""

FAULTS = f"""
WITH {_PERIODS_OF_CHARGERS}
SELECT o.error_code, o.vendor_id, o.vendor_error_code, count(*) FILTER (WHERE o.began_at >= k.begins),
    count(DISTINCT o.charger_id),
    round(sum(extract(
        epoch FROM least(coalesce(o.ended_at, k.ends), k.ends) - greatest(o.began_at, k.begins))))::bigint
FROM chosen k JOIN transactions_outage o ON o.charger_id = k.id AND o.kind = 'faulted' AND o.began_at < k.ends
    AND (o.ended_at IS NULL OR o.ended_at > k.begins)
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 6 DESC, 1, 2, 3
"""
