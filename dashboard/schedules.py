"""The charging profiles and the composite schedule on the page of a charger."""

from datetime import UTC, datetime
from typing import Any

from chargers.models import Charger
from chargers.services import profiles
from commands.services import composite_schedules
from commands.services.composite_schedules import CompositeSchedule

WIDTH, HEIGHT = 600, 120  # of the curve, in units of its own


def shown(charger: Charger, with_schedule: bool) -> dict[str, Any]:
    """Return what `charger_schedule.html` shows: `profiles`, each with whether it is in effect, and a `schedule`."""
    rows, now = list(charger.installed_profiles.all()), datetime.now(UTC)
    compared = [(row, profiles.is_effective(row, rows, now)) for row in rows]
    schedule = composite_schedules.latest(charger) if with_schedule else None
    return {"profiles": compared, "schedule": schedule, "curve": curve(schedule) if schedule else ""}


def curve(schedule: CompositeSchedule) -> str:
    """Return the steps of a schedule as the points of a polyline, from 0 to its highest limit."""
    begin, span_s = schedule.begins_at, max((schedule.ends_at - schedule.begins_at).total_seconds(), 1)
    highest = max(*(point.limit for point in schedule.points), 1.0)
    ends = [*(point.at for point in schedule.points[1:]), schedule.ends_at]
    corners = [
        (max(0.0, min(1.0, (at - begin).total_seconds() / span_s)), point.limit / highest)
        for point, end in zip(schedule.points, ends, strict=True)
        for at in (point.at, end)
    ]
    return " ".join(f"{x * WIDTH:.1f},{HEIGHT * (1 - y):.1f}" for x, y in corners)
