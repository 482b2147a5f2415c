"""Handle the charging messages of chargers. Each function answers a batch of one action, see `chargers.registry`."""

from collections import Counter, defaultdict

import orjson
from django.db import transaction as database
from django.db.models.functions import Upper

from chargers import budgets, events, findings
from chargers.registry import follows, handles
from core.db import bulk_sql
from core.ocpp.timestamps import clamp, clock_is_off, parse_or
from transactions import energy, metrics, readings, starts, stops
from transactions.models import ENDS_A_RESERVATION, IdTag, OrphanStop, Transaction

STARTED_EVENT_FIELDS = ("connector_id", "id_tag", "id_tag_status", "start_time", "meter_start", "reservation_id")

# The limits apply only to a tag that is not in the list yet. Returns the tags that did not fit, each with the budget
# that is used up.
UNKNOWN = """
WITH s AS MATERIALIZED (
    SELECT r.*, CASE
        WHEN EXISTS (SELECT FROM transactions_unknownidtag k WHERE upper(k.id_tag) = upper(r.id_tag)) THEN ''
        WHEN (SELECT count(*) FROM transactions_unknownidtag k WHERE k.charger_id = r.charger) >= %s
            THEN 'unknown_tags'
        WHEN (SELECT count(*) FROM transactions_unknownidtag) >= %s THEN 'all_unknown_tags' ELSE '' END AS past
    FROM json_to_recordset(%s) AS r(n int, id_tag text, charger bigint, seen timestamptz)
), listed AS (
    INSERT INTO transactions_unknownidtag AS u (id_tag, charger_id, first_seen, last_seen, presented)
    SELECT id_tag, charger, seen, seen, 1 FROM s WHERE past = '' ORDER BY n
    ON CONFLICT (upper(id_tag)) DO UPDATE SET
        charger_id = excluded.charger_id, last_seen = excluded.last_seen, presented = u.presented + 1
)
SELECT n, past FROM s WHERE past <> ''
"""

# The latest start on a connector supersedes the others, in whichever order the messages arrived. If the clock of a
# start is wrong, the time of receipt counts. The window function makes PostgreSQL look up each connector by itself.
SUPERSEDE = """
UPDATE transactions_transaction older SET superseded_by_id = open.latest
FROM json_to_recordset(%s) AS s(charger bigint, connector_id int), LATERAL (
    SELECT t.id, first_value(t.id) OVER (
        ORDER BY CASE WHEN t.clock_skew THEN t.start_received_at ELSE t.start_time END DESC, t.id DESC
    ) AS latest
    FROM transactions_transaction t
    WHERE t.charger_id = s.charger AND t.connector_id = s.connector_id
        AND t.stop_received_at IS NULL AND num_nonnulls(t.closed_at) = 0
) open
WHERE older.id = open.id AND open.id <> open.latest
    AND num_nonnulls(older.stop_received_at, older.closed_at, older.superseded_by_id) = 0
"""

USE_RESERVATION = """
UPDATE transactions_reservation r SET state = 'Used', ended_because = 'StartTransaction ' || s.transaction
FROM json_to_recordset(%s) AS s(id bigint, charger bigint, transaction int)
WHERE r.id = s.id AND r.charger_id = s.charger AND r.state = 'Active'
"""

# Only a notification that became the connector's status (STATUS in `chargers.handlers`) counts, whatever its time;
# one that the charger queued offline before the reservation was made does not end it.
END_RESERVATIONS = """
UPDATE transactions_reservation r SET
    state = 'Cancelled', ended_because = 'connector ' || s.connector_id || ' ' || s.status
FROM json_to_recordset(%s) AS s(charger bigint, connector_id int, status text, timestamp timestamptz,
        received_at timestamptz)
    JOIN chargers_connector k ON k.charger_id = s.charger AND k.connector_id = s.connector_id
        AND k.received_at = s.received_at
WHERE r.charger_id = s.charger AND r.state = 'Active' AND s.connector_id IN (0, r.connector_id)
    AND (s.timestamp >= r.created_at - interval '5 minutes' OR NOT EXISTS (
        SELECT FROM chargers_charger h WHERE h.id = s.charger
            AND s.timestamp >= h.disconnected_at - interval '1 minute' AND s.timestamp < h.connected_at))
"""


@handles("Authorize")
def authorize(calls):
    """OCPP 1.6 §4.1. An unknown tag is `Invalid`, never an error."""
    known = _known_tags(calls)
    return [{"idTagInfo": IdTag.info(known, call.payload["idTag"])} for call in calls]


