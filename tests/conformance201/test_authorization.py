"""Functional block C: authorization of id tokens."""

import pytest

from tests.support.station import BLOCKED, EXPIRED, TAG, TAG_OF_SAME_PARENT
from tests.support.station201 import TOKEN

GROUP, PASS_GROUP = "CONF-GROUP", "CONF-MASTERS"
SECOND = {"idToken": TAG_OF_SAME_PARENT, "type": "ISO14443"}
INVALID = {"idToken": "CONF-NOBODY", "type": "ISO14443"}
MASTER = {"idToken": "CONF-MASTER", "type": "ISO14443"}


@pytest.fixture(scope="module")
def master(system):
    """The token of the master pass, whose group is the MasterPassGroupId of the stations."""
    system.post("/api/ocpp/id-tags/", {"id_tag": MASTER["idToken"], "group": PASS_GROUP, "master_pass": True})
    return MASTER


def info(answer):
    """(status, group) of an answer."""
    found = answer["idTokenInfo"]
    return found["status"], found.get("groupIdToken", {}).get("idToken")


def authorized(station, token):
    return info(station.call("Authorize", idToken=token))


# --- tokens that are not valid -----------------------------------------------------------------------


def test_tc_c_02_csms(station):
    """Local start transaction - Authorization Invalid/Unknown"""
    assert authorized(station, INVALID)[0] in ("Invalid", "Unknown")


def test_tc_c_06_csms(station):
    """Local start transaction - Authorization Blocked"""
    assert authorized(station, {"idToken": BLOCKED, "type": "ISO14443"})[0] == "Blocked"


def test_tc_c_07_csms(station):
    """Local start transaction - Authorization Expired"""
    assert authorized(station, {"idToken": EXPIRED, "type": "ISO14443"})[0] == "Expired"


# --- authorization cache -----------------------------------------------------------------------------


def plugged_in(station):
    """Reusable state EVConnectedPreSession, with a transaction that has begun."""
    station.status("Occupied")
    session = station.session()
    session.event("Started", "CablePluggedIn", evse=session.evse, info={"chargingState": "EVConnected"})
    return session


def test_tc_c_08_csms(station):
    """Authorization through authorization cache - Accepted"""
    assert info(plugged_in(station).update("Authorized", idToken=TOKEN))[0] == "Accepted"


def test_tc_c_20_csms(station):
    """Authorization through authorization cache - Invalid"""
    assert info(plugged_in(station).update("Authorized", idToken=INVALID))[0] in ("Invalid", "Unknown")


def test_tc_c_37_csms(station):
    """Clear Authorization Data in Authorization Cache - Accepted"""
    request, task = station.obeys("ClearCache", {})
    assert (request, task["result"]) == ({}, {"status": "Accepted"})


def test_tc_c_38_csms(station):
    """Clear Authorization Data in Authorization Cache - Rejected"""
    _, task = station.obeys("ClearCache", {}, {"status": "Rejected"})
    assert (task["outcome"], task["result"]) == ("answered", {"status": "Rejected"})


# --- groups ------------------------------------------------------------------------------------------


def test_tc_c_39_csms(station):
    """Authorization by GroupId - Success"""
    session = plugged_in(station)
    assert authorized(station, SECOND) == ("Accepted", GROUP)
    assert info(session.update("Authorized", idToken=TOKEN)) == ("Accepted", GROUP)
    session.update("ChargingStateChanged", info={"chargingState": "Charging"})
    assert authorized(station, SECOND) == ("Accepted", GROUP)
    assert info(session.update("StopAuthorized", idToken=SECOND)) == ("Accepted", GROUP)
    session.end(trigger="EVDeparted", reason="EVDisconnected")
    assert (session.shown["status"], session.shown["id_tag"]) == ("Completed", TAG)


def test_tc_c_40_csms(station):
    """Authorization by GroupId - Success with Local Authorization List"""
    session = plugged_in(station)
    assert info(session.update("Authorized", idToken=TOKEN)) == ("Accepted", GROUP)
    session.update("ChargingStateChanged", info={"chargingState": "Charging"})
    assert info(session.update("StopAuthorized", idToken=SECOND)) == ("Accepted", GROUP)
    session.end(trigger="EVDeparted", reason="EVDisconnected")


def test_tc_c_43_csms(station):
    """Authorization by GroupId - Invalid status with Local Authorization List"""
    session = plugged_in(station)
    assert info(session.update("Authorized", idToken=TOKEN)) == ("Accepted", GROUP)
    session.update("ChargingStateChanged", info={"chargingState": "Charging"})
    assert authorized(station, SECOND) == ("Accepted", GROUP)
    assert info(session.update("StopAuthorized", idToken=SECOND)) == ("Accepted", GROUP)
    session.end(trigger="EVDeparted", reason="EVDisconnected")


# --- master pass -------------------------------------------------------------------------------------


def stopped_by_master_pass(station, master):
    sessions = [station.session(evse=evse) for evse in (1, 2)]
    for session, token in zip(sessions, (TOKEN, SECOND), strict=True):
        assert info(session.start(token))[0] == "Accepted"
    assert authorized(station, master) == ("Accepted", PASS_GROUP)
    for session in sessions:
        answer = session.end(reason="MasterPass", idToken=master)
        assert info(answer) == ("Accepted", PASS_GROUP)
        assert (session.shown["status"], session.shown["stop_reason"]) == ("Completed", "MasterPass")


def test_tc_c_47_csms(station, master):
    """Stop Transaction with a Master Pass - With UI - All transactions"""
    stopped_by_master_pass(station, master)


def test_tc_c_48_csms(station, master):
    """Stop Transaction with a Master Pass - With UI - Specific transactions"""
    first, second = station.session(evse=1), station.session(evse=2)
    assert info(first.start(TOKEN))[0] == info(second.start(SECOND))[0] == "Accepted"
    assert authorized(station, master) == ("Accepted", PASS_GROUP)
    assert info(first.end(reason="MasterPass", idToken=master)) == ("Accepted", PASS_GROUP)
    assert (first.shown["status"], second.shown["status"]) == ("Completed", "Ongoing")


def test_tc_c_49_csms(station, master):
    """Stop Transaction with a Master Pass - Without UI"""
    stopped_by_master_pass(station, master)
