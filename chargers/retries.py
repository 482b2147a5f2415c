"""A CALL that is sent again changes nothing (decision 0020).

The last CALL of each charger is kept with the charger, with its answer: a charger has one CALL under way, so this is
the one that it most likely sends again, on the same socket or on a new one (J §4.1.1, J errata 3.1). An older one is
found by the record that it has left, however many came since.
"""

import logging
from collections import defaultdict

from django.db.models import F, Q

from chargers import bulk_sql, frames, sealing
from chargers.masking import masked
from chargers.models import Charger, effective_status

logger = logging.getLogger(__name__)

# Said again, these do no harm and are answered anew, with the time and the verdict of that moment. They don't push
# out what must not be taken twice.
IDEMPOTENT_ACTIONS = {"Authorize", "BootNotification", "Heartbeat", "StatusNotification"}


class StaleConnection(Exception):
    """Calls of a batch came by sockets that are not the newest of their chargers: their `keys`."""

    def __init__(self, keys=()):
        super().__init__(f"{len(keys)} calls by former sockets")
        self.keys = keys


# `greatest` passes over NULL, which `last_seen` is before the first CALL; `seen` is never NULL.
REMEMBER = """
WITH s AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS s(
        id bigint, seen timestamptz, call_id text, digest text, answer text, socket timestamptz
    )
), remembered AS (
    UPDATE chargers_charger c SET
        last_seen = greatest(c.last_seen, s.seen),
        last_call_id = coalesce(s.call_id, c.last_call_id),
        last_call_digest = coalesce(s.digest, c.last_call_digest),
        last_answer = coalesce(s.answer, c.last_answer)
    FROM s WHERE c.id = s.id AND (s.socket IS NULL OR s.socket = c.connected_at)
    RETURNING c.id, c.boot_policy, c.registration_status
)
SELECT * FROM remembered
WHERE registration_status IN ('Pending', 'Rejected') OR registration_status = '' AND boot_policy <> 'Accepted'
UNION ALL
SELECT s.id, NULL, NULL FROM s WHERE s.socket IS NOT NULL AND NOT EXISTS (SELECT FROM remembered r WHERE r.id = s.id)
"""


def remember(calls, seen):
    """Write `last_seen` of every charger in `seen` ({primary key: time}) and the answers of `calls`.

    Returns {primary key: effective status} of those that are not accepted (see `registration`). Raises
    `StaleConnection` for calls by a socket that is not the newest of its charger: the charger has no answer to them, and has sent
    them again or will do so.
    """
    rows = {charger: {"id": charger, "seen": at} for charger, at in seen.items()}
    for call in calls:
        row = rows[call.charger] = {"id": call.charger, "seen": call.received_at, "socket": call.socket}
        # A refusal is not kept: what was too early may be sent again when the charger is accepted.
        if call.action not in IDEMPOTENT_ACTIONS and frames.is_result(call.answer):
            row |= {"call_id": call.message_id, "digest": call.digest, "answer": _as_stored(call)}
    told = bulk_sql.execute(REMEMBER, [rows[key] for key in sorted(rows)])
    if outdated := {charger for charger, policy, _ in told if policy is None}:
        raise StaleConnection({call.key for call in calls if call.charger in outdated})
    return {charger: effective_status(*policy_and_status) for charger, *policy_and_status in told}


def _as_stored(call):
    """The answer of `call`: sealed where a vendor's function may have told a secret. Other answers hold none."""
    if call.action != "DataTransfer" or masked(call.answer) == call.answer:
        return call.answer
    return sealing.seal(call.answer)


def as_sent(stored):
    """The answer that a charger's `last_answer` holds; None where no key opens it: the call is answered anew."""
    try:
        return sealing.unseal(stored) if stored.startswith(sealing.TOKEN) else stored
    except sealing.Unreadable as error:
        logger.warning("A DataTransfer that was sent again is answered anew: %s", error)
        return None


LOCK = "SELECT FROM chargers_charger WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"


def lock(chargers):
    """Hold the rows of `chargers` (primary keys), in the order in which every batch locks them."""
    if chargers:
        bulk_sql.query(LOCK, [bulk_sql.array(sorted(chargers))])


def answered_before(calls):
    """{key: answer} of those `calls` that are the last one of their charger, answered and committed already.

    Their batch is tried again, and has locked the rows: its own first attempt may be committing.
    """
    if not calls:
        return {}
    chargers = Charger.objects.filter(pk__in={call.charger for call in calls})
    last = {(c.pk, c.last_call_id, c.last_call_digest): c.last_answer for c in chargers}
    found = {call.key: as_sent(last[call.key]) for call in calls if call.key in last}
    return {key: answer for key, answer in found.items() if answer is not None}


def records_of(model, calls, same):
    """{key: the record} of those `calls` that have left one in `model` since their charger's last boot.

    `same(record, call)` says whether their contents are equal. Some chargers count message ids from 1 at each boot.
    """
    kept = model.objects.filter(
        Q(received_at__gt=F("charger__last_boot_at")) | Q(charger__last_boot_at=None),
        charger_id__in={call.charger for call in calls},
        call_id__in={call.message_id for call in calls},
    )
    by_id = defaultdict(list)
    for record in kept:
        by_id[record.charger_id, record.call_id].append(record)
    found = {call.key: [r for r in by_id[call.charger, call.message_id] if same(r, call)] for call in calls}
    return {key: records[0] for key, records in found.items() if records}


def outdated_before(calls):
    """{key: Outdated} of `calls` by former sockets, where it is better asked before `remember`: what an operator's
    function does for a DataTransfer may not be undone when the batch is settled again without them."""
    if not any(call.action == "DataTransfer" for call in calls):
        return {}
    chargers = Charger.objects.filter(pk__in={call.charger for call in calls})
    newest = dict(chargers.values_list("pk", "connected_at"))
    return {call.key: StaleConnection() for call in calls if call.socket and call.socket != newest.get(call.charger)}
