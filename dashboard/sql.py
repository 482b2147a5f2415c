"""The SQL statements of dashboard. A test prepares each of them, so that its columns are those of the models."""

from transactions.services.phases import of_all_phases_sql

# --- fleet -------------------------------------------------------------------------------------

# The energy before midnight is subtracted with the readings of a transaction; few transactions last over midnight.
# `coalesce` wraps the sum, because `least` ignores NULL and would return the bound without a transaction.
# The inner `greatest` returns 0 for a transaction without a known register.


def _energy(midnight: str) -> str:
    """Return the sum of the energy since `midnight` of transactions with `_registers`."""
    return f"""least(coalesce(sum(greatest(0, t.energy_wh - CASE
    WHEN t.start_time >= {midnight} THEN 0
    WHEN read.wh >= counted.base THEN read.wh - counted.base ELSE coalesce(read.wh, 0) END)), 0),
    9007199254740991)::bigint"""


def _registers(midnight: str) -> str:
    """Join the register at the begin of each transaction, and the last one before `midnight`."""
    return f"""CROSS JOIN LATERAL (SELECT coalesce(t.corrected_meter_start,
    CASE WHEN t.meter_start BETWEEN 0 AND 2147483647 THEN t.meter_start END, t.meter_first) AS base) counted
LEFT JOIN LATERAL (
    SELECT {of_all_phases_sql("wh")} AS wh
    FROM (
        SELECT m.phase, max(m.number * CASE m.unit WHEN 'kWh' THEN 1000 ELSE 1 END) AS wh
        FROM transactions_metervalue m
        WHERE t.start_time < {midnight} AND m.transaction_id = t.id AND m.timestamp < {midnight}
            AND m.location = 'Outlet' AND m.measurand = 'Energy.Active.Import.Register' GROUP BY m.phase
    ) each
) read ON true"""


def _of_day(midnight: str, next_midnight: str) -> str:
    """Choose the transactions that have energy of the day."""
    return f"""((t.start_time >= {midnight} AND t.start_time < {next_midnight})
    OR (t.start_time < {midnight} AND t.start_time > {midnight} - interval '7 days'
        AND (t.stop_time >= {midnight}
             OR num_nonnulls(t.stop_received_at, t.closed_at) = 0 AND t.superseded_by_id IS NULL)))"""


TODAY = f"""
SELECT {_energy("%(midnight)s")}
FROM transactions_transaction t
{_registers("%(midnight)s")}
WHERE {_of_day("%(midnight)s", "%(next_midnight)s")}
"""

# The bounds of all days are given as well, because the index is not used with those of a joined row.
TODAY_BY_SITE = f"""
SELECT d.site, {_energy("d.midnight")}
FROM json_to_recordset(%s) AS d(site bigint, midnight timestamptz, next_midnight timestamptz)
JOIN chargers_charger c ON c.site_id = d.site
JOIN transactions_transaction t ON t.charger_id = c.id
{_registers("d.midnight")}
WHERE t.start_time > %s::timestamptz - interval '7 days' AND t.start_time < %s::timestamptz
    AND {_of_day("d.midnight", "d.next_midnight")}
GROUP BY d.site
"""
