"""One command to many chargers, which are chosen once; each gets its command when it is due."""

import logging
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict

import orjson
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from rest_framework import serializers

from chargers.models import Charger
from chargers.services import access, audit, presence
from commands import sql
from commands.actions.base import Action
from commands.actions.table import ACTIONS, action_of, encode
from commands.models import ANSWERED, FINISHED, NOT_SEEN, QUEUED, SUCCESSES, Batch, BatchItem, Command, Schedule
from commands.models.batch import CANCELLED, CREATED, REFUSED, WAITING
from commands.models.wanted import columns_of
from commands.services import creation, submission
from commands.services.enqueueing import cancel, enqueue
from commands.services.origin import Origin
from core.db import bulk_sql, faults, sealing
from core.http.errors import Busy, Conflict
from core.ocpp import schemas
from core.ocpp.schemas import JSON
from core.ocpp.versions import Version
from core.redis.faults import BROKER_FAULTS

logger = logging.getLogger(__name__)

MAX_PER_SWEEP = 200  # commands that one sweep creates; two workers run as many in a second
MAX_PER_TRANSACTION = 10  # few, because a new key locks the row of its charger, which its messages wait for
MAX_WAITING = 200_000  # items of all batches of one user that have no command yet
BATCH_CANCELLED = {
    "code": "Cancelled",
    "description": "The batch of the command was cancelled before it was sent.",
    "details": {},
}
COLUMNS = ("vendor", "model", "firmware_version")  # of a charger, in a `Filter`


class Filter(TypedDict, total=False):
    """Chargers that meet all criteria. `search` is part of the id or the description, `site` and `group` names."""

    site: str
    group: str
    vendor: str
    model: str
    firmware_version: str
    connected: bool
    search: str


class Chosen(TypedDict, total=False):
    """The chargers of a batch: exactly one of a list of ids and a filter."""

    chargers: list[str]
    filter: Filter


@dataclass(frozen=True)
class BatchRequest:
    """One command to many chargers, as REST, a page, the admin or a schedule requests it.

    Each charger gets `intent` as its OCPP version encodes it, see `commands.actions.intents`. The commands are spread
    over `spread_seconds` from `start_at`, None for now. Each charger has `timeout` seconds to answer, None for the
    default.
    """

    intent: object
    chosen: Chosen
    only_connected: bool = False
    spread_seconds: int = 0
    timeout: float | None = None
    start_at: datetime | None = None
    note: str = ""
    schedule: Schedule | None = None


class NoChargerMatches(serializers.ValidationError):
    """The user may reach none of the chosen chargers."""

    def __init__(self, chosen: Chosen) -> None:
        super().__init__({name: ["No charger matches."] for name in chosen})


def submit(request: BatchRequest, user: Any, origin: Origin) -> Batch:
    """Create the batch that `user` requests, or return that of an earlier request with the key of `origin`.

    Raises `NoChargerMatches`, or as `choose` and `create` do.
    """
    return origin.once(Batch, lambda: _choose_and_create(request, user, origin))


def _choose_and_create(request: BatchRequest, user: Any, origin: Origin) -> Batch:
    chargers = choose(user, request.chosen, request.only_connected)
    if not chargers:
        raise NoChargerMatches(request.chosen)
    return create(request, chargers, origin)


def choose(user: Any, chosen: Chosen, only_connected: bool = False) -> list[Charger]:
    """The chargers of `chosen` that `user` may reach.

    A list keeps its order; the matches of a filter are shuffled, so that a site does not get its commands all at
    once. Raises a `ValidationError` that names unknown chargers. Call it outside a transaction, because it may
    wait for Redis.
    """
    matches = candidates(user, chosen)
    wanted = True if only_connected else chosen.get("filter", {}).get("connected")
    if wanted is None:
        return matches
    online = presence.connected([charger.identity for charger in matches])
    return [charger for charger in matches if (charger.identity in online) == wanted]


