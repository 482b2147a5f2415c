"""Charging profiles: SetChargingProfile, ClearChargingProfile, RemoteStartTransaction (OCPP 1.6 §3.13, §5.16)."""

from collections.abc import Iterator

from chargers.models import Charger, InstalledProfile
from chargers.services import profiles, variables
from chargers.services.profiles import Criteria
from chargers.services.variables import VariableName
from commands.actions.smart_charging import SmartCharging
from commands.models import CALL_ERROR, ChargingProfile, Command, next_profile_id
from core.ocpp import schemas
from core.ocpp.schemas import JSON
from core.ocpp.timestamps import parse
from core.ocpp.versions import OCPP16
from transactions.models import Transaction

TX_PROFILE = "TxProfile"
MAX_PROFILES = "MaxChargingProfilesInstalled"
RATE_UNITS = {"current": "A", "power": "W", "a": "A", "w": "W"}  # words that chargers report: units


def complete_set(payload: JSON, charger: Charger) -> None:
    _complete(payload, "csChargingProfiles")


def complete_start(payload: JSON, charger: Charger) -> None:
    _complete(payload, "chargingProfile")


def _complete(payload: JSON, member: str) -> None:
    """Take a profile given by its id alone from the library; give one without an id the next free id."""
    profile = payload.get(member)
    if not isinstance(profile, dict):
        return
    number = profile.get("chargingProfileId")
    if list(profile) == ["chargingProfileId"] and type(number) is int:
        known = ChargingProfile.objects.filter(pk=number).first()
        if known is None:
            raise _violation(f"{member}.chargingProfileId", f"There is no charging profile {number} in the library.")
        payload[member] = known.on_the_wire(OCPP16)
    if number is None:
        payload[member] = {"chargingProfileId": next_profile_id(), **profile}


def check_set(payload: JSON, charger: Charger) -> Iterator[str]:
    profile, connector_id = payload["csChargingProfiles"], payload["connectorId"]
    refuse(profile, "csChargingProfiles")
    yield from _warnings(profile, charger)
    purpose = profile["chargingProfilePurpose"]
    if purpose == TX_PROFILE:
        yield from _without_transaction(profile, charger, connector_id)
    if purpose == "ChargePointMaxProfile" and connector_id:
        yield "A ChargePointMaxProfile belongs on connector 0."


def check_start(payload: JSON, charger: Charger) -> Iterator[str]:
    if payload.get("connectorId") == 0:
        yield "A transaction starts on a connector, and 0 is the charger as a whole."
    if "chargingProfile" not in payload:
        return
    profile = payload["chargingProfile"]
    refuse(profile, "chargingProfile")
    if profile["chargingProfilePurpose"] != TX_PROFILE:  # errata 3.67
        raise _violation("chargingProfile.chargingProfilePurpose", "With a remote start it must be TxProfile.")
    if "transactionId" in profile:
        raise _violation("chargingProfile.transactionId", "There is no transaction yet: leave it out.")
    yield from _warnings(profile, charger)


def refuse(profile: JSON, member: str) -> None:
    """Raise `schemas.Violation` for a profile that OCPP forbids to send (§7.8, errata 3.56, 3.70)."""
    schedule = profile["chargingSchedule"]
    starts = [period["startPeriod"] for period in schedule["chargingSchedulePeriod"]]
    if not starts or starts[0] != 0:
        raise _violation(f"{member}.chargingSchedule.chargingSchedulePeriod", "The first period must start at 0.")
    if starts != sorted(set(starts)):
        raise _violation(f"{member}.chargingSchedule.chargingSchedulePeriod", "Periods must follow each other.")
    if any(period["limit"] < 0 for period in schedule["chargingSchedulePeriod"]) or schedule.get("duration", 0) < 0:
        raise _violation(f"{member}.chargingSchedule", "A limit or duration can't be negative.")
    if profile["stackLevel"] < 0:
        raise _violation(f"{member}.stackLevel", "The lowest stack level is 0.")
    if "recurrencyKind" in profile and profile["chargingProfileKind"] != "Recurring":
        raise _violation(f"{member}.recurrencyKind", "Only a Recurring profile has one.")
    if "transactionId" in profile and profile["chargingProfilePurpose"] != TX_PROFILE:
        raise _violation(f"{member}.transactionId", "Only a TxProfile has one.")


def _violation(field: str, message: str) -> schemas.Violation:
    return schemas.Violation(field, message, "PropertyConstraintViolation")


def _warnings(profile: JSON, charger: Charger) -> Iterator[str]:
    schedule = profile["chargingSchedule"]
    if profile["chargingProfileKind"] == "Relative" and "startSchedule" in schedule:
        yield "A Relative profile has no startSchedule: the charger may refuse it."
    if profile["chargingProfileKind"] == "Recurring" and "recurrencyKind" not in profile:
        yield "A Recurring profile needs a recurrencyKind."
    since, until = (parse(profile.get(name, "")) for name in ("validFrom", "validTo"))
    if since and until and since >= until:
        yield "The profile is never valid: validTo is not after validFrom."
    limits = {"ChargeProfileMaxStackLevel": profile["stackLevel"]}
    limits["ChargingScheduleMaxPeriods"] = len(schedule["chargingSchedulePeriod"])
    for (_, key), limit in variables.numbers([charger.pk], *limits).items():
        if limits[key] > limit:
            yield f"The charger's {key} is {limit}, this profile has {limits[key]}."


