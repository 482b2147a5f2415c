"""Firmware campaigns: canaries first, a few chargers at a time, and no further after failures.

The sweep of the workers calls `advance` once a second, after it has looked for the effects of commands. It locks the
row of a campaign, so that no charger gets the image twice. See docs/campaigns.md.
"""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from chargers.models import ONLINE, REJECTED, Charger
from chargers.services import audit, events, presence
from commands.actions.effects import is_since
from commands.actions.table import encode
from commands.models import (
    ANSWERED,
    CALL_ERROR,
    CANCELLED,
    CONFIRMED,
    CONNECTION_LOST,
    FINISHED,
    INVALID_RESPONSE,
    NOT_CONNECTED,
    PENDING,
    QUEUED,
    TIMED_OUT,
    Campaign,
    CampaignItem,
    Command,
)
from commands.models import campaign as states
from commands.models.weekly import zone_of
from commands.services import batches, firmware, submission
from commands.services.enqueueing import enqueue
from commands.services.origin import Origin
from core.db import bulk_sql, faults, sealing
from core.http.errors import Busy, Conflict
from core.ocpp import schemas

logger = logging.getLogger(__name__)

MAX_PER_SWEEP = 100  # chargers of one campaign that are updated or fail, in one transaction
MAX_NAMED = 20  # chargers in an error
WAITING, RUNNING = CampaignItem.WAITING, CampaignItem.RUNNING
FAILED, SKIPPED = CampaignItem.FAILED, CampaignItem.SKIPPED

HAS_VERSION = "The charger has this version already."
MAY_NOT = "The user who created the campaign may no longer send commands to this charger."
NO_COMMAND = "The command of the update was deleted."
NOT_REACHED = "The charger was not connected when it could have been updated."
NOT_ACCEPTED = "The charger was not accepted when it could have been updated."
NO_TURN = "The campaign ended before it was the turn of this charger."
CANARY_FAILED = "The update of a canary has failed."
NOT_TO_BE_STOPPED = "Only a campaign that runs, is paused, or has stopped by itself can be stopped."
CHANGED = "The campaign or its chargers were changed meanwhile. Start it again."
REASONS = {  # by outcome of the command
    TIMED_OUT: "The charger did not answer.",
    NOT_CONNECTED: "The charger was disconnected before it got the command.",
    CONNECTION_LOST: "The connection was lost before the charger answered.",
    INVALID_RESPONSE: "The answer of the charger is invalid.",
    CANCELLED: "The command of the update was cancelled.",
}


# --- preview ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preview:
    """The chargers that a campaign would have now; those that have the version of its image are skipped."""

    to_update: list[Charger]
    skipped: list[Charger]

    @property
    def by_model(self) -> list[tuple[str, int, int]]:
        """The vendor and model, the number of chargers to be updated, and that of those that are skipped."""
        updated = Counter(map(_model_of, self.to_update))
        skipped = Counter(map(_model_of, self.skipped))
        return [(name, updated[name], skipped[name]) for name in sorted(updated | skipped)]


def _model_of(charger: Charger) -> str:
    return f"{charger.vendor} {charger.model}".strip() or "–"


def preview(campaign: Campaign, user: Any) -> Preview:
    """Return the chargers that `campaign` would have if `user` started it now.

    Raises `batches.NoChargerMatches`, `Conflict` if the image cannot be fetched or the creator of a stored campaign
    may not update them, or `schemas.Violation` if no charger can get it. Call it outside a transaction, because it
    may wait for Redis.
    """
    firmware.refuse_unreachable(campaign.firmware)
    chargers = batches.choose(user, campaign.chosen)
    if not chargers:
        raise batches.NoChargerMatches(campaign.chosen)
    if campaign.pk is not None:
        _refuse_beyond_reach(campaign.requested_by, chargers)
    for version in {charger.version for charger in chargers}:
        encode(version, firmware.install(campaign.firmware))
    wanted = campaign.firmware.version
    skipped = [charger for charger in chargers if wanted and charger.firmware_version == wanted]
    left_out = {charger.pk for charger in skipped}
    return Preview([charger for charger in chargers if charger.pk not in left_out], skipped)


