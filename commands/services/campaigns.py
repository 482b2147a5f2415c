"""Firmware campaigns: canaries first, a few chargers at a time, and no further after failures.

The sweep of the workers calls `advance` once a second, after it has looked for the effects of commands. It locks the
row of a campaign, so that no charger gets the image twice. See docs/campaigns.md.
"""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from chargers.models import ONLINE, Charger
from chargers.services import audit, events, presence
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

MAX_PER_SWEEP = 100  # commands of one campaign, in one transaction
WAITING, RUNNING = CampaignItem.WAITING, CampaignItem.RUNNING
FAILED, SKIPPED = CampaignItem.FAILED, CampaignItem.SKIPPED

HAS_VERSION = "The charger has this version already."
MAY_NOT = "The user who created the campaign may no longer send commands to this charger."
NO_COMMAND = "The command of the update was deleted."
NOT_REACHED = "The charger was not connected when it could have been updated."
NO_TURN = "The campaign ended before it was the turn of this charger."
CANARY_FAILED = "The update of a canary has failed."
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

    Raises `batches.NoChargerMatches`, `Conflict` if the image cannot be fetched, or `schemas.Violation` if no charger
    can get it. Call it outside a transaction, because it may wait for Redis.
    """
    firmware.refuse_unreachable(campaign.firmware)
    chargers = batches.choose(user, campaign.chosen)
    if not chargers:
        raise batches.NoChargerMatches(campaign.chosen)
    for version in {charger.version for charger in chargers}:
        encode(version, firmware.install(campaign.firmware))
    wanted = campaign.firmware.version
    skipped = [charger for charger in chargers if wanted and charger.firmware_version == wanted]
    left_out = {charger.pk for charger in skipped}
    return Preview([charger for charger in chargers if charger.pk not in left_out], skipped)


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
    """Choose the chargers of a draft, and begin. Raises as `preview` does."""
    if campaign.state != states.DRAFT:
        raise Conflict("This campaign was started before.")
    found = preview(campaign, user)
    # Canaries are the first chargers, so those that can be updated at once come first.
    ordered = sorted(found.to_update, key=lambda charger: not charger.is_online)
    with transaction.atomic():
        locked = _locked(campaign, {states.DRAFT}, "This campaign was started before.")
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
    campaign.refresh_from_db()


def pause(campaign: Campaign, by: str) -> None:
    """Send no further updates. Those that are under way continue."""
    _change(campaign, {states.RUNNING}, "Only a running campaign can be paused.", states.PAUSED, "paused", by)


def stop(campaign: Campaign, by: str) -> None:
    """Send no further updates; those that are under way continue. The chargers that wait stay listed."""
    wrong = "Only a running or paused campaign can be stopped."
    _change(campaign, {states.RUNNING, states.PAUSED}, wrong, states.STOPPED, "stopped", by)


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
    """Delete a draft."""
    locked = _locked(campaign, {states.DRAFT}, "Only a draft can be deleted.")
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
    under_way = CampaignItem.objects.filter(state=RUNNING).values("campaign")
    for pk in Campaign.objects.filter(Q(state=states.RUNNING) | Q(pk__in=under_way)).values_list("pk", flat=True):
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
            _stop_on_failures(campaign)
        if campaign.state == states.RUNNING:
            _fail_unreached(campaign, now)
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
        reason = NO_COMMAND if item.command is None else _failure(item.command)
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


def _end(item: CampaignItem, state: str, reason: str, now: datetime) -> None:
    item.state, item.reason, item.ended_at = state, reason, now
    item.save(update_fields=["state", "reason", "ended_at", "command"])
    task_id = item.command.task_id if item.command else None
    body = {"campaign_id": item.campaign_id, "task_id": task_id, "reason": reason}
    if state == FAILED:
        events.record_event("campaign.item_failed", item.charger_id, **body)


def _stop_on_failures(campaign: Campaign) -> None:
    """Stop if there were too many failures since the campaign was resumed, and chargers still wait."""
    failed = campaign.items.filter(state=FAILED, ended_at__gte=campaign.resumed_at)
    of_canaries = failed.filter(is_canary=True).exists()
    number = failed.count()
    is_too_much = of_canaries or number >= campaign.max_failures
    if is_too_much and campaign.items.filter(state=WAITING).exists():
        several = f"{number} updates have failed." if number > 1 else "An update has failed."
        _enter(campaign, states.STOPPED, CANARY_FAILED if of_canaries else several)


def _fail_unreached(campaign: Campaign, now: datetime) -> None:
    """Fail the chargers that still wait when the time of the campaign has run out."""
    if campaign.ends_at is None or now < campaign.ends_at:
        return
    for item in campaign.items.filter(state=WAITING).select_related("charger", "command"):
        _end(item, FAILED, NO_TURN if item.charger.is_online else NOT_REACHED, now)


def _release(campaign: Campaign, now: datetime) -> list[Command]:
    """Create the commands of chargers whose turn it is. Canaries are first, until each of them has ended."""
    free = min(campaign.at_once - campaign.items.filter(state=RUNNING).count(), MAX_PER_SWEEP)
    waiting = campaign.items.filter(state=WAITING)
    if campaign.items.filter(is_canary=True, state__in=(WAITING, RUNNING)).exists():
        waiting = waiting.filter(is_canary=True)
    if free <= 0 or not waiting.exists():
        return []
    try:
        firmware.refuse_unreachable(campaign.firmware)
    except Conflict as conflict:
        _enter(campaign, states.STOPPED, str(conflict.detail))
        return []
    online = Charger.objects.filter(ONLINE).values("pk")
    due = _where_it_is_time(campaign, waiting, now).filter(charger__in=online).select_related("charger")
    user = batches.user_named(campaign.requested_by)
    # Locked in the same order as by the batches of the batch writer, so that no deadlock arises.
    items = sorted(due.order_by("pk")[:free], key=lambda item: item.charger_id)
    return [command for item in items if (command := _submit(campaign, item, user, now))]


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
        intent = firmware.install(campaign.firmware)
        item.command = submission.create_unqueued(item.charger, intent, requested_by=campaign.requested_by)
    except Busy:  # it is its turn again in the next sweep
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
    item.state = RUNNING
    item.save(update_fields=["state", "command"])
    return item.command


def _finish(campaign: Campaign, now: datetime) -> None:
    if campaign.state == states.RUNNING and not campaign.items.filter(state__in=(WAITING, RUNNING)).exists():
        campaign.finished_at = now
        _enter(campaign, states.FINISHED)
