"""Plan the charging profiles of transactions whose vehicles reported their needs (K15 to K17)."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from chargers.models import Charger, InstalledProfile
from chargers.services import profiles
from chargers.services.audit import SYSTEM_ACTOR
from chargers.services.profiles import Place
from chargers.services.schedules import (
    AMPERES,
    DEFAULT_PHASES,
    TX_PROFILE,
    WATTS,
    Limit,
    Step,
    schedules_of,
)
from commands.actions.base import FollowUp
from commands.actions.ocpp201 import charging
from commands.actions.ocpp201.charging import ForVehicle
from commands.actions.smart_charging import SmartCharging
from commands.models import Command, EVChargingNeeds
from transactions.models import Transaction

SET = "SetChargingProfile"
HORIZON = timedelta(days=1)  # for which limits that change with time are sent
SHORTEST = timedelta(hours=1)  # of a schedule, also for a vehicle whose departure is past
MAX_PERIODS = 1024  # of a schedule (2.0.1, ChargingScheduleType)
MAX_FORMER = 20  # profiles of the system for one transaction that are compared
ROUNDED = 0.1  # the finest limit


class CannotPlan(Exception):
    """No charging profile can be made for a vehicle."""


def latest_needs(transaction: Transaction) -> EVChargingNeeds | None:
    return EVChargingNeeds.objects.filter(transaction=transaction).order_by("-pk").first()


def plan(transaction: Transaction, evse_id: int, needs: EVChargingNeeds | None, now: datetime) -> ForVehicle:
    """Return the profile that grants the vehicle as much as the other profiles and limits of its EVSE allow.

    Raises `CannotPlan`.
    """
    reported = charging.smart_charging_of(transaction.charger)
    if not reported.is_enabled:
        raise CannotPlan("The charger has reported that smart charging is disabled.")
    own, stack_level = _own_place(transaction, reported)
    begin = now.replace(microsecond=0)
    end = max(begin + SHORTEST, min(begin + HORIZON, (needs and needs.departure_time) or begin + HORIZON))
    unit = _unit(needs, reported)
    place = Place(transaction.charger_id, evse_id, transaction.pk, transaction.start_time)
    curve = profiles.limits(place, unit, begin, end, but=own)
    periods = _periods(begin, curve, _max_rate(needs, unit), _max_periods(needs, reported))
    return ForVehicle(
        evse_id=evse_id,
        reference=transaction.reference,
        stack_level=stack_level,
        unit=unit,
        begins_at=begin,
        periods=periods,
        # After the known limits the other profiles shall apply again.
        duration_s=round((end - begin).total_seconds()) if len(curve) > 1 else None,
        id=own,
        phases=_phases(needs),
    )


def _own_place(transaction: Transaction, reported: SmartCharging) -> tuple[int | None, int]:
    """Return the id of the profile that a new one replaces, None without one, and the stack level of the new one.

    The new one overrules profiles that an operator set for the transaction, and carries their limits.
    """
    own = _id_of_former(transaction)
    found = InstalledProfile.objects.filter(charger=transaction.charger_id, purpose=TX_PROFILE)
    others = found.filter(transaction_id=transaction.pk).exclude(charging_profile_id__in=[] if own is None else [own])
    highest = others.order_by("-stack_level").first()
    if highest is None:
        return own, 0
    if reported.max_stack_level is not None and highest.stack_level >= reported.max_stack_level:
        return highest.charging_profile_id, highest.stack_level
    return own, highest.stack_level + 1


def _id_of_former(transaction: Transaction) -> int | None:
    """Return the id of the profile that the system last sent for the vehicle, None if an operator replaced that."""
    sent = [command.payload[charging.MEMBER] for command in _sent_by_the_system(transaction)]
    if not sent:
        return None
    number = sent[0]["id"]
    ours = [schedules_of(profile) for profile in sent if profile["id"] == number]
    rows = InstalledProfile.objects.filter(charger=transaction.charger_id, charging_profile_id=number)
    return int(number) if all(schedules_of(row.profile) in ours for row in rows) else None


def _sent_by_the_system(transaction: Transaction) -> list[Command]:
    """Return the latest SetChargingProfile of the system for `transaction`, the newest first."""
    commands = transaction.charger.commands.filter(action=SET, requested_by=SYSTEM_ACTOR).order_by("-pk")
    about = (command for command in commands[:MAX_FORMER] if charging.reference_of(command) == transaction.reference)
    return list(about)


def _unit(needs: EVChargingNeeds | None, reported: SmartCharging) -> str:
    wanted = WATTS if needs and _is_dc(needs) else AMPERES
    usable = reported.units & {AMPERES, WATTS}
    return wanted if not usable or wanted in usable else min(usable)


def _is_dc(needs: EVChargingNeeds) -> bool:
    return needs.energy_transfer == "DC"


PHASES = {"AC_single_phase": 1, "AC_two_phase": 2}  # three are the default (K01.FR.49)


def _phases(needs: EVChargingNeeds | None) -> int | None:
    return PHASES.get(needs.energy_transfer) if needs else None


def _max_rate(needs: EVChargingNeeds | None, unit: str) -> float | None:
    if needs is None or needs.max_rate is None:
        return None
    own = WATTS if _is_dc(needs) else AMPERES
    return Limit(needs.max_rate, own, _phases(needs) or DEFAULT_PHASES).into(unit)


def _max_periods(needs: EVChargingNeeds | None, reported: SmartCharging) -> int:
    """Return how many periods a schedule may have for the vehicle and the charger (K15.FR.07)."""
    given = (needs.max_periods if needs else None, reported.max_periods)
    return min([MAX_PERIODS, *(number for number in given if number and number > 0)])


def _periods(
    begin: datetime, curve: Sequence[Step], max_rate: float | None, max_periods: int
) -> list[tuple[int, float]]:
    """Return (seconds from `begin`, limit) of at most `max_periods`; the last has the lowest limit of the rest."""
    periods: list[tuple[int, float]] = []
    for step in curve:
        limits = [limit for limit in (step.limit, max_rate) if limit is not None]
        if not limits:
            raise CannotPlan("Neither the vehicle nor a charging profile gives a limit.")
        limit = max(0.0, math.floor(round(min(limits) * 10, 6)) / 10)
        if not periods or periods[-1][1] != limit:
            periods.append((math.ceil((step.at - begin).total_seconds()), limit))
    rest = periods[max_periods - 1 :]
    return [*periods[: max_periods - 1], (rest[0][0], min(limit for _, limit in rest))] if rest else periods


# --- renegotiation -----------------------------------------------------------------------------


def was_set(command: Command) -> list[FollowUp]:
    """Record the accepted profile, and renegotiate with the vehicles whose limits it changes (K16)."""
    charging.was_set(command)
    return renegotiations(command.charger) if command.status == "Accepted" else []


def was_cleared(command: Command) -> list[FollowUp]:
    """Delete the cleared profiles, and renegotiate with the vehicles whose limits this changes (K16)."""
    charging.was_cleared(command)
    return renegotiations(command.charger) if command.status == "Accepted" else []


def renegotiations(charger: Charger) -> list[FollowUp]:
    """Return a command for each vehicle whose profile no longer has the limits of the other profiles.

    Such a profile carries the limits of the TxDefaultProfile and of others for its transaction, and overrules them.
    """
    negotiated = EVChargingNeeds.objects.filter(charger=charger).values("transaction")
    ongoing = Transaction.objects.ongoing().filter(charger=charger, pk__in=negotiated)
    changed = (_changed_plan(transaction) for transaction in ongoing.select_related("charger"))
    return [FollowUp(SET, charging.tx_profile(wanted)) for wanted in changed if wanted]


def _changed_plan(transaction: Transaction) -> ForVehicle | None:
    """Return the profile that should replace the leading one of the system, None if its limits are still right."""
    needs = latest_needs(transaction)
    found = InstalledProfile.objects.filter(charger=transaction.charger_id, purpose=TX_PROFILE)
    leading = found.filter(transaction_id=transaction.pk).order_by("-stack_level").first()
    if needs is None or leading is None:
        return None
    try:
        wanted = plan(transaction, needs.evse_id, needs, datetime.now(UTC))
    except CannotPlan:
        return None
    is_ours = leading.charging_profile_id == wanted.id
    return wanted if is_ours and not _has_limits(leading, wanted) else None


def _has_limits(row: InstalledProfile, wanted: ForVehicle) -> bool:
    """Whether an installed profile has the limits of `wanted` at the beginning of each of its periods."""
    schedules = schedules_of(row.profile)
    for offset_s, limit in wanted.periods:
        at = wanted.begins_at + timedelta(seconds=offset_s + 1)
        installed = schedules[0].limit_at(at, None) if schedules else None
        if installed is None or abs(installed.into(wanted.unit) - limit) > ROUNDED:
            return False
    return True
