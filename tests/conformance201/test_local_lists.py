"""Functional block D: local authorization lists."""

from tests.support.station import BLOCKED, TAG

CARD = {"idToken": TAG, "type": "ISO14443"}


def sent(station, answer=None, **body):
    """The request of a list that an operator sends, and the finished task."""
    path = f"/api/ocpp/local-lists/{station.path}/"
    task = station.live.post(path, body)
    request = station.receive("SendLocalList")
    station.answer(**(answer or {"status": "Accepted"}))
    return request, station.live.finished(task)


def held(station):
    """(version, {token: status}) of the list that the station has accepted."""
    shown = station.live.get(f"/api/ocpp/local-lists/{station.path}/")
    entries = {e["idToken"]["idToken"]: e["idTokenInfo"]["status"] for e in shown["entries"] or []}
    return shown["version"], entries


def test_tc_d_01_csms(station):
    """Send Local Authorization List - Full"""
    request, task = sent(station)
    assert (request["updateType"], request["versionNumber"] > 0) == ("Full", True)
    entry = next(e for e in request["localAuthorizationList"] if e["idToken"] == CARD)
    assert entry["idTokenInfo"]["groupIdToken"] == {"idToken": "CONF-GROUP", "type": "Central"}
    version, entries = held(station)
    assert (version, entries[TAG], entries[BLOCKED]) == (request["versionNumber"], "Accepted", "Blocked")
    assert task["outcome"] == "answered"


def test_tc_d_02_csms(station):
    """Send Local Authorization List - Differential Update"""
    _, task = station.obeys("GetLocalListVersion", {}, {"versionNumber": 7})
    assert task["outcome"] == "answered"
    request, _ = sent(station, update_type="Differential", id_tags=[TAG])
    assert (request["updateType"], request["versionNumber"]) == ("Differential", 8)
    (entry,) = request["localAuthorizationList"]
    assert (entry["idToken"], entry["idTokenInfo"]["status"]) == (CARD, "Accepted")


def test_tc_d_03_csms(station):
    """Send Local Authorization List - Differential Remove"""
    first, _ = sent(station)
    change = {"updateType": "Differential", "localAuthorizationList": [{"idToken": CARD}]}
    request, _ = station.obeys("SendLocalList", change)
    assert request["versionNumber"] > first["versionNumber"]
    assert request["localAuthorizationList"] == [{"idToken": CARD}]
    version, entries = held(station)
    assert (version, TAG in entries, BLOCKED in entries) == (request["versionNumber"], False, True)


def test_tc_d_04_csms(station):
    """Send Local Authorization List - Full with empty list"""
    sent(station)
    request, _ = station.obeys("SendLocalList", {"updateType": "Full", "localAuthorizationList": []})
    assert request == {"updateType": "Full", "versionNumber": request["versionNumber"]}
    assert held(station) == (request["versionNumber"], {})


def test_tc_d_08_csms(station):
    """Get Local List Version - Success"""
    request, _ = station.obeys("GetLocalListVersion", {}, {"versionNumber": 3})
    assert (request, station.shown["local_list_version"]) == ({}, 3)


def test_tc_d_09_csms(station):
    """Get Local List Version - No list available"""
    sent(station)
    station.obeys("GetLocalListVersion", {}, {"versionNumber": 0})
    shown = station.live.get(f"/api/ocpp/local-lists/{station.path}/")
    assert (shown["version"], shown["entries"]) == (0, None)
