"""The charging profiles of a simulated charger, and the limits that follow from them, in all OCPP versions."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from chargers.services.schedules import AMPERES, WATTS, Schedule, schedules_of
from core.ocpp.timestamps import to_rfc3339

if TYPE_CHECKING:
    from tools.simulator.charger import SimulatedCharger

HIGHEST = {AMPERES: 16.0, WATTS: 11_000.0}  # of a connector


def limit_at(charger: "SimulatedCharger", moment: datetime, evse: int, unit: str) -> float:
    """Return the limit of an EVSE in `unit`: by the highest stack level, and by the connector."""
    limits = (schedule.limit_at(moment, None) for schedule in _schedules(charger, evse))
    first = next((limit for limit in limits if limit), None)
    return HIGHEST[unit] if first is None else min(HIGHEST[unit], round(first.into(unit), 1))


def _schedules(charger: "SimulatedCharger", evse: int) -> list[Schedule]:
    held = sorted(charger.profiles.values(), key=lambda placed: placed[1]["stackLevel"], reverse=True)
    found = (schedules_of(profile) for of_evse, profile in held if of_evse in (0, evse))
    return [schedules[0] for schedules in found if schedules]


def composite(charger: "SimulatedCharger", evse: int, duration_s: int, unit: str) -> dict:
    """Return `chargingSchedulePeriod`, `duration`, `chargingRateUnit` and, as `start`, the time of now."""
    now = datetime.now(UTC)
    end = now + timedelta(seconds=duration_s)
    moments = {now}.union(*(schedule.changes(now, end, None) for schedule in _schedules(charger, evse)))
    periods = [
        {
            "startPeriod": round((moment - now).total_seconds()),
            "limit": limit_at(charger, moment + timedelta(seconds=1), evse, unit),
        }
        for moment in sorted(moments)
    ]
    return {
        "start": to_rfc3339(now),
        "duration": duration_s,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": periods,
    }


def clear(charger: "SimulatedCharger", number: int | None, evse: int | None, members: dict) -> bool:
    """Remove the profiles with this id, on this EVSE and with these `members`; return whether there was one."""
    found = [
        key
        for key, (of_evse, profile) in charger.profiles.items()
        if number in (None, key) and evse in (None, of_evse) and has(profile, members)
    ]
    for key in found:
        del charger.profiles[key]
    return bool(found)


def has(profile: dict, members: dict) -> bool:
    """Whether the profile has these members, of which those that are None are not compared."""
    return all(value is None or profile[name] == value for name, value in members.items())
