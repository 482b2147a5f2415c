"""Meter readings: every sampledValue a row, and what was read last kept with its transaction."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any
from zlib import crc32

from chargers import budgets, bulk_sql, events, numerals, times
from chargers.inbox import Call
from chargers.tolerance import UNREADABLE
from transactions.energy import MOST_AT_ONCE_WH, MOST_WH, MOST_WH_PER_S, STOP

ENERGY = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"
WATT_HOURS = {"Wh": 1, "kWh": 1000}
WATTS = {"W": 1, "kW": 1000}
PHASES = (("L1", "L2", "L3"), ("L1-N", "L2-N", "L3-N"))
SIGNED = "SignedData"
MOST_DIGITS, DECIMALS = Decimal(10) ** 15, Decimal("1e-9")  # that the column of numbers holds
LARGEST_ID = 2**31 - 1  # of a transaction
USUAL = {"phase": "", "context": "Sample.Periodic", "location": "Outlet", "format": "Raw"}
LONGEST_SPAN = timedelta(days=31)  # of a session for which they are
MOST_TAKEN_IN = 5000  # readings without a transaction that are looked at as evidence for one

COLUMNS = (
    *("charger_id", "transaction_id", "reported_transaction_id", "connector_id"),
    *("timestamp", "raw_timestamp", "received_at"),
    *("value", "number", "measurand", "unit", "phase", "context", "location", "format"),
    "message_hash",
)

_MOST_POSSIBLE = f"""coalesce(
    t.corrected_meter_start, CASE WHEN t.meter_start BETWEEN 0 AND {MOST_WH} THEN t.meter_start END,
    t.meter_first, s.first, s.register
) + {MOST_AT_ONCE_WH} + {MOST_WH_PER_S} * greatest(extract(
    epoch FROM greatest(s.at - t.start_time, now() - t.start_received_at)), 0)"""


def _if_possible(register: str) -> str:
    """Whether a register is no higher than the session can have charged; most are found so without its duration."""
    return f"""({register} <= t.meter_start + {MOST_AT_ONCE_WH} AND t.meter_start BETWEEN 0 AND {MOST_WH}
        OR {register} <= {_MOST_POSSIBLE})"""


# Which of the transactions named are the charger's. Those that go on take what was read last, and one whose stop is
# not believed takes what was read before it. A message with `since` is counted only where it is newer than all that
# was read in its transaction: others may be stored already, see `store`. What is usual is left out of the rows: that
# they name their transaction, and that the first and the newest register are the highest. `num_nonnulls`, here and
# elsewhere, keeps to the primary key: to PostgreSQL, which knows late how many transactions are under way, an index
# of all of them may look the shorter way. `greatest` leaves out what is null, on either side.
_TAKES = f"""(num_nonnulls(t.stop_received_at, t.closed_at) = 0 OR num_nonnulls(t.stop_received_at) = 1
    AND (s.of_stop OR t.energy_source <> '{STOP}' AND s.at <= t.stop_time))"""
ADVANCE = f"""
UPDATE transactions_transaction t SET
    is_id_used = t.is_id_used OR s.unnamed IS NULL,
    meter_first = CASE WHEN num_nonnulls(t.meter_first) = 0 AND {_TAKES}
        AND {_if_possible("coalesce(s.first, s.register)")} THEN coalesce(s.first, s.register) ELSE t.meter_first END,
    meter_latest = CASE WHEN {_TAKES} THEN greatest(t.meter_latest, CASE
        WHEN {_if_possible("s.register")} THEN s.register
        WHEN {_if_possible("s.newest")} THEN s.newest END) ELSE t.meter_latest END,
    meter_newest = CASE WHEN {_TAKES} AND {_if_possible("coalesce(s.newest, s.register)")}
        THEN coalesce(s.newest, s.register) ELSE t.meter_newest END,
    power_latest = CASE WHEN {_TAKES} THEN coalesce(s.power, t.power_latest) ELSE t.power_latest END,
    soc_latest = CASE WHEN {_TAKES} THEN coalesce(s.soc, t.soc_latest) ELSE t.soc_latest END,
    read_until = greatest(t.read_until, s.at)
FROM json_to_recordset(%s) AS s(charger bigint, transaction int, unnamed boolean, since timestamptz, at timestamptz,
    of_stop boolean, first bigint, register bigint, newest bigint, power int, soc smallint)
