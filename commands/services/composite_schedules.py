"""The composite schedules of chargers, by their answers to GetCompositeSchedule (OCPP 1.6 §5.7, 2.0.1 K08)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chargers.models import Charger
from chargers.services.schedules import MAX_SECONDS, read_schedule
from commands.models import ANSWERED, Command
from core.ocpp.timestamps import parse_or

ACTION = "GetCompositeSchedule"
MAX_SEARCHED = 50  # the latest answers among which the one of an EVSE is searched


@dataclass(frozen=True)
class Point:
    """The limit of a curve from `at` on, until the next one."""

    at: datetime
    limit: float
    phases: int


@dataclass(frozen=True)
class CompositeSchedule:
    """What a charger expected to allow from `begins_at` to `ends_at`; EVSE 0 is the charger as a whole."""

    task_id: str
    received_at: datetime | None
    evse_id: int
    unit: str
    begins_at: datetime
    ends_at: datetime
    points: list[Point]


def latest(charger: Charger, evse_id: int | None = None) -> CompositeSchedule | None:
    """Return the latest composite schedule of `charger`, or of one of its EVSEs; None if it has given none."""
    answered = charger.commands.filter(action=ACTION, outcome=ANSWERED).order_by("-pk")[:MAX_SEARCHED]
    found = (read(command) for command in answered if command.status == "Accepted")
    return next((one for one in found if one and evse_id in (None, one.evse_id)), None)


def read(command: Command) -> CompositeSchedule | None:
    """Return the schedule of an answer: of 1.6 `chargingSchedule`, of 2.0.1 `schedule`. None if it has none."""
    answer, requested = command.answer, command.payload
    sent: Any = answer.get("schedule") or answer.get("chargingSchedule") or {}
    read = read_schedule(sent)
    if read is None or not read.periods:
        return None
    start = sent.get("scheduleStart") or answer.get("scheduleStart") or sent.get("startSchedule") or ""
    begins_at = parse_or(start, command.finished_at or command.created_at)
    duration_s = read.duration_s or requested.get("duration") or read.periods[-1].start_s
    points = [
        Point(
            begins_at + timedelta(seconds=min(period.start_s, MAX_SECONDS)), period.limit.value, period.limit.phases
        )
        for period in read.periods
    ]
    evse_id = sent.get("evseId", requested.get("evseId", answer.get("connectorId", requested.get("connectorId", 0))))
    ends_at = begins_at + timedelta(seconds=min(duration_s, MAX_SECONDS))
    unit = read.periods[0].limit.unit
    return CompositeSchedule(command.task_id, command.finished_at, evse_id, unit, begins_at, ends_at, points)
