"""Charging profiles, stations and transactions of OCPP 2.0.1 for tests in process."""

from datetime import UTC, datetime, timedelta

from chargers.models import Variable
from chargers.services import profiles
from core.ocpp.timestamps import to_rfc3339
from tests.support.builders import a_charger
from transactions.models import Transaction

BEGIN = datetime.now(UTC).replace(microsecond=0)
NOW, LATER = to_rfc3339(BEGIN), to_rfc3339(BEGIN + timedelta(days=2))


def a_schedule(*periods, unit="A", **members):
    """A schedule with (seconds from its start, limit) as periods."""
    listed = [{"startPeriod": start, "limit": limit} for start, limit in periods]
    return {"id": 1, "chargingRateUnit": unit, "chargingSchedulePeriod": listed, **members}


def a_profile(purpose="TxDefaultProfile", limit=6.0, kind="Absolute", **members):
    """A profile that has begun, without an end."""
    starts = {} if kind == "Relative" else {"startSchedule": NOW}
    return {
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [a_schedule((0, limit), **starts)],
        **members,
    }


def a_station(**variables):
    """A charger of OCPP 2.0.1 that has reported `variables` of its smart charging controller."""
    charger = a_charger(ocpp_version="ocpp2.0.1")
    for name, value in variables.items():
        Variable.objects.create(charger=charger, component="SmartChargingCtrlr", variable=name, value=value)
    return charger


def a_session(charger=None, evse=1, **columns):
    """A transaction under way on an EVSE."""
    charger = charger or a_station()
    times = {"start_time": BEGIN, "raw_start_time": NOW, "start_received_at": BEGIN}
    times["raw_start_time"] += f" EVSE {evse}"  # because the start of a transaction is unique
    usual = {"id_tag": "ABC", "id_tag_status": "Accepted", "own_reference": f"session-{charger.pk}-{evse}"}
    return Transaction.objects.create(charger=charger, evse_id=evse, connector_id=1, **times, **{**usual, **columns})


def install(charger, evse, profile, source="CSO", transaction=None):
    """Record `profile` as one that the charger has."""
    accepted = profiles.ChargingProfile(
        id=profile["id"],
        evse_id=evse,
        purpose=profile["chargingProfilePurpose"],
        stack_level=profile["stackLevel"],
        profile=profile,
        transaction=transaction,
        source=source,
    )
    profiles.install(charger, accepted)