def _refuse_beyond_reach(creator: str, chargers: list[Charger]) -> None:
    """Raise `Conflict` if the user `creator`, whose rights the updates need, may not update all `chargers`."""
    if beyond := batches.not_allowed_for(batches.user_named(creator), chargers):
        more = f" and {len(beyond) - MAX_NAMED} more" if len(beyond) > MAX_NAMED else ""
        names = ", ".join(sorted(map(str, beyond))[:MAX_NAMED]) + more
        raise Conflict(
            f"The user who created this campaign may not send commands to: {names}. Create a campaign of your own."
        )


# --- for users -------------------------------------------------------------------------------


def create(columns: dict[str, Any], origin: Origin) -> Campaign:
    """Create a draft, or return that of an earlier request with the key of `origin`."""
    return origin.once(Campaign, lambda: _create(columns, origin))


@transaction.atomic
def _create(columns: dict[str, Any], origin: Origin) -> Campaign:
    campaign = Campaign.objects.create(**columns, **origin.columns())
    audit.record("created", "campaign", campaign.pk, after=described(campaign), who=origin.requested_by)
    return campaign


def described(campaign: Campaign) -> dict[str, Any]:
    """Return what the audit log has of a campaign."""
    names = ("name", "chosen", "canaries", "at_once", "max_failures", "days", "weekdays", "from_time", "until_time")
    return {name: getattr(campaign, name) for name in names} | {"firmware": str(campaign.firmware)}


def start(campaign: Campaign, user: Any, by: str) -> None:
    """Choose the chargers of a draft, and begin.

    Raises as `preview` does, and `Conflict` if the draft is changed or a charger deleted meanwhile.
    """
    if campaign.state != states.DRAFT:
        raise Conflict("This campaign was started before.")
    found = preview(campaign, user)
    try:
        _start(campaign, found, by)
    except IntegrityError as error:  # a charger does not exist any more
        raise Conflict(CHANGED) from error
    campaign.refresh_from_db()


def _start(campaign: Campaign, found: Preview, by: str) -> None:
    # Canaries are the first chargers, so those that can be updated at once come first.
    ordered = sorted(found.to_update, key=lambda charger: not _can_be_updated(charger))
    with transaction.atomic():
        locked = _locked(campaign, {states.DRAFT}, "This campaign was started before.")
        if (described(locked), locked.firmware.version) != (described(campaign), campaign.firmware.version):
            raise Conflict(CHANGED)
        now = bulk_sql.clock()
        items = [
            CampaignItem(campaign=locked, charger=charger, is_canary=number < locked.canaries)
            for number, charger in enumerate(ordered)
        ]
        items += [
            CampaignItem(campaign=locked, charger=charger, state=SKIPPED, reason=HAS_VERSION, ended_at=now)
            for charger in found.skipped
        ]
        CampaignItem.objects.bulk_create(items, batch_size=1000)
        locked.started_at = now
        _run(locked, now)
        audit.record("started", "campaign", locked.pk, after={"total": len(items)}, who=by)


def _can_be_updated(charger: Charger) -> bool:
    return charger.is_online and charger.effective_status != "Rejected"


def pause(campaign: Campaign, by: str) -> None:
    """Send no further updates. Those that are under way continue."""
    _change(campaign, {states.RUNNING}, "Only a running campaign can be paused.", states.PAUSED, "paused", by)


def stop(campaign: Campaign, by: str) -> None:
    """Send no further updates; those that are under way continue. The chargers that wait stay listed.

    A campaign that has stopped by itself loses its reason, so that its incident is closed.
    """
    with transaction.atomic():
        locked = _locked(campaign, {states.RUNNING, states.PAUSED, states.STOPPED}, NOT_TO_BE_STOPPED)
        if locked.state == states.STOPPED and not locked.reason:
            raise Conflict(NOT_TO_BE_STOPPED)
        _enter(locked, states.STOPPED)
        _finish(locked, bulk_sql.clock())
        audit.record("stopped", "campaign", locked.pk, who=by)
    campaign.refresh_from_db()


def resume(campaign: Campaign, by: str) -> None:
    """Continue a paused or stopped campaign. Failures until now do not stop it again."""
    wrong = "Only a paused or stopped campaign can be resumed."
    _change(campaign, {states.PAUSED, states.STOPPED}, wrong, states.RUNNING, "resumed", by)


