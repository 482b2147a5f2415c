"""Keep the power limits: each charger with limits has the charging profile that keeps them, and no longer without.

`keep` compares what each place of a charger should have with what it accepted, and sends the command that is missing.
It runs every few seconds, so a charger that was offline, has booted or lost its profile, and a change of the UTC
offset need nothing of their own. All limits of a place are one profile, whose curve is the lowest of theirs, because
profiles with different stack levels would overrule each other.

`wanted`, `tried` and `installed` of a `LimitedPlace` are texts such as "+60 7/1 9/4": the UTC offset in minutes, and
each limit (id, which is never changed) with the number of chargers that share it.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from chargers.models import Charger, InstalledProfile, Site
from chargers.services import access, audit
from chargers.services.schedules import STATION_PURPOSES, TX_DEFAULT
from commands.actions.intents import ClearProfile
from commands.actions.table import SMART_CHARGING, encode
from commands.models import ANSWERED, CALL_ERROR, FINISHED, INVALID_RESPONSE, LimitedPlace, PowerLimit
from commands.models.power_limits import CLEAR
from commands.models.weekly import zone_of
from commands.services import acceptance, creation, power_curves
from commands.services.power_curves import Part, Place, Unit
from core.db import bulk_sql
from core.http.errors import Conflict
from core.observability import diagnosis
from core.ocpp.schemas import Violation

logger = logging.getLogger(__name__)

INTERVAL_S = 5
AGAIN_AFTER_REFUSAL, AGAIN_AFTER_SILENCE = timedelta(hours=1), timedelta(minutes=1)
MAX_PER_SWEEP, MAX_PER_REQUEST = 500, 20  # commands; the next sweep sends the others
LOWEST_LEVEL = 1  # above that of the intent `Limit`, whose profile it overrules
Key = tuple[int, int]  # charger (primary key) and EVSE


@dataclass(frozen=True)
class Target:
    """The limits that a place should keep, and the text that describes them; "" without any."""

    parts: tuple[Part, ...] = ()
    text: str = ""

    @property
    def limits(self) -> list[int]:
        return [part.limit.pk for part in self.parts]


NOTHING = Target()


# --- limits of operators -----------------------------------------------------------------------


def visible(user: Any) -> QuerySet[PowerLimit]:
    """Return the limits of the sites and chargers that `user` may reach."""
    rows = PowerLimit.objects.select_related("site", "charger__site")
    if access.reaches_every_charger(user):
        return rows
    of_chargers = access.within(user, Charger.objects.all(), "pk").values("pk")
    return rows.filter(Q(site__in=access.sites(user).order_by().values("pk")) | Q(charger__in=of_chargers))


def of_site(user: Any, site: Site) -> QuerySet[PowerLimit]:
    """Return the limits of `site` and of its chargers that `user` may see and that were not removed."""
    return visible(user).filter(Q(site=site) | Q(charger__site=site), removed_at=None)


def create(limits: Sequence[PowerLimit], by: str) -> None:
    """Store new `limits` of the user `by`, and send what can be sent at once."""
    with transaction.atomic():
        for limit in limits:
            limit.created_by = by
            limit.save()
            after = {name: getattr(limit, name) for name in ("evse_id", "amount", "unit", "weekdays")}
            after |= {"site": limit.site and limit.site.name, "from": limit.from_time, "until": limit.until_time}
            audit.record("created", "power limit", limit.pk, limit.charger_id, after=after, who=by)
    keep(MAX_PER_REQUEST)


def remove(limit: PowerLimit, by: str) -> None:
    """Remove `limit`; it has ended once no charger has it any longer. Raises `Conflict` if it was removed before."""
    with transaction.atomic():
        now = bulk_sql.clock()
        if not PowerLimit.objects.filter(pk=limit.pk, removed_at=None).update(removed_at=now, removed_by=by):
            raise Conflict("This limit was removed before.")
        audit.record("deleted", "power limit", limit.pk, limit.charger_id, who=by)
    keep(MAX_PER_REQUEST)
    limit.refresh_from_db()


@dataclass(frozen=True)
class Kept:
    """How a charger keeps its part of a limit; `place` is None if it has not been looked at yet."""

    charger: Charger
    part: Part
    place: LimitedPlace | None

    @property
    def state(self) -> str:
        return self.place.state if self.place else LimitedPlace.WAITING

    @property
    def reason(self) -> str:
        return self.place.reason if self.place else ""


def kept(limits: Sequence[PowerLimit]) -> dict[int, list[Kept]]:
    """Return {limit (primary key): how each of its chargers keeps it}, by a fixed number of queries.

    The chargers of a removed limit are those that still have it.
    """
    found: dict[int, list[Kept]] = {limit.pk: [] for limit in limits}
    unfinished = [limit for limit in limits if limit.ended_at is None]
    places = LimitedPlace.objects.select_related("charger", "command")
    by_place = {(row.charger_id, row.evse_id): row for row in places.filter(_of(unfinished))}
    chargers = {charger.pk: charger for charger in _chargers(unfinished, by_place)}
    numbers = _numbers(chargers.values())
    for limit in unfinished:
        for charger in chargers.values():
            place = by_place.get((charger.pk, limit.evse_id))
            applies = _applies(limit, charger) if limit.removed_at is None else bool(place and place.has(limit))
            if applies:
                part = Part(limit, numbers[limit.site_id] or 1 if limit.site_id else 1)
                found[limit.pk].append(Kept(charger, part, place))
    return found


def _of(limits: Iterable[PowerLimit]) -> Q:
    """Return the condition for places that may have one of `limits`."""
    chosen = list(limits)
    chargers, sites = {limit.charger_id for limit in chosen}, {limit.site_id for limit in chosen}
    has = Q(pk__in=[])
    for limit in chosen:
        if limit.removed_at:
            has |= Q(limits__contains=limit.pk)
    return Q(charger__in=chargers - {None}) | Q(charger__site__in=sites - {None}) | has


def of_charger(charger: Charger) -> dict[int, list[Part]]:
    """Return {EVSE: the parts of limits in force} of `charger`."""
    limits = PowerLimit.objects.filter(Q(charger=charger) | Q(site=charger.site_id, site__isnull=False))
    found: dict[int, list[Part]] = defaultdict(list)
    number = Charger.objects.filter(site=charger.site_id).count() if charger.site_id else 1
    for limit in limits.filter(removed_at=None).select_related("site", "charger__site").order_by("pk"):
        found[limit.evse_id].append(Part(limit, number if limit.site_id else 1))
    return dict(sorted(found.items()))


# --- wanted = installed ------------------------------------------------------------------------


def keep(at_most: int = MAX_PER_SWEEP, now: datetime | None = None) -> int:
    """Send the commands that are missing, at most `at_most`, and end limits that no charger has.

    Returns how many were sent. `now` is for tests.
    It may run several times at once, because it locks the row of a place.
    """
    limits = list(PowerLimit.objects.filter(ended_at=None).select_related("site", "charger__site").order_by("pk"))
    places = {(row.charger_id, row.evse_id): row for row in _places(LimitedPlace.objects.all())}
    if not limits and not places:
        return 0
    now = now or bulk_sql.clock()
    chargers = {charger.pk: charger for charger in _chargers(limits, places)}
    targets = _targets([limit for limit in limits if limit.removed_at is None], chargers.values(), now)
    sent = 0
    for key in sorted(targets.keys() | places.keys()):
        charger, target, row = chargers.get(key[0]), targets.get(key, NOTHING), places.get(key)
        if charger and sent < at_most and (row is None or _has_work(row, charger, target, now)):
            sent += _settle_safely(charger, key[1], target, now)
    _end([limit for limit in limits if limit.removed_at])
    return sent


def _places(rows: QuerySet[LimitedPlace]) -> QuerySet[LimitedPlace]:
    """Add `is_there` to `rows`: whether the profile is among those that the charger has, as far as is known."""
    there = InstalledProfile.objects.filter(
        charger=OuterRef("charger"), charging_profile_id=OuterRef("profile_id"), evse_id=OuterRef("evse_id")
    )
    return rows.select_related("command").defer("command__payload").annotate(is_there=Exists(there))


def _chargers(limits: Iterable[PowerLimit], places: Mapping[Key, LimitedPlace]) -> QuerySet[Charger]:
    sites = {limit.site_id for limit in limits if limit.site_id}
    chargers = {limit.charger_id for limit in limits if limit.charger_id} | {charger for charger, _ in places}
    return Charger.objects.filter(Q(site__in=sites) | Q(pk__in=chargers)).select_related("site").order_by("identity")


def _numbers(chargers: Iterable[Charger]) -> dict[int | None, int]:
    """Return {site (primary key): the number of its chargers}; each site of a limit is here with all its chargers."""
    numbers: dict[int | None, int] = defaultdict(int)
    for charger in chargers:
        numbers[charger.site_id] += 1
    return numbers


def _applies(limit: PowerLimit, charger: Charger) -> bool:
    return limit.charger_id == charger.pk or (limit.site_id is not None and limit.site_id == charger.site_id)


def _targets(limits: Iterable[PowerLimit], chargers: Iterable[Charger], now: datetime) -> dict[Key, Target]:
    known = list(chargers)
    numbers, at_site = _numbers(known), defaultdict(list)
    for charger in known:
        at_site[charger.site_id].append(charger)
    by_pk = {charger.pk: charger for charger in known}
    parts: dict[Key, list[Part]] = defaultdict(list)
    for limit in limits:
        for charger in at_site[limit.site_id] if limit.site_id else [by_pk[cast(int, limit.charger_id)]]:
            number = numbers[limit.site_id] if limit.site_id else 1
            parts[charger.pk, limit.evse_id].append(Part(limit, number))
    return {key: _target(found, by_pk[key[0]].site, now) for key, found in parts.items()}


def _target(parts: Sequence[Part], site: Site | None, now: datetime) -> Target:
    offset = ""
    if not all(part.limit.is_constant for part in parts):
        local = now.astimezone(zone_of(site)).utcoffset() or timedelta()
        offset = f"{local // timedelta(minutes=1):+} "
    return Target(tuple(parts), offset + " ".join(f"{part.limit.pk}/{part.number}" for part in parts))


def _has_work(row: LimitedPlace, charger: Charger, target: Target, now: datetime) -> bool:
    if row.wanted != target.text or _is_answered(row) or _is_lost(row, charger):
        return True
    return not row.is_open and row.installed != target.text and _may_try(row, charger, now)


def _is_answered(row: LimitedPlace) -> bool:
    return row.is_open and (row.command is None or row.command.state == FINISHED)


def _is_lost(row: LimitedPlace, charger: Charger) -> bool:
    """Whether the charger has booted since it accepted the profile, or has it no longer as far as is known.

    A charger may keep profiles over a boot, but is not queried, because the profile replaces itself.
    """
    if not row.installed or row.installed_at is None:
        return False
    has_booted = charger.last_boot_at is not None and charger.last_boot_at > row.installed_at
    return has_booted or not getattr(row, "is_there", True)


def _may_try(row: LimitedPlace, charger: Charger, now: datetime) -> bool:
    """Whether a command may be sent now: after a failure only later, for other limits, or after a boot."""
    if not charger.is_online:
        return False
    if row.again_at is None or row.again_at <= now or row.tried != (row.wanted or CLEAR):
        return True
    return bool(row.tried_at and charger.last_boot_at and charger.last_boot_at > row.tried_at)


def _settle_safely(charger: Charger, evse_id: int, target: Target, now: datetime) -> int:
    try:
        return _settle(charger, evse_id, target, now)
    except Exception as error:  # noqa: BLE001  (one charger would keep all others from their limits)
        if diagnosis.in_words(error):
            raise
        logger.exception("The power limits of %s, EVSE %s, could not be kept", charger, evse_id)
        return 0


def _settle(charger: Charger, evse_id: int, target: Target, now: datetime) -> int:
    with transaction.atomic():
        row = _locked(charger, evse_id)
        if row is None:  # another process has it
            return 0
        if _is_answered(row):
            _read(row)
        if _is_lost(row, charger):
            row.installed = ""
        row.wanted = target.text
        if not row.wanted and not row.limits and not row.is_open:
            row.delete()
            return 0
        sent = _send(row, charger, target, now) if _is_due(row, charger, now) else 0
        row.save()
        return sent


def _locked(charger: Charger, evse_id: int) -> LimitedPlace | None:
    rows = LimitedPlace.objects.filter(charger=charger, evse_id=evse_id)
    if not rows.exists():
        LimitedPlace.objects.bulk_create([LimitedPlace(charger=charger, evse_id=evse_id)], ignore_conflicts=True)
    return _places(rows).select_for_update(skip_locked=True, of=("self",)).first()


def _is_due(row: LimitedPlace, charger: Charger, now: datetime) -> bool:
    is_settled = row.installed == row.wanted if row.wanted else not row.limits
    return not row.is_open and not is_settled and _may_try(row, charger, now)


def _send(row: LimitedPlace, charger: Charger, target: Target, now: datetime) -> int:
    """Submit the command that is missing, or note why there is none; return how many were submitted."""
    row.tried, row.tried_at, row.again_at = row.wanted or CLEAR, now, None
    try:
        action, payload = encode(charger.version, _intent(row, charger, target, now))
        if refused := acceptance.reason_not_allowed(charger, charger.version, action):
            raise Violation("", refused, "")
        row.command = creation.submit_internal(charger, action, payload)
    except Violation as violation:
        row.command, row.reason, row.again_at = None, violation.message, now + AGAIN_AFTER_REFUSAL
        return 0
    row.is_open, row.reason = True, ""
    row.limits = sorted({*row.limits, *target.limits})
    return 1


def _intent(row: LimitedPlace, charger: Charger, target: Target, now: datetime) -> object:
    if not target.parts:
        return ClearProfile(row.profile_id)
    if charger.version not in SMART_CHARGING:
        raise Violation("", f"The charger speaks {charger.version}, which has no command for this.", "")
    known = SMART_CHARGING[charger.version](charger)
    unit = cast(Unit, target.parts[0].limit.unit)
    if known.units and unit not in known.units:
        unit = "W" if unit == "A" else "A"
    place = Place(row.profile_id, _stack_level(row, known.max_stack_level), row.evse_id)
    made = power_curves.profile(target.parts, unit, zone_of(charger.site), now, place)
    if known.max_periods is not None and len(made.periods) > known.max_periods:
        message = (
            f"The charger takes {known.max_periods} periods in a schedule, and its limits need {len(made.periods)}."
        )
        raise Violation("", message, "")
    return made


def _stack_level(row: LimitedPlace, highest: int | None) -> int:
    """Return the lowest level from LOWEST_LEVEL on that no other profile has, at most the highest of the charger."""
    others = InstalledProfile.objects.filter(charger=row.charger_id).exclude(charging_profile_id=row.profile_id)
    if row.evse_id:
        others = others.filter(purpose=TX_DEFAULT, evse_id__in=[0, row.evse_id])
    else:
        others = others.filter(purpose__in=STATION_PURPOSES)
    taken, level = set(others.values_list("stack_level", flat=True)), LOWEST_LEVEL
    while level in taken:
        level += 1
    return level if highest is None else min(level, highest)


def _read(row: LimitedPlace) -> None:
    """Take over the outcome of the command of `row`; without an answer it is not known what the charger has."""
    command, row.is_open = row.command, False
    if command is None:
        row.again_at = None
        return
    if row.tried == CLEAR and command.status in ("Accepted", "Unknown"):
        row.installed, row.limits, row.reason = "", [], ""
    elif row.tried != CLEAR and command.status == "Accepted":
        row.installed, row.installed_at, row.reason = row.tried, command.sent_at, ""
        row.limits = _limits_in(row.tried)
        row.is_there = True  # type: ignore[attr-defined]
    else:
        is_answer = command.outcome in (ANSWERED, CALL_ERROR, INVALID_RESPONSE)
        row.reason = _why(command.outcome, command.status, command.error)
        finished = command.finished_at or bulk_sql.clock()
        row.again_at = finished + (AGAIN_AFTER_REFUSAL if is_answer else AGAIN_AFTER_SILENCE)


def _why(outcome: str, status: str, error: Any) -> str:
    if status:
        return f"The charger answered {status}."
    code = error.get("code") if isinstance(error, dict) else ""
    return f"The command ended as {outcome.replace('_', ' ')}{f' ({code})' if code else ''}."


def _limits_in(text: str) -> list[int]:
    """Return the ids of the limits in a text, see the top of this module."""
    return [int(word.partition("/")[0]) for word in text.split() if "/" in word]


def _end(removed: Collection[PowerLimit]) -> None:
    """End those of the `removed` limits that no charger has."""
    if not removed:
        return
    had = {number for listed in LimitedPlace.objects.values_list("limits", flat=True) for number in listed}
    over = [limit.pk for limit in removed if limit.pk not in had]
    PowerLimit.objects.filter(pk__in=over, ended_at=None).update(ended_at=bulk_sql.clock())