def candidates(user: Any, chosen: Chosen) -> list[Charger]:
    """Like `choose`, but connected or not, without a query to Redis."""
    reachable = access.within(user, Charger.objects.all(), "pk")
    if "chargers" in chosen:
        return _listed(reachable, chosen["chargers"])
    matches = list(_filtered(reachable, chosen["filter"]))
    random.shuffle(matches)
    return matches


def _listed(reachable: QuerySet[Charger], charger_ids: Sequence[str]) -> list[Charger]:
    known = {charger.identity: charger for charger in reachable.filter(identity__in=charger_ids)}
    if unknown := [charger_id for charger_id in dict.fromkeys(charger_ids) if charger_id not in known]:
        more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        raise serializers.ValidationError({"chargers": [f"Unknown chargers: {', '.join(unknown[:20])}{more}."]})
    return [known[charger_id] for charger_id in dict.fromkeys(charger_ids)]


def _filtered(reachable: QuerySet[Charger], wanted: Filter) -> QuerySet[Charger]:
    rows = reachable.filter(**{name: value for name, value in wanted.items() if name in COLUMNS})
    if "group" in wanted:
        rows = rows.filter(groups__name=wanted["group"])
    if "site" in wanted:
        rows = rows.filter(site__name=wanted["site"])
    if "search" in wanted:
        rows = rows.filter(Q(identity__icontains=wanted["search"]) | Q(description__icontains=wanted["search"]))
    return rows.order_by("pk")


def check(intent: object, chargers: Sequence[Charger], is_batch: bool = True) -> Version:
    """Check `intent` with the first charger of each OCPP version that can express it; return one of these versions.

    Without chargers every version with commands is checked. A version can express an action if it has it, and if the
    payload is valid there. Chargers of other versions are refused when they are due. Raises `schemas.Violation` if no
    version can express it, or if one of these chargers could not get the command, before any row is created. A batch
    may have no secret, because each charger needs its own.
    """
    firsts: dict[Version, Charger | None] = {} if chargers else dict.fromkeys(ACTIONS)
    for charger in chargers:
        firsts.setdefault(charger.version, charger)
    able, violations = [], []
    for version, first in firsts.items():
        try:
            able.append((version, first, *_completed(version, intent, first)))
        except schemas.Violation as violation:
            violations.append(violation)
    if not able:
        raise violations[0]
    for _, first, action, payload, completed in able:
        if is_batch:
            _refuse_secret(action, payload)
        _check_command(first, action, payload, completed)
    return able[0][0]


def _completed(version: Version, intent: object, charger: Charger | None) -> tuple[Action, JSON, JSON]:
    """Return the action, the payload, and the payload with the members that are added for `charger`.

    Raises `schemas.Violation` if `version` has no such command, or if the payload is not one of it.
    """
    name, payload = encode(version, intent)
    action, completed = action_of(version, name), dict(payload)
    if charger:
        action.complete(completed, charger)
        creation.check_payload(version, name, completed)
    return action, payload, completed


def _refuse_secret(action: Action, payload: JSON) -> None:
    stored = action.stored(payload)
    if any(stored.get(member) != value for member, value in payload.items()):
        raise schemas.Violation("value", "Leave it out: a secret of its own is generated for every charger.", "")


def _check_command(charger: Charger | None, action: Action, payload: JSON, completed: JSON) -> None:
    """Raise `schemas.Violation` if OCPP forbids to send the command to `charger`, or for a hidden secret."""
    creation.refuse_hidden(action.name, payload)
    if charger:
        list(action.check(completed, charger))


