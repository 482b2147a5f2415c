"""Store meter readings: each is a row with its samples, and the newest ones are stored with their transaction."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple
from zlib import crc32

from chargers.services import budgets, connections, events
from core.db import bulk_sql
from core.ocpp import numerals, timestamps
from core.ocpp.calls import Call
from transactions import sql
from transactions.services import samples
from transactions.services.energy import IMPORT_REGISTER as ENERGY
from transactions.services.energy import MOST_WH
from transactions.services.phases import of_all_phases
from transactions.services.samples import NUMBER_LIMIT, MeterSample, Stored

POWER = "Power.Active.Import"
# OCPP 2.0.1 does not restrict the text of a unit, and chargers send it in other spellings.
WATT_HOURS = dict.fromkeys(("Wh", "wh", "WH"), 1) | dict.fromkeys(("kWh", "kwh", "KWh", "KWH"), 1000) | {"MWh": 10**6}
WATTS = dict.fromkeys(("W", "w"), 1) | dict.fromkeys(("kW", "kw", "KW"), 1000) | {"MW": 10**6}
LARGEST_ID = 2**31 - 1  # of a transaction
UNTIMED_IS_FOUND_FOR = timedelta(days=1)  # a repetition of readings without a time and a transaction
MAX_SPAN = timedelta(days=31)  # of a session for which readings without a transaction are evidence

Evidence = tuple[int | None, str]  # energy in Wh, and its source
Place = tuple[int, int]  # charger and transaction id
Identifying = tuple[str, Stored]  # a sample of a charger: its time as sent, and its stored form

COLUMNS = (
    *("charger_id", "transaction_id", "reported_transaction_id", "evse_id"),
    *("timestamp", "raw_timestamp", "received_at", "samples", "message_hash"),
    *("seq_no", "trigger_reason", "event_members"),
)
NO_EVENT = "\\N\t\t"  # the last three columns of a row without an event


class EventMark(NamedTuple):
    """The event in the row of its first reading, see `plain_events`. `members` are JSON, "" without any."""

    seq_no: int
    digest: int
    trigger_reason: str
    members: str


class MeterReading(NamedTuple):
    """The samples that a charger took at one time, as sent."""

    raw_time: str
    samples: list[MeterSample]


@dataclass(slots=True)
class Readings:
    """The readings in a message, and the time of each.

    `evse_id` is None if only the transaction tells the EVSE; `transaction_id` is None if none is named. Readings
    `is_of_stop` were received with the stop, which is stored once; those that are `is_new` are known not to be stored
    yet. Those that are `is_counted` were counted towards their transaction with their event, which is `event` if it
    is a plain one. `member` is the path of the readings in the message, for findings.
    """

    call: Call
    evse_id: int | None
    values: list[MeterReading]
    transaction_id: int | None
    member: str
    is_of_stop: bool = False
    is_new: bool = False
    is_counted: bool = False
    event: EventMark | None = None
    times: list[datetime] = field(init=False)
    is_timed: bool = field(init=False, default=True)  # else some of `times` are times of receipt

    def __post_init__(self) -> None:
        self.values = _within_budget(self.call, self.values)
        self.times = [self._time(value.raw_time) for value in self.values]

    def _time(self, text: str) -> datetime:
        moment = timestamps.parse(text)
        received_at = self.call.received_at
        if moment is None or not timestamps.PLAUSIBLE <= moment <= received_at + timestamps.AHEAD:
            self.call.find(f"{self.member}.timestamp", "clock", text)
        self.is_timed = self.is_timed and moment is not None
        return moment or received_at

    def count(self, transaction_id: int, evse_id: int | None) -> None:
        """Note that the readings were counted towards a transaction on an EVSE, and are not stored."""
        self.transaction_id, self.evse_id, self.is_new, self.is_counted = transaction_id, evse_id or 0, True, True

    @property
    def names_transaction(self) -> bool:
        """Whether it names a possible id: some chargers send 0, -1, 2^31-1 or 2^63-1 between transactions."""
        return self.transaction_id is not None and 0 < self.transaction_id < LARGEST_ID


def register_at(message: Readings, context: str) -> int | None:
    """Return the energy register in Wh of the last reading with samples of `context`, None without one."""
    found = None
    for value in message.values:
        energies: dict[str, int] = {}
        for sample in value.samples:
            if sample.context == context and sample.measurand == ENERGY:  # few have the context
                _note(energies, sample, _register(message, sample), max)
        if energies:
            total = of_all_phases(energies)
            found = found if total is None else total
    return found


def registers(message: Readings) -> tuple[int | None, int | None]:
    """Return the first and the last energy register in Wh in `message`, None without one."""
    found = _newest(message)
    return found.get("first", found["register"]), found.get("newest", found["register"])


def store(messages: list[Readings]) -> dict[int, Evidence]:
    """Write the readings in `messages`; return {transaction id: (energy in Wh, its source)} of changed transactions.

    A charger that did not get its answer sends the message again, perhaps much later and on another socket. Samples
    that are stored already are skipped (decision 0026).
    """
    belongs = [m.transaction_id if m.names_transaction else None for m in messages]
    uncounted = [n for n, m in enumerate(messages) if not m.is_counted]
    places, energy = _advance([messages[n] for n in uncounted], [belongs[n] for n in uncounted], {}, {})
    places |= {(m.call.charger, m.transaction_id or 0): m.evse_id or 0 for m in messages if m.is_counted}
    # Readings that name no transaction may be stored unlinked, because they arrived before it was known.
    doubtful = [
        n for n, m in enumerate(messages) if m.values and not m.is_new and (m.call.charger, belongs[n]) not in places
    ]
    # Another process may be storing the same readings for a former socket, and no transaction makes this one wait.
    connections.lock({messages[n].call.charger for n in doubtful})
    for n, transaction_id in _running(messages, [n for n in doubtful if not messages[n].names_transaction]):
        belongs[n] = transaction_id
    stored = _stored(messages, belongs, doubtful)
    unstored = [_unstored(message, stored.get(n, frozenset())) for n, message in enumerate(messages)]
    new = [n for n in doubtful if any(unstored[n])]
    _advance([messages[n] for n in new], [belongs[n] for n in new], places, energy, is_new=True)
    lines: list[str] = []
    for n, message in enumerate(messages):
        message.call.rows += sum(map(len, unstored[n]))
        lines += _lines(message, belongs[n], places, unstored[n])
    bulk_sql.copy("transactions_reading", COLUMNS, lines)
    return energy


def _stored(
    messages: Sequence[Readings], belongs: Sequence[int | None], doubtful: Iterable[int]
) -> dict[int, set[Identifying]]:
    """Return {index in `messages`: samples that are stored with the message's id}."""
    stored: defaultdict[int, set[Identifying]] = defaultdict(set)
    rows = [
        {"n": n, "charger": m.call.charger, "transaction": belongs[n], "evse": m.evse_id or 0}
        | {"times": sorted(set(m.times)), "at": max(m.times), "hash": _hash(m.call)}
        | {"since": None if m.is_timed else m.call.received_at - UNTIMED_IS_FOUND_FOR}
        for n in doubtful
        if not (m := messages[n]).is_of_stop
    ]
    for n, raw_time, text in bulk_sql.execute(sql.STORED_READINGS, rows):
        stored[n] |= {(raw_time, sample) for sample in samples.read(text)}
    return stored


def _unstored(message: Readings, stored: AbstractSet[Identifying]) -> list[list[Stored]]:
    """Return the samples of each reading that are not `stored`, in their stored form."""
    report = partial(message.call.find, f"{message.member}.sampledValue.value", "not_a_number")
    forms = [[samples.stored(sample, report) for sample in reading.samples] for reading in message.values]
    if not stored:
        return forms
    raws = [as_stored(reading.raw_time) for reading in message.values]
    return [[one for one in of_one if (raw, one) not in stored] for raw, of_one in zip(raws, forms, strict=True)]


def as_stored(raw_time: str) -> str:
    """Return a time as sent, as far as the column has room for it."""
    return raw_time[:64]


def _hash(call: Call) -> int:
    """Return a hash of the message id as int32. A collision is harmless, because the samples are compared too."""
    return crc32(call.message_id.encode(errors="replace")) - 2**31


def _within_budget(call: Call, values: list[MeterReading]) -> list[MeterReading]:
    """Return `values` with at most as many samples as the budget allows."""
    limit = budgets.BUDGETS["samples"].limit
    sent = sum(len(value.samples) or 1 for value in values)
    if not limit or sent <= limit:
        return values
    call.find(*budgets.BUDGETS["samples"].finding, sent)
    pairs = [(value, sample) for value in values for sample in value.samples]
    chosen = sorted(_chosen([sample for _, sample in pairs], limit))
    by_value = groupby((pairs[n] for n in chosen), key=lambda pair: id(pair[0]))
    groups = [list(group) for _, group in by_value]
    return [group[0][0]._replace(samples=[sample for _, sample in group]) for group in groups]


def _chosen(sent: list[MeterSample], limit: int) -> list[int]:
    """Return the indexes of `limit` samples: energy registers before others; too many of these lose the middle."""
    energy = [n for n, sample in enumerate(sent) if sample.measurand == ENERGY]
    if len(energy) > limit:
        return energy[: limit // 2] + energy[len(energy) - (limit - limit // 2) :]
    others = [n for n, sample in enumerate(sent) if sample.measurand != ENERGY]
    return energy + others[: limit - len(energy)]


def _advance(
    messages: Sequence[Readings],
    belongs: Sequence[int | None],
    places: dict[Place, int],
    energy: dict[int, Evidence],
    is_new: bool = False,
) -> tuple[dict[Place, int], dict[int, Evidence]]:
    """Count `messages` towards their transactions; unless `is_new`, only messages newer than all stored readings.

    Adds to `places` {(charger, transaction id): EVSE id} of the charger's own transactions, and to `energy` the
    result of `store`; returns both.
    """
    newest: dict[Place, dict[str, Any]] = {}
    for message, transaction_id in zip(messages, belongs, strict=True):
        if transaction_id is not None and message.values:
            _merge(newest, message, transaction_id, is_new)
    for row in bulk_sql.execute(sql.ADVANCE, [newest[key] for key in sorted(newest)]):
        charger, transaction, evse_id, connector_id, is_ongoing, wh, source = row
        places[charger, transaction], energy[transaction] = evse_id or 0, (wh, source)
        if is_ongoing:
            place = charger, transaction, connector_id
            record_event(*place, newest[charger, transaction], energy[transaction])
    return places, energy


def count_by_events(messages: Sequence[Readings], rows: Sequence[dict[str, Any]]) -> dict[int, bool]:
    """Count those of `messages` that plain events bring, whose `rows` name them for sql.ADVANCE_BY_EVENTS.

    Return {index: whether there are tariffs} of those that were counted, which now have their transaction and EVSE.
    """
    by_index = {row["n"]: row for row in rows}
    for n, row in by_index.items():
        row |= read(messages[n])
    counted: dict[int, bool] = {}
    for n, has_tariffs, transaction, evse_id, connector_id, *evidence in bulk_sql.execute(
        sql.ADVANCE_BY_EVENTS, rows
    ):
        counted[n] = has_tariffs
        messages[n].count(transaction, evse_id)
        place = messages[n].call.charger, transaction, connector_id
        record_event(*place, by_index[n], (evidence[0], evidence[1]))
    return counted


def read(message: Readings) -> dict[str, Any]:
    """Return the members of a row of sql.ADVANCE that are read in `message`."""
    return {"at": max(message.times), **_newest(message)} if message.values else {}


def _running(messages: Sequence[Readings], loose: Iterable[int]) -> list[tuple[int, int]]:
    """Return (index, transaction id) of the `loose` messages on whose EVSE one transaction is open."""
    rows = [
        {"n": n, "charger": m.call.charger, "evse": m.evse_id, "at": min(m.times)}
        for n in loose
        if (m := messages[n]).evse_id and m.values and not m.is_of_stop
    ]
    return [(n, transaction) for n, transaction in bulk_sql.execute(sql.RUNNING_TRANSACTIONS, rows)]


def _merge(newest: dict[Place, dict[str, Any]], message: Readings, transaction_id: int, is_new: bool) -> None:
    call, key = message.call, (message.call.charger, transaction_id)
    row: dict[str, Any] = {"charger": call.charger, "transaction": transaction_id, **read(message)}
    if not (is_new or message.is_new or message.is_of_stop):
        # A repeated message without a time of its own would look newer than all before.
        row["since"] = min(message.times) if message.is_timed else "-infinity"
    if message.transaction_id != transaction_id:
        row["unnamed"] = True
    if message.is_of_stop:
        row["of_stop"] = True
    if key not in newest or (newest[key]["register"] or 0) < (row["register"] or 0):
        newest[key] = row


class Span(NamedTuple):
    """The time of a transaction at the EVSE of its charger (primary key)."""

    charger: int
    transaction: int
    evse: int
    began: datetime
    ended: datetime


def take_in(spans: list[Span]) -> dict[int, Evidence]:
    """Count energy registers that name no transaction towards those of `spans`, whose clock must be right.

    Return the same as `store`.
    """
    rows = [span._asdict() for span in spans if span.ended - span.began < MAX_SPAN]
    unlinked = bulk_sql.execute(sql.UNLINKED_READINGS, rows)
    if not unlinked:
        return {}
    charger_of = {span.transaction: span.charger for span in spans}
    newest: list[dict[str, Any]] = []
    for transaction, of_one in groupby(unlinked, key=lambda row: row[0]):
        by_time = [(at, _sum_of(of_moment)) for at, of_moment in groupby(of_one, key=lambda row: row[1])]
        registers = [wh for _, wh in by_time if wh is not None]
        if registers:
            row: dict[str, Any] = {"charger": charger_of[transaction], "transaction": transaction, "unnamed": True}
            row |= {"at": by_time[-1][0], "first": registers[0], "register": max(registers)}
            newest.append(row | {"newest": registers[-1]})
    taken = bulk_sql.execute(sql.ADVANCE, newest)
    links = [{"transaction": transaction, "id": pk, "received_at": at} for transaction, *_, pk, at in unlinked]
    bulk_sql.execute(sql.LINK_READINGS, links)
    return {transaction: (wh, source) for _, transaction, _, _, _, wh, source in taken}


def record_event(
    charger: int, transaction: int, connector_id: int | None, read: Mapping[str, Any], evidence: Evidence
) -> None:
    """Record that readings of an open transaction have arrived, see `read`."""
    fields = {"meter_wh": read["register"], "energy_wh": evidence[0], "energy_source": evidence[1]}
    fields |= {"power_w": read["power"], "soc_percent": read["soc"]}
    events.record_event(
        "transaction.updated",
        charger,
        transaction_id=transaction,
        connector_id=connector_id,
        **fields,
    )


def _lines(
    message: Readings, transaction_id: int | None, evses: Mapping[Place, int], of_readings: list[list[Stored]]
) -> Iterator[str]:
    """Yield the rows of one message for COPY, in the order that the charger sent."""
    call, event = message.call, message.event
    evse_id = None if transaction_id is None else evses.get((call.charger, transaction_id))
    linked = r"\N" if evse_id is None else transaction_id
    if message.evse_id is not None:
        evse_id = message.evse_id
    reported = r"\N" if message.transaction_id is None else message.transaction_id
    start = f"{call.charger}\t{linked}\t{reported}\t{evse_id or 0}"
    received_at, end = call.received_at.isoformat(), NO_EVENT
    message_hash = _hash(call) if event is None else event.digest
    if event is not None:
        end = f"{event.seq_no}\t{bulk_sql.escaped(event.trigger_reason)}\t{bulk_sql.escaped(event.members)}"
    for reading, moment, of_one in zip(message.values, message.times, of_readings, strict=True):
        row = f"{start}\t{moment.isoformat()}\t{bulk_sql.escaped(as_stored(reading.raw_time))}\t{received_at}"
        for text in samples.rows(of_one):
            yield f"{row}\t{bulk_sql.escaped(text)}\t{message_hash}\t{end}"
            end = NO_EVENT  # an event is in one row


def _newest(message: Readings) -> dict[str, int | None]:
    """Return the first, highest and newest energy register in Wh, the newest power in W and state of charge in %;
    None if the message has none."""
    first: int | None = None
    register: int | None = None
    newest: int | None = None
    power: int | None = None
    soc: int | None = None
    for value in message.values:
        energies: dict[str, int] = {}
        powers: dict[str, int] = {}
        for sample in value.samples:
            if sample.measurand == ENERGY:
                _note(energies, sample, _register(message, sample), max)
            elif sample.measurand == POWER:
                _note(powers, sample, _scaled(sample, WATTS, "W"), _later)
            elif sample.measurand == "SoC":
                soc = _percent(sample.value, soc)
        total = of_all_phases(energies)
        if total is not None:
            first, register, newest = total if first is None else first, max(total, register or 0), total
        power = _power(powers, power)
    found = {"register": register, "power": power, "soc": soc}
    if first != register or newest != register:
        found |= {"first": first, "newest": newest}
    return found


def _note(
    phases: dict[str, int], sample: MeterSample, measured: int | None, choose: Callable[[int, int], int]
) -> None:
    """Add a measured value to `phases`; `choose(former, latter)` decides between two values of one phase."""
    if measured is not None:
        phase = sample.phase
        phases[phase] = choose(phases[phase], measured) if phase in phases else measured


def _later(former: int, latter: int) -> int:
    return latter


def _register(message: Readings, sample: MeterSample) -> int | None:
    """Return an energy register at the outlet in Wh; None if it is impossible."""
    wh = _scaled(sample, WATT_HOURS, "Wh")
    if wh is not None and wh > MOST_WH:
        message.call.find(f"{message.member}.sampledValue.value", "out_of_range", sample.value)
        return None
    return wh


def _scaled(sample: MeterSample, units: dict[str, int], default: str) -> int | None:
    """Return a value measured at the outlet as an integer of the smaller unit; None if it is unusable."""
    unit, value = sample.unit or default, sample.value
    if sample.location != "Outlet" or unit not in units or sample.format != "Raw":
        return None
    if len(value) < 16 and value.isascii() and value.isdecimal():
        return int(value) * units[unit]
    number = numerals.read(value)
    return None if number is None or not 0 <= number < NUMBER_LIMIT else int(number * units[unit])


def _sum_of(rows: Iterable[bulk_sql.Row]) -> int | None:
    """Return the register in Wh from the `rows` of sql.UNLINKED_READINGS of one moment."""
    read = {phase: _wh(number, unit) for _, _, number, unit, phase, *_ in rows}
    return of_all_phases({phase: wh for phase, wh in read.items() if wh is not None})


def _wh(number: Decimal, unit: str) -> int | None:
    wh = number * WATT_HOURS[unit] if unit in WATT_HOURS else -1
    return int(wh) if 0 <= wh <= MOST_WH else None


def _power(phases: dict[str, int], former: int | None) -> int | None:
    power = of_all_phases(phases)
    return former if power is None or power >= 2**31 else power


def _percent(value: str, former: int | None) -> int | None:
    number = numerals.read(value)
    return round(number) if number is not None and 0 <= number <= 100 else former