def retry(campaign: Campaign, by: str) -> int:
    """Let the failed chargers wait again, and continue, unless it is paused. Returns how many there are."""
    with transaction.atomic():
        startable = {*states.STATES} - {states.DRAFT}
        locked = _locked(campaign, startable, "This campaign has not been started.")
        failed = locked.items.filter(state=FAILED)
        number = failed.update(state=WAITING, reason="", command=None, ended_at=None)
        if not number:
            raise Conflict("The update of this campaign has failed for no charger.")
        if locked.state != states.PAUSED:
            _run(locked, bulk_sql.clock())
        audit.record("retried", "campaign", locked.pk, after={"chargers": number}, who=by)
    campaign.refresh_from_db()
    return number


@transaction.atomic
def delete(campaign: Campaign, by: str) -> None:
    """Delete a draft, or a campaign that has ended."""
    wrong = "Only a draft, or a campaign that has ended, can be deleted. Stop it, and wait for its running updates."
    locked = _locked(campaign, {states.DRAFT, states.STOPPED, states.FINISHED}, wrong)
    if locked.state != states.DRAFT and locked.finished_at is None:
        raise Conflict(wrong)
    audit.record("deleted", "campaign", locked.pk, before=described(locked), who=by)
    locked.delete()


@transaction.atomic
def change(campaign: Campaign, columns: dict[str, Any], by: str) -> None:
    """Change a draft."""
    locked = _locked(campaign, {states.DRAFT}, "Only a draft can be changed.")
    before = described(locked)
    for name, value in columns.items():
        setattr(locked, name, value)
    locked.save(update_fields=list(columns))
    audit.record("changed", "campaign", locked.pk, before=before, after=described(locked), who=by)


def _locked(campaign: Campaign, allowed: set[str], wrong: str) -> Campaign:
    """Return the locked row; raise `Conflict` with the text `wrong` unless its state is one of `allowed`."""
    locked = Campaign.objects.select_for_update(of=("self",)).select_related("firmware").filter(pk=campaign.pk)
    row = locked.first()
    if row is None or row.state not in allowed:
        raise Conflict(wrong)
    return row


def _change(campaign: Campaign, allowed: set[str], wrong: str, state: str, done: str, by: str) -> None:
    with transaction.atomic():
        locked = _locked(campaign, allowed, wrong)
        if state == states.RUNNING:
            _run(locked, bulk_sql.clock())
        else:
            _enter(locked, state)
        audit.record(done, "campaign", locked.pk, who=by)
    campaign.refresh_from_db()


def _run(campaign: Campaign, now: datetime) -> None:
    campaign.resumed_at, campaign.ends_at = now, now + timedelta(days=campaign.days)
    campaign.finished_at = None
    _enter(campaign, states.RUNNING)


def _enter(campaign: Campaign, state: str, reason: str = "") -> None:
    """Store the new `state`, and notify of it."""
    campaign.state, campaign.reason = state, reason
    campaign.save(update_fields=["state", "reason", "started_at", "resumed_at", "ends_at", "finished_at"])
    kind = "started" if state == states.RUNNING else state
    events.record_event(f"campaign.{kind}", None, campaign_id=campaign.pk, name=campaign.name, reason=reason)


# --- once a second, in one of the workers ------------------------------------------------------


def advance(now: datetime | None = None) -> None:
    """Record the outcomes of updates, and send those that are due; `now` is for tests.

    It may run several times at once, because it locks the row of a campaign.
    """
    for pk in Campaign.objects.filter(states.UNDER_WAY).order_by("pk").values_list("pk", flat=True):
        try:
            _advance(pk, now)
        except Exception as error:  # noqa: BLE001  (one campaign would block all others)
            if faults.kind_of(error):
                raise
            logger.exception("Campaign %s could not be continued", pk)


def _advance(pk: int, now: datetime | None) -> None:
    commands: list[Command] = []
    with transaction.atomic(), events.batched_events():
        rows = Campaign.objects.select_for_update(skip_locked=True, of=("self",)).select_related("firmware")
        campaign = rows.filter(pk=pk).first()
        if campaign is None:
            return
        now = now or bulk_sql.clock()
        _record_outcomes(campaign, now)
        if campaign.state == states.RUNNING:
            if campaign.ends_at is not None and now >= campaign.ends_at:
                _fail_unreached(campaign, now)
            elif not _stops_on_failures(campaign):
                commands = _release(campaign, now)
        _finish(campaign, now)
    online = presence.connected([command.charger.identity for command in commands])
    for command in commands:
        if command.charger.identity in online:
            enqueue(command)


