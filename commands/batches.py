"""One command to many chargers: chosen once, asked when each is due, cancelled as far as nothing was sent."""

import logging
import math
import random
from datetime import timedelta

import orjson
from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from rest_framework import serializers

from chargers import access, audit, bulk_sql, faults, presence, schemas, sealing
from chargers.errors import Busy, Conflict
from chargers.models import Charger
from commands import submission
from commands.actions.table import ACTIONS
from commands.models import QUEUED, Batch, BatchItem, Command
from commands.models.batch import ASKED, CANCELLED, REFUSED, WAITING
from commands.tasks import BROKER_FAULTS, cancel, enqueue

logger = logging.getLogger(__name__)

AT_ONCE = 200  # chargers that one sweep asks: what two workers do in a second
PORTION = 10  # of them in one transaction: a new key holds the row of its charger, which its messages wait for
MOST_WAITING = 200_000  # chargers of one user's batches that are not asked yet
CALLED_OFF = {"code": "Cancelled", "description": "Its batch was cancelled before it was sent.", "details": {}}
COLUMNS = {"vendor": "vendor", "model": "model", "firmware_version": "firmware_version"}
MAKE = """
INSERT INTO commands_batchitem (batch_id, charger_id, due_at, state, reason)
SELECT %s, r.charger, r.due_at, 'waiting', '' FROM json_to_recordset(%s) AS r(charger bigint, due_at timestamptz)
"""


def choose(user, chosen, only_connected=False):
    """The chargers of `chosen`, {"chargers": [ids]} or {"filter": {…}}, that `user` may reach, as `Charger`s.

    A list keeps its order; what a filter finds is shuffled, lest a site be asked all at once. Raises a
    `ValidationError` that names what is not known. It may ask Redis, so no transaction should be under way.
    """
    found = candidates(user, chosen)
    wanted = True if only_connected else chosen.get("filter", {}).get("connected")
    if wanted is None:
        return found
    online = presence.connected([charger.charger_id for charger in found])
    return [charger for charger in found if (charger.charger_id in online) == wanted]


def candidates(user, chosen):
    """The same, connected or not: without a look into Redis."""
    reachable = access.within(user, Charger.objects.all(), "pk")
    if "chargers" in chosen:
        return _listed(reachable, chosen["chargers"])
    found = list(_filtered(reachable, chosen["filter"]))
    random.shuffle(found)
    return found


def _listed(reachable, charger_ids):
    known = {charger.charger_id: charger for charger in reachable.filter(charger_id__in=charger_ids)}
    if unknown := [charger_id for charger_id in dict.fromkeys(charger_ids) if charger_id not in known]:
        more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        raise serializers.ValidationError({"chargers": [f"Not known: {', '.join(unknown[:20])}{more}."]})
    return [known[charger_id] for charger_id in dict.fromkeys(charger_ids)]


def _filtered(reachable, wanted):
    rows = reachable.filter(**{COLUMNS[name]: wanted[name] for name in COLUMNS if name in wanted})
    if "group" in wanted:
        rows = rows.filter(groups__name=wanted["group"])
    if "search" in wanted:
        rows = rows.filter(Q(charger_id__icontains=wanted["search"]) | Q(description__icontains=wanted["search"]))
    return rows.order_by("pk")


def refuse_secrets(action, payload):
    """One key for all would be kept where many may read it; what stands for a secret is none."""
    kept = ACTIONS[action].kept(payload)
    if any(kept.get(name) != value for name, value in payload.items()):
        raise schemas.Violation("value", "Leave it out: every charger gets a secret of its own.", "")
    submission.refuse_hidden(action, payload)


def check(action, payload, chargers):
    """Refuse, before anything is made, what the first of the chargers would be refused for."""
    refuse_secrets(action, payload)
    completed = dict(payload)
    ACTIONS[action].complete(completed, chargers[0])
    schemas.check(action, completed, formats=True)
    list(ACTIONS[action].check(completed, chargers[0]))


def make(action, payload, chargers, *, by, key="", request=None, **columns):
    """The `Batch` of `action` to `chargers`, all of it or nothing; that of an earlier call for the same `key`.

    Raises `schemas.Violation`, `Conflict` (the key was used for another request) or `Busy`. `columns` are further
    ones of the `Batch`.
    """
    if same := earlier(by, key, request):
        return same
    check(action, payload, chargers)
    _refuse_too_many(by, len(chargers))
    columns["start_at"] = columns.get("start_at") or bulk_sql.clock()
    columns |= {"idempotency_key": key, "request_digest": submission.digest(request) if key else ""}
    try:
        with transaction.atomic():
            batch = Batch.objects.create(
                action=action, payload=payload, total=len(chargers), requested_by=by, **columns
            )
            bulk_sql.query(MAKE, [batch.pk, _members(batch, chargers)])
            told = {
                "action": action,
                "payload": batch.payload,
                "chosen": batch.chosen,
                "total": batch.total,
            }
            audit.record("asked", "batch", batch.pk, after=told, who=by)
    except IntegrityError:
        if same := earlier(by, key, request):
            return same
        raise
    return batch