def _known_tags(calls, owners=()):
    """Return `IdTag.known` of the presented tags and `owners`; list the presented tags that are unknown."""
    presented = {call.payload["idTag"]: call for call in calls if "idTag" in call.payload}
    known = IdTag.known([*presented, *owners])
    unknown = {tag.upper(): call for tag, call in presented.items() if tag and tag.upper() not in known}
    if unknown:
        # In its own statement after the commit, because writers that list the same tags would wait for each other.
        database.on_commit(lambda: _list_unknown(unknown.values()), robust=True)
    return known


def _list_unknown(calls):
    """Enter the tags that `calls` present in the list for operators, in one order for all processes."""
    calls = sorted(calls, key=lambda call: call.payload["idTag"].upper())
    rows = [
        {"n": n, "id_tag": call.payload["idTag"], "charger": call.charger, "seen": call.received_at}
        for n, call in enumerate(calls)
    ]
    limits = [budgets.BUDGETS[name].limit or budgets.NO_LIMIT for name in ("unknown_tags", "all_unknown_tags")]
    for n, name in bulk_sql.query(UNKNOWN, [*limits, bulk_sql.json(rows)]):
        finding = {budgets.BUDGETS[name].finding: calls[n].payload["idTag"]}
        findings.counter.add(calls[n].charger, calls[n].action, finding, calls[n].received_at)


@handles("StartTransaction")
def start_transaction(calls):
    """OCPP 1.6 §4.8. Answer with a transaction id even for a refused tag: the charger may have started offline."""
    known = _known_tags(calls)
    verdicts = _with_limits(calls, known, _known_starts)
    started = [_started(call, verdict["status"]) for call, verdict in zip(calls, verdicts, strict=True)]
    _refuse_twins(started)
    _settle_identity(calls, started, verdicts, known)
    for row in started:
        if row["is_new"]:
            fields = {name: row[name] for name in STARTED_EVENT_FIELDS}
            events.record_event("transaction.started", row["charger_id"], transaction_id=row["id"], **fields)
    bulk_sql.execute(SUPERSEDE, [{"charger": t["charger_id"], "connector_id": t["connector_id"]} for t in started])
    reserved = [t for t in started if t["reservation_id"] is not None and t["id_tag_status"] == "Accepted"]
    bulk_sql.execute(USE_RESERVATION, [_used(row) for row in reserved])
    return [
        {"idTagInfo": verdict, "transactionId": row["id"]} for verdict, row in zip(verdicts, started, strict=True)
    ]


def _settle_identity(calls, started, verdicts, known):
    """Give each of `started` the `id` of its transaction, and whether it `is_new`.

    One statement is enough, except for starts whose charger began another session with an equal message: these are
    inserted again with the next recurrence, and their verdict is decided without the earlier one.
    """
    open_ones = range(len(started))
    while open_ones:
        rows = bulk_sql.execute(starts.START, [started[n] for n in open_ones])
        found = {tuple(row[:5]): starts.Equal._make(row[5:]) for row in rows}
        open_ones = [n for n in open_ones if not _is_settled(started[n], found)]
        others = [calls[n] for n in open_ones]
        for n, verdict in zip(open_ones, _with_limits(others, known, _no_starts), strict=True):
            verdicts[n], started[n]["id_tag_status"] = verdict, verdict["status"]


def _is_settled(row, found):
    equal = found[starts.natural_key(row)]
    if not starts.is_same(row, equal):
        row["recurrence"] = starts.next_recurrence(row, equal)
        return False
    row["id"], row["is_new"] = equal.id, equal.is_new
    return True


def _no_starts(calls):
    return {}


def _with_limits(calls, known, known_starts):
    """Return the verdict on each of `calls`: `ConcurrentTx` if the tag has reached its limit of open transactions.

    `known_starts(calls)` returns {natural key: verdict} of the starts that are decided already.
    """
    verdicts = [IdTag.info(known, call.payload["idTag"]) for call in calls]
    limited = [tag.pk for tag in known.values() if tag.concurrent_limit is not None]
    if not limited or not calls:
        return verdicts
    # Lock the tags, so that a start with the same tag in another process is counted before or after this one.
    tags = IdTag.objects.filter(pk__in=limited).select_for_update(of=("self",)).order_by("pk")
    limits = {tag.id_tag.upper(): tag.concurrent_limit for tag in tags if tag.concurrent_limit is not None}
    under_way, decided = _under_way(limits), known_starts(calls)
    return [_within(call, verdict, limits, under_way, decided) for call, verdict in zip(calls, verdicts, strict=True)]


def _known_starts(calls):
    """Return {natural key: verdict} of the starts that are stored already."""
    raw = {call.payload["timestamp"][:64] for call in calls}
    same = Transaction.objects.filter(charger__in={call.charger for call in calls}, raw_start_time__in=raw)
    return {tuple(natural): status for status, *natural in same.values_list("id_tag_status", *starts.NATURAL_KEY)}


