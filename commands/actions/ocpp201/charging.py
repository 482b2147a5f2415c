"""Smart charging: SetChargingProfile (K01), GetChargingProfiles (K09), ClearChargingProfile (K10).

The rules for the profile of a RequestStartTransaction (K05) are here, too.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from chargers.models import Charger, InstalledProfile, Variable
from chargers.models.variables import ACTUAL
from chargers.services import profiles
from chargers.services.profiles import Criteria
from chargers.services.schedules import EXTERNAL, TX_PROFILE
from commands.actions.smart_charging import SmartCharging
from commands.models import ChargingProfile, Command, EVChargingNeeds, next_profile_id
from core.ocpp import charging_profiles, schemas
from core.ocpp.schemas import JSON, is_multiple
from core.ocpp.timestamps import now_on_the_wire, parse, to_rfc3339
from core.ocpp.versions import OCPP201
from transactions.models import Transaction

MEMBER = "chargingProfile"
MAX_PROFILE = "ChargingStationMaxProfile"
ABSOLUTE, RECURRING, RELATIVE = "Absolute", "Recurring", "Relative"
CONTROLLER = "SmartChargingCtrlr"
FINEST_LIMIT = 0.1
MAX_PHASES = 3
NEW = -(2**31)  # stands for an id that no profile has yet
SOME_SCHEDULE = [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 0}]}]


# --- members that may be left out --------------------------------------------------------------


def complete_set(payload: JSON, charger: Charger) -> None:
    """Complete the profile; one without an id replaces the one in its place, else it has the next free id."""
    _take_from_library(payload)
    profile, evse_id = payload.get(MEMBER), payload.get("evseId")
    if not isinstance(profile, dict):
        return
    is_for_one = profile.get("chargingProfilePurpose") == TX_PROFILE and "transactionId" not in profile
    if is_for_one and (only := _only_transaction(charger, evse_id)):
        profile = profile | {"transactionId": only.reference}
    payload[MEMBER] = _with_id(completed(profile), lambda: _id_in_place(charger, evse_id, profile))


def complete_start(payload: JSON, charger: Charger) -> None:
    """Complete the profile of a RequestStartTransaction."""
    _take_from_library(payload)
    if isinstance(profile := payload.get(MEMBER), dict):
        payload[MEMBER] = _with_id(completed(profile), next_profile_id)


def _take_from_library(payload: JSON) -> None:
    """Take a profile given by its id alone from the library."""
    profile = payload.get(MEMBER)
    if isinstance(profile, dict) and list(profile) == ["id"] and type(profile["id"]) is int:
        known = ChargingProfile.objects.filter(pk=profile["id"]).first()
        if known is None:
            raise _violation("id", f"There is no charging profile {profile['id']} in the library.")
        payload[MEMBER] = known.on_the_wire(OCPP201)


def _with_id(profile: JSON, new_id: Callable[[], int]) -> JSON:
    return profile if "id" in profile else {"id": new_id(), **profile}


def completed(profile: JSON) -> JSON:
    """Give schedules without an id their number; an Absolute one without a start begins now."""
    schedules = profile.get("chargingSchedule")
    if not isinstance(schedules, list) or not all(isinstance(schedule, dict) for schedule in schedules):
        return profile
    begin = {"startSchedule": now_on_the_wire()} if profile.get("chargingProfileKind") == ABSOLUTE else {}
    return profile | {"chargingSchedule": charging_profiles.numbered([begin | one for one in schedules])}


def _only_transaction(charger: Charger, evse_id: Any) -> Transaction | None:
    """Return the transaction under way on the EVSE, None if there is none or several."""
    if type(evse_id) is not int:
        return None
    found = list(_under_way(charger).filter(evse_id=evse_id, superseded_by=None)[:2])
    return found[0] if len(found) == 1 else None


def _under_way(charger: Charger) -> Any:
    return Transaction.objects.ongoing().filter(charger=charger)


def _id_in_place(charger: Charger, evse_id: Any, profile: JSON) -> int:
    """Return the id of the profile on the same EVSE that a new one replaces, because both may not be there."""
    whole = {"evseId": evse_id, MEMBER: {"id": NEW, **profile, "chargingSchedule": SOME_SCHEDULE}}
    if type(evse_id) is int and OCPP201.schemas.requests["SetChargingProfile"].is_valid(whole):
        new = _profile(charger, evse_id, whole[MEMBER])
        for row in _same_level(charger, new).filter(evse_id=evse_id):
            if profiles.conflicts(new, row):
                return int(row.charging_profile_id)
    return next_profile_id()


# --- what may not be sent ----------------------------------------------------------------------


def check_set(payload: JSON, charger: Charger) -> Iterator[str]:
    profile, evse_id = payload[MEMBER], payload["evseId"]
    refuse(profile)
    _refuse_at(charger, evse_id, profile)
    transaction = _refuse_without_transaction(charger, evse_id, profile)
    _refuse_alternatives(profile, transaction)
    _refuse_phases(profile, charger, evse_id)
    new = _profile(charger, evse_id, profile, transaction)
    _refuse_conflict(charger, new)
    yield from _warnings(profile, charger)
    yield from _excess(charger, new)


def check_start_profile(payload: JSON, charger: Charger) -> Iterator[str]:
    """Check the profile of a RequestStartTransaction: a TxProfile without a transaction (K05.FR.02)."""
    if MEMBER not in payload:
        return
    profile = payload[MEMBER]
    refuse(profile)
    if profile["chargingProfilePurpose"] != TX_PROFILE:
        raise _violation("chargingProfilePurpose", "With a remote start it must be TxProfile.")
    if "transactionId" in profile:
        raise _violation("transactionId", "There is no transaction yet: leave it out.")
    _refuse_alternatives(profile, None)
    _refuse_phases(profile, charger, payload.get("evseId"))
    yield from _warnings(profile, charger)


def refuse(profile: JSON) -> None:
    """Raise `schemas.Violation` for a profile that OCPP forbids to send, wherever it is sent (K01, section 3)."""
    purpose, kind = profile["chargingProfilePurpose"], profile["chargingProfileKind"]
    if purpose == EXTERNAL:  # K01.FR.22
        raise _violation("chargingProfilePurpose", "Only an external system sets such a profile.")
    if purpose == MAX_PROFILE and kind == RELATIVE:  # K01.FR.38
        raise _violation("chargingProfileKind", "A ChargingStationMaxProfile can't be Relative.")
    if purpose != TX_PROFILE and "transactionId" in profile:
        raise _violation("transactionId", "Only a TxProfile has one.")
    if ("recurrencyKind" in profile) != (kind == RECURRING):
        raise _violation("recurrencyKind", "A Recurring profile has one, and no other.")
    if profile["stackLevel"] < 0:
        raise _violation("stackLevel", "The lowest stack level is 0.")
    for number, schedule in enumerate(profile["chargingSchedule"]):
        _refuse_schedule(schedule, kind, f"chargingSchedule.{number}")


def _refuse_schedule(schedule: JSON, kind: str, path: str) -> None:
    if ("startSchedule" in schedule) != (kind != RELATIVE):  # K01.FR.40, .41
        raise _violation(f"{path}.startSchedule", "A Relative profile has none, and every other needs one.")
    periods = schedule["chargingSchedulePeriod"]
    starts = [period["startPeriod"] for period in periods]
    if starts[0] != 0:  # K01.FR.31
        raise _violation(f"{path}.chargingSchedulePeriod", "The first period must start at 0.")
    if starts != sorted(set(starts)):  # K01.FR.35
        raise _violation(f"{path}.chargingSchedulePeriod", "Periods must follow each other.")
    if any(period["limit"] < 0 for period in periods) or schedule.get("duration", 0) < 0:
        raise _violation(path, "A limit or duration can't be negative.")
    if not all(is_multiple(period["limit"], FINEST_LIMIT) for period in periods):
        raise _violation(f"{path}.chargingSchedulePeriod", "A limit must be a multiple of 0.1.")
    for period in periods:
        _refuse_period(period, f"{path}.chargingSchedulePeriod")


def _refuse_period(period: JSON, path: str) -> None:
    phases, phase = period.get("numberPhases"), period.get("phaseToUse")
    if phases is not None and not 1 <= phases <= MAX_PHASES:
        raise _violation(f"{path}.numberPhases", "There are 1, 2 or 3 phases.")
    if phase is not None and (phases != 1 or not 1 <= phase <= MAX_PHASES):  # K01.FR.19
        raise _violation(f"{path}.phaseToUse", "It is 1, 2 or 3, and needs a numberPhases of 1.")


def _refuse_at(charger: Charger, evse_id: int, profile: JSON) -> None:
    purpose = profile["chargingProfilePurpose"]
    if purpose == MAX_PROFILE and evse_id:  # section 3.2
        raise schemas.Violation("evseId", "A ChargingStationMaxProfile belongs on EVSE 0.", "")
    if purpose == TX_PROFILE and not evse_id:  # K01.FR.16
        raise schemas.Violation("evseId", "A TxProfile belongs on the EVSE of its transaction, not on 0.", "")


def _refuse_without_transaction(charger: Charger, evse_id: int, profile: JSON) -> Transaction | None:
    """Return the transaction of a TxProfile, which must be under way on the EVSE (K01.FR.03, .09, .33)."""
    if profile["chargingProfilePurpose"] != TX_PROFILE:
        return None
    if "transactionId" not in profile:
        raise _violation("transactionId", "Name the transaction: none, or more than one, is under way on this EVSE.")
    found: Transaction | None = _under_way(charger).with_reference(profile["transactionId"]).first()
    if found is None or found.evse_id not in (None, evse_id):
        raise _violation("transactionId", f"This transaction is not under way on EVSE {evse_id}.")
    return found


def _refuse_alternatives(profile: JSON, transaction: Transaction | None) -> None:
    """Refuse several schedules, among which only a vehicle that has reported its needs can choose (K01.FR.34)."""
    if len(profile["chargingSchedule"]) > 1 and (
        transaction is None or not EVChargingNeeds.objects.filter(transaction=transaction).exists()
    ):
        raise _violation("chargingSchedule", "Only a vehicle that has reported its needs may have several.")


def _refuse_phases(profile: JSON, charger: Charger, evse_id: int | None) -> None:
    """Refuse to choose the phase unless the charger has reported that it can switch phases (K01.FR.20)."""
    periods = (period for schedule in profile["chargingSchedule"] for period in schedule["chargingSchedulePeriod"])
    if any("phaseToUse" in period for period in periods):
        of_evse = Q(evse_id=None) | Q(evse_id=0) | Q(evse_id=evse_id)
        able = _variables(charger, "ACPhaseSwitchingSupported").filter(of_evse, value__iexact="true")
        if not able.exists():
            message = "The charger has not reported ACPhaseSwitchingSupported: leave out phaseToUse."
            raise _violation("chargingSchedule", message)


def _refuse_conflict(charger: Charger, new: profiles.ChargingProfile) -> None:
    """Refuse a profile beside one that it neither replaces nor overrules (K01.FR.06, .39, .52, .53)."""
    for row in _same_level(charger, new):
        if profiles.conflicts(new, row):
            message = (
                f"The charger has profile {row.charging_profile_id} on EVSE {row.evse_id} with this purpose and "
                "stack level. Use its id to replace it, choose another stack level, or clear it."
            )
            raise _violation("stackLevel", message)


def _same_level(charger: Charger, new: profiles.ChargingProfile) -> Any:
    return InstalledProfile.objects.filter(charger=charger, purpose=new.purpose, stack_level=new.stack_level)


def _violation(field: str, message: str) -> schemas.Violation:
    return schemas.Violation(f"{MEMBER}.{field}", message, "PropertyConstraintViolation")


def _warnings(profile: JSON, charger: Charger) -> Iterator[str]:
    since, until = (parse(profile.get(name, "")) for name in ("validFrom", "validTo"))
    if since and until and since >= until:
        yield "The profile is never valid: validTo is not after validFrom."
    known = smart_charging_of(charger)
    longest = max(len(schedule["chargingSchedulePeriod"]) for schedule in profile["chargingSchedule"])
    if known.max_stack_level is not None and profile["stackLevel"] > known.max_stack_level:
        yield f"The charger's highest stack level is {known.max_stack_level}."
    if known.max_periods is not None and longest > known.max_periods:
        yield f"The charger takes {known.max_periods} periods in a schedule, and this profile has {longest}."
    for unit in {schedule["chargingRateUnit"] for schedule in profile["chargingSchedule"]}:
        if known.units and unit not in known.units:
            yield f"The charger does not support the unit {unit}."
    if not known.is_enabled:
        yield "The charger has reported that smart charging is disabled."


def _excess(charger: Charger, new: profiles.ChargingProfile) -> Iterator[str]:
    limit = smart_charging_of(charger).max_profiles
    others = InstalledProfile.objects.filter(charger=charger).exclude(charging_profile_id=new.id)
    if limit is not None and others.count() >= limit:
        yield f"The charger stores {limit} profiles, and has as many."


def smart_charging_of(charger: Charger) -> SmartCharging:
    """Return what `charger` reported as variables of its smart charging controller."""
    names = ("PeriodsPerSchedule", "ProfileStackLevel", "RateUnit", "Enabled", "Available", "Entries")
    rows = list(_variables(charger, *names))
    texts = {row.variable.casefold(): row.value or "" for row in rows if not row.instance}
    entries = next((row for row in rows if row.instance.casefold() == "chargingprofiles"), None)
    most = (entries.characteristics or {}).get("max_limit") if entries else None
    return SmartCharging(
        max_periods=_natural(texts.get("periodsperschedule")),
        max_stack_level=_natural(texts.get("profilestacklevel")),
        max_profiles=int(most) if isinstance(most, (int, float)) else None,
        units=frozenset(unit.strip() for unit in texts.get("rateunit", "").split(",") if unit.strip()),
        is_enabled="false" not in (texts.get("enabled", "").lower(), texts.get("available", "").lower()),
    )


def _natural(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 10 else None


def _variables(charger: Charger, *names: str) -> Any:
    """Return the values of variables of the smart charging controller; OCPP compares names without case."""
    named = Q()
    for name in names:
        named |= Q(variable__iexact=name)
    return Variable.objects.filter(named, charger=charger, component__iexact=CONTROLLER, attribute=ACTUAL)


# --- what the answers say ----------------------------------------------------------------------


def was_set(command: Command) -> None:
    """Record the accepted profile, unless its transaction has ended, because the profile ended with it."""
    if command.status != "Accepted":
        return
    accepted = profile_of(command)
    if accepted.purpose != TX_PROFILE or accepted.transaction is not None:
        profiles.install(command.charger, accepted)


def profile_of(command: Command) -> profiles.ChargingProfile:
    """Return the profile of a SetChargingProfile; its transaction is None if that is not under way."""
    return _profile(command.charger, command.payload["evseId"], command.payload[MEMBER])


def reference_of(command: Command) -> str:
    """Return the transactionId in the profile of a SetChargingProfile, "" without one."""
    return str(command.payload.get(MEMBER, {}).get("transactionId", ""))


def install_with_start(command: Command, transaction: Transaction) -> None:
    """Record the profile that a RequestStartTransaction brought for the transaction it led to (K05)."""
    profile, evse_id = command.payload.get(MEMBER), transaction.evse_id or command.payload.get("evseId")
    if profile and evse_id and transaction.status == "Ongoing":
        profiles.install(command.charger, _profile(command.charger, evse_id, profile, transaction))


def _profile(
    charger: Charger, evse_id: int, profile: JSON, transaction: Transaction | None = None
) -> profiles.ChargingProfile:
    if transaction is None and (reference := profile.get("transactionId")):
        transaction = _under_way(charger).with_reference(reference).first()
    return profiles.ChargingProfile(
        id=profile["id"],
        evse_id=evse_id,
        purpose=profile["chargingProfilePurpose"],
        stack_level=profile["stackLevel"],
        profile=profile,
        transaction=transaction.pk if transaction else None,
    )


def check_clear(payload: JSON, charger: Charger) -> tuple[()]:
    """Require either an id or criteria (K10.FR.02), and leave alone what external systems set (K10.FR.06)."""
    criteria = payload.get("chargingProfileCriteria") or {}
    if ("chargingProfileId" in payload) == bool(criteria):
        message = "Give a chargingProfileId, or criteria: an evseId, a chargingProfilePurpose or a stackLevel."
        raise schemas.Violation("chargingProfileCriteria", message, "")
    if criteria.get("chargingProfilePurpose") == EXTERNAL:
        message = "Only the external system that set such a profile can clear it."
        raise schemas.Violation("chargingProfileCriteria.chargingProfilePurpose", message, "")
    return ()


def was_cleared(command: Command) -> None:
    """Delete the profiles that were cleared, or that the charger does not know (K10.FR.01, .03, .04)."""
    if command.status not in ("Accepted", "Unknown"):
        return
    wanted = command.payload.get("chargingProfileCriteria", {}).get
    criteria = Criteria(
        evse_id=wanted("evseId"), purpose=wanted("chargingProfilePurpose"), stack_level=wanted("stackLevel")
    )
    if "chargingProfileId" in command.payload:
        criteria = Criteria(ids=[command.payload["chargingProfileId"]])
    profiles.clear(command.charger, criteria)


def check_get(payload: JSON, charger: Charger) -> tuple[()]:
    """Require ids or other criteria, but not both (K09.FR.03)."""
    criteria = payload[MEMBER]
    others = criteria.keys() - {"chargingProfileId", "customData"}
    if ("chargingProfileId" in criteria) == bool(others):
        message = (
            "Give chargingProfileId, or other criteria: chargingProfilePurpose, stackLevel, chargingLimitSource."
        )
        raise schemas.Violation(MEMBER, message, "")
    return ()


def requested(payload: JSON) -> Criteria:
    """Return what a GetChargingProfiles requested."""
    wanted = payload[MEMBER].get
    return Criteria(
        ids=wanted("chargingProfileId"),
        evse_id=payload.get("evseId"),
        purpose=wanted("chargingProfilePurpose"),
        stack_level=wanted("stackLevel"),
        sources=wanted("chargingLimitSource"),
    )


def reported(messages: Iterable[tuple[int, JSON]]) -> list[tuple[int, profiles.ChargingProfile]]:
    """Return the profiles in what chargers (primary keys) reported, except those of transactions that have ended.

    A message has the members `evseId`, `chargingLimitSource` and `chargingProfile` of ReportChargingProfiles.
    """
    sent = [(charger, message, each) for charger, message in messages for each in message.get("chargingProfile", [])]
    named = Transaction.objects.named((charger, each.get("transactionId", "")) for charger, _, each in sent)
    transactions = [named.get((charger, each.get("transactionId", ""))) for charger, _, each in sent]
    return [
        (charger, _reported(message.get("evseId", 0), message.get("chargingLimitSource", ""), each, transaction))
        for (charger, message, each), transaction in zip(sent, transactions, strict=True)
        if transaction is None or transaction.status == "Ongoing"
    ]


def _reported(evse_id: int, source: str, profile: JSON, transaction: Transaction | None) -> profiles.ChargingProfile:
    return profiles.ChargingProfile(
        id=profile["id"],
        evse_id=evse_id,
        purpose=profile.get("chargingProfilePurpose", ""),
        stack_level=profile["stackLevel"],
        profile=profile,
        transaction=transaction.pk if transaction else None,
        source=source,
    )


def were_requested(command: Command) -> None:
    """Delete the profiles of which the charger says that it has none."""
    if command.status == "NoProfiles":
        profiles.forget_others(command.charger_id, requested(command.payload), (), command.sent_at)


# --- schedules for vehicles --------------------------------------------------------------------


@dataclass(frozen=True)
class ForVehicle:
    """A TxProfile that follows from the needs of a vehicle. `periods` are (seconds from `begins_at`, limit)."""

    evse_id: int
    reference: str
    stack_level: int
    unit: str
    begins_at: datetime
    periods: Iterable[tuple[int, float]]
    duration_s: int | None = None
    id: int | None = None
    phases: int | None = None


def tx_profile(wanted: ForVehicle) -> JSON:
    """Return the payload of a SetChargingProfile for a vehicle, with one schedule (K15.FR.07, .18)."""
    phases = {} if wanted.phases is None else {"numberPhases": wanted.phases}
    schedule: JSON = {
        "id": 1,
        "startSchedule": to_rfc3339(wanted.begins_at),
        "chargingRateUnit": wanted.unit,
        "chargingSchedulePeriod": [{"startPeriod": at, "limit": limit} | phases for at, limit in wanted.periods],
    }
    schedule |= {} if wanted.duration_s is None else {"duration": wanted.duration_s}
    profile = {
        "id": next_profile_id() if wanted.id is None else wanted.id,
        "stackLevel": wanted.stack_level,
        "chargingProfilePurpose": TX_PROFILE,
        "chargingProfileKind": ABSOLUTE,
        "transactionId": wanted.reference,
        "chargingSchedule": [schedule],
    }
    return {"evseId": wanted.evse_id, MEMBER: profile}
