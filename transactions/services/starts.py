"""Store StartTransactions: verdict, identity (decision 0018), superseded transactions and used reservations."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models.functions import Upper

from chargers.services import events
from core.db import bulk_sql
from core.ocpp import timestamps
from core.ocpp.calls import Call
from transactions import sql
from transactions.models import IdTag, Transaction
from transactions.services import energy, reservations
from transactions.services.id_tokens import Known, Presented, Verdict, find_known

# A clock is right if a start arrives within this time of its timestamp.
ONLINE = timedelta(minutes=10)
# A running clock shows another second after this time.
TICK = timedelta(seconds=2)
STARTED_EVENT_FIELDS = (
    *("evse_id", "connector_id", "id_tag", "id_tag_status", "start_time", "meter_start", "reservation_id"),
)

NATURAL_KEY = ("charger_id", "connector_id", "id_tag", "raw_start_time", "meter_start")

NaturalKey = tuple[Any, ...]  # the columns of NATURAL_KEY
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Start:
    """A charger reports that a transaction has begun.

    `raw_time` is the time as sent (up to 64 characters), `time` its meaning or the time of receipt. `has_clock_skew`
    is true where `time` cannot be right. `meter_wh` is the register at the start, `raw_meter` its text where the
    number was rounded.
    """

    call: Call
    evse_id: int | None
    connector_id: int
    id_tag: str
    time: datetime
    raw_time: str
    has_clock_skew: bool
    meter_wh: int | None = None
    raw_meter: str = ""
    reservation_id: int | None = None
    reference: str = ""
    id_token_type: str = ""
    charging_state: str = ""

    @property
    def presented(self) -> Presented:
        return Presented(self.call, self.id_tag, self.id_token_type)

    def row(self, status: str) -> Row:
        """Return the row of sql.START with the `status` of the verdict on its token."""
        return {
            "charger_id": self.call.charger,
            "own_reference": self.reference,
            "evse_id": self.evse_id,
            "connector_id": self.connector_id,
            "id_tag": self.id_tag,
            "id_token_type": self.id_token_type,
            "id_tag_status": status,
            "charging_state": self.charging_state,
            "reservation_id": self.reservation_id,
            "start_time": self.time,
            "raw_start_time": self.raw_time,
            "start_received_at": self.call.received_at,
            "meter_start": self.meter_wh,
            "raw_meter_start": self.raw_meter,
            "clock_skew": self.has_clock_skew,
            "start_message_id": self.call.message_id,
            "recurrence": 0,
        }


class Started(NamedTuple):
    """The transaction of a start, and the verdict on its token, for the answer to the charger."""

    transaction_id: int
    verdict: Verdict


def store(starts: list[Start]) -> list[Started]:
    """Store `starts`, each once; also those of refused tokens, because a charger may have started offline."""
    known = find_known([start.presented for start in starts])
    verdicts = _with_limits(starts, known, _known_starts)
    rows = [start.row(verdict.status) for start, verdict in zip(starts, verdicts, strict=True)]
    _refuse_twins(rows)
    _settle_identity(starts, rows, verdicts, known)
    for row in rows:
        if row["is_new"]:
            fields = {name: row[name] for name in STARTED_EVENT_FIELDS}
            events.record_event("transaction.started", row["charger_id"], transaction_id=row["id"], **fields)
    bulk_sql.execute(sql.SUPERSEDE, [{"charger": r["charger_id"], "evse_id": r["evse_id"]} for r in rows])
    used = [r for r in rows if r["reservation_id"] is not None and r["id_tag_status"] == "Accepted"]
    reservations.use([(r["reservation_id"], r["charger_id"], r["id"]) for r in used])
    return [Started(row["id"], verdict) for row, verdict in zip(rows, verdicts, strict=True)]


def _settle_identity(starts: list[Start], rows: list[Row], verdicts: list[Verdict], known: Known) -> None:
    """Give each of `rows` the `id` of its transaction, and whether it `is_new`.

    One statement is enough, except for starts whose charger began another session with an equal message: these are
    inserted again with the next recurrence, and their verdict is decided without the earlier one.
    """
    unsettled = list(range(len(rows)))
    while unsettled:
        returned = bulk_sql.execute(sql.START, [rows[n] for n in unsettled])
        found = {tuple(row[:5]): Equal._make(row[5:]) for row in returned}
        unsettled = [n for n in unsettled if not _is_settled(rows[n], found)]
        others = [starts[n] for n in unsettled]
        for n, verdict in zip(unsettled, _with_limits(others, known, _no_starts), strict=True):
            verdicts[n], rows[n]["id_tag_status"] = verdict, verdict.status


def _is_settled(row: Row, found: dict[NaturalKey, "Equal"]) -> bool:
    equal = found[natural_key(row)]
    if not is_same(row, equal):
        row["recurrence"] = next_recurrence(row, equal)
        return False
    row["id"], row["is_new"] = equal.id, equal.is_new
    return True


def _refuse_twins(rows: list[Row]) -> None:
    """Raise `ValueError` if a start is twice in the batch: one statement cannot insert both, so each runs alone."""
    if max(Counter(map(natural_key, rows)).values()) > 1:
        raise ValueError("the same start is twice in a batch")


# --- the limit of open transactions of a token -----------------------------------------------

Decided = dict[NaturalKey, str]  # statuses of verdicts


def _with_limits(starts: list[Start], known: Known, known_starts: Callable[[list[Start]], Decided]) -> list[Verdict]:
    """Return the verdict on each of `starts`: `ConcurrentTx` if the token has its limit of open transactions.

    `known_starts(starts)` returns the verdicts on starts that are decided already.
    """
    verdicts = [known.verdict_at_start(start.presented) for start in starts]
    limited = [tag.pk for tag in known.limited()]
    if not limited or not starts:
        return verdicts
    # Lock the tokens, so that a start with the same token in another process is counted before or after this one.
    tags = IdTag.objects.filter(pk__in=limited).select_for_update(of=("self",)).order_by("pk")
    limits = {tag.pk: tag.concurrent_limit for tag in tags if tag.concurrent_limit is not None}
    under_way, decided = _under_way(known), known_starts(starts)
    tag_of = [known.tag(start.id_tag, start.id_token_type) for start in starts]
    return [
        _within(s, verdict, limits[tag.pk], under_way[tag.pk], decided) if tag and tag.pk in limits else verdict
        for s, verdict, tag in zip(starts, verdicts, tag_of, strict=True)
    ]


def _known_starts(starts: list[Start]) -> Decided:
    """Return the verdicts on the starts that are stored already."""
    chargers, raw = {start.call.charger for start in starts}, {start.raw_time for start in starts}
    same = Transaction.objects.filter(charger__in=chargers, raw_start_time__in=raw)
    return {tuple(natural): status for status, *natural in same.values_list("id_tag_status", *NATURAL_KEY)}


def _no_starts(starts: list[Start]) -> Decided:
    return {}


def _under_way(known: Known) -> dict[int, set[NaturalKey]]:
    """Return {primary key of a limited token: natural keys of its open transactions}."""
    found = defaultdict(set)
    ongoing = Transaction.objects.ongoing().filter(superseded_by=None, id_tag_status="Accepted")
    limited = {tag.id_tag.upper() for tag in known.limited()}
    rows = ongoing.annotate(key=Upper("id_tag")).filter(key__in=limited)
    for key, id_token_type, *natural in rows.values_list("key", "id_token_type", *NATURAL_KEY):
        if tag := known.tag(key, id_token_type):
            found[tag.pk].add(tuple(natural))
    return found


def _within(start: Start, verdict: Verdict, limit: int, under_way: set[NaturalKey], decided: Decided) -> Verdict:
    """Return `ConcurrentTx` if the token of `start` has `limit` open transactions elsewhere, else `verdict`."""
    if verdict.status != "Accepted":
        return verdict
    own = natural_key(start.row(""))
    if decided.get(own) in ("Accepted", "ConcurrentTx"):  # a start that is sent again gets the same answer
        return replace(verdict, status=decided[own])
    # This start supersedes the open transactions on its own connector, so they do not count.
    elsewhere = {natural for natural in under_way if natural[:2] != own[:2]}
    if len(elsewhere) >= limit:
        return replace(verdict, status="ConcurrentTx")
    under_way.add(own)
    return verdict


# --- whether a start repeats an equal message ------------------------------------------------


class Equal(NamedTuple):
    """The transaction that an equal message began, or the new one if `is_new`.

    `is_used`: the charger has named its id since, so it has received the answer to its start.
    """

    id: int
    is_new: bool
    is_used: bool
    message_id: str
    start_time: datetime
    received_at: datetime
    raw_stop_time: str
    stop_received_at: datetime | None
    energy_wh: int | None
    booted_at: datetime | None
    connected_at: datetime | None
    newest_recurrence: int | None

    def is_before(self, moment: datetime | None) -> bool:
        """Return whether its start was received before `moment`; False if that is None."""
        return moment is not None and moment > self.received_at


def natural_key(start: Row) -> NaturalKey:
    """Return the members of a start that identify a retry of it."""
    return tuple(start[column] for column in NATURAL_KEY)


def next_recurrence(start: Row, equal: Equal) -> int:
    """Return the recurrence to try after `equal`, another session: that of the newest session, or a new one."""
    # None if the equal start was committed after the statement began, and so is not visible to its subquery.
    newest, recurrence = equal.newest_recurrence or 0, int(start["recurrence"])
    return max(newest, recurrence + (recurrence == newest))


def is_same(start: Row, equal: Equal) -> bool:
    """Return whether `start` repeats the message that began `equal`.

    A charger that has not named the id may have missed the answer, and retries. A charger that has the answer sends
    an equal start for one of two reasons: it sends its queue twice, or its clock shows the same time again.
    """
    if equal.is_new or not equal.is_used:
        return True
    reconnected = equal.is_before(equal.connected_at) or equal.is_before(equal.booted_at)
    if start["start_message_id"] == equal.message_id and not reconnected:
        return True  # message ids are unique on one socket
    moment = timestamps.parse(start["raw_start_time"])
    if moment is None or moment < timestamps.PLAUSIBLE or _stood_still(start, equal):
        return False
    if energy.is_register(start["meter_start"]) and start["meter_start"] > 0 and equal.energy_wh:
        return True  # a register never decreases, so a new session would begin above it
    was_right = abs(equal.received_at - equal.start_time) <= ONLINE
    return was_right or not equal.is_before(equal.booted_at)


def _stood_still(start: Row, equal: Equal) -> bool:
    """Return whether the clock showed the same time at the start and at a stop more than TICK later."""
    ended = equal.stop_received_at
    return ended is not None and equal.raw_stop_time == start["raw_start_time"] and ended - equal.received_at > TICK