def _record_outcomes(campaign: Campaign, now: datetime) -> None:
    """End the items whose commands have ended. An update has succeeded only if its effect was seen."""
    ended = Q(command=None) | (Q(command__state=FINISHED) & ~Q(command__confirmation=PENDING))
    items = campaign.items.filter(ended, state=RUNNING).select_related("charger", "command")
    for item in items.defer("command__payload", "command__report"):
        reason = NO_COMMAND if item.command is None else _failure(item.command) or _other_version(campaign, item)
        _end(item, FAILED if reason else CampaignItem.CONFIRMED, reason, now)


def _failure(command: Command) -> str:
    """Say why the update by `command` has failed, "" if it was confirmed."""
    if command.confirmation == CONFIRMED:
        return ""
    if command.outcome == CALL_ERROR:
        return f"The charger answered the error {(command.error or {}).get('code', '')}."
    if command.outcome != ANSWERED:
        return REASONS.get(command.outcome) or f"The command ended as {command.outcome}."
    return command.confirmation_detail or f"The charger answered {command.status}."


def _other_version(campaign: Campaign, item: CampaignItem) -> str:
    """Say which version the charger has booted with since, "" if it is that of the image or none is known.

    A boot with the former version counts only after the last status of the update, because chargers may restart
    before they install.
    """
    command, charger, wanted = item.command, item.charger, campaign.firmware.version
    version, booted_at, told_at = charger.firmware_version, charger.last_boot_at, charger.firmware_status_at
    if not wanted or version == wanted or command is None or not is_since(booted_at, command):
        return ""
    is_former = version == (command.noted or {}).get("firmware_version")
    if is_former and booted_at is not None and told_at is not None and booted_at < told_at:
        return ""
    return f"The version after the boot is {version or '–'}, but that of the image is {wanted}."


def _end(item: CampaignItem, state: str, reason: str, now: datetime) -> None:
    item.state, item.reason, item.ended_at = state, reason, now
    item.save(update_fields=["state", "reason", "ended_at", "command"])
    task_id = item.command.task_id if item.command else None
    body = {"campaign_id": item.campaign_id, "task_id": task_id, "reason": reason}
    if state == FAILED:
        events.record_event("campaign.item_failed", item.charger_id, **body)


def _stops_on_failures(campaign: Campaign) -> bool:
    """Stop if there were too many failures since the campaign was resumed, and chargers still wait."""
    failed = campaign.items.filter(state=FAILED, ended_at__gte=campaign.resumed_at)
    of_canaries = failed.filter(is_canary=True).exists()
    number = failed.count()
    is_too_much = of_canaries or number >= campaign.max_failures
    if is_too_much and campaign.items.filter(state=WAITING).exists():
        several = f"{number} updates have failed." if number > 1 else "An update has failed."
        _enter(campaign, states.STOPPED, CANARY_FAILED if of_canaries else several)
    return campaign.state == states.STOPPED


def _fail_unreached(campaign: Campaign, now: datetime) -> None:
    """Fail the chargers that still wait when the time of the campaign has run out, the first ones in this sweep."""
    for item in campaign.items.filter(state=WAITING).select_related("charger", "command")[:MAX_PER_SWEEP]:
        if not item.charger.is_online:
            reason = NOT_REACHED
        else:
            reason = NO_TURN if _can_be_updated(item.charger) else NOT_ACCEPTED
        _end(item, FAILED, reason, now)


def _release(campaign: Campaign, now: datetime) -> list[Command]:
    """Create the commands of chargers whose turn it is. Canaries are first, until each of them has ended."""
    free = min(campaign.at_once - campaign.items.filter(state=RUNNING).count(), MAX_PER_SWEEP)
    waiting = campaign.items.filter(state=WAITING)
    if campaign.items.filter(is_canary=True, state__in=(WAITING, RUNNING)).exists():
        waiting = waiting.filter(is_canary=True)
    if free <= 0:
        return []
    due = _that_take_commands(_where_it_is_time(campaign, waiting, now)).select_related("charger")
    # Locked in the same order as by the batches of the batch writer, so that no deadlock arises.
    items = sorted(due.order_by("pk")[:free], key=lambda item: item.charger_id)
    if not items:
        return []
    try:
        firmware.refuse_unreachable(campaign.firmware)
    except Conflict as conflict:
        _enter(campaign, states.STOPPED, str(conflict.detail))
        return []
    user, commands = batches.user_named(campaign.requested_by), []
    for item in items:
        if command := _submit(campaign, item, user, now):
            commands.append(command)
        elif item.state == FAILED and _stops_on_failures(campaign):
            break
    return commands


