"""Whether chargers follow charging profiles: by GetCompositeSchedule, and by the power of the session.

A composite schedule may be lower than a profile, because of other profiles and of limits of the charger.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from chargers.services.schedules import STATION_PURPOSES, TX_DEFAULT, WATTS, Limit, Schedule, schedules_of
from commands.actions import effects
from commands.actions.base import ACCEPTING, Confirmation, FollowUp, Look
from commands.actions.effects import MINUTE_S, within
from commands.models import CONFIRMED, NOT_APPLICABLE, PENDING, Command
from commands.services import composite_schedules
from commands.services.composite_schedules import ACTION, CompositeSchedule
from core.ocpp.schemas import JSON
from transactions.models import Transaction

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SHORT = timedelta(seconds=5)  # a difference of clocks, by which a step may be moved
AFTER_STEP = timedelta(minutes=15)  # of a profile that begins later, and is to be seen
SETTLED = timedelta(seconds=10)  # that a car has to follow a limit
POWER_FACTOR, POWER_OFFSET_W = 1.1, 100  # within which a measured power is below a limit


class Placed(NamedTuple):
    """A charging profile and its EVSE, in OCPP 1.6 its connector; 0 is the charger as a whole."""

    evse_id: int
    profile: JSON


def followed(
    placed: Callable[[Command], Placed], member: str, replaced: Callable[[Placed], Iterable[Hashable]]
) -> Confirmation:
    """Return how a profile is seen. `placed` returns that of a command; `member` names the EVSE on the wire.

    `replaced` names the places of profiles that one takes. A later profile in one of them has replaced it.
    """

    def look(command: Command) -> Look:
        if command.set_again:
            return effects.SET_AGAIN
        profile = placed(command).profile
        return _difference(command, profile) or _power(command, profile)

    def read_back(command: Command) -> FollowUp | None:
        place = placed(command)
        if effects.is_read(command, ACTION) and _difference(command, place.profile) is None:
            return None
        return _question(command, place, member)

    def note(command: Command) -> JSON | None:
        return _session_at(command, placed(command).evse_id)

    def excluded(command: Command) -> str | None:
        if command.status not in ACCEPTING:
            return ""
        far = _begins_in(_schedule(placed(command).profile)) > DAY
        return "The profile begins more than a day from now." if far else None

    def sets(command: Command) -> Iterable[Hashable]:
        return replaced(placed(command)) if command.status in ACCEPTING else []

    return Confirmation(look, within(5 * MINUTE_S), read_back, note, excluded, sets)


def cleared(member: str, removed: Callable[[Command], list[Placed]]) -> Confirmation:
    """Return how the removal of the profiles `removed` is seen. One is noted before they are deleted here."""

    def read_back(command: Command) -> FollowUp | None:
        noted = command.noted
        return _question(command, Placed(**noted), member) if noted else None

    def note(command: Command) -> JSON | None:
        now = datetime.now(UTC)
        limiting = (placed for placed in removed(command) if _limit_at(now, placed.profile))
        first = next(limiting, None)
        return first._asdict() if first else None

    return Confirmation(_no_longer, within(5 * MINUTE_S), read_back, note)


def _limit_at(moment: datetime, profile: JSON) -> Limit | None:
    schedule = _schedule(profile)
    return schedule.limit_at(moment, None) if schedule else None


def _no_longer(command: Command) -> Look:
    """Look whether the composite schedule differs from the profile that `noted` has."""
    if not command.noted:
        return Look(NOT_APPLICABLE, "No profile that it removes now is known here.")
    answers, look = effects.read_by(command, ACTION)
    if look:
        return look
    composite = composite_schedules.read(answers[-1]) if answers[-1].status == "Accepted" else None
    if composite is None:
        return Look(PENDING, "GetCompositeSchedule reports no schedule.", at_end=NOT_APPLICABLE)
    limits = list(_compared(_schedule(command.noted["profile"]), composite, None))
    if limits and all(abs(found - wanted) <= _rounded(wanted) for wanted, found in limits):
        shown = _text(limits[0].found, composite.unit)
        return effects.contradicted(answers, f"GetCompositeSchedule still shows the limit of {shown}.")
    return Look(CONFIRMED, "GetCompositeSchedule no longer shows the limit.")


def _schedule(profile: JSON) -> Schedule | None:
    return next(iter(schedules_of(profile)), None)


def _session_at(command: Command, evse_id: int) -> JSON | None:
    """Return the id of the session under way on an EVSE as JSON, None if there is none."""
    if not evse_id:
        return None
    ongoing = Transaction.objects.ongoing().filter(charger=command.charger_id, evse_id=evse_id, superseded_by=None)
    pk = ongoing.values_list("pk", flat=True).first()
    return None if pk is None else {"transaction": pk}


def _question(command: Command, place: Placed, member: str) -> FollowUp:
    """Return the GetCompositeSchedule that shows the present limit of a profile, or the first one of the next day."""
    schedule = _schedule(place.profile)
    begins_in = _begins_in(schedule)
    seconds = (min(begins_in + AFTER_STEP, DAY) if begins_in else HOUR).total_seconds()
    unit = "A" if schedule is None else schedule.periods[0].limit.unit if schedule.periods else "A"
    return FollowUp(ACTION, {member: _evse(command, place), "duration": int(seconds), "chargingRateUnit": unit})


def _evse(command: Command, place: Placed) -> int:
    """Return the EVSE of the request: the charger has the sum of its EVSEs, to each of which a default applies."""
    purpose = place.profile.get("chargingProfilePurpose")
    if place.evse_id or purpose in STATION_PURPOSES or purpose != TX_DEFAULT:
        return place.evse_id
    return min((c.evse_id for c in command.charger.connectors.all() if c.evse_id), default=1)


def _begins_in(schedule: Schedule | None) -> timedelta:
    """Return how long it takes until the schedule has a limit, 0 if it has one now."""
    now = datetime.now(UTC)
    if schedule is None or schedule.limit_at(now, None):
        return timedelta()
    if schedule.repeats_every:
        return min(schedule.changes(now, now + DAY, None), default=now + 2 * DAY) - now
    return max(timedelta(), schedule.begins_at - now) if schedule.begins_at else timedelta()


# --- the composite schedule --------------------------------------------------------------------


class Compared(NamedTuple):
    """The limit of a profile and that of a composite schedule for the same time, in the unit of the latter."""

    wanted: float
    found: float


def _difference(command: Command, profile: JSON) -> Look | None:
    """Return what the composite schedule lacks, None if it shows the limits of the profile."""
    answers, look = effects.read_by(command, ACTION)
    if look:
        return look
    last = answers[-1]
    if last.status != "Accepted":
        return effects.contradicted(answers, f"GetCompositeSchedule was answered {last.status}.")
    composite = composite_schedules.read(last)
    if composite is None:
        return effects.contradicted(answers, "GetCompositeSchedule reports no schedule.")
    session = command.noted_transaction
    limits = list(_compared(_schedule(profile), composite, session.start_time if session else None))
    if not limits:
        lacking = "GetCompositeSchedule covers no time for which the profile has a limit."
        return Look(PENDING, lacking, at_end=NOT_APPLICABLE)
    above = next((limit for limit in limits if limit.found > limit.wanted + _rounded(limit.wanted)), None)
    if above is None:
        return None
    wanted, found = (_text(number, composite.unit) for number in above)
    return effects.contradicted(answers, f"The profile allows {wanted}, but GetCompositeSchedule shows {found}.")


def _compared(
    schedule: Schedule | None, composite: CompositeSchedule, started_at: datetime | None
) -> Iterator[Compared]:
    """Yield the limits between the steps of both schedules, as long as both have one."""
    if schedule is None:
        return
    begin, end = composite.begins_at, composite.ends_at
    edges = {begin, end, *(point.at for point in composite.points if begin < point.at < end)}
    for since, until in pairwise(sorted(edges | set(schedule.changes(begin, end, started_at)))):
        middle = since + (until - since) / 2
        wanted = schedule.limit_at(middle, started_at) if until - since > SHORT else None
        found = [point.limit for point in composite.points if point.at <= middle]
        if wanted and found:
            yield Compared(wanted.into(composite.unit), found[-1])


def _rounded(limit: float) -> float:
    return 0.1 + abs(limit) / 100


def _text(number: float, unit: str) -> str:
    return f"{number:g} {unit}"


# --- the power of the session ------------------------------------------------------------------


def _power(command: Command, profile: JSON) -> Look:
    """Compare the power of the session that was under way with the present limit, if both are known."""
    schedule, session = _schedule(profile), command.noted_transaction
    started_at = session.start_time if session else None
    limit = schedule.limit_at(datetime.now(UTC), started_at) if schedule else None
    if limit is None:
        return Look(CONFIRMED, "GetCompositeSchedule shows the limits.")
    shown = f"GetCompositeSchedule shows the limit of {_text(limit.value, limit.unit)}."
    if session is None or not session.is_under_way:
        return Look(CONFIRMED, shown)
    power = _measured(command, session)
    if power is None:
        return Look(PENDING, f"{shown} The power of the session was not measured since.", at_end=CONFIRMED)
    if power > limit.into(WATTS) * POWER_FACTOR + POWER_OFFSET_W:
        return Look(PENDING, f"{shown} But the session charges with {power} W.")
    return Look(CONFIRMED, f"{shown} The session charges with {power} W.")


def _measured(command: Command, session: Transaction) -> int | None:
    """Return the latest power of the session in W, None if it was not measured after the answer."""
    is_new = session.read_until and command.finished_at and session.read_until > command.finished_at + SETTLED
    power: Any = session.power_latest
    return power if is_new else None