WHERE t.id = s.transaction AND t.charger_id = s.charger AND (s.since > t.read_until) IS NOT FALSE
RETURNING t.charger_id, t.id, t.connector_id, num_nonnulls(t.stop_received_at, t.closed_at) = 0, t.energy_wh,
    t.energy_source
"""
# The readings that came with the message id of a message: those of its transaction; where it has none,
# those without one on its connector, and those of the latest transaction there, which may have taken them in.
STORED = """
SELECT s.n, m.raw_timestamp, m.value, m.measurand, m.unit, m.phase, m.context, m.location, m.format
FROM json_to_recordset(%s) AS s(n int, charger bigint, transaction int, connector int, times timestamptz[],
    at timestamptz, hash int), LATERAL (
    SELECT * FROM transactions_metervalue m WHERE m.charger_id = s.charger AND m.message_hash = s.hash
        AND m.transaction_id = coalesce(s.transaction, (
            SELECT t.id FROM transactions_transaction t WHERE t.charger_id = s.charger
                AND t.connector_id = s.connector AND t.start_time <= s.at ORDER BY t.start_time DESC LIMIT 1))
    UNION ALL
    SELECT * FROM transactions_metervalue m WHERE m.charger_id = s.charger AND m.connector_id = s.connector
        AND m.transaction_id IS NULL AND m.timestamp = ANY(s.times) AND m.message_hash = s.hash
) m
"""
# The one transaction that runs on a connector at a time, for readings that name none.
RUNNING = """
SELECT s.n, min(t.id) FROM json_to_recordset(%s) AS s(n int, charger bigint, connector int, at timestamptz)
JOIN transactions_transaction t ON t.charger_id = s.charger AND t.connector_id = s.connector
    AND t.stop_received_at IS NULL AND num_nonnulls(t.closed_at, t.superseded_by_id) = 0
    AND (t.clock_skew OR s.at >= t.start_time)
