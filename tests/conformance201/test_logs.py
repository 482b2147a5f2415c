"""Retrieval of logs (N01): the cases for a central system."""

import pytest

LOCATION = "https://logs.example/"


def get_log(station, answer=None, kind="DiagnosticsLog"):
    payload = {"logType": kind, "log": {"remoteLocation": LOCATION}}
    request, task = station.obeys("GetLog", payload, answer or {"status": "Accepted", "filename": "log.zip"})
    assert request == payload | {"requestId": request["requestId"]}
    return request["requestId"], task


def notify(station, request_id, *statuses):
    for status in statuses:
        assert station.call("LogStatusNotification", status=status, requestId=request_id) == {}


def progress(station, task):
    task = station.live.finished(task)
    return [step["status"] for step in task["progress"]], task["completed_at"] is not None


def uploaded(station, kind):
    request_id, task = get_log(station, kind=kind)
    notify(station, request_id, "Uploading", "Uploaded")
    assert progress(station, task) == (["Uploading", "Uploaded"], True)
    assert station.shown["log_status"] == "Uploaded"


def test_tc_n_25_csms(station):
    """Retrieve Log Information - Diagnostics Log - Success"""
    uploaded(station, "DiagnosticsLog")


def test_tc_n_35_csms(station):
    """Retrieve Log Information - Security Log - Success"""
    uploaded(station, "SecurityLog")


def test_tc_n_34_csms(station):
    """Retrieve Log Information - Rejected"""
    _, task = get_log(station, {"status": "Rejected"})
    assert progress(station, task) == ([], True)


@pytest.mark.parametrize("is_notified_first", [False, True])
def test_tc_n_36_csms(station, is_notified_first):
    """Retrieve Log Information - Second Request"""
    live = station.live
    first, cancelled = get_log(station)
    notify(station, first, "Uploading")
    payload = {"logType": "DiagnosticsLog", "log": {"remoteLocation": LOCATION}}
    task = live.ask(station.identity, "GetLog", payload)
    second = station.receive("GetLog")["requestId"]
    assert second != first
    for is_now in (is_notified_first, not is_notified_first):  # either order is allowed
        if is_now:
            notify(station, first, "AcceptedCanceled")
        else:
            station.answer(status="AcceptedCanceled", filename="log2.zip")
            live.finished(task)
    statuses, is_completed = progress(station, cancelled)
    assert (statuses[:2], is_completed) == (["Uploading", "AcceptedCanceled"], True)
    notify(station, second, "Uploading", "Uploaded")
    assert progress(station, task) == (["Uploading", "Uploaded"], True)