def _members(batch, chargers):
    step = batch.spread_seconds / len(chargers)
    due = (batch.start_at + timedelta(seconds=number * step) for number in range(len(chargers)))
    rows = [{"charger": c.pk, "due_at": at} for c, at in zip(chargers, due, strict=True)]
    return orjson.dumps(rows).decode()


def earlier(by, key, request):
    """The batch that `by` asked for with this key, None without; `Conflict` where it was another request."""
    same = key and Batch.objects.filter(requested_by=by, idempotency_key=key).first()
    if same and same.request_digest != submission.digest(request):
        raise Conflict("This Idempotency-Key was used for another request.")
    return same or None


def _refuse_too_many(by, more):
    waiting = BatchItem.objects.filter(state=WAITING, batch__requested_by=by)[:MOST_WAITING].count()
    if waiting + more > MOST_WAITING:
        seconds = math.ceil(more / AT_ONCE)
        raise Busy(f"{waiting} chargers of your batches wait already, {MOST_WAITING} may.", seconds)


# --- once a second, in one of the workers ----------------------------------------------------


def release():
    """Ask the chargers that are due, at most AT_ONCE of them; how many."""
    asked = 0
    while asked < AT_ONCE and (portion := _release_some()):
        asked += portion
    return asked


def _release_some():
    """Member and command change in one transaction: who dies in between has made neither, and what was made but not
    enqueued is found by the sweep. Chargers are locked in the order in which every batch of the inbox locks them.
    """
    with transaction.atomic():
        waiting = BatchItem.objects.select_for_update(skip_locked=True, of=("self",)).filter(state=WAITING)
        due = waiting.filter(due_at__lte=Now()).select_related("batch", "charger")
        members = sorted(due.order_by("due_at", "pk")[:PORTION], key=lambda member: member.charger_id)
        users = {name: _who_asks(name) for name in {member.batch.requested_by for member in members}}
        asked = [command for member in members if (command := _submit(member, users[member.batch.requested_by]))]
    online = presence.connected([command.charger.charger_id for command in asked])
    for command in asked:
        if command.charger.charger_id in online:
            enqueue(command)
    return len(members)


def _who_asks(username):
    """Who asked may have left since. Without a login (API_AUTH=none) nobody has a name."""
    return User.objects.filter(username=username).first() if username else None


def _may_still_ask(user, charger):
    if user is None:
        return settings.API_AUTH == "none"
    return user.is_active and user.has_perm("commands.add_command") and access.reaches(user, charger)


def _submit(member, user):
    batch, command = member.batch, None
    try:
        if not _may_still_ask(user, member.charger):
            raise Conflict("Who asked for it may not command this charger any more.")
        command = submission.create_for_batch(batch, member.charger)
        member.state, member.command = ASKED, command
    except (schemas.Violation, Conflict, Busy, sealing.Unreadable) as error:
        member.state, member.reason = REFUSED, str(getattr(error, "detail", error))
    except faults.ERRORS:
        raise  # the database is away: all of it is tried again
    except Exception as error:  # noqa: BLE001  (one charger would hold up all batches)
        logger.exception("%s of batch %s could not be asked", member.charger, batch.pk)
        member.state, member.reason = REFUSED, f"A fault here, which is in the log: {type(error).__name__}"
    member.save(update_fields=["state", "reason", "command"])
    return command


def cancel_batch(batch, by):
    """Cancel what was not sent: what waits at once, what is queued within seconds. False where all is over."""
    with transaction.atomic():
        now = bulk_sql.clock()
        ours = Batch.objects.filter(pk=batch.pk, cancelled_at=None, finished_at=None)
        if not ours.update(cancelled_at=now, cancelled_by=by):
            return False
        BatchItem.objects.filter(batch=batch, state=WAITING).update(state=CANCELLED)
        audit.record("cancelled", "batch", batch.pk, who=by)
    batch.refresh_from_db()
    return True


def finish_completed():
    """End the queued commands of cancelled batches, and keep the counts of batches that are over."""
    queued = Command.objects.filter(state=QUEUED, member__batch__cancelled_at__isnull=False)
    for command in list(queued.select_related("charger")[:AT_ONCE]):
        try:
            cancel(command, CALLED_OFF)
        except BROKER_FAULTS as error:
            logger.warning("A charger's next command waits for the sweep, the broker is away: %s", error)
    for batch in Batch.objects.filter(finished_at=None, start_at__lte=Now()) | Batch.objects.filter(
        finished_at=None, cancelled_at__isnull=False
    ):
        if not batch.members.filter(state=WAITING).exists() and (counts := batch.counted())["progress"] == 1:
            Batch.objects.filter(pk=batch.pk).update(finished_at=Now(), counts=counts)
