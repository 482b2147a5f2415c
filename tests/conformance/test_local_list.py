"""The local authorisation list (6 cases)."""

import pytest

from tests.support.live import an_id
from tests.support.station import TAG, TAG_OF_SAME_PARENT

INFO = {"status": "Accepted", "parentIdTag": "CONF-GROUP"}


def lists(station):
    return f"/api/ocpp/local-lists/{station.identity}/"


def version(station, answer):
    request, task = station.obeys("GetLocalListVersion", {}, {"listVersion": answer})
    assert request == {} and task["result"] == {"listVersion": answer}
    return station.shown["local_list_version"]


def test_tc_042_1_a_list_is_not_supported(station):
    assert version(station, -1) == 0


def test_tc_042_2_the_list_is_empty(station):
    assert version(station, 0) == 0


def send(station, answer="Accepted", **body):
    """Built by the central system from its tags: (request at the wire, finished task)."""
    task = station.live.post(lists(station), body)
    request = station.receive("SendLocalList")
    station.answer(status=answer)
    return request, station.live.finished(task)


@pytest.mark.parametrize("status", ["NotSupported"])
def test_tc_043_1_a_list_where_there_is_none(station, status):
    refused(station, status)


@pytest.mark.parametrize("status", ["Failed"])
def test_tc_043_3_a_list_that_fails(station, status):
    refused(station, status)


def refused(station, status):
    request, task = send(station, status)
    assert request["updateType"] == "Full" and task["result"] == {"status": status}
    assert station.shown["local_list_version"] == 0
    assert station.live.get(lists(station))["entries"] is None


def test_tc_043_4_a_full_list(station):
    request, _ = send(station)
    assert list(request) == ["listVersion", "localAuthorizationList", "updateType"]
    assert request["updateType"] == "Full" and request["listVersion"] > 0
    listed = request["localAuthorizationList"]
    assert {"idTag": TAG, "idTagInfo": INFO} in listed and all("idTagInfo" in entry for entry in listed)
    assert len({entry["idTag"].upper() for entry in listed}) == len(listed)
    assert station.live.get(lists(station))["entries"] == listed


def test_tc_043_5_a_differential_list(station):
    first, _ = send(station, id_tags=[TAG])
    assert version(station, first["listVersion"]) == first["listVersion"]
    second, _ = send(station, update_type="Differential", id_tags=[TAG_OF_SAME_PARENT])
    assert second["updateType"] == "Differential" and second["listVersion"] > first["listVersion"]
    assert second["localAuthorizationList"] == [{"idTag": TAG_OF_SAME_PARENT, "idTagInfo": INFO}]
    assert station.shown["local_list_version"] == second["listVersion"]
    assert [e["idTag"] for e in station.live.get(lists(station))["entries"]] == [TAG, TAG_OF_SAME_PARENT]


@pytest.mark.parametrize("failure", ["Failed", "VersionMismatch"])
def test_a_failed_differential_list_is_followed_by_a_full_list_if_requested(station, failure):
    send(station, id_tags=[TAG])
    body = {"update_type": "Differential", "id_tags": [an_id()], "full_if_failed": True}
    differential, task = send(station, failure, **body)
    full = station.receive("SendLocalList")
    station.answer(status="Accepted")
    assert full["updateType"] == "Full" and full["listVersion"] > differential["listVersion"]
    followed = station.live.get(f"/api/ocpp/commands/?charger_id={station.identity}")["results"][0]
    assert (followed["follows"], followed["requested_by"]) == (task["task_id"], "central system")
