"""The last CALL of each charger and its answer, kept with the charger, so that a retry changes nothing.

A charger has one CALL under way, so the last one answered is the only one it can be retrying, on the same
socket or on a new one (J §4.1.1, J errata 3.1).
"""

from chargers import recordset
from chargers.models import Charger

# Their answer holds the current time: asked again, they are answered anew.
ANSWERED_ANEW = {"BootNotification", "Heartbeat"}

REMEMBER = """
UPDATE chargers_charger c SET
    last_seen = greatest(c.last_seen, s.seen),
    last_call_id = coalesce(s.call_id, c.last_call_id),
    last_call_digest = coalesce(s.digest, c.last_call_digest),
    last_answer = coalesce(s.answer, c.last_answer)
FROM json_to_recordset(%s) AS s(id bigint, seen timestamptz, call_id text, digest text, answer text)
WHERE c.id = s.id
"""


def remember(calls, seen):
    """Write `last_seen` of every charger in `seen` ({primary key: time}) and the answers of `calls`."""
    rows = {charger: {"id": charger, "seen": at} for charger, at in seen.items()}
    for call in calls:
        row = rows[call.charger] = {"id": call.charger, "seen": call.received_at}
        if call.action not in ANSWERED_ANEW:
            row |= {"call_id": call.message_id, "digest": call.digest, "answer": call.answer}
    recordset.execute(REMEMBER, [rows[key] for key in sorted(rows)])


def answered_before(calls):
    """{primary key: answer} of those `calls` whose answer was committed although the commit seemed lost."""
    ours = {call.charger: call for call in calls}
    chargers = Charger.objects.filter(pk__in=ours).only("last_call_id", "last_call_digest", "last_answer")
    return {
        c.pk: c.last_answer
        for c in chargers
        if (c.last_call_id, c.last_call_digest) == (ours[c.pk].message_id, ours[c.pk].digest)
    }
