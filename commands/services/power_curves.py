"""Compute the curve of a week of power limits, and the charging profile that has this curve."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from chargers.services.schedules import Limit
from commands.actions.intents import SetProfile
from commands.models.power_limits import PowerLimit
from commands.models.weekly import DAY, WEEK

Unit = Literal["A", "W"]
FREE = {"A": 1000.0, "W": 1_000_000.0}  # limits of no effect, because a profile cannot say that it has none
FINEST = 10  # limits are multiples of a tenth (2.0.1 K01.FR.43); they are rounded down


@dataclass(frozen=True)
class Part:
    """The part of a limit that one charger keeps: one of `number` equal ones."""

    limit: PowerLimit
    number: int = 1

    def amount_in(self, unit: str) -> float:
        """Return the amount in `unit`, converted as for three phases of 230 V, and rounded down to tenths."""
        value = Limit(self.limit.amount / self.number, self.limit.unit).into(unit)
        return int(value * FINEST + 1e-9) / FINEST


@dataclass(frozen=True)
class Step:
    """`limit` holds from `minute` after Monday 0:00 of the local week; None is no limit."""

    minute: int
    limit: float | None


def week(parts: Iterable[Part], unit: str) -> list[Step]:
    """Return the curve of the lowest limits in `unit` in a local week without a change of its UTC offset."""
    found = list(parts)
    changes = {0} | {at % WEEK for part in found for window in part.limit.windows() for at in window}
    steps: list[Step] = []
    for minute in sorted(changes):
        held = [part.amount_in(unit) for part in found if part.limit.holds_at(minute)]
        limit = min(held, default=None)
        if not steps or steps[-1].limit != limit:
            steps.append(Step(minute, limit))
    return steps


def _of_a_day(steps: Sequence[Step]) -> list[Step] | None:
    """Return the steps of a day if all seven are equal, else None."""

    def at(minute: int) -> float | None:
        return next(step.limit for step in reversed(steps) if step.minute <= minute)

    changes = sorted({0} | {step.minute % DAY for step in steps})
    if any(at(minute) != at(day * DAY + minute) for day in range(7) for minute in changes):
        return None
    return [Step(minute, at(minute)) for n, minute in enumerate(changes) if not n or at(minute) != at(changes[n - 1])]


@dataclass(frozen=True)
class Place:
    """The profile of a place: its id, its stack level and its EVSE, 0 for the charger as a whole."""

    profile_id: int
    stack_level: int
    evse_id: int


def profile(parts: Iterable[Part], unit: Unit, zone: ZoneInfo, now: datetime, place: Place) -> SetProfile:
    """Return the profile with the limits of `parts`, of which there is at least one.

    It repeats with the UTC offset that `zone` has at `now`, so it holds until this offset changes. It has no period
    for the longest time without a limit; in others, the limit has no effect.
    """
    steps = week(parts, unit)
    constant = SetProfile(place.profile_id, place.stack_level, ((0, _limit(steps[0], unit)),), unit, place.evse_id)
    if len(steps) == 1:
        return constant
    of_a_day = _of_a_day(steps)
    length = DAY if of_a_day else WEEK
    rotated, gap = _rotated(_joined(of_a_day or steps), length)
    first = rotated[0].minute
    return replace(
        constant,
        periods=tuple(((step.minute - first) % length * 60, _limit(step, unit)) for step in rotated),
        repeats="Daily" if of_a_day else "Weekly",
        begins_at=_begin(first, length, zone, now),
        duration_s=(length - gap) * 60 if gap else None,
    )


def _limit(step: Step, unit: str) -> float:
    return FREE[unit] if step.limit is None else step.limit


def _joined(steps: Sequence[Step]) -> list[Step]:
    """Return `steps` without the first one if the last one goes on with the same limit."""
    return list(steps[1:]) if len(steps) > 1 and steps[0].limit == steps[-1].limit else list(steps)


def _rotated(steps: list[Step], length: int) -> tuple[list[Step], int]:
    """Begin after the longest time without a limit, and leave that out; return the steps and its minutes, or 0."""

    def lasts(n: int) -> int:
        return (steps[(n + 1) % len(steps)].minute - steps[n].minute) % length or length

    gaps = [(lasts(n), n) for n, step in enumerate(steps) if step.limit is None]
    if not gaps:
        return steps, 0
    gap, longest = max(gaps)
    return [*steps[longest + 1 :], *steps[:longest]], gap


def _begin(minute: int, length: int, zone: ZoneInfo, now: datetime) -> datetime:
    """Return the last time before `now` at which `minute` of the local day or week began, by the present offset."""
    local = now.astimezone(zone)
    midnight = local.replace(tzinfo=UTC, hour=0, minute=0, second=0, microsecond=0)
    begin = midnight + timedelta(minutes=minute) - (local.utcoffset() or timedelta())
    if length == WEEK:
        begin -= timedelta(days=local.weekday())
    return begin if begin <= now else begin - timedelta(minutes=length)