GROUP BY s.n HAVING count(*) = 1
"""
# Energy registers that name no transaction and lie within one, each by the index of such readings.
UNLINKED = f"""
SELECT s.transaction, m.timestamp, m.number, m.unit, m.phase, m.id, m.received_at FROM json_to_recordset(%s)
    AS s(charger bigint, transaction int, connector int, began timestamptz, ended timestamptz), LATERAL (
    SELECT * FROM transactions_metervalue m
    WHERE m.charger_id = s.charger AND m.connector_id = s.connector AND m.transaction_id IS NULL
        AND m.timestamp BETWEEN s.began AND s.ended AND m.measurand = '{ENERGY}' AND m.location = 'Outlet'
        AND m.number IS NOT NULL
    ORDER BY m.timestamp DESC LIMIT {MOST_TAKEN_IN}
) m ORDER BY s.transaction, m.timestamp
"""
LINK = """
UPDATE transactions_metervalue m SET transaction_id = s.transaction
FROM json_to_recordset(%s) AS s(transaction int, id bigint, received_at timestamptz)
WHERE m.id = s.id AND m.received_at = s.received_at
"""


@dataclass(slots=True)
class Readings:
    """The meter values (OCPP 1.6 §7.33) in a message, and the time of each.

    `connector_id` is None where only the transaction says of which connector, `transaction_id` where none is named.
    """

    call: Call
    connector_id: int | None
    values: list[dict[str, Any]]
    transaction_id: int | None
    times: list[datetime] = field(init=False)
    is_timed: bool = field(init=False, default=True)  # else some of `times` are when it came

    def __post_init__(self) -> None:
        self.values = _within_budget(self.call, self.values)
        self.times = [self._time(value["timestamp"]) for value in self.values]

    def _time(self, text: str) -> datetime:
        moment = times.parse(text)
        received_at = self.call.received_at
        if moment is None or not times.PLAUSIBLE <= moment <= received_at + times.AHEAD:
            self.call.find(f"{_member(self.call)}.timestamp", "clock", text)
        self.is_timed = self.is_timed and moment is not None
        return moment or received_at

    @property
    def is_of_stop(self) -> bool:
        """Whether they came with the stop, which is taken once."""
        return self.call.action == "StopTransaction"

    @property
    def names_transaction(self) -> bool:
        """Whether it names one that could be: some chargers say 0, -1, 2^31-1 or 2^63-1 between transactions."""
        return self.transaction_id is not None and 0 < self.transaction_id < LARGEST_ID


def store(messages: list[Readings]) -> dict[int, tuple[int | None, str]]:
    """Write the readings in `messages`; {transaction id: (energy in Wh, its source)} of those that they changed.

    A charger that did not get its answer sends the message again, perhaps much later and by another socket. What is
    stored of it already is not stored again (decision 0020).
    """
    belongs = [m.transaction_id if m.names_transaction else None for m in messages]
    places, energy = _advance(messages, belongs, {}, {})
    loose = [n for n, m in enumerate(messages) if not m.names_transaction]
    for n, transaction_id in _running(messages, loose):
        belongs[n] = transaction_id
    # Readings that name no transaction may be stored without one, from before they belonged to it.
    doubtful = [n for n, m in enumerate(messages) if m.values and (m.call.charger, belongs[n]) not in places]
    stored = _stored(messages, belongs, doubtful)
    new = [n for n in doubtful if not stored.get(n, set()).issuperset(map(_sample_of, _lines(messages[n], None, {})))]
    _advance([messages[n] for n in new], [belongs[n] for n in new], places, energy, is_new=True)
    lines = []
    for n, message in enumerate(messages):
        of_message = list(_lines(message, belongs[n], places))
        message.call.rows = len(of_message)
        lines += [line for line in of_message if n not in stored or _sample_of(line) not in stored[n]]
    bulk_sql.copy("transactions_metervalue", COLUMNS, lines)
    return energy


def _stored(messages, belongs, doubtful):
    """{index: the samples (`_sample_of`) that are stored with the message id of this one of `messages`}."""
    stored = defaultdict(set)
    rows = [
        {"n": n, "charger": m.call.charger, "transaction": belongs[n], "connector": m.connector_id}
        | {"times": sorted(set(m.times)), "at": max(m.times), "hash": _hash(m.call)}
        for n in doubtful
        if not (m := messages[n]).is_of_stop
    ]
    for n, *sample in bulk_sql.execute(STORED, rows):
        stored[n].add(tuple(map(bulk_sql.escaped, sample)))
    return stored


def _sample_of(line):
    """What of a row for COPY tells one reading from another of its charger: its time, value and words, as sent."""
    _, _, _, _, _, raw, _, value, _, *words, _ = line.split("\t")
    return raw, value, *words


def _hash(call):
    """Of the message id, small enough for every row; what is equal besides is the same reading."""
    return crc32(call.message_id.encode(errors="replace")) - 2**31


def _within_budget(call, values):
    """`values` with no more samples than a message may have."""
    most = budgets.BUDGETS["samples"].limit
    sent = sum(len(value["sampledValue"]) or 1 for value in values)
    if not most or sent <= most:
        return values
    call.find(*budgets.BUDGETS["samples"].finding, sent)
    samples = [(value, sample) for value in values for sample in value["sampledValue"]]
    chosen = sorted(_chosen([sample for _, sample in samples], most))
    by_value = groupby((samples[n] for n in chosen), key=lambda pair: id(pair[0]))
    groups = [list(group) for _, group in by_value]
    return [group[0][0] | {"sampledValue": [sample for _, sample in group]} for group in groups]


def _chosen(samples, most):
    """The places of `most` of `samples`: energy registers first and, where they are too many, both ends of them."""
    energy = [n for n, sample in enumerate(samples) if sample.get("measurand", ENERGY) == ENERGY]
    if len(energy) > most:
        return energy[: most // 2] + energy[len(energy) - (most - most // 2) :]
    others = [n for n, sample in enumerate(samples) if sample.get("measurand", ENERGY) != ENERGY]
    return energy + others[: most - len(energy)]


def _advance(messages, belongs, places, energy, is_new=False):
    """Count `messages` towards the transactions that they belong to: unless `is_new`, only those that are the newest.

    Enters in `places` {(charger, transaction id): connector id} of those that are the charger's, and in `energy` what
    `store` returns; both are returned.
    """
    newest = {}
    for message, transaction_id in zip(messages, belongs, strict=True):
        if transaction_id is not None and message.values:
            _merge(newest, message, transaction_id, is_new)
    for row in bulk_sql.execute(ADVANCE, [newest[key] for key in sorted(newest)]):
        charger, transaction, connector_id, is_ongoing, *energy[row[1]] = row
        places[charger, transaction] = connector_id
        if is_ongoing:
            _tell(newest[charger, transaction], connector_id, energy[transaction])
    return places, energy


def _running(messages, loose):
    """(index, transaction id) of those of `messages` that name no transaction, while one runs on their connector."""
    rows = [
        {"n": n, "charger": m.call.charger, "connector": m.connector_id, "at": min(m.times)}
        for n in loose
        if (m := messages[n]).connector_id and m.values and not m.is_of_stop
    ]
    return bulk_sql.execute(RUNNING, rows)


def _merge(newest, message, transaction_id, is_new):
    call, key = message.call, (message.call.charger, transaction_id)
    row = {"charger": call.charger, "transaction": transaction_id, "at": max(message.times)} | _newest(message)
    if not is_new and not message.is_of_stop:
        # Without a time of its own, one that is sent again looks newer than all before.
        row["since"] = min(message.times) if message.is_timed else "-infinity"
    if message.transaction_id != transaction_id:
        row["unnamed"] = True
    if message.is_of_stop:
        row["of_stop"] = True
    if key not in newest or (newest[key]["register"] or 0) < (row["register"] or 0):
        newest[key] = row


def take_in(spans: list[tuple[int, int, int, datetime, datetime]]) -> dict[int, tuple[int | None, str]]:
    """Count energy registers that name no transaction towards those of `spans`: (charger, transaction id, connector,
    start, end), by a clock that is right. What `store` returns."""
    names = ("charger", "transaction", "connector", "began", "ended")
    rows = [dict(zip(names, span, strict=True)) for span in spans if span[4] - span[3] < LONGEST_SPAN]
    found = bulk_sql.execute(UNLINKED, rows)
    if not found:
        return {}
    charger_of = {transaction: charger for charger, transaction, *_ in spans}
    newest = []
    for transaction, of_one in groupby(found, key=lambda row: row[0]):
        by_time = [(at, _sum_of(of_moment)) for at, of_moment in groupby(of_one, key=lambda row: row[1])]
        registers = [wh for _, wh in by_time if wh is not None]
        if registers:
            row = {"charger": charger_of[transaction], "transaction": transaction, "unnamed": True}
            row |= {"at": by_time[-1][0], "first": registers[0], "register": max(registers)}
            newest.append(row | {"newest": registers[-1]})
    taken = bulk_sql.execute(ADVANCE, newest)
    links = [{"transaction": transaction, "id": pk, "received_at": at} for transaction, *_, pk, at in found]
    bulk_sql.execute(LINK, links)
    return {transaction: evidence for _, transaction, _, _, *evidence in taken}


def _tell(read, connector_id, evidence):
    told = {"meter_wh": read["register"], "energy_wh": evidence[0], "energy_source": evidence[1]}
    told |= {"power_w": read["power"], "soc_percent": read["soc"]}
    events.record_event(
        "transaction.updated",
        read["charger"],
        transaction_id=read["transaction"],
        connector_id=connector_id,
        **told,
    )


def _lines(message, transaction_id, connectors):
    """The rows of one message, in the order the charger gave them."""
    call, reported = message.call, message.transaction_id
    connector_id = connectors.get((call.charger, transaction_id))
    linked = r"\N" if connector_id is None else transaction_id
    if message.connector_id is not None:
        connector_id = message.connector_id
    reported = r"\N" if reported is None else reported
    start = f"{call.charger}\t{linked}\t{reported}\t{connector_id or 0}"
    received_at, message_hash = call.received_at.isoformat(), _hash(call)
    for reading, moment in zip(message.values, message.times, strict=True):
        raw = bulk_sql.escaped(reading["timestamp"][:64])
        row = f"{start}\t{moment.isoformat()}\t{raw}\t{received_at}"
        for sample in reading["sampledValue"]:
            yield f"{row}\t{_sampled(call, sample)}\t{message_hash}"


def _sampled(call, sample):
    told = sample.get
    value = sample["value"]
    measurand = told("measurand", ENERGY)
    # Where the unit is left out, OCPP 1.6 §7.43 has Wh for energy and nothing for the rest.
    unit = told("unit", "Wh" if measurand.startswith("Energy") else "")
    rest = (
        f"{measurand}\t{unit}\t{told('phase', '')}"
        f"\t{told('context', 'Sample.Periodic')}\t{told('location', 'Outlet')}\t{told('format', 'Raw')}"
    )
    if "\\" in rest or rest.count("\t") != 5 or not rest.replace("\t", "").isprintable():
        rest = _escaped(sample, measurand, unit)
    if numerals.PLAIN.fullmatch(value):
        return f"{value}\t{value}\t{rest}"
    return f"{bulk_sql.escaped(value)}\t{_kept_number(call, sample)}\t{rest}"


def _escaped(sample, measurand, unit):
    """The words that describe a sample, where one is not as plain as those of OCPP."""
    described = (sample.get(member, usual) for member, usual in USUAL.items())
    return "\t".join(map(bulk_sql.escaped, (measurand, unit, *described)))


def _kept_number(call, sample):
    """The number in a value that is not written plainly, as COPY reads it."""
    if sample.get("format", "Raw") in (SIGNED, UNREADABLE):
        return r"\N"
    value = sample["value"]
    number = numerals.read(value)
    if number is None or not numerals.is_standard(value):
        call.find(f"{_path(call)}.value", "not_a_number", value)
    if number is None or abs(number) >= MOST_DIGITS:
        return r"\N"
    kept = number.quantize(DECIMALS)
    return f"{kept:f}" if abs(kept) < MOST_DIGITS else r"\N"


def _member(call):
    return "transactionData" if call.action == "StopTransaction" else "meterValue"


def _path(call):
    return f"{_member(call)}.sampledValue"


def _newest(message):
    """The first, the highest and the newest energy register in Wh, the newest power in W and state of charge in %;
    None where not told."""
    first = register = newest = power = soc = None
    for value in message.values:
        energies, powers = {}, {}
        for sample in value["sampledValue"]:
            measurand = sample.get("measurand", ENERGY)
            if measurand == ENERGY:
                _note(energies, sample, _register(message.call, sample), max)
            elif measurand == POWER:
                _note(powers, sample, _scaled(sample, WATTS, "W"), _later)
            elif measurand == "SoC":
                soc = _percent(sample["value"], soc)
        total = of_all_phases(energies)
        if total is not None:
            first, register, newest = total if first is None else first, max(total, register or 0), total
        power = _power(powers, power)
    read = {"register": register, "power": power, "soc": soc}
    if first != register or newest != register:
        read |= {"first": first, "newest": newest}
    return read


def _note(phases, sample, measured, choose):
    """Enter what was measured; of two of one phase what `choose(former, latter)` says."""
    if measured is not None:
        phase = sample.get("phase", "")
        phases[phase] = choose(phases[phase], measured) if phase in phases else measured


def _later(former, latter):
    return latter


def _register(call, sample):
    """An energy register at the outlet in Wh; None where it makes no sense."""
    wh = _scaled(sample, WATT_HOURS, "Wh")
    if wh is not None and wh > MOST_WH:
        call.find(f"{_path(call)}.value", "out_of_range", sample["value"])
        return None
    return wh


def _scaled(sample, units, default):
    """What is measured at the outlet as a whole number of the smaller unit, None where it makes no sense."""
    unit, value = sample.get("unit", default), sample["value"]
    if sample.get("location", "Outlet") != "Outlet" or unit not in units or sample.get("format", "Raw") != "Raw":
        return None
    if len(value) < 16 and value.isascii() and value.isdecimal():
        return int(value) * units[unit]
    number = numerals.read(value)
    return None if number is None or not 0 <= number < MOST_DIGITS else int(number * units[unit])


def _sum_of(rows):
    """The register in Wh that `rows` of UNLINKED have of one moment."""
    read = {phase: _wh(number, unit) for _, _, number, unit, phase, *_ in rows}
    return of_all_phases({phase: wh for phase, wh in read.items() if wh is not None})


def _wh(number, unit):
    wh = number * WATT_HOURS[unit] if unit in WATT_HOURS else -1
    return int(wh) if 0 <= wh <= MOST_WH else None


def of_all_phases(phases):
    """What is measured of all phases together, or else the sum of each of them; None where neither is told."""
    total = phases.get("")
    if total or len(phases) == (total is not None):
        return total
    for family in PHASES:  # some tell both against each other and against neutral
        if each := [phases[phase] for phase in family if phase in phases]:
            return sum(each)
    return total


def _power(phases, former):
    power = of_all_phases(phases)
    return former if power is None or power >= 2**31 else power


def _percent(value, former):
    number = numerals.read(value)
    return round(number) if number is not None and 0 <= number <= 100 else former
