"""Answer the charging needs and schedules of vehicles with a charging profile (OCPP 2.0.1 K15 to K17)."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from chargers.models import Charger
from chargers.services import profiles
from chargers.services.profiles import Place
from chargers.services.schedules import MAX_SECONDS, Schedule, Step, read_schedule
from commands.actions.ocpp201 import charging, vehicles
from commands.actions.ocpp201.vehicles import ROUNDED, SET, SHORTEST, CannotPlan
from commands.models import FINISHED, SENT, EVChargingNeeds, EVChargingSchedule
from commands.services.creation import submit_internal
from core.ocpp.calls import Call
from core.ocpp.schemas import JSON, Violation
from transactions.models import Transaction

logger = logging.getLogger(__name__)

ACCEPTED, PROCESSING, REJECTED = "Accepted", "Processing", "Rejected"
# The charger's clock and ours differ, and a schedule reaches the vehicle later than it was made.
SLACK_S = 60.0
MAX_CLOCK_DIFFERENCE = timedelta(days=30)  # a schedule that begins further away has a wrong time


class Verdict(NamedTuple):
    """The answer to a vehicle; `reason` says why it was rejected."""

    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Needs:
    """The needs of a vehicle. `max_rate` is in W, for AC in A per phase; None is not known.

    `max_periods` is the most that a schedule for the vehicle may have. `parameters` are as the charger sent them.
    """

    call: Call
    evse_id: int
    energy_transfer: str
    max_rate: float | None
    energy_wh: int | None = None
    departure_time: datetime | None = None
    max_periods: int | None = None
    parameters: JSON = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VehicleSchedule:
    """How a vehicle wants to charge. `schedule` is as the charger sent it; its periods count from `begins_at`."""

    call: Call
    evse_id: int
    begins_at: datetime
    schedule: JSON


def record_needs(reported: list[Needs]) -> list[Verdict]:
    """Store needs, and send a profile for each as far as one can be made (K15.FR.03 to .08, K16.FR.12, K17)."""
    return [_record_needs(needs) for needs in reported]


def _record_needs(needs: Needs) -> Verdict:
    transaction, received_at = _transaction_at(needs.call.charger, needs.evse_id), needs.call.received_at
    row = EVChargingNeeds(
        charger_id=needs.call.charger,
        evse_id=needs.evse_id,
        transaction=transaction,
        energy_transfer=needs.energy_transfer,
        departure_time=needs.departure_time,
        energy_wh=needs.energy_wh,
        max_rate=needs.max_rate,
        max_periods=needs.max_periods,
        parameters=needs.parameters,
        received_at=received_at,
    )
    verdict = _negotiate(row, transaction)
    row.save()
    return verdict


def record_schedules(reported: list[VehicleSchedule]) -> list[Verdict]:
    """Store schedules of vehicles; send a new profile to one that exceeds the limits (K15.FR.11 to .13)."""
    return [_record_schedule(schedule) for schedule in reported]


def _record_schedule(reported: VehicleSchedule) -> Verdict:
    call, transaction = reported.call, _transaction_at(reported.call.charger, reported.evse_id)
    row = EVChargingSchedule(
        charger_id=call.charger,
        evse_id=reported.evse_id,
        transaction=transaction,
        begins_at=reported.begins_at,
        schedule=reported.schedule,
        received_at=call.received_at,
    )
    if transaction and _exceeds(reported, transaction):
        _negotiate(row, transaction)  # whether or not it can be made
        row.status, row.reason = REJECTED, "It exceeds the limits of the charging profiles or of other systems."
    else:
        row.status = ACCEPTED
    row.save()
    return Verdict(row.status, row.reason)


def _transaction_at(charger: int, evse_id: int) -> Transaction | None:
    """Return the latest transaction under way on an EVSE of `charger` (primary key)."""
    found = Transaction.objects.ongoing().filter(charger=charger, evse_id=evse_id, superseded_by=None)
    return found.select_related("charger").order_by("-pk").first()


# --- the profile for a vehicle -----------------------------------------------------------------


def _negotiate(row: EVChargingNeeds | EVChargingSchedule, transaction: Transaction | None) -> Verdict:
    """Submit a profile for the vehicle, and set the status, the reason and the command of `row`."""
    try:
        if transaction is None:
            raise CannotPlan("No transaction is under way on this EVSE.")
        needs = row if isinstance(row, EVChargingNeeds) else vehicles.latest_needs(transaction)
        is_busy = transaction.charger.commands.exclude(state=FINISHED).exists()
        wanted = vehicles.plan(transaction, row.evse_id, needs, row.received_at)
        row.command = submit_internal(transaction.charger, SET, charging.tx_profile(wanted))
        # Behind other commands it may come after the minute for which the vehicle waits (K15.FR.05).
        row.status = PROCESSING if is_busy else ACCEPTED
    except (CannotPlan, Violation) as error:
        row.status, row.reason = REJECTED, str(error)
    return Verdict(row.status, row.reason)


def renegotiate(chargers: Iterable[int]) -> None:
    """Submit a profile for each vehicle at `chargers` (primary keys) whose limits have changed (K16)."""
    for charger in Charger.objects.filter(pk__in=list(chargers)):
        for follow_up in vehicles.renegotiations(charger):
            try:
                submit_internal(charger, *follow_up)
            except Violation as violation:  # the limit is stored in any case
                logger.warning("A vehicle at %s gets no new profile: %s", charger, violation)


# --- the schedule of a vehicle -----------------------------------------------------------------


def _exceeds(reported: VehicleSchedule, transaction: Transaction) -> bool:
    """Whether the vehicle wants more than the profiles allow for longer than clocks differ."""
    schedule = read_schedule(reported.schedule)
    if schedule is None or not schedule.periods:
        return False
    begin = _plausible(schedule.begins_at or reported.begins_at, reported.call.received_at)
    schedule, unit = replace(schedule, begins_at=begin), schedule.periods[0].limit.unit
    duration_s = schedule.duration_s or min(schedule.periods[-1].start_s, MAX_SECONDS) + SHORTEST.total_seconds()
    end = begin + timedelta(seconds=duration_s)
    place = Place(transaction.charger_id, reported.evse_id, transaction.pk, transaction.start_time)
    curve = profiles.limits(place, unit, begin, end, schedule_id=schedule.id, pending=_pending(transaction))
    edges = sorted({step.at for step in curve} | set(schedule.changes(begin, end, begin)) | {begin, end})
    return _longest_excess_s(schedule, curve, edges) > min(SLACK_S, duration_s / 2)


def _plausible(moment: datetime, received_at: datetime) -> datetime:
    return moment if abs(moment - received_at) < MAX_CLOCK_DIFFERENCE else received_at


def _longest_excess_s(schedule: Schedule, curve: Sequence[Step], edges: Sequence[datetime]) -> float:
    """Return the longest time in s for which `schedule` is above the limits; both change only at `edges`."""
    longest_s = current_s = 0.0
    for at, until in pairwise(edges):
        wanted = schedule.limit_at(at, None)
        allowed = [step.limit for step in curve if step.at <= at][-1:]
        is_above = wanted and allowed and allowed[0] is not None and wanted.value > allowed[0] + ROUNDED
        current_s = current_s + (until - at).total_seconds() if is_above else 0.0
        longest_s = max(longest_s, current_s)
    return longest_s


def _pending(transaction: Transaction) -> list[profiles.ChargingProfile]:
    """Return the profile of a command whose answer is not yet recorded, though its charger may have acted on it."""
    sent = transaction.charger.commands.filter(state=SENT, action=SET)
    about = [command for command in sent if charging.reference_of(command) == transaction.reference]
    return [charging.profile_of(command) for command in about]