def _that_take_commands(waiting: QuerySet[CampaignItem]) -> QuerySet[CampaignItem]:
    """Filter `waiting` to chargers that can be updated now.

    They are online, not rejected, not updated by another campaign, and their queues are not full.
    """
    chargers = Charger.objects.filter(ONLINE).exclude(REJECTED).values("pk")
    updated = CampaignItem.objects.filter(charger=OuterRef("charger"), state=RUNNING)
    queued = Command.objects.filter(charger=OuterRef("charger"), state=QUEUED).order_by().values("charger")
    by_users = queued.exclude(requested_by=audit.SYSTEM_ACTOR)
    full = by_users.annotate(number=Count("pk")).filter(number__gte=settings.OCPP_QUEUE_LIMIT)
    return waiting.filter(~Exists(updated), ~Exists(full), charger__in=chargers)


def _where_it_is_time(campaign: Campaign, waiting: QuerySet[CampaignItem], now: datetime) -> QuerySet[CampaignItem]:
    """Filter `waiting` to chargers in whose time zone it is one of the times of the campaign."""
    if campaign.is_constant:
        return waiting
    zones = waiting.order_by().values_list("charger__site__time_zone", flat=True).distinct()
    due = [zone for zone in zones if zone is not None and campaign.may_send_at(now, zone)]
    is_due = Q(charger__site__time_zone__in=due)
    if campaign.may_send_at(now, zone_of(None)):
        is_due |= Q(charger__site=None)
    return waiting.filter(is_due)


def _submit(campaign: Campaign, item: CampaignItem, user: Any, now: datetime) -> Command | None:
    """Create the command of `item`, or end it if it needs none or can get none."""
    wanted = campaign.firmware.version
    if wanted and item.charger.firmware_version == wanted:
        _end(item, SKIPPED, HAS_VERSION, now)
        return None
    try:
        if not batches.may_still_command(user, item.charger):
            raise Conflict(MAY_NOT)
        if not _is_first(item):
            return None
        intent = firmware.install(campaign.firmware)
        item.command = submission.create_unqueued(item.charger, intent, requested_by=campaign.requested_by)
    except Busy:  # it is its turn again in a later sweep
        item.state = WAITING
        item.save(update_fields=["state"])
        return None
    except (schemas.Violation, Conflict, sealing.Unreadable) as error:
        _end(item, FAILED, str(getattr(error, "detail", error)), now)
        return None
    except Exception as error:  # noqa: BLE001  (one charger would block all others)
        if faults.kind_of(error):  # the whole transaction is tried again
            raise
        logger.exception("The command of campaign %s for %s could not be created", campaign.pk, item.charger)
        item.command = None
        _end(item, FAILED, f"An internal error ({type(error).__name__}). See the log of the workers.", now)
        return None
    item.save(update_fields=["command"])
    return item.command


def _is_first(item: CampaignItem) -> bool:
    """Let `item` run; False if another campaign has begun to update its charger at the same time."""
    try:
        with transaction.atomic():
            item.state = RUNNING
            item.save(update_fields=["state"])
    except IntegrityError:  # one_update_a_charger_at_a_time
        item.state = WAITING
        return False
    return True


def _finish(campaign: Campaign, now: datetime) -> None:
    """End a campaign that has nothing left to do, a stopped one when none of its updates is under way."""
    left = (RUNNING,) if campaign.state == states.STOPPED else (WAITING, RUNNING)
    if campaign.finished_at is not None or campaign.items.filter(state__in=left).exists():
        return
    campaign.finished_at = now
    if campaign.state == states.STOPPED:
        campaign.save(update_fields=["finished_at"])
    else:
        _enter(campaign, states.FINISHED)
