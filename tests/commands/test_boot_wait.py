"""Commands wait until the first CALL of a new socket is answered, because some chargers ignore them before."""

import json
import time

import pytest
import websockets

from tests.support.field_charger import FieldCharger
from tests.support.live import eventually

BOOT = [2, "boot", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}]
AGAIN_S = 1.2  # the worker publishes a command that is not sent again each second
PATIENCE_S = 15  # for what must come, and less than the wait of a `patient` charger
WAIT_S = 5


@pytest.fixture
def patient(live):
    """A charger that has a minute to send something before it is sent a command."""
    with FieldCharger(live, boot_wait=60) as charger:
        yield charger


def ask(charger, action="ClearCache", payload=None, timeout=30):
    return charger.live.ask(charger.identity, action, payload or {}, timeout=timeout)


def hears(charger, seconds):
    """Return the next frame, None if none is received in time."""
    try:
        return json.loads(charger.socket.recv(timeout=seconds))
    except TimeoutError:
        return None


def boot(charger):
    charger.socket.send(json.dumps(BOOT))
    assert hears(charger, PATIENCE_S)[:2] == [3, "boot"]


def state(charger, task):
    return charger.live.get(f"/api/ocpp/tasks/{task['task_id']}/")["state"]


def answer(charger, call):
    charger.socket.send(json.dumps([3, call[1], {"status": "Accepted"}]))


def test_a_command_for_an_absent_charger_waits_until_its_boot_is_answered(live, patient):
    patient.open.close()
    eventually(lambda: not patient.shown["connected"])
    task = ask(patient)
    for seconds in (
        AGAIN_S,
        3,
    ):  # each socket waits from its start; the worker looks for an absent charger less often
        patient.reconnect()
        assert hears(patient, seconds) is None
    assert state(patient, task) == "queued"
    boot(patient)
    call = hears(patient, PATIENCE_S)
    assert call[:3] == [2, task["task_id"], "ClearCache"]
    answer(patient, call)
    assert live.finished(task)["outcome"] == "answered"
    later = ask(patient)
    assert hears(patient, PATIENCE_S)[1] == later["task_id"]


@pytest.mark.parametrize("first", [[2, "1", "Nonsense", {}], [2, "1", "Heartbeat", {}]], ids=["refused", "answered"])
def test_any_answered_first_call_releases_the_command(patient, first):
    task = ask(patient)
    assert hears(patient, AGAIN_S) is None
    patient.socket.send(json.dumps(first))
    assert hears(patient, PATIENCE_S)[1] == "1"
    assert hears(patient, PATIENCE_S)[1] == task["task_id"]
    assert hears(patient, AGAIN_S) is None  # it is sent once


def test_a_frame_that_is_no_call_does_not_release_the_command(patient):
    ask(patient)
    patient.socket.send('[3,"nobody asked",{}]')
    patient.socket.send("nonsense")
    assert hears(patient, AGAIN_S) is None


def test_a_silent_charger_is_sent_the_command_after_the_wait_with_its_whole_timeout(live):
    began = time.monotonic()
    with FieldCharger(live, boot_wait=WAIT_S) as charger:
        task = ask(charger, timeout=WAIT_S - 1)
        call = hears(charger, WAIT_S + PATIENCE_S)
        assert call[1] == task["task_id"]
        assert time.monotonic() - began >= WAIT_S
        answer(charger, call)
        assert live.finished(task)["outcome"] == "answered"


def test_without_a_boot_wait_the_command_is_sent_first(live):
    with FieldCharger(live, boot_wait=0) as charger:
        task = ask(charger)
        assert hears(charger, PATIENCE_S)[1] == task["task_id"]


def test_the_second_command_waits_only_for_the_first(live, patient):
    tasks = [ask(patient), ask(patient, "Reset", {"type": "Soft"})]
    boot(patient)
    for task in tasks:
        call = hears(patient, PATIENCE_S)
        assert call[1] == task["task_id"]
        answer(patient, call)
    assert [live.finished(task)["outcome"] for task in tasks] == ["answered"] * 2


def test_a_change_of_the_boot_wait_applies_to_an_open_socket(live, patient):
    task = ask(patient)
    assert hears(patient, AGAIN_S) is None
    path = f"/api/ocpp/chargers/{patient.identity}/"
    assert live.request("PATCH", path, {"boot_wait": 0, "message_log": "all"})[0] == 200
    assert hears(patient, PATIENCE_S)[1] == task["task_id"]
    patient.call("Heartbeat", {})
    messages = f"/api/ocpp/messages/?charger_id={patient.identity}"
    eventually(lambda: "Heartbeat" in [message["action"] for message in live.get(messages)["results"]])


def test_a_waiting_command_is_sent_on_the_newer_socket(patient):
    task = ask(patient)
    assert hears(patient, AGAIN_S) is None
    former = patient.socket
    patient.connect()
    with pytest.raises(websockets.ConnectionClosed, match="4001"):
        former.recv(timeout=PATIENCE_S)
    boot(patient)
    assert hears(patient, PATIENCE_S)[1] == task["task_id"]
