"""A command that waits for an absent charger: the charger hears nothing until its first CALL is answered."""

import json
import time

import pytest
import websockets

from tests.live import an_id, eventually, exchange

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


def a_charger(live, boot_wait):
    charger_id = an_id()
    status, _, _ = live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id, "boot_wait": boot_wait})
    assert status == 201
    return charger_id


def hears_nothing(socket, seconds):
    with pytest.raises(TimeoutError):
        socket.recv(timeout=seconds)


def state(live, task):
    return live.get(f"/api/ocpp/tasks/{task['task_id']}/")["state"]


def test_it_is_sent_right_after_the_answer_to_the_boot(live):
    charger_id = a_charger(live, 30)
    task = live.ask(charger_id, "ClearCache", {}, timeout=20)
    with live.socket(charger_id) as socket:
        hears_nothing(socket, 3)
        assert state(live, task) == "queued"
        assert exchange(socket, "boot", "BootNotification", BOOT)[:2] == [3, "boot"]
        call = json.loads(socket.recv(timeout=0.5))
        assert call[:3] == [2, task["task_id"], "ClearCache"]
        socket.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        assert live.finished(task)["outcome"] == "answered"
        later = live.ask(charger_id, "ClearCache", {})
        assert json.loads(socket.recv(timeout=5))[1] == later["task_id"]


def test_a_charger_that_says_nothing_is_sent_it_after_the_wait(live):
    charger_id = a_charger(live, 3)
    task = live.ask(charger_id, "ClearCache", {}, timeout=20)
    began = time.monotonic()
    with live.socket(charger_id) as socket:
        assert json.loads(socket.recv(timeout=8))[1] == task["task_id"]
        assert 2.5 < time.monotonic() - began < 5


def test_its_own_timeout_begins_when_it_is_sent(live):
    charger_id = a_charger(live, 3)
    with live.socket(charger_id) as socket:
        task = live.ask(charger_id, "ClearCache", {}, timeout=2)
        call = json.loads(socket.recv(timeout=8))
        time.sleep(1)
        socket.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        assert live.finished(task)["outcome"] == "answered"


def test_a_refused_call_is_answered_too(live):
    charger_id = a_charger(live, 30)
    task = live.ask(charger_id, "ClearCache", {}, timeout=20)
    with live.socket(charger_id) as socket:
        hears_nothing(socket, 2)
        assert exchange(socket, "1", "Nonsense", {})[0] == 4
        assert json.loads(socket.recv(timeout=2))[1] == task["task_id"]


def test_every_socket_waits_anew_and_the_command_is_sent_once(live):
    charger_id = a_charger(live, 30)
    task = live.ask(charger_id, "ClearCache", {}, timeout=20)
    with live.socket(charger_id) as socket:
        hears_nothing(socket, 2)
    with live.socket(charger_id) as socket:
        hears_nothing(socket, 2)
        assert exchange(socket, "boot", "BootNotification", BOOT)[:2] == [3, "boot"]
        assert json.loads(socket.recv(timeout=5))[1] == task["task_id"]
        hears_nothing(socket, 2)


def test_meanwhile_a_newer_socket_closes_it_and_its_log_can_be_switched(live):
    charger_id = a_charger(live, 30)
    task = live.ask(charger_id, "ClearCache", {}, timeout=20)
    with live.socket(charger_id) as older:
        hears_nothing(older, 2)
        live.request("PATCH", f"/api/ocpp/chargers/{charger_id}/", {"message_log": "all"})
        time.sleep(0.5)
        assert exchange(older, "boot", "Heartbeat", {})[0] == 3
        assert json.loads(older.recv(timeout=5))[1] == task["task_id"]
        found = eventually(lambda: live.get(f"/api/ocpp/messages/?charger_id={charger_id}")["results"])
        assert any(message["action"] == "Heartbeat" for message in found)
    with live.socket(charger_id) as older, live.socket(charger_id):
        with pytest.raises(websockets.ConnectionClosed) as closed:
            older.recv(timeout=5)
        assert closed.value.rcvd.code == 4001