def create(request: BatchRequest, chargers: Sequence[Charger], origin: Origin) -> Batch:
    """Create the batch for `chargers` with all its items. Raises `schemas.Violation` or `Busy`."""
    version = check(request.intent, chargers)
    _refuse_too_many(origin.requested_by, len(chargers))
    with transaction.atomic():
        batch = Batch.objects.create(
            **columns_of(request.intent, version),
            timeout=request.timeout,
            chosen=request.chosen,
            total=len(chargers),
            spread_seconds=request.spread_seconds,
            start_at=request.start_at or bulk_sql.clock(),
            note=request.note,
            schedule=request.schedule,
            **origin.columns(),
        )
        bulk_sql.query(sql.CREATE_BATCH_ITEMS, [batch.pk, _items(batch, chargers)])
        after = {name: getattr(batch, name) for name in ("intent", "action", "payload", "chosen", "total")}
        audit.record("submitted", "batch", batch.pk, after=after, who=origin.requested_by)
    return batch


def _items(batch: Batch, chargers: Sequence[Charger]) -> str:
    """Return the parameters of sql.CREATE_BATCH_ITEMS as JSON."""
    spread, number = timedelta(seconds=batch.spread_seconds), len(chargers)
    rows = [{"charger": c.pk, "due_at": batch.start_at + n * spread / number} for n, c in enumerate(chargers)]
    return orjson.dumps(rows).decode()


def _refuse_too_many(by: str, number: int) -> None:
    waiting = BatchItem.objects.filter(state=WAITING, batch__requested_by=by)[:MAX_WAITING].count()
    if waiting + number > MAX_WAITING:
        seconds = math.ceil(number / MAX_PER_SWEEP)
        raise Busy(
            f"{waiting} chargers of your batches are waiting already. At most {MAX_WAITING} may wait.", seconds
        )


OF_COMMAND = ("state", "outcome", "confirmation", "response")  # by which `failed` decides


def failed(batch: Batch) -> Iterator[str]:
    """Yield the ids of the chargers of `batch` whose command did not succeed.

    It was refused or cancelled, was not answered with success, or its effect was not seen. A simulated reply counts
    as no answer.
    """
    names = ("charger__identity", "state", *(f"command__{name}" for name in OF_COMMAND))
    for identity, state, *command in batch.items.order_by("pk").values_list(*names).iterator():
        if state in (REFUSED, CANCELLED) or _has_failed(*command):
            yield identity


def _has_failed(state: str | None, outcome: str | None, confirmation: str | None, response: Any) -> bool:
    if state != FINISHED:
        return False
    if outcome != ANSWERED or confirmation == NOT_SEEN:
        return True
    return any(status not in SUCCESSES for status in _statuses(response))


def _statuses(response: Any) -> list[Any]:
    """Return the status of an answer, and those of its parts, as `commands_succeeds` does (`command_totals`)."""
    members = response if isinstance(response, dict) else {}
    parts = [
        part for value in members.values() if isinstance(value, list) for part in value if isinstance(part, dict)
    ]
    found = [members.get("status"), *(part.get("attributeStatus") for part in parts)]
    return [status for status in found if status is not None]


# --- once a second, in one of the workers ----------------------------------------------------


def release() -> int:
    """Create the commands of items that are due, at most about MAX_PER_SWEEP; returns how many items were handled."""
    handled = 0
    while handled < MAX_PER_SWEEP and (portion := _release_some()):
        handled += portion
    return handled


def _release_some() -> int:
    """Handle up to MAX_PER_TRANSACTION items that are due; returns how many.

    Item and command change in one transaction, and the sweep finds commands that were stored but not enqueued.
    Chargers are locked in the same order as by the batches of the batch writer, so that no deadlock arises.
    """
    with transaction.atomic():
        waiting = BatchItem.objects.select_for_update(skip_locked=True, of=("self",)).filter(state=WAITING)
        due = waiting.filter(due_at__lte=Now()).select_related("batch", "charger")
        items = sorted(due.order_by("due_at", "pk")[:MAX_PER_TRANSACTION], key=lambda item: item.charger_id)
        users = {name: user_named(name) for name in {item.batch.requested_by for item in items}}
        commands = [command for item in items if (command := _submit(item, users[item.batch.requested_by]))]
    online = presence.connected([command.charger.identity for command in commands])
    for command in commands:
        if command.charger.identity in online:
            enqueue(command)
    return len(items)


