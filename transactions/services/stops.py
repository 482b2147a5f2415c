"""Store StopTransactions: on time, late, or attached by hand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import transaction as database

from chargers.services import events
from core.db import bulk_sql
from core.ocpp.calls import Call
from transactions import metrics, sql
from transactions.models import OrphanStop
from transactions.services import costs, energy, readings
from transactions.services.id_tokens import INVALID, Known, Presented, Verdict, find_known, may_stop


@dataclass(frozen=True, slots=True)
class Stop:
    """A charger reports that a transaction has ended; the times and registers are as in `starts.Start`.

    `transaction_id` is the number that the charger names, None where it names none. `id_tag` is the token that ended
    the session, None where none was presented. `values` are the readings of the transaction, `member` their path in
    the message.
    """

    call: Call
    transaction_id: int | None
    time: datetime
    raw_time: str
    has_clock_skew: bool
    meter_wh: int | None = None
    raw_meter: str = ""
    reason: str = ""
    id_tag: str | None = None
    values: list[readings.MeterReading] = field(default_factory=list)
    member: str = ""

    @property
    def key(self) -> tuple[int, int | None]:
        return self.call.charger, self.transaction_id

    def row(self) -> dict[str, Any]:
        """Return the row of sql.STOP."""
        return {
            "id": self.transaction_id,
            "charger": self.call.charger,
            "stop_time": self.time,
            "raw_stop_time": self.raw_time,
            "received_at": self.call.received_at,
            "meter_stop": self.meter_wh,
            "raw_meter_stop": self.raw_meter,
            "reason": self.reason,
            "id_tag": self.id_tag or "",
            "clock_skew": self.has_clock_skew,
        }


class Named(NamedTuple):
    """The transaction that a stop names; `ended` is true if this stop ended it."""

    charger: int
    id: int
    evse_id: int
    connector_id: int
    id_tag: str
    start_time: datetime
    ended: bool
    energy_wh: int | None
    energy_source: str | None
    clock_skew: bool | None


def store(stops: list[Stop]) -> list[Verdict | None]:
    """Store `stops` and return the verdict on each token, None where none was presented.

    A stop is never refused, because the charger has stopped already. A second stop changes nothing. A stop of an
    unknown transaction is stored as an orphan.
    """
    named = end(stops)
    ended = [named.get(stop.key) for stop in stops]
    _store_orphans([_orphan(stop) for stop, t in zip(stops, ended, strict=True) if t is None])
    presented = [Presented(stop.call, stop.id_tag) for stop in stops if stop.id_tag is not None]
    known = find_known(presented, {t.id_tag for t in ended if t})
    return [_verdict(stop, t, known) for stop, t in zip(stops, ended, strict=True)]


def _verdict(stop: Stop, transaction: Named | None, known: Known) -> Verdict | None:
    """Return `Invalid` for a token that is neither the starting token nor of its group (OCPP 1.6 §3.10)."""
    if stop.id_tag is None:
        return None
    presented = Presented(stop.call, stop.id_tag)
    verdict = known.verdict(presented)
    if transaction and verdict.status == "Accepted" and not may_stop(known, presented, verdict, transaction.id_tag):
        return replace(verdict, status=INVALID.status)
    return verdict


def _store_orphans(orphans: list[OrphanStop]) -> None:
    """Store each stop once, because a charger may send the same stop again."""
    if orphans:
        new = OrphanStop.keep(orphans)
        database.on_commit(lambda: metrics.orphan_stops.inc(len(new)))


def _orphan(stop: Stop) -> OrphanStop:
    return OrphanStop(
        charger_id=stop.call.charger,
        reported_transaction_id=stop.transaction_id,
        payload=orjson.dumps(stop.call.payload).decode(),
        received_at=stop.call.received_at,
    )


def end(stops: list[Stop]) -> dict[tuple[int, int | None], Named]:
    """Write the first stop of each transaction; return {(charger, transaction id): `Named`} of the named ones."""
    first: dict[tuple[int, int | None], Stop] = {}
    for stop in stops:
        if 0 < (stop.transaction_id or 0) <= readings.LARGEST_ID:
            first.setdefault(stop.key, stop)
    rows = {key: first[key].row() for key in sorted(first)}
    stopped = map(Named._make, bulk_sql.execute(sql.STOP, list(rows.values())))
    named: dict[tuple[int, int | None], Named] = {(t.charger, t.id): t for t in stopped}
    ended = [t for t in named.values() if t.ended]
    of_stops = [(first[t.charger, t.id], t) for t in ended]
    known = readings.store(
        [readings.Readings(s.call, t.evse_id, s.values, t.id, s.member, is_of_stop=True) for s, t in of_stops]
    )
    known |= _evidence(ended, known, rows)
    settled = costs.settle([t.id for t in ended])
    for t in ended:
        energy_wh, energy_source = known.get(t.id, (t.energy_wh, t.energy_source))
        billed = {"energy_wh": energy_wh, "energy_source": energy_source, **costs.members(settled, t.id)}
        _record_event(t, rows[t.charger, t.id], billed)
    return named


def _evidence(
    ended: Iterable[Named],
    known: Mapping[int, readings.Evidence],
    rows: Mapping[tuple[int, int | None], Mapping[str, Any]],
) -> dict[int, readings.Evidence]:
    """Return {id: (Wh, source)} of the `ended` transactions for which unlinked readings are better evidence."""
    doubtful = [
        t for t in ended if not t.clock_skew and known.get(t.id, (t.energy_wh, t.energy_source))[1] != energy.STOP
    ]
    spans = [
        readings.Span(t.charger, t.id, t.evse_id, t.start_time, rows[t.charger, t.id]["stop_time"]) for t in doubtful
    ]
    return readings.take_in(spans)


def _record_event(transaction: Named, stop: Mapping[str, Any], billed: Mapping[str, Any]) -> None:
    fields = {name: stop[name] for name in ("stop_time", "meter_stop", "reason")}
    fields |= {"transaction_id": transaction.id, "connector_id": transaction.connector_id}
    events.record_event("transaction.stopped", transaction.charger, **fields, id_tag=transaction.id_tag, **billed)
