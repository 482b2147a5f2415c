"""Handle the messages of OCPP 2.0.1 about smart charging (K). Each function answers CALLs of one action."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from chargers.services import charging_limits, profiles
from chargers.services.charging_limits import ReportedLimit
from commands.actions.ocpp201 import charging
from commands.services import ev_charging, reports
from commands.services.ev_charging import Needs, VehicleSchedule, Verdict
from core.ocpp.calls import Call
from core.ocpp.redaction import without_secrets
from core.ocpp.timestamps import parse, parse_or
from gateway.ocpp201 import parts

DC = "DC"
REASON_CODE = "InvalidSchedule"  # of a rejected schedule, see the table of reason codes
MAX_REASON = 512


def report_charging_profiles(calls: list[Call]) -> list[dict[str, Any]]:
    """Store each part of a report of profiles at once, and delete what a whole one that was requested lacks (K09)."""
    current, new = parts.store(calls, _part)
    profiles.store(charging.reported((call.charger, call.payload) for call in current), parts.times(current))
    whole, kept = reports.assemble(new, "GetChargingProfiles"), defaultdict(list)
    for charger, profile in charging.reported((one.command.charger_id, item) for one in whole for item in one.items):
        kept[charger].append((profile.id, profile.evse_id))
    for command in (report.command for report in whole):
        criteria = charging.requested(command.payload)
        profiles.forget_others(command.charger_id, criteria, kept[command.charger_id], command.sent_at)
    return [{} for _ in calls]


def _part(call: Call) -> reports.Part:
    """Keep the EVSE and the source with the profiles, because each part has its own."""
    names = ("evseId", "chargingLimitSource", "chargingProfile")
    item = {name: call.payload[name] for name in names if name in call.payload}
    return reports.Part(call, call.payload["requestId"], not call.payload.get("tbc", False), [item])


def notify_charging_limit(calls: list[Call]) -> list[dict[str, Any]]:
    """Store a limit that another system imposed, and let vehicles keep it (K11, K12)."""
    ev_charging.renegotiate(charging_limits.record([_limit(call) for call in calls]))
    return [{} for _ in calls]


def _limit(call: Call) -> ReportedLimit:
    limit = call.payload.get("chargingLimit", {})
    return ReportedLimit(
        call,
        source=limit.get("chargingLimitSource", ""),
        evse_id=call.payload.get("evseId"),
        is_grid_critical=limit.get("isGridCritical"),
        schedules=tuple(without_secrets(call.payload.get("chargingSchedule", []))),
    )


def cleared_charging_limit(calls: list[Call]) -> list[dict[str, Any]]:
    """End a limit that another system released (K13)."""
    released = [ReportedLimit(c, c.payload.get("chargingLimitSource", ""), c.payload.get("evseId")) for c in calls]
    ev_charging.renegotiate(charging_limits.release(released))
    return [{} for _ in calls]


def notify_ev_charging_needs(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer what a vehicle needs with a profile that follows (K15, K17)."""
    return [_answer(verdict) for verdict in ev_charging.record_needs([_needs(call) for call in calls])]


def _needs(call: Call) -> Needs:
    needs = call.payload.get("chargingNeeds", {})
    ac, dc = needs.get("acChargingParameters", {}), needs.get("dcChargingParameters", {})
    transfer = needs.get("requestedEnergyTransfer") or (DC if dc else "")
    return Needs(
        call,
        evse_id=call.payload["evseId"],
        energy_transfer=transfer,
        max_rate=_watts(dc) if transfer == DC else ac.get("evMaxCurrent"),
        energy_wh=(dc if transfer == DC else ac).get("energyAmount"),
        departure_time=parse(needs.get("departureTime", "")),
        max_periods=call.payload.get("maxScheduleTuples"),
        parameters=without_secrets({"ac": ac} if ac else {"dc": dc} if dc else {}),
    )


def _watts(parameters: dict[str, Any]) -> float | None:
    """Return what a vehicle takes in W: its power, else current by voltage; None without either."""
    if "evMaxPower" in parameters:
        return float(parameters["evMaxPower"])
    if "evMaxCurrent" in parameters and "evMaxVoltage" in parameters:
        return float(parameters["evMaxCurrent"]) * float(parameters["evMaxVoltage"])
    return None


def notify_ev_charging_schedule(calls: list[Call]) -> list[dict[str, Any]]:
    """Compare how a vehicle wants to charge with the limits (K15.FR.11 to .13)."""
    return [_answer(verdict) for verdict in ev_charging.record_schedules([_schedule(call) for call in calls])]


def _schedule(call: Call) -> VehicleSchedule:
    begins_at: datetime = parse_or(call.payload.get("timeBase", ""), call.received_at)
    schedule = without_secrets(call.payload.get("chargingSchedule", {}))
    return VehicleSchedule(call, call.payload["evseId"], begins_at, schedule)


def _answer(verdict: Verdict) -> dict[str, Any]:
    if not verdict.reason:
        return {"status": verdict.status}
    info = {"reasonCode": REASON_CODE, "additionalInfo": verdict.reason[:MAX_REASON]}
    return {"status": verdict.status, "statusInfo": info}
