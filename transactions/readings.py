"""Meter readings: every sampledValue a row, and what was read last kept with its transaction."""

import re
from decimal import Decimal

from chargers import events, recordset
from chargers.times import said

ENERGY = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"
WATT_HOURS = {"Wh": 1, "kWh": 1000}
WATTS = {"W": 1, "kW": 1000}
PHASES = ("L1", "L2", "L3", "L1-N", "L2-N", "L3-N")
NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,9})?", re.ASCII)

COLUMNS = (
    *("charger_id", "transaction_id", "reported_transaction_id", "connector_id"),
    *("timestamp", "raw_timestamp", "received_at"),
    *("value", "number", "measurand", "unit", "phase", "context", "location", "format"),
)

# Which of the transactions named are the charger's; those that go on have what was read last. `num_nonnulls`, here
# and elsewhere, keeps to the primary key: to PostgreSQL, which knows late how many transactions are under way, an
# index of all of them may look the shorter way.
# `greatest` passes over NULL: the first register is taken, and a message without one leaves the latest as it is.
ADVANCE = """
WITH s AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s)
        AS s(charger bigint, transaction int, register bigint, power int, soc smallint)
), advanced AS (
    UPDATE transactions_transaction t SET meter_latest = greatest(t.meter_latest, s.register),
        power_latest = coalesce(s.power, t.power_latest), soc_latest = coalesce(s.soc, t.soc_latest)
    FROM s WHERE t.id = s.transaction AND t.charger_id = s.charger
        AND num_nonnulls(t.stop_received_at, t.closed_at) = 0 AND num_nonnulls(s.register, s.power, s.soc) > 0
)
SELECT t.charger_id, t.id, t.connector_id, t.meter_start, num_nonnulls(t.stop_received_at, t.closed_at) = 0
FROM s JOIN transactions_transaction t ON t.id = s.transaction AND t.charger_id = s.charger
"""


def store(told):
    """Write the meter values (OCPP 1.6 §7.33) in `told`: (call, connector id, list of them, transaction id)."""
    newest = {}
    for call, _, values, transaction_id in told:
        if transaction_id is not None and values:
            row = {"charger": call.charger, "transaction": transaction_id} | _newest(values)
            key = call.charger, transaction_id
            if key not in newest or (newest[key]["register"] or 0) < (row["register"] or 0):
                newest[key] = row
    known = recordset.execute(ADVANCE, [newest[key] for key in sorted(newest)])
    named = {(charger, transaction) for charger, transaction, *_ in known}
    lines = [line for message in told for line in _lines(*message, named)]
    recordset.copy("transactions_metervalue", COLUMNS, lines)
    for charger, transaction, connector_id, meter_start, is_ongoing in known:
        if is_ongoing:
            _tell(newest[charger, transaction], connector_id, meter_start)


def _tell(read, connector_id, meter_start):
    register = read["register"]
    told = {"meter_wh": register, "energy_wh": None if register is None else max(0, register - meter_start)}
    told |= {"power_w": read["power"], "soc_percent": read["soc"]}
    events.tell(
        "transaction.updated",
        read["charger"],
        transaction_id=read["transaction"],
        connector_id=connector_id,
        **told,
    )


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


def _newest(values):
    """The highest energy register in Wh, and the newest power in W and state of charge in %; None where not told."""
    register = power = soc = None
    for value in values:
        phases = []
        for sample in value["sampledValue"]:
            measurand = sample.get("measurand", ENERGY)
            if measurand == ENERGY:
                read = _scaled(sample, WATT_HOURS, "Wh") if not sample.get("phase") else None
                register = read if register is None or (read or 0) > register else register
            elif measurand == POWER:
                phases.append((sample.get("phase", ""), _scaled(sample, WATTS, "W")))
            elif measurand == "SoC":
                soc = _percent(sample["value"], soc)
        if phases:
            power = _whole(phases, power)
    return {"register": register, "power": power, "soc": soc}


def _scaled(sample, units, default):
    """What is measured at the outlet as a whole number of the smaller unit, None where it makes no sense."""
    unit, value = sample.get("unit", default), sample["value"]
    if sample.get("location", "Outlet") != "Outlet" or unit not in units or not NUMBER.fullmatch(value):
        return None
    read = int(Decimal(value) * units[unit])
    return read if 0 <= read < 2**63 else None


def _whole(phases, former):
    """The power of all phases, or the sum of each of them."""
    told = {phase: watts for phase, watts in phases if watts is not None}
    each = [watts for phase, watts in told.items() if phase in PHASES]
    power = told.get("", sum(each) if each else former)
    return power if power is None or power < 2**31 else former


def _percent(value, former):
    if not NUMBER.fullmatch(value):
        return former
    read = round(Decimal(value))
    return read if 0 <= read <= 100 else former
