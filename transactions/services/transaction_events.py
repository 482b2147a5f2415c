"""Store TransactionEvents (OCPP 2.0.1 E), in any order and with repetitions, and the transactions that they make."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models.functions import Upper

from chargers.services import events as live
from core.db import bulk_sql
from transactions import sql
from transactions.models import IdTag, Transaction
from transactions.services import costs, energy, key_codes, plain_events, readings, reservations, reused_references
from transactions.services.event_content import ENDED, STARTED, UNNUMBERED, UPDATED, Event
from transactions.services.id_tokens import INVALID, Known, Verdict, find_known, may_stop
from transactions.services.readings import Readings

BEGIN, END = "Transaction.Begin", "Transaction.End"  # contexts of samples

Meters = tuple[int | None, int | None]  # registers in Wh at the start and at the end of a transaction
NO_METERS: Meters = (None, None)


class Found(NamedTuple):
    """The transaction of an event as it was before it.

    `is_next` says that the number of the event fills no gap and adds none, see sql.FIND_TRANSACTIONS. `has_tariffs`
    says that there are tariffs, so the transaction may have a cost. `has_rival` says that a former one with its
    reference is open.
    """

    transaction_id: int
    charging_state: str
    evse_id: int | None
    connector_id: int | None
    id_tag: str
    id_token_type: str
    has_ended: bool
    is_next: bool
    has_tariffs: bool
    recurrence: int
    start_time: datetime | None
    stop_time: datetime | None
    has_rival: bool


UNKNOWN = Found(
    0, "", None, None, "", "", False, False, False, 0, None, None, False
)  # the transaction of a first event


class Begun(NamedTuple):
    """A transaction that has begun: whether it has all its columns, what it has read, and its energy."""

    has_columns: bool
    read: dict[str, Any]
    evidence: readings.Evidence


class Folded(NamedTuple):
    """The columns of a transaction as computed from its events."""

    id: int
    charger: int
    evse_id: int | None
    connector_id: int | None
    id_tag: str
    id_token_type: str
    id_tag_status: str
    start_time: datetime
    meter_start: int | None
    reservation_id: int | None
    remote_start_id: int | None
    stop_received_at: datetime | None
    stop_time: datetime | None
    meter_stop: int | None
    reason: str
    energy_wh: int | None
    energy_source: str
    clock_skew: bool

    @property
    def shown_id_tag(self) -> str:
        return key_codes.shown(self.id_tag, self.id_token_type)


class Outcome(NamedTuple):
    """The transaction of an event, and the verdict on its token, None without one.

    `is_new` if the event was not stored before, `has_tariffs` as in `Found`.
    """

    transaction_id: int
    verdict: Verdict | None
    is_new: bool
    has_tariffs: bool


def store(events: list[Event]) -> list[Outcome]:
    """Store `events`, each once, and return their outcomes for the answers. No event is refused.

    A later one may arrive first, and one may arrive after the end, which it does not undo (E04, E12).
    """
    messages = [Readings(e.call, e.evse_id, e.values, None, "meterValue", e.event_type == ENDED) for e in events]
    meters = [_meters(event, message) for event, message in zip(events, messages, strict=True)]
    plain = [
        n for n, event in enumerate(events) if meters[n] == NO_METERS and plain_events.may_be(event, messages[n])
    ]
    counted = plain_events.store(events, messages, plain)
    rest = [n for n in range(len(events)) if n not in counted]
    for event in events:
        event.call.rows = 1
    stored = _store_others(
        [events[n] for n in rest],
        [messages[n] for n in rest],
        [meters[n] for n in rest],
        [messages[n] for n in counted],
    )
    outcomes = dict(zip(rest, stored, strict=True))
    outcomes |= {
        n: Outcome(messages[n].transaction_id or 0, None, True, has_tariffs) for n, has_tariffs in counted.items()
    }
    return [outcomes[n] for n in range(len(events))]


def _store_others(
    events: Sequence[Event], messages: Sequence[Readings], meters: Sequence[Meters], counted: list[Readings]
) -> list[Outcome]:
    """Store `events` in rows of their own, their readings, and those of plain events, which are `counted`."""
    ended, ends = _end(events, messages, meters)
    begun, found, verdicts, rows = _find(events, messages, meters, ended)
    new: set[int] = {row[0] for row in bulk_sql.execute(sql.INSERT_TRANSACTION_EVENTS, rows)}
    verdicts = _as_given(verdicts, rows, new)
    starts = {rows[n]["transaction"]: _folded(events[n], rows[n]) for n, one in begun.items() if one.has_columns}
    folded = ends | starts
    changed = {
        known.transaction_id
        for n, (event, known) in enumerate(zip(events, found, strict=True))
        if known.transaction_id in new - folded.keys() and (n in begun or _changes(event, known, meters[n]))
    }
    folded |= _fold(changed)
    _apply(events, found, folded, begun)
    evidence = _store_readings(messages, found, new, counted)
    _record_ends(events, found, folded, evidence)
    return [
        Outcome(known.transaction_id, verdict, known.transaction_id in new, known.has_tariffs)
        for known, verdict in zip(found, verdicts, strict=True)
    ]


def _end(
    events: Sequence[Event], messages: Sequence[Readings], meters: Sequence[Meters]
) -> tuple[dict[int, Found], dict[int, Folded]]:
    """End the transactions of which each Ended is the next event, and count its readings, without a fold.

    Return {index: transaction} of these events, and {primary key: columns} of their transactions.
    """
    rows = [
        {"n": n, "charger": event.call.charger, "reference": event.reference, "of_stop": True}
        | {"seq_no": event.seq_no, "timestamp": event.time, "raw_timestamp": event.raw_time}
        | {"received_at": event.call.received_at, "meter_stop": meters[n][1]}
        | event.others
        | readings.read(messages[n])
        for n, event in enumerate(events)
        if event.event_type == ENDED and event.seq_no > 0 and meters[n][0] is None
        if not event.has_clock_skew and event.reservation_id is None and event.remote_start_id is None
    ]
    found: dict[int, Found] = {}
    ends: dict[int, Folded] = {}
    for n, has_tariffs, *columns in bulk_sql.execute(sql.END_BY_EVENTS, rows):
        t = ends[columns[0]] = Folded._make(columns)
        messages[n].count(t.id, t.evse_id)
        place = t.id, "", t.evse_id, t.connector_id, t.id_tag, t.id_token_type
        found[n] = Found(*place, False, True, has_tariffs, 0, t.start_time, None, False)
    return found, ends


def _find(
    events: Sequence[Event], messages: Sequence[Readings], meters: Sequence[Meters], ended: dict[int, Found]
) -> tuple[dict[int, Begun], list[Found], list[Verdict | None], list[dict[str, Any]]]:
    """Find the transactions of `events` unless they are `ended` already, and begin those of first events.

    Return {index of a first event: what it has begun}, and for each event its transaction, the verdict on its token,
    and its row of sql.INSERT_TRANSACTION_EVENTS.
    """
    begun: dict[int, Begun] = {}
    # Most starts begin a transaction, so they are looked up only if one of them does not.
    known = ended | {n: UNKNOWN for n, event in enumerate(events) if event.event_type == STARTED}
    while True:
        found = _found(events, known)
        verdicts = _verdicts(events, found)
        rows = [_row(*each) for each in zip(events, found, meters, verdicts, strict=True)]
        unknown = {(e.call.charger, e.reference): n for n, e in enumerate(events) if not found[n].transaction_id}
        read = {n: _read_at_start(events[n], messages[n], meters[n]) for n in unknown.values()}
        new = [rows[n] | {"charger": charger, "reference": text} | read[n] for (charger, text), n in unknown.items()]
        inserted = bulk_sql.execute(sql.BEGIN_TRANSACTION, new)
        for charger, reference, transaction_id, has_tariffs, *evidence in inserted:
            n = unknown[charger, reference]
            found[n] = found[n]._replace(transaction_id=transaction_id, has_tariffs=has_tariffs)
            rows[n]["transaction"] = transaction_id
            has_columns = events[n].event_type == STARTED and not events[n].stops
            begun[n] = Begun(has_columns, read[n], (evidence[0], evidence[1]))
            if read[n]:
                messages[n].count(transaction_id, events[n].evse_id)
        if all(known.transaction_id for known in found):
            return begun, found, verdicts, rows
        # Some are known, or another process has begun them meanwhile. The verdicts on their tokens depend on that.
        known = ended
        begun = {n: one._replace(has_columns=False) for n, one in begun.items()}


def _read_at_start(event: Event, message: Readings, meters: Meters) -> dict[str, Any]:
    """Return what a transaction that `event` begins has read, {} if it needs sql.ADVANCE to tell."""
    if event.event_type != STARTED or meters[0] is None:
        return {}
    read = readings.read(message)
    return read if read["register"] == meters[0] and "first" not in read else {}


def _found(events: Sequence[Event], known: dict[int, Found]) -> list[Found]:
    """Return the transaction of each event, which may be `known`; `UNKNOWN` with its recurrence for a first event."""
    rows: dict[int, dict[str, Any]] = {
        n: {"n": n, "charger": event.call.charger, "reference": event.reference, "seq_no": event.seq_no}
        for n, event in enumerate(events)
        if n not in known
    }
    found = _find_known(list(rows.values()))
    doubtful = {n: events[n] for n, newest in found.items() if _is_doubtful(events[n], newest)}
    if doubtful:
        chosen = reused_references.choose(doubtful, {n: event.digest for n, event in doubtful.items()})
        again = [rows[n] | {"recurrence": number} for n, number in chosen.items() if number != found[n].recurrence]
        others = _find_known(again) if again else {}
        found |= {row["n"]: others.get(row["n"], UNKNOWN._replace(recurrence=row["recurrence"])) for row in again}
    found |= known
    return [found.get(n, UNKNOWN) for n in range(len(events))]


def _find_known(rows: list[dict[str, Any]]) -> dict[int, Found]:
    return {n: Found(*columns) for n, *columns in bulk_sql.execute(sql.FIND_TRANSACTIONS, rows)}


def _is_doubtful(event: Event, newest: Found) -> bool:
    """Whether an event may belong to another transaction than the `newest` one with its reference."""
    if event.event_type == STARTED:
        return True
    if event.evse_id and newest.evse_id:
        is_elsewhere = event.evse_id != newest.evse_id
    else:
        is_elsewhere = newest.has_rival
    if is_elsewhere or (newest.has_ended and event.event_type == ENDED):
        return True
    is_earlier = newest.recurrence > 0 and newest.start_time is not None and event.time < newest.start_time
    return is_earlier or (newest.stop_time is not None and newest.has_ended and event.time > newest.stop_time)


def _row(event: Event, known: Found, meters: Meters, verdict: Verdict | None) -> dict[str, Any]:
    """Return the row of sql.INSERT_TRANSACTION_EVENTS, without the members that have no value."""
    row = {
        "transaction": known.transaction_id,
        "seq_no": event.seq_no,
        "digest": event.digest,
        "event_type": event.event_type,
        "trigger_reason": event.trigger_reason,
        "timestamp": event.time,
        "raw_timestamp": event.raw_time,
        "received_at": event.call.received_at,
    }
    if known.recurrence:
        row["recurrence"] = known.recurrence
    row |= event.others
    if event.event_type == UPDATED:
        row["is_update"] = True
    if verdict:
        row["id_token_status"] = verdict.status
    if meters != NO_METERS:
        row |= {"meter_start": meters[0], "meter_stop": meters[1]}
    return row


def _meters(event: Event, message: Readings) -> Meters:
    """Return the registers in Wh at the start and at the end of the transaction, as far as the event has them.

    The context of a sample tells (E02.FR.09, E06.FR.11). Without it the first register of a start and the last one of
    an end count.
    """
    if not event.values:
        return NO_METERS
    meter_start = readings.register_at(message, BEGIN)
    if event.event_type == STARTED and meter_start is None:
        meter_start, _ = readings.registers(message)
    if event.event_type != ENDED:
        return meter_start, None
    meter_stop = readings.register_at(message, END)
    return meter_start, readings.registers(message)[1] if meter_stop is None else meter_stop


def _changes(event: Event, known: Found, meters: Meters) -> bool:
    """Whether a new event changes more of its transaction than its readings."""
    return (
        event.event_type != UPDATED
        or event.id_token is not None
        or event.charging_state not in ("", known.charging_state)
        or event.evse_id not in (None, known.evse_id)
        or event.connector_id not in (None, known.connector_id)
        or not (known.is_next or event.seq_no == UNNUMBERED)
        or event.has_clock_skew
        or (meters[0], event.reservation_id, event.remote_start_id) != (None, None, None)
    )


def _fold(changed: set[int]) -> dict[int, Folded]:
    """Compute the columns of transactions (primary keys), which are locked, from their events."""
    if not changed:
        return {}
    return {row[0]: Folded._make(row) for row in bulk_sql.query(sql.FOLD_EVENTS, [bulk_sql.array(sorted(changed))])}


def _folded(event: Event, row: dict[str, Any]) -> Folded:
    """Return the columns that BEGIN_TRANSACTION has written for the start `event`, whose row is `row`."""
    return Folded(
        id=row["transaction"],
        charger=event.call.charger,
        evse_id=event.evse_id,
        connector_id=event.connector_id,
        id_tag=event.id_token or "",
        id_token_type=event.id_token_type,
        id_tag_status=row.get("id_token_status", ""),
        start_time=event.time,
        meter_start=row.get("meter_start"),
        reservation_id=event.reservation_id,
        remote_start_id=event.remote_start_id,
        stop_received_at=None,
        stop_time=None,
        meter_stop=None,
        reason="",
        energy_wh=None,
        energy_source="",
        clock_skew=event.has_clock_skew,
    )


def _apply(events: Sequence[Event], found: list[Found], folded: dict[int, Folded], begun: dict[int, Begun]) -> None:
    """Record starts, supersede transactions that were open on the same EVSE, and use reservations."""
    former = {known.transaction_id: known.evse_id for n, known in enumerate(found) if n not in begun}
    placed = [t for t in folded.values() if t.evse_id not in (None, former.get(t.id))]
    rows = [
        {"charger": t.charger, "evse_id": t.evse_id} | ({"ended": t.id} if t.stop_received_at else {}) for t in placed
    ]
    bulk_sql.execute(sql.SUPERSEDE, rows)
    used = [t for t in folded.values() if t.reservation_id is not None and t.id_tag_status == "Accepted"]
    reservations.use([(t.reservation_id, t.charger, t.id) for t in used if t.reservation_id is not None])
    for n, (event, known) in enumerate(zip(events, found, strict=True)):
        transaction = folded.get(known.transaction_id)
        if transaction is None:
            continue
        if n in begun:
            live.record_event("transaction.started", event.call.charger, **_start_fields(transaction))
            if read := begun[n].read:
                place = event.call.charger, transaction.id, event.connector_id
                readings.record_event(*place, read, begun[n].evidence)
        elif event.event_type != ENDED or known.has_ended:  # an end is recorded by `_record_ends`
            live.notify_live("transaction.changed", event.call.charger, transaction_id=known.transaction_id)


def _start_fields(transaction: Folded) -> dict[str, Any]:
    names = ("evse_id", "connector_id", "id_tag_status", "start_time", "meter_start", "reservation_id")
    fields = {"transaction_id": transaction.id, "id_tag": transaction.shown_id_tag}
    return fields | {name: getattr(transaction, name) for name in names}


def _store_readings(
    messages: Sequence[Readings], found: list[Found], new: set[int], counted: list[Readings]
) -> dict[int, readings.Evidence]:
    """Store the readings of events of the transactions `new`, and those that are `counted`.

    Return what `readings.store` returns.
    """
    unstored = counted[:]
    for message, known in zip(messages, found, strict=True):
        if known.transaction_id in new and message.values:
            if not message.is_counted:
                message.transaction_id, message.evse_id, message.is_new = known.transaction_id, None, True
            unstored.append(message)
    return readings.store(unstored) if unstored else {}


def _record_ends(
    events: Sequence[Event], found: list[Found], folded: dict[int, Folded], known: dict[int, readings.Evidence]
) -> None:
    """Record the ends of transactions that have ended now, with the best evidence of their energy."""
    ended = [
        folded[before.transaction_id]
        for event, before in zip(events, found, strict=True)
        if event.event_type == ENDED and not before.has_ended and before.transaction_id in folded
    ]
    evidence = {t.id: known.get(t.id, (t.energy_wh, t.energy_source)) for t in ended}
    spans = [
        readings.Span(t.charger, t.id, t.evse_id, t.start_time, t.stop_time)
        for t in ended
        if t.evse_id and t.stop_time and not t.clock_skew and evidence[t.id][1] != energy.STOP
    ]
    evidence |= readings.take_in(spans)
    settled = costs.settle([t.id for t in ended]) if any(before.has_tariffs for before in found) else {}
    for t in ended:
        fields = {name: getattr(t, name) for name in ("evse_id", "connector_id", "stop_time", "meter_stop")}
        fields |= {"transaction_id": t.id, "id_tag": t.shown_id_tag, "reason": t.reason}
        energy_wh, energy_source = evidence[t.id]
        fields |= {"energy_wh": energy_wh, "energy_source": energy_source, **costs.members(settled, t.id)}
        live.record_event("transaction.stopped", t.charger, **fields)


# --- verdicts on tokens ------------------------------------------------------------------------


def _verdicts(events: Sequence[Event], found: list[Found]) -> list[Verdict | None]:
    """Return the verdict on the token of each event (E01.FR.11), None without one."""
    presented = [one for event in events if (one := event.presented)]
    if not presented:
        return [None] * len(events)
    owners = {known.id_tag for event, known in zip(events, found, strict=True) if event.stops and known.id_tag}
    known_tags = find_known(presented, owners)
    limits = _Limits(known_tags)
    return [_verdict(event, known, known_tags, limits) for event, known in zip(events, found, strict=True)]


def _verdict(event: Event, known: Found, tags: Known, limits: "_Limits") -> Verdict | None:
    """Return `Invalid` for a token that ends a transaction and is neither its own nor of its group (C09.FR.03)."""
    presented = event.presented
    if presented is None:
        return None
    verdict = tags.verdict(presented) if event.stops else tags.verdict_at_start(presented)
    if verdict.status != "Accepted":
        return verdict
    if not event.stops or not known.id_tag:
        return verdict if event.stops else limits.applied(event, known, verdict)
    may_end = may_stop(tags, presented, verdict, known.id_tag, known.id_token_type)
    return verdict if may_end else replace(verdict, status=INVALID.status)


def _as_given(verdicts: list[Verdict | None], rows: list[dict[str, Any]], new: set[int]) -> list[Verdict | None]:
    """Return `verdicts`, those of repeated events with the status that was given before."""
    repeated = [
        {"n": n} | {name: row[name] for name in ("transaction", "seq_no", "digest")}
        for n, row in enumerate(rows)
        if verdicts[n] and row["transaction"] not in new
    ]
    given: dict[int, str] = dict(bulk_sql.execute(sql.VERDICTS_OF_EVENTS, repeated))
    return [replace(v, status=given[n]) if v and given.get(n) else v for n, v in enumerate(verdicts)]


class _Limits:
    """The limits of open transactions of tokens."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.begun: Counter[int] = Counter()  # by primary key of a token, in this batch, without those under way
        limited = known.limited()
        self.limits = self._lock([tag.pk for tag in limited]) if limited else {}
        self.under_way: dict[int, list[Transaction]] = {pk: [] for pk in self.limits}
        if self.limits:
            self._read({tag.id_tag.upper() for tag in limited})

    @staticmethod
    def _lock(keys: list[int]) -> dict[int, int]:
        """Lock tokens, so that a start with one of them in another process is counted before or after this one.

        Return {primary key: limit}.
        """
        locked = IdTag.objects.filter(pk__in=keys).select_for_update(of=("self",)).order_by("pk")
        return {tag.pk: tag.concurrent_limit for tag in locked if tag.concurrent_limit is not None}

    def _read(self, texts: set[str]) -> None:
        """Read the open transactions of the tokens with these `texts`."""
        ongoing = Transaction.objects.ongoing().filter(superseded_by=None, id_tag_status="Accepted")
        open_ones = ongoing.alias(key=Upper("id_tag")).filter(key__in=texts)
        for transaction in open_ones.only("charger", "evse_id", "id_tag", "id_token_type"):
            tag = self.known.tag(transaction.id_tag, transaction.id_token_type)
            if tag is not None and tag.pk in self.limits:
                self.under_way[tag.pk].append(transaction)

    def applied(self, event: Event, known: Found, verdict: Verdict) -> Verdict:
        """Return `verdict`, or `ConcurrentTx` if the token has its limit of other open transactions."""
        if not self.limits or event.id_token is None:
            return verdict
        tag = self.known.tag(event.id_token, event.id_token_type)
        if tag is None or tag.pk not in self.limits:
            return verdict
        # This start supersedes the open transaction on its own EVSE.
        own = (event.call.charger, event.evse_id) if event.evse_id else None
        others = [t for t in self.under_way[tag.pk] if t.pk != known.transaction_id]
        elsewhere = sum((t.charger_id, t.evse_id) != own for t in others)
        if elsewhere + self.begun[tag.pk] >= self.limits[tag.pk]:
            return replace(verdict, status="ConcurrentTx")
        if len(others) == len(self.under_way[tag.pk]):  # else it is counted as under way
            self.begun[tag.pk] += 1
        return verdict
