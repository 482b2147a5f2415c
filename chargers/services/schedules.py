"""Compute the limits that charging profiles set over time. The profiles are in the form of OCPP 1.6 or 2.0.1."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.ocpp.timestamps import parse

RECURRENCES = {"Daily": timedelta(days=1), "Weekly": timedelta(days=7)}
AMPERES, WATTS = "A", "W"
LINE_VOLTAGE = 230  # by which a power is converted to the current of a phase (2.0.1 K01.FR.50)
DEFAULT_PHASES = 3  # of a period that names none (2.0.1 K01.FR.49)
MAX_SECONDS = 10 * 366 * 86_400  # of a schedule; longer ones have no end for this system
# The purposes of limits of the whole charger. They apply beside the profiles of transactions.
STATION_PURPOSES = ("ChargingStationMaxProfile", "ChargePointMaxProfile")
TX_PROFILE, TX_DEFAULT, EXTERNAL = "TxProfile", "TxDefaultProfile", "ChargingStationExternalConstraints"


@dataclass(frozen=True)
class Limit:
    """A limit in amperes per phase or in watts of all phases."""

    value: float
    unit: str
    phases: int = DEFAULT_PHASES

    def into(self, unit: str) -> float:
        """Return the limit in `unit`, A or W."""
        if unit == self.unit:
            return self.value
        factor = LINE_VOLTAGE * self.phases
        return self.value * factor if unit == WATTS else self.value / factor


@dataclass(frozen=True)
class Period:
    start_s: int
    limit: Limit


@dataclass(frozen=True)
class Schedule:
    """Periods in their order; `begins_at` is None for a schedule that is relative to its transaction."""

    id: int | None
    begins_at: datetime | None
    duration_s: int | None
    periods: tuple[Period, ...]
    repeats_every: timedelta | None = None

    def limit_at(self, moment: datetime, started_at: datetime | None) -> Limit | None:
        """Return the limit at `moment`, None if no period is under way then.

        A relative schedule counts from `started_at`; without that, its first period is taken.
        """
        offset_s = self._offset_s(moment, started_at)
        if offset_s < 0 or (self.duration_s is not None and offset_s >= self.duration_s):
            return None
        begun = [period.limit for period in self.periods if period.start_s <= offset_s]
        return begun[-1] if begun else None

    def _offset_s(self, moment: datetime, started_at: datetime | None) -> float:
        base = self.begins_at or started_at
        if base is None:
            return 0
        passed = moment - base
        if self.repeats_every and passed >= timedelta():
            passed %= self.repeats_every
        return passed.total_seconds()

    def changes(self, begin: datetime, end: datetime, started_at: datetime | None) -> Iterator[datetime]:
        """Yield the moments between `begin` and `end` at which its limit changes."""
        base = self.begins_at or started_at
        if base is None or base >= end:
            return
        offsets_s = {period.start_s for period in self.periods} | ({self.duration_s} if self.duration_s else set())
        for again in self._repetitions(base, begin, end):
            for offset_s in offsets_s:
                at = base + again + timedelta(seconds=min(offset_s, MAX_SECONDS))
                if begin < at < end:
                    yield at

    def _repetitions(self, base: datetime, begin: datetime, end: datetime) -> Iterator[timedelta]:
        if self.repeats_every is None:
            yield timedelta()
            return
        first = max(0, (begin - base) // self.repeats_every)
        last = max(0, (end - base) // self.repeats_every)
        yield from (number * self.repeats_every for number in range(first, last + 1))


def schedules_of(profile: Any) -> list[Schedule]:
    """Return the schedules of a charging profile as sent or reported; those that cannot be understood are omitted."""
    found = profile.get("chargingSchedule") if isinstance(profile, dict) else None
    listed = found if isinstance(found, list) else [found]
    every = RECURRENCES.get(str(profile.get("recurrencyKind"))) if isinstance(profile, dict) else None
    read = (read_schedule(schedule, every) for schedule in listed)
    return [schedule for schedule in read if schedule]


def read_schedule(sent: Any, repeats_every: timedelta | None = None) -> Schedule | None:
    """Return the schedule in a payload, None if it has no usable period."""
    if not isinstance(sent, dict) or not isinstance(sent.get("chargingSchedulePeriod"), list):
        return None
    unit = WATTS if sent.get("chargingRateUnit") == WATTS else AMPERES
    periods = [period for one in sent["chargingSchedulePeriod"] if (period := _period(one, unit))]
    duration = sent.get("duration")
    return Schedule(
        id=sent.get("id") if isinstance(sent.get("id"), int) else None,
        begins_at=parse(str(sent["startSchedule"])) if sent.get("startSchedule") else None,
        duration_s=duration if isinstance(duration, int) and 0 < duration < MAX_SECONDS else None,
        periods=tuple(sorted(periods, key=lambda period: period.start_s)),
        repeats_every=repeats_every,
    )


def _period(sent: Any, unit: str) -> Period | None:
    if not isinstance(sent, dict):
        return None
    start, limit, phases = sent.get("startPeriod"), sent.get("limit"), sent.get("numberPhases")
    if not isinstance(start, int) or not isinstance(limit, (int, float)):
        return None
    known = phases if isinstance(phases, int) and 1 <= phases <= DEFAULT_PHASES else DEFAULT_PHASES
    return Period(start, Limit(float(limit), unit, known))


@dataclass(frozen=True)
class Step:
    """A limit in one unit from `at` on; None if there is none."""

    at: datetime
    limit: float | None


def steps(begin: datetime, changes: Iterable[datetime], limit_at: Callable[[datetime], float | None]) -> list[Step]:
    """Return the steps of the curve `limit_at(moment)` from `begin` on; it changes only at `changes`."""
    found: list[Step] = []
    for at in sorted({begin, *changes}):
        limit = limit_at(at)
        if not found or found[-1].limit != limit:
            found.append(Step(at, limit))
    return found