def smart_charging_of(charger: Charger) -> SmartCharging:
    """Return what `charger` reported as configuration keys (OCPP 1.6 §9.4)."""
    numbers = variables.numbers(
        [charger.pk], "ChargeProfileMaxStackLevel", "ChargingScheduleMaxPeriods", MAX_PROFILES
    )
    named = variables.find(charger.pk, VariableName("ChargingScheduleAllowedChargingRateUnit"))
    words = {word.strip().lower() for word in ((named and named.value) or "").split(",")}
    return SmartCharging(
        max_periods=numbers.get((charger.pk, "ChargingScheduleMaxPeriods")),
        max_stack_level=numbers.get((charger.pk, "ChargeProfileMaxStackLevel")),
        max_profiles=numbers.get((charger.pk, MAX_PROFILES)),
        units=frozenset(RATE_UNITS[word] for word in words & RATE_UNITS.keys()),
        is_enabled=True,
    )


def _without_transaction(profile: JSON, charger: Charger, connector_id: int) -> Iterator[str]:
    ongoing = Transaction.objects.ongoing().filter(charger=charger)
    if connector_id == 0:
        yield "A TxProfile belongs on the connector of its transaction, not on 0."
    elif "transactionId" not in profile:
        if not ongoing.filter(connector_id=connector_id).exists():
            yield f"No transaction is under way on connector {connector_id}: the charger will refuse a TxProfile."
        else:
            yield "A TxProfile without a transactionId applies to any transaction that is under way on the connector."
    elif not ongoing.filter(pk=profile["transactionId"]).exists():
        yield f"Transaction {profile['transactionId']} is not under way at this charger."


def was_set(command: Command) -> None:
    if command.status == "Accepted":
        profile, connector_id = command.payload["csChargingProfiles"], command.payload["connectorId"]
        if profile["chargingProfilePurpose"] != TX_PROFILE:
            install(command.charger, connector_id, profile, None)
        elif transaction_id := _transaction_of(command.charger, connector_id, profile):
            install(command.charger, connector_id, profile, transaction_id)


def _transaction_of(charger: Charger, connector_id: int, profile: JSON) -> int | None:
    """Primary key of the transaction of a TxProfile, None if it has ended, because its profile ended with it."""
    ongoing = Transaction.objects.ongoing().filter(charger=charger)
    if "transactionId" in profile:
        ongoing = ongoing.filter(pk=profile["transactionId"])
    else:
        ongoing = ongoing.filter(connector_id=connector_id, superseded_by=None)
    return ongoing.values_list("pk", flat=True).first()


def install(charger: Charger, connector_id: int, profile: JSON, transaction_id: int | None) -> None:
    """Record an installed profile; it replaces one with the same id, or level and purpose (OCPP 1.6 §5.16)."""
    accepted = profiles.ChargingProfile(
        id=profile["chargingProfileId"],
        evse_id=connector_id,
        purpose=profile["chargingProfilePurpose"],
        stack_level=profile["stackLevel"],
        profile=profile,
        transaction=transaction_id,
    )
    profiles.install(charger, accepted)


def was_cleared(command: Command) -> None:
    """Delete the profile with the given id, or all that meet the given criteria (OCPP 1.6 §6.7)."""
    if command.status == "Accepted":
        profiles.clear(command.charger, criteria(command.payload))


def criteria(payload: JSON) -> Criteria:
    """Return which profiles a ClearChargingProfile removes."""
    if "id" in payload:
        return Criteria(ids=[payload["id"]])
    member = payload.get
    return Criteria(
        evse_id=member("connectorId"), purpose=member("chargingProfilePurpose"), stack_level=member("stackLevel")
    )


def started(command: Command) -> None:
    """Unlink a refused start, because a transaction that began before its answer arrived has another cause."""
    if command.status != "Accepted":
        _unlink(command)


def not_started(command: Command) -> None:
    """Treat an error as a refusal. Without an answer, forget the profile but keep the link to the transaction.

    It is not known then whether the charger took the profile, while the transaction did begin.
    """
    if command.outcome == CALL_ERROR:
        _unlink(command)
    else:
        _forget_profile(command)


def _unlink(command: Command) -> None:
    _forget_profile(command)
    Command.objects.filter(pk=command.pk).update(transaction=None)


def _forget_profile(command: Command) -> None:
    """Delete the profile of the linked transaction only, because it may be installed in other places too."""
    profile = command.payload.get("chargingProfile")
    if profile and command.transaction_id:
        installed = InstalledProfile.objects.filter(charger=command.charger, transaction_id=command.transaction_id)
        installed.filter(charging_profile_id=profile["chargingProfileId"]).delete()
