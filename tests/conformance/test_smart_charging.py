"""Charging profiles (5 cases)."""

from tests.support.station import CONNECTOR, TAG

BEGIN, END = "2026-01-01T00:00:00.000Z", "2036-01-01T00:00:00.000Z"


def profile(purpose, kind="Absolute", unit="A", limit=6.0, **more):
    schedule = {"duration": 86400, "chargingRateUnit": unit}
    if kind == "Absolute":
        schedule["startSchedule"] = BEGIN
    period = {"startPeriod": 0, "limit": limit, "numberPhases": 3}
    return {
        "stackLevel": 1,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "validFrom": BEGIN,
        "validTo": END,
        "chargingSchedule": schedule | {"chargingSchedulePeriod": [period]},
        **more,
    }


def set_profile(station, wanted, connector=CONNECTOR):
    """SetChargingProfile: the profile as it was at the wire, which is the one asked for with an id of ours."""
    request, _ = station.obeys("SetChargingProfile", {"connectorId": connector, "csChargingProfiles": wanted})
    sent = request["csChargingProfiles"]
    assert request["connectorId"] == connector
    assert {name: value for name, value in sent.items() if name != "chargingProfileId"} == wanted
    return sent


def installed(station):
    return {row["charging_profile_id"]: row for row in station.shown["charging_profiles"]}


def test_tc_056_a_default_profile(station, admin):
    for unit, limit in (("A", 6.0), ("W", 6000.0)):
        sent = set_profile(station, profile("TxDefaultProfile", unit=unit, limit=limit))
        assert "transactionId" not in sent and "recurrencyKind" not in sent
    # The second has the level and purpose of the first, which it replaces.
    assert list(installed(station)) == [sent["chargingProfileId"]]
    assert "TxDefaultProfile" in admin.charger(station)


def test_tc_057_a_profile_for_a_running_transaction(station):
    transaction_id = station.charging()
    for kind in ("Absolute", "Relative"):
        sent = set_profile(station, profile("TxProfile", kind, transactionId=transaction_id))
        assert ("startSchedule" in sent["chargingSchedule"]) == (kind == "Absolute")
    assert installed(station)[sent["chargingProfileId"]]["transaction_id"] == transaction_id
    station.stop(transaction_id, "Local")
    assert installed(station) == {}


def test_tc_059_a_remote_start_with_a_profile(station):
    payload = {"idTag": TAG, "connectorId": CONNECTOR, "chargingProfile": profile("TxProfile", "Relative")}
    request, task = station.obeys("RemoteStartTransaction", payload)
    sent = request["chargingProfile"]
    assert (request["idTag"], request["connectorId"], sent["chargingProfilePurpose"]) == (TAG, CONNECTOR, "TxProfile")
    assert not {"transactionId", "recurrencyKind"} & set(sent)
    assert sent["chargingSchedule"]["chargingSchedulePeriod"][0]["startPeriod"] == 0
    transaction_id = station.charging()
    assert station.live.finished(task)["transaction_id"] == transaction_id
    assert installed(station)[sent["chargingProfileId"]]["transaction_id"] == transaction_id


def test_tc_066_the_composite_schedule(station, admin):
    payload = {"connectorId": CONNECTOR, "duration": 300, "chargingRateUnit": "A"}
    periods = [{"startPeriod": 0, "limit": 6.5}]
    schedule = {"duration": 300, "chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    answer = {"status": "Accepted", "connectorId": 1, "scheduleStart": BEGIN, "chargingSchedule": schedule}
    request, task = station.obeys("GetCompositeSchedule", payload, answer)
    assert request == payload and task["result"] == answer and "6.5" in admin.command(task)


def test_tc_067_profiles_are_cleared(station):
    transaction_id = station.charging()
    whole = set_profile(station, profile("ChargePointMaxProfile"), connector=0)
    default = set_profile(station, profile("TxDefaultProfile"))
    running = set_profile(station, profile("TxProfile", transactionId=transaction_id))
    ids = [each["chargingProfileId"] for each in (whole, default, running)]
    assert sorted(installed(station)) == sorted(set(ids)) and len(set(ids)) == 3
    criteria = {"connectorId": CONNECTOR, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1}
    for wanted, left in (({"id": ids[0]}, ids[1:]), (criteria, ids[2:]), ({}, [])):
        request, _ = station.obeys("ClearChargingProfile", wanted)
        assert request == wanted and sorted(installed(station)) == sorted(left)
