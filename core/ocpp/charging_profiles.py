"""Convert charging profiles between the forms of OCPP 1.6 (§7.8) and 2.0.1 (ChargingProfileType)."""

from core.ocpp.schemas import JSON, Violation
from core.ocpp.versions import OCPP16, OCPP201, Version

ID = {OCPP16: "chargingProfileId", OCPP201: "id"}  # the member with the id
SET = {OCPP16: ("connectorId", "csChargingProfiles"), OCPP201: ("evseId", "chargingProfile")}  # of SetChargingProfile
PURPOSES = {"ChargePointMaxProfile": "ChargingStationMaxProfile"}  # that of 1.6: that of 2.0.1; others are equal
OLD_PURPOSES = {new: old for old, new in PURPOSES.items()}
NEW_IN_PERIODS = "phaseToUse"  # which 1.6 does not have


def version_of(profile: JSON) -> Version:
    """Return the version in whose form `profile` is: in 1.6 it has one schedule, in 2.0.1 a list of them."""
    return OCPP201 if isinstance(profile.get("chargingSchedule"), list) else OCPP16


def without_id(profile: JSON) -> JSON:
    return {name: value for name, value in profile.items() if name != ID[version_of(profile)]}


def in_form_of(version: Version, profile: JSON, number: int) -> JSON:
    """Return a valid `profile` without an id in the form of `version`, with the id `number`.

    Raises `Violation` if that version cannot express it.
    """
    if version_of(profile) is not version:
        profile = _as_201(profile) if version is OCPP201 else _as_16(profile)
    return {ID[version]: number, **profile}


def numbered(schedules: list[JSON]) -> list[JSON]:
    """Return `schedules` of 2.0.1, each with an id: its own, else its number from 1 on."""
    return [{"id": number} | schedule for number, schedule in enumerate(schedules, 1)]


def _as_201(profile: JSON) -> JSON:
    purpose = PURPOSES.get(profile["chargingProfilePurpose"], profile["chargingProfilePurpose"])
    changed = {"chargingProfilePurpose": purpose, "chargingSchedule": numbered([profile["chargingSchedule"]])}
    # A transaction of 1.6 has a number, and in 2.0.1 the text that its charger chose.
    return {name: value for name, value in (profile | changed).items() if name != "transactionId"}


def _as_16(profile: JSON) -> JSON:
    (schedule, *others), purpose = profile["chargingSchedule"], profile["chargingProfilePurpose"]
    if others or any(NEW_IN_PERIODS in period for period in schedule["chargingSchedulePeriod"]):
        message = "This profile has several schedules or a phaseToUse, which OCPP 1.6 does not have."
        raise Violation("csChargingProfiles.chargingSchedule", message, "")
    plain = {name: value for name, value in schedule.items() if name not in ("id", "salesTariff")}
    changed = {"chargingProfilePurpose": OLD_PURPOSES.get(purpose, purpose), "chargingSchedule": plain}
    return {name: value for name, value in (profile | changed).items() if name != "transactionId"}
