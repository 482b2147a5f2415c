"""The SQL statements of dashboard. A test prepares each of them, so that its columns are those of the models."""

from transactions.services.phases import of_all_phases_sql

# --- fleet -------------------------------------------------------------------------------------

# The energy before midnight is subtracted with the readings of a transaction; few transactions last over midnight.
# `coalesce` wraps the sum, because `least` ignores NULL and would return the bound without a transaction.
# The inner `greatest` returns 0 for a transaction without a known register.
TODAY = f"""
SELECT least(coalesce(sum(greatest(0, t.energy_wh - CASE
    WHEN t.start_time >= %(midnight)s THEN 0
    WHEN read.wh >= counted.base THEN read.wh - counted.base ELSE coalesce(read.wh, 0) END)), 0),
    9007199254740991)::bigint
FROM transactions_transaction t
CROSS JOIN LATERAL (SELECT coalesce(t.corrected_meter_start,
    CASE WHEN t.meter_start BETWEEN 0 AND 2147483647 THEN t.meter_start END, t.meter_first) AS base) counted
LEFT JOIN LATERAL (
    SELECT {of_all_phases_sql("wh")} AS wh
    FROM (
        SELECT m.phase, max(m.number * CASE m.unit WHEN 'kWh' THEN 1000 ELSE 1 END) AS wh
        FROM transactions_metervalue m
        WHERE t.start_time < %(midnight)s AND m.transaction_id = t.id AND m.timestamp < %(midnight)s
            AND m.location = 'Outlet' AND m.measurand = 'Energy.Active.Import.Register' GROUP BY m.phase
    ) each
) read ON true
WHERE (t.start_time >= %(midnight)s AND t.start_time < %(next_midnight)s)
    OR (t.start_time < %(midnight)s AND t.start_time > %(midnight)s - interval '7 days'
        AND (t.stop_time >= %(midnight)s
             OR num_nonnulls(t.stop_received_at, t.closed_at) = 0 AND t.superseded_by_id IS NULL))
"""
