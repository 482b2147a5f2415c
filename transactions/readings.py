"""Meter readings: every sampledValue a row, and the energy register of its transaction kept up to date."""

import re
from decimal import Decimal

from chargers import recordset
from chargers.times import said

ENERGY = "Energy.Active.Import.Register"
WATT_HOURS = {"Wh": 1, "kWh": 1000}
NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,9})?", re.ASCII)

COLUMNS = (
    *("charger_id", "transaction_id", "reported_transaction_id", "connector_id"),
    *("timestamp", "raw_timestamp", "received_at"),
    *("value", "number", "measurand", "unit", "phase", "context", "location", "format"),
)

# Which of the transactions named are the charger's; those that go on have their register advanced. `num_nonnulls`,
# here and elsewhere, keeps to the primary key: to PostgreSQL, which knows late how many transactions are under way,
# an index of all of them may look the shorter way.
ADVANCE = """
WITH s AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS s(charger bigint, transaction int, register bigint)
), advanced AS (
    UPDATE transactions_transaction t SET meter_latest = greatest(t.meter_latest, s.register) FROM s
    WHERE t.id = s.transaction AND t.charger_id = s.charger AND num_nonnulls(t.stop_received_at, t.closed_at) = 0
        AND s.register IS NOT NULL
)
SELECT t.charger_id, t.id FROM s JOIN transactions_transaction t ON t.id = s.transaction AND t.charger_id = s.charger
"""


def store(told):
    """Write the meter values (OCPP 1.6 §7.33) in `told`: (call, connector id, list of them, transaction id)."""
    registers = {}
    for call, _, values, transaction_id in told:
        if transaction_id is not None and values:
            row = {"charger": call.charger, "transaction": transaction_id, "register": _register(values)}
            key = call.charger, transaction_id
            if key not in registers or (registers[key]["register"] or 0) < (row["register"] or 0):
                registers[key] = row
    known = set(recordset.execute(ADVANCE, [registers[key] for key in sorted(registers)]))
    lines = [line for message in told for line in _lines(*message, known)]
    recordset.copy("transactions_metervalue", COLUMNS, lines)


def _lines(call, connector_id, values, transaction_id, known):
    """The rows of one message, in the order the charger gave them."""
    linked = transaction_id if (call.charger, transaction_id) in known else r"\N"
    reported = r"\N" if transaction_id is None else transaction_id
    message = f"{call.charger}\t{linked}\t{reported}\t{connector_id}"
    received_at = call.received_at.isoformat()
    for reading in values:
        timestamp = reading["timestamp"]
        moment = said(timestamp, call.received_at).isoformat()
        start = f"{message}\t{moment}\t{recordset.escaped(timestamp[:64])}\t{received_at}"
        for sample in reading["sampledValue"]:
            yield f"{start}\t{_sampled(sample)}"


def _sampled(sample):
    told = sample.get
    value = sample["value"]
    measurand = told("measurand", ENERGY)
    # Where the unit is left out, OCPP 1.6 §7.43 has Wh for energy and nothing for the rest.
    unit = told("unit", "Wh" if measurand.startswith("Energy") else "")
    # A number needs no escaping.
    both = f"{value}\t{value}" if NUMBER.fullmatch(value) else f"{recordset.escaped(value)}\t\\N"
    return (
        f"{both}\t{measurand}\t{unit}\t{told('phase', '')}"
        f"\t{told('context', 'Sample.Periodic')}\t{told('location', 'Outlet')}\t{told('format', 'Raw')}"
    )


def _register(values):
    """The highest energy register among `values`, in Wh: at the outlet, of all phases. None without one."""
    samples = [sample for value in values for sample in value["sampledValue"]]
    read = [_watt_hours(sample) for sample in samples if sample.get("measurand", ENERGY) == ENERGY]
    return max((register for register in read if register is not None), default=None)


def _watt_hours(sample):
    told = sample.get
    if told("phase") or told("location", "Outlet") != "Outlet":
        return None
    unit, value = told("unit", "Wh"), sample["value"]
    if unit not in WATT_HOURS or not NUMBER.fullmatch(value):
        return None
    register = int(Decimal(value) * WATT_HOURS[unit])
    return register if 0 <= register < 2**63 else None
