"""Functional block K: charging profiles, external limits, and the needs of vehicles (ISO 15118)."""

import json
from datetime import UTC, datetime, timedelta

from core.ocpp.timestamps import to_rfc3339
from tests.support.live import eventually
from tests.support.station import TAG
from tests.support.station201 import EVSE, TOKEN, now

DURATION_S = 300
STACK_LEVEL = 1
EVERY_EVSE = 0
MAX_PROFILE, TX_DEFAULT, TX_PROFILE = "ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile"
EXTERNAL = "ChargingStationExternalConstraints"


def a_schedule(*limits, **members):
    """A schedule in A with a limit for each minute."""
    periods = [{"startPeriod": 60 * minute, "limit": limit} for minute, limit in enumerate(limits)]
    return {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": periods, **members}


def a_profile(purpose=TX_DEFAULT, limit=6.0, kind="Absolute", **members):
    """A profile that is valid from now on."""
    begin = datetime.now(UTC).replace(microsecond=0)
    starts = {} if kind == "Relative" else {"startSchedule": to_rfc3339(begin)}
    profile = {
        "stackLevel": STACK_LEVEL,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [a_schedule(limit, duration=DURATION_S, **starts)],
    }
    if kind == "Absolute":
        validity = {"validFrom": begin, "validTo": begin + timedelta(seconds=DURATION_S)}
        profile |= {name: to_rfc3339(at) for name, at in validity.items()}
    return profile | members


def set_profile(station, profile, evse=EVSE, answer=None, **more):
    """The operator sets a profile; the one at the wire, which is as submitted, but has an id."""
    payload = {"evseId": evse, "chargingProfile": profile}
    request, _ = station.obeys("SetChargingProfile", payload, answer, **more)
    sent = request["chargingProfile"]
    assert request["evseId"] == evse and sent == profile | {"id": sent["id"]}
    return sent


def installed(station):
    """{id: profile} of those that the API shows."""
    return {row["charging_profile_id"]: row for row in station.shown["charging_profiles"]}


def charging(station):
    """Reusable state EnergyTransferStarted."""
    session = station.session()
    session.start()
    return session


# --- SetChargingProfile ------------------------------------------------------------------------


def test_tc_k_01_csms(station):
    """Set Charging Profile - TxDefaultProfile - Specific EVSE"""
    sent = set_profile(station, a_profile())
    shown = installed(station)[sent["id"]]
    assert (shown["evse_id"], shown["purpose"], shown["effective"]) == (EVSE, TX_DEFAULT, True)
    assert shown["profile"] == sent


def test_tc_k_02_csms(station):
    """Set Charging Profile - TxProfile without ongoing transaction on the specified EVSE"""
    profile = a_profile(TX_PROFILE, 7.0, "Relative")
    body = {"charger_id": station.identity, "action": "SetChargingProfile"}
    body["payload"] = {"evseId": EVSE, "chargingProfile": profile}
    status, answer, _ = station.live.request("POST", "/api/ocpp/commands/", body)
    assert status == 400 and "under way" in str(answer)  # it is not sent, because the station would reject it
    station.is_left_alone()


def test_tc_k_03_csms(station):
    """Set Charging Profile - ChargingStationMaxProfile"""
    sent = set_profile(station, a_profile(MAX_PROFILE, 8.0), EVERY_EVSE)
    assert installed(station)[sent["id"]]["evse_id"] == EVERY_EVSE


def test_tc_k_04_csms(station):
    """Replace charging profile - With chargingProfileId"""
    first = set_profile(station, a_profile(limit=8.0))
    second = set_profile(station, a_profile(limit=6.0, id=first["id"]))
    shown = installed(station)
    assert list(shown) == [second["id"]] == [first["id"]]
    assert shown[first["id"]]["profile"] == second


def test_tc_k_10_csms(station):
    """Set Charging Profile - TxDefaultProfile - All EVSE"""
    sent = set_profile(station, a_profile(), EVERY_EVSE)
    assert installed(station)[sent["id"]]["evse_id"] == EVERY_EVSE


def test_tc_k_15_csms(station):
    """Set Charging Profile - Not Supported"""
    payload = {"evseId": EVSE, "chargingProfile": a_profile()}
    task = station.live.ask(station.identity, "SetChargingProfile", payload)
    station.receive("SetChargingProfile")
    station.socket.send(json.dumps([4, station.asked, "NotSupported", "", {}]))
    task = station.live.finished(task)
    assert (task["outcome"], task["error"]["code"]) == ("call_error", "NotSupported")
    assert installed(station) == {}


def test_tc_k_19_csms(station):
    """Set Charging Profile - ChargingProfileKind is Recurring"""
    sent = set_profile(station, a_profile(kind="Recurring", recurrencyKind="Daily"))
    assert installed(station)[sent["id"]]["profile"]["recurrencyKind"] == "Daily"


def test_tc_k_60_csms(station):
    """Set Charging Profile - TxProfile with ongoing transaction on the specified EVSE"""
    session = charging(station)
    profile = a_profile(TX_PROFILE, kind="Relative")
    request, _ = station.obeys("SetChargingProfile", {"evseId": EVSE, "chargingProfile": profile})
    sent = request["chargingProfile"]
    assert (request["evseId"], sent["transactionId"]) == (EVSE, session.reference)
    assert list(installed(station)) == [sent["id"]]


def test_tc_k_70_csms(station):
    """Set Charging Profile - Multiple Profiles"""
    charging(station)
    default = set_profile(station, a_profile())
    most = set_profile(station, a_profile(MAX_PROFILE), EVERY_EVSE)
    assert installed(station).keys() == {default["id"], most["id"]}
    assert default["id"] != most["id"]


# --- ClearChargingProfile ----------------------------------------------------------------------


def test_tc_k_05_csms(station):
    """Clear Charging Profile - With chargingProfileId"""
    report(station, {"chargingProfilePurpose": MAX_PROFILE}, {0: [reported(7, MAX_PROFILE)]})
    request, _ = station.obeys("ClearChargingProfile", {"chargingProfileId": 7})
    assert request == {"chargingProfileId": 7}
    assert installed(station) == {}


def clear_place(station, answer):
    criteria = {"chargingProfilePurpose": TX_DEFAULT, "stackLevel": STACK_LEVEL, "evseId": EVSE}
    request, _ = station.obeys("ClearChargingProfile", {"chargingProfileCriteria": criteria}, {"status": answer})
    assert request == {"chargingProfileCriteria": criteria}


def test_tc_k_06_csms(station):
    """Clear Charging Profile - With stackLevel/purpose combination for one profile"""
    cleared, kept = set_profile(station, a_profile()), set_profile(station, a_profile(stackLevel=0))
    clear_place(station, "Accepted")
    assert list(installed(station)) == [kept["id"]] != [cleared["id"]]


def test_tc_k_08_csms(station):
    """Clear Charging Profile - Without previous charging profile"""
    clear_place(station, "Unknown")
    assert installed(station) == {}


# --- GetChargingProfiles -----------------------------------------------------------------------


def reported(number, purpose=TX_DEFAULT, **members):
    return a_profile(purpose, id=number, **members)


def report(station, criteria, profiles, source="CSO", **evse):
    """The operator asks, and the station reports {EVSE: profiles} in a message for each EVSE; the task at the end."""
    asked = {"chargingProfile": criteria, **evse}
    request, task = station.obeys("GetChargingProfiles", asked)
    number = request.pop("requestId")
    assert request == asked
    *_, last = profiles
    for place, rows in profiles.items():
        part = {"requestId": number, "chargingLimitSource": source, "evseId": place, "chargingProfile": rows}
        more = {} if place == last else {"tbc": True}
        assert station.call("ReportChargingProfiles", **part, **more) == {}
    task = station.live.get(f"/api/ocpp/tasks/{task['task_id']}/?wait=30&until=completed")
    assert task["request_id"] == number and task["progress"][-1]["status"] == "Complete"
    listed = [profile["id"] for part in task["report"] for profile in part["chargingProfile"]]
    assert listed == [profile["id"] for rows in profiles.values() for profile in rows]
    return task


def test_tc_k_29_csms(station):
    """Get Charging Profile - EvseId 0"""
    charging(station)
    report(station, {"chargingProfilePurpose": MAX_PROFILE}, {0: [reported(3, MAX_PROFILE)]}, evseId=0)
    assert installed(station)[3]["reported_at"]


def test_tc_k_30_csms(station):
    """Get Charging Profile - EvseId > 0"""
    gone = set_profile(station, a_profile(stackLevel=0))
    report(station, {"chargingProfilePurpose": TX_DEFAULT}, {EVSE: [reported(903)]}, evseId=EVSE)
    assert list(installed(station)) == [903] != [gone["id"]]


def test_tc_k_31_csms(station):
    """Get Charging Profile - No EvseId"""
    report(station, {"chargingProfilePurpose": TX_DEFAULT}, {1: [reported(1)], 2: [reported(2)]})
    assert {number: row["evse_id"] for number, row in installed(station).items()} == {1: 1, 2: 2}


def test_tc_k_32_csms(station):
    """Get Charging Profile - chargingProfileId"""
    sent = set_profile(station, a_profile())
    report(station, {"chargingProfileId": [sent["id"]]}, {EVSE: [sent]})
    assert installed(station)[sent["id"]]["reported_at"]


def test_tc_k_33_csms(station):
    """Get Charging Profile - EvseId > 0 + stackLevel"""
    report(station, {"stackLevel": STACK_LEVEL}, {EVSE: [reported(5)]}, evseId=EVSE)
    assert installed(station)[5]["stack_level"] == STACK_LEVEL


def test_tc_k_34_csms(station):
    """Get Charging Profile - EvseId > 0 + chargingLimitSource"""
    report(station, {"chargingLimitSource": ["SO"]}, {EVSE: [reported(5)]}, "SO", evseId=EVSE)
    assert installed(station)[5]["source"] == "SO"


def test_tc_k_35_csms(station):
    """Get Charging Profile - EvseId > 0 + chargingProfilePurpose"""
    report(station, {"chargingProfilePurpose": TX_DEFAULT}, {EVSE: [reported(5)]}, evseId=EVSE)
    assert installed(station)[5]["purpose"] == TX_DEFAULT


def test_tc_k_36_csms(station):
    """Get Charging Profile - EvseId > 0 + chargingProfilePurpose + stackLevel"""
    criteria = {"chargingProfilePurpose": TX_DEFAULT, "stackLevel": STACK_LEVEL}
    report(station, criteria, {EVSE: [reported(5)]}, evseId=EVSE)
    assert list(installed(station)) == [5]


def test_tc_k_52_csms(station):
    """Set / Update External Charging Limit (not on a transaction) - ChargingStationExternalConstraints in report"""
    report(station, {"chargingProfilePurpose": EXTERNAL}, {0: [reported(-1, EXTERNAL)]}, "EMS")
    shown = installed(station)[-1]
    assert (shown["purpose"], shown["source"]) == (EXTERNAL, "EMS")


# --- remote start and composite schedule -------------------------------------------------------


def test_tc_k_37_csms(station):
    """Remote start transaction with charging profile - Success"""
    profile = a_profile(TX_PROFILE, kind="Relative")
    asked = {"idToken": TOKEN, "evseId": EVSE, "chargingProfile": profile}
    request, _ = station.obeys("RequestStartTransaction", asked)
    sent = request["chargingProfile"]
    assert (request["idToken"], request["evseId"]) == ({"idToken": TAG, "type": TOKEN["type"]}, EVSE)
    assert sent == profile | {"id": sent["id"]} and "transactionId" not in sent
    session = station.session()
    session.start(info={"chargingState": "Charging", "remoteStartId": request["remoteStartId"]})
    assert installed(station)[sent["id"]]["transaction_id"] == session.shown["transaction_id"]


def composite(station, evse):
    asked = {"evseId": evse, "duration": DURATION_S, "chargingRateUnit": "A"}
    periods = [{"startPeriod": 0, "limit": 10}]
    schedule = {"evseId": evse, "duration": DURATION_S, "scheduleStart": now(), "chargingRateUnit": "A"}
    answer = {"status": "Accepted", "schedule": schedule | {"chargingSchedulePeriod": periods}}
    request, _ = station.obeys("GetCompositeSchedule", asked, answer)
    assert request == asked
    shown = station.live.get(f"/api/ocpp/chargers/{station.path}/composite-schedule/?evse_id={evse}")
    assert (shown["evse_id"], shown["unit"]) == (evse, "A")
    assert [point["limit"] for point in shown["points"]] == [10]


def test_tc_k_43_csms(station):
    """Get Composite Schedule - Specific EVSE"""
    composite(station, EVSE)


def test_tc_k_44_csms(station):
    """Get Composite Schedule - Charging Station"""
    composite(station, EVERY_EVSE)


# --- external limits ---------------------------------------------------------------------------


def limits(station):
    return station.live.get(f"/api/ocpp/charging-limits/?charger_id={station.path}")["results"]


def test_tc_k_48_csms(station):
    """Set / Update External Charging Limit (not on a transaction)"""
    limit = {"chargingLimitSource": "EMS", "isGridCritical": True}
    assert station.call("NotifyChargingLimit", chargingLimit=limit, chargingSchedule=[a_schedule(10)]) == {}
    (shown,) = limits(station)
    assert (shown["source"], shown["is_grid_critical"], shown["is_active"]) == ("EMS", True, True)
    assert shown["schedules"] == [a_schedule(10)]


def test_tc_k_50_csms(station):
    """Reset / release external charging limit - Without ongoing transaction"""
    assert station.call("NotifyChargingLimit", chargingLimit={"chargingLimitSource": "EMS"}) == {}
    assert station.call("ClearedChargingLimit", chargingLimitSource="EMS") == {}
    assert [limit["is_active"] for limit in limits(station)] == [False]


def test_tc_k_51_csms(station):
    """Reset / release external charging limit - With ongoing transaction"""
    session = charging(station)
    assert station.call("ClearedChargingLimit", chargingLimitSource="EMS") == {}
    session.update("ChargingRateChanged")
    assert [(limit["source"], limit["is_active"]) for limit in limits(station)] == [("EMS", False)]


# --- ISO 15118 ---------------------------------------------------------------------------------

NEEDS = {
    "requestedEnergyTransfer": "AC_three_phase",
    "acChargingParameters": {"energyAmount": 20_000, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 400},
}


def negotiate(station, session, statuses=("Accepted",)):
    """The vehicle tells its needs, and a profile for its transaction follows."""
    answer = station.call("NotifyEVChargingNeeds", evseId=EVSE, chargingNeeds=NEEDS, maxScheduleTuples=3)
    assert answer["status"] in statuses
    return profile_follows(station, session)


def profile_follows(station, session):
    request = station.receive("SetChargingProfile", timeout=60)
    station.answer(status="Accepted")
    profile = request["chargingProfile"]
    assert (request["evseId"], profile["chargingProfilePurpose"]) == (EVSE, TX_PROFILE)
    assert profile["transactionId"] == session.reference
    eventually(lambda: profile["id"] in installed(station))
    return profile["chargingSchedule"][0]


def drawn_up(station, schedule):
    """The vehicle answers with a schedule; the status of the answer."""
    return station.call("NotifyEVChargingSchedule", timeBase=now(), chargingSchedule=schedule, evseId=EVSE)["status"]


def smart_charging(station):
    """Reusable state ISO15118SmartCharging, after Authorized and EVConnectedPreSession."""
    station.authorized()
    session = station.session()
    session.start(info={"chargingState": "EVConnected"})
    schedule = negotiate(station, session)
    assert drawn_up(station, schedule) == "Accepted"
    session.update("ChargingStateChanged", info={"chargingState": "Charging"})
    return session


def shown_needs(station):
    return station.live.get(f"/api/ocpp/charging-needs/?charger_id={station.path}")["results"]


def test_tc_k_53_csms(station):
    """Charging with load leveling based on High Level Communication - Success"""
    session = smart_charging(station)
    station.is_left_alone()
    (needs,) = shown_needs(station)
    assert (needs["status"], needs["energy_wh"], needs["max_rate"]) == ("Accepted", 20_000, 16)
    assert needs["transaction_id"] == session.shown["transaction_id"] and needs["task_id"]


def test_tc_k_55_csms(station):
    """Charging with load leveling based on High Level Communication - EV charging profile exceeds limits"""
    station.authorized()
    session = station.session()
    session.start(info={"chargingState": "EVConnected"})
    offered = negotiate(station, session)
    assert drawn_up(station, a_schedule(offered["chargingSchedulePeriod"][0]["limit"] + 5)) == "Rejected"
    session.update("ChargingStateChanged", info={"chargingState": "Charging"})
    again = profile_follows(station, session)
    assert drawn_up(station, again) == "Accepted"
    found = station.live.get(f"/api/ocpp/charging-schedules/?charger_id={station.path}")["results"]
    assert [row["status"] for row in found] == ["Accepted", "Rejected"]
    assert found[1]["task_id"]


def test_tc_k_57_csms(station):
    """Renegotiating a Charging Schedule - Initiated by EV"""
    session = smart_charging(station)
    again = negotiate(station, session, ("Accepted", "Processing"))
    assert drawn_up(station, again) == "Accepted"
    assert len(installed(station)) == 1


def lower_limit(station, session):
    """The operator sets a lower limit for the transaction."""
    profile = a_profile(TX_PROFILE, 8.0, transactionId=session.reference)
    return set_profile(station, profile)["chargingSchedule"][0]


def test_tc_k_58_csms(station):
    """Renegotiating a Charging Schedule - Initiated by CSMS"""
    session = smart_charging(station)
    assert drawn_up(station, lower_limit(station, session)) == "Accepted"


def test_tc_k_59_csms(station):
    """Renegotiating a Charging Schedule - Initiated by CSMS - Send NotifyEVChargingNeeds"""
    session = smart_charging(station)
    lower_limit(station, session)
    again = negotiate(station, session, ("Accepted", "Processing"))
    assert again["chargingSchedulePeriod"][0]["limit"] == 8.0  # the limit of the operator stays
    assert drawn_up(station, again) == "Accepted"
