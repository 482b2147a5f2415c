"""Check the charging profiles of the library by the rules of the OCPP version in whose form they are."""

from commands.actions.ocpp16 import charging as charging16
from commands.actions.ocpp201 import charging as charging201
from core.ocpp import charging_profiles
from core.ocpp.charging_profiles import ID, SET
from core.ocpp.schemas import JSON, Violation
from core.ocpp.versions import OCPP201


def check(profile: JSON) -> None:
    """Raise `Violation` with a path within `profile` if OCPP forbids it on every charger."""
    version = charging_profiles.version_of(profile)
    place, member = SET[version]
    whole = {ID[version]: 1, **(charging201.completed(profile) if version is OCPP201 else profile)}
    try:
        version.schemas.check_request("SetChargingProfile", {place: 0, member: whole}, formats=True)
        if version is OCPP201:
            charging201.refuse(whole)
        else:
            charging16.refuse(whole, member)
    except Violation as violation:
        path = violation.field.removeprefix(member).lstrip(".")
        raise Violation(path, violation.message, violation.code) from violation