def user_named(username: str) -> User | None:
    """The `User`, None if deleted since, or without a login (API_AUTH=none)."""
    return User.objects.filter(username=username).first() if username else None


def may_still_command(user: User | None, charger: Charger) -> bool:
    """Whether `user`, as `user_named` returns it, may send commands to `charger`."""
    if user is None:
        return settings.API_AUTH == "none"
    return user.is_active and user.has_perm("commands.add_command") and access.reaches(user, charger)


def not_allowed_for(user: User | None, chargers: Sequence[Charger]) -> list[Charger]:
    """Return those of `chargers` to which `user` may not send commands, see `may_still_command`."""
    if user is None:
        return [] if settings.API_AUTH == "none" else list(chargers)
    if not (user.is_active and user.has_perm("commands.add_command")):
        return list(chargers)
    if access.reaches_every_charger(user):
        return []
    reached = set(access.within(user, Charger.objects.all(), "pk").values_list("pk", flat=True))
    return [charger for charger in chargers if charger.pk not in reached]


def _submit(item: BatchItem, user: User | None) -> Command | None:
    batch, command = item.batch, None
    try:
        if not may_still_command(user, item.charger):
            raise Conflict("The user who submitted this batch may no longer send commands to this charger.")
        command = submission.create_unqueued(
            item.charger, batch.wanted(), requested_by=batch.requested_by, timeout=batch.timeout
        )
        item.state, item.command = CREATED, command
    except (schemas.Violation, Conflict, Busy, sealing.Unreadable) as error:
        item.state, item.reason = REFUSED, str(getattr(error, "detail", error))
    except Exception as error:  # noqa: BLE001  (one charger would block all batches)
        if faults.kind_of(error):  # the whole transaction is tried again
            raise
        logger.exception("The command of batch %s for %s could not be created", batch.pk, item.charger)
        item.state, item.reason = REFUSED, f"An internal error ({type(error).__name__}). See the log of the workers."
    item.save(update_fields=["state", "reason", "command"])
    return command


def cancel_batch(batch: Batch, by: str) -> bool:
    """Cancel waiting items now, and queued commands within seconds; False if the batch is finished or cancelled."""
    with transaction.atomic():
        now = bulk_sql.clock()
        unfinished = Batch.objects.filter(pk=batch.pk, cancelled_at=None, finished_at=None)
        if not unfinished.update(cancelled_at=now, cancelled_by=by):
            return False
        BatchItem.objects.filter(batch=batch, state=WAITING).update(state=CANCELLED)
        audit.record("cancelled", "batch", batch.pk, who=by)
    batch.refresh_from_db()
    return True


def finish_completed() -> None:
    """Cancel the queued commands of cancelled batches, and store the counts of completed batches."""
    queued = Command.objects.filter(state=QUEUED, batch_item__batch__cancelled_at__isnull=False)
    for command in list(queued.select_related("charger")[:MAX_PER_SWEEP]):
        try:
            cancel(command, BATCH_CANCELLED)
        except BROKER_FAULTS as error:
            logger.warning(
                "The next command of %s waits for the next sweep, because the broker is unavailable: %s",
                command.charger,
                error,
            )
    for batch in Batch.objects.filter(finished_at=None, start_at__lte=Now()) | Batch.objects.filter(
        finished_at=None, cancelled_at__isnull=False
    ):
        if not batch.items.filter(state=WAITING).exists():
            _finish(batch)


@transaction.atomic
def _finish(batch: Batch) -> None:
    """Store the counts of `batch` if all of its commands are finished; locked, so that no later count is lost."""
    locked = Batch.objects.select_for_update().filter(pk=batch.pk, finished_at=None).first()
    if locked and (counts := locked.counted())["progress"] == 1:
        Batch.objects.filter(pk=batch.pk).update(finished_at=Now(), counts=counts)