def _under_way(limits):
    """Return {tag in upper case: natural keys of its open transactions}."""
    found = defaultdict(set)
    ongoing = Transaction.objects.ongoing().filter(superseded_by=None, id_tag_status="Accepted")
    rows = ongoing.annotate(key=Upper("id_tag")).filter(key__in=limits).values_list("key", *starts.NATURAL_KEY)
    for key, *natural in rows:
        found[key].add(tuple(natural))
    return found


def _within(call, verdict, limits, under_way, known):
    key = call.payload["idTag"].upper()
    if key not in limits or verdict["status"] != "Accepted":
        return verdict
    own = starts.natural_key(_started(call, ""))
    if known.get(own) in ("Accepted", "ConcurrentTx"):  # a start that is sent again gets the same answer
        return verdict | {"status": known[own]}
    # This start supersedes the open transactions on its own connector, so they do not count.
    elsewhere = {natural for natural in under_way[key] if natural[:2] != own[:2]}
    if len(elsewhere) >= limits[key]:
        return verdict | {"status": "ConcurrentTx"}
    under_way[key].add(own)
    return verdict


def _refuse_twins(started):
    """Raise `ValueError` if a start is twice in the batch: one statement cannot insert both, so each runs alone."""
    if max(Counter(map(starts.natural_key, started)).values()) > 1:
        raise ValueError("the same StartTransaction is twice in a batch")


def _started(call, verdict):
    request = call.payload
    skew = clock_is_off(request["timestamp"], call.received_at)
    if skew:
        call.find("timestamp", "clock", request["timestamp"])
    energy.check(call, "meterStart")
    return {
        "charger_id": call.charger,
        "connector_id": request["connectorId"],
        "id_tag": request["idTag"],
        "id_tag_status": verdict,
        "reservation_id": request.get("reservationId"),
        "start_time": parse_or(request["timestamp"], call.received_at),
        "raw_start_time": request["timestamp"][:64],
        "start_received_at": call.received_at,
        "meter_start": request.get("meterStart"),
        "raw_meter_start": call.as_sent.get("meterStart", ""),
        "clock_skew": skew,
        "start_message_id": call.message_id,
        "recurrence": 0,
    }


def _used(started):
    return {
        "id": started["reservation_id"],
        "charger": started["charger_id"],
        "transaction": started["id"],
    }


@handles("StopTransaction")
def stop_transaction(calls):
    """OCPP 1.6 §4.10. Never refuse a stop: the charger has stopped already. A second stop changes nothing."""
    named = stops.store(calls)
    stopped = [named.get((call.charger, call.payload.get("transactionId"))) for call in calls]
    _store_orphans([_orphan(call) for call, t in zip(calls, stopped, strict=True) if t is None])
    known = _known_tags(calls, {t.id_tag for t in stopped if t})
    return [_stop_answer(call, t, known) for call, t in zip(calls, stopped, strict=True)]


def _stop_answer(call, transaction, known):
    """Answer `Invalid` to a tag that is neither the starting tag nor of its group (OCPP 1.6 §3.10)."""
    id_tag = call.payload.get("idTag")
    if id_tag is None:
        return {}
    info = IdTag.info(known, id_tag)
    if transaction and info["status"] == "Accepted" and id_tag.upper() != transaction.id_tag.upper():
        owner = known.get(transaction.id_tag.upper())
        group = info.get("parentIdTag", "").upper()
        if not owner or not group or owner.parent_id_tag.upper() != group:
            info = info | {"status": "Invalid"}
    return {"idTagInfo": info}


def _store_orphans(orphans):
    """Store each stop once, because a charger may send the same stop again."""
    if orphans:
        new = OrphanStop.keep(orphans)
        database.on_commit(lambda: metrics.orphan_stops.inc(len(new)))


def _orphan(call):
    return OrphanStop(
        charger_id=call.charger,
        reported_transaction_id=call.payload.get("transactionId"),
        payload=orjson.dumps(call.payload).decode(),
        received_at=call.received_at,
    )


@handles("MeterValues")
def meter_values(calls):
    """OCPP 1.6 §4.7. Store all readings; link them if the named transaction belongs to the charger."""
    readings.store(
        [
            readings.Readings(
                c, c.payload.get("connectorId"), c.payload["meterValue"], c.payload.get("transactionId")
            )
            for c in calls
        ]
    )
    return [{} for _ in calls]


@follows("StatusNotification")
def end_reservations(calls, answers):
    """Cancel the reservation of a connector that cannot be used (OCPP 1.6 §5.13)."""
    rows = [
        {
            "charger": call.charger,
            "connector_id": call.payload["connectorId"],
            "status": call.payload["status"],
            "timestamp": clamp(call.payload.get("timestamp"), call.received_at),
            "received_at": call.received_at,
        }
        for call in calls
        if call.payload["status"] in ENDS_A_RESERVATION
    ]
    bulk_sql.execute(END_RESERVATIONS, rows)
