"""Meter readings: every sampledValue a row, and the energy register of its transaction kept up to date."""

import re
from decimal import Decimal

from chargers import recordset
from chargers.times import said

ENERGY = "Energy.Active.Import.Register"
WATT_HOURS = {"Wh": 1, "kWh": 1000}
NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,9})?")

# The transaction is looked up and not joined: rows stay in the order the charger gave them.
INSERT = """
INSERT INTO transactions_metervalue (charger_id, transaction_id, reported_transaction_id, connector_id,
    timestamp, raw_timestamp, received_at, value, number, measurand, unit, phase, context, location, format)
SELECT s.charger,
    (SELECT t.id FROM transactions_transaction t WHERE t.id = s.transaction AND t.charger_id = s.charger),
    s.transaction, s.connector_id, s.timestamp, s.raw_timestamp, s.received_at, s.value, s.number, s.measurand,
    s.unit, s.phase, s.context, s.location, s.format
FROM json_to_recordset(%s) AS s(charger bigint, transaction int, connector_id int, timestamp timestamptz,
    raw_timestamp text, received_at timestamptz, value text, number numeric, measurand text, unit text,
    phase text, context text, location text, format text)
"""

ADVANCE = """
UPDATE transactions_transaction t SET meter_latest = greatest(t.meter_latest, s.register)
FROM json_to_recordset(%s) AS s(charger bigint, transaction int, register bigint)
WHERE t.id = s.transaction AND t.charger_id = s.charger AND t.stop_received_at IS NULL AND t.closed_at IS NULL
"""


def store(told):
    """Write the meter values (OCPP 1.6 §7.33) in `told`: (call, connector id, list of them, transaction id)."""
    rows, registers = [], {}
    for call, connector_id, values, transaction_id in told:
        for value in values:
            for sample in value["sampledValue"]:
                row = _row(call, connector_id, value["timestamp"], sample, transaction_id)
                rows.append(row)
                _advance(registers, row)
    recordset.execute(INSERT, rows)
    recordset.execute(ADVANCE, [registers[key] for key in sorted(registers)])


def _row(call, connector_id, timestamp, sample, transaction_id):
    told = sample.get
    value = sample["value"]
    measurand = told("measurand", ENERGY)
    return {
        "charger": call.charger,
        "transaction": transaction_id,
        "connector_id": connector_id,
        "timestamp": said(timestamp, call.received_at),
        "raw_timestamp": timestamp[:64],
        "received_at": call.received_at,
        "value": value,
        "number": value if NUMBER.fullmatch(value) else None,
        "measurand": measurand,
        # Where the unit is left out, OCPP 1.6 §7.43 has Wh for energy and nothing for the rest.
        "unit": told("unit", "Wh" if measurand.startswith("Energy") else ""),
        "phase": told("phase", ""),
        "context": told("context", "Sample.Periodic"),
        "location": told("location", "Outlet"),
        "format": told("format", "Raw"),
    }


def _advance(registers, row):
    """Note the highest energy register read for the row's transaction, in Wh: at the outlet, of all phases."""
    whole = row["measurand"] == ENERGY and not row["phase"] and row["location"] == "Outlet"
    if not whole or row["number"] is None or row["transaction"] is None or row["unit"] not in WATT_HOURS:
        return
    register = int(Decimal(row["number"]) * WATT_HOURS[row["unit"]])
    if register >= 2**63 or register < 0:
        return
    key = (row["charger"], row["transaction"])
    if key not in registers or registers[key]["register"] < register:
        registers[key] = {"charger": key[0], "transaction": key[1], "register": register}
