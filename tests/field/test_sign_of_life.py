"""Chargers that answer no ping but speak, and chargers that are silent."""

import json
import time

import pytest
import websockets
from websockets.frames import Opcode

from tests.live import an_id, eventually, exchange

SHORT = {"ping_interval": 1, "ping_timeout": 2}


def a_charger(live, **columns):
    charger_id = an_id()
    status, shown, _ = live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id, **columns})
    assert status == 201 and {name: shown[name] for name in columns} == columns
    return charger_id


def deaf(live, charger_id):
    """A socket of a charger that answers no ping: its library never hears of one."""
    socket = live.socket(charger_id, ping_interval=None)
    process = socket.protocol.recv_frame

    def without_pings(frame):
        if frame.opcode != Opcode.PING:
            process(frame)

    socket.protocol.recv_frame = without_pings
    return socket


def test_a_charger_that_sends_heartbeats_and_answers_no_ping_stays(live):
    charger_id = a_charger(live, **SHORT)
    with deaf(live, charger_id) as socket:
        for number in range(14):
            assert exchange(socket, str(number), "Heartbeat", {})[:2] == [3, str(number)]
            time.sleep(0.5)
        assert live.get(f"/api/ocpp/chargers/{charger_id}/")["connected"] is True


@pytest.mark.parametrize("opcode", ["PING", "PONG"])
def test_control_frames_are_signs_of_life(live, opcode):
    charger_id = a_charger(live, **SHORT)
    with deaf(live, charger_id) as socket:
        for _ in range(10):
            socket.ping() if opcode == "PING" else socket.pong(b"unasked")
            time.sleep(0.5)
        assert exchange(socket, "1", "Heartbeat", {})[0] == 3


def test_the_fragments_of_a_message_are_signs_of_life(live):
    charger_id = a_charger(live, **SHORT)
    text = json.dumps([2, "1", "Heartbeat", {}]) + " " * 20

    def slowly():
        for at in range(0, len(text), 4):
            yield text[at : at + 4]
            time.sleep(0.5)

    with deaf(live, charger_id) as socket:
        socket.send(slowly())
        assert json.loads(socket.recv(timeout=5))[0] == 3


def test_a_silent_charger_is_disconnected_after_the_timeout(live):
    charger_id = a_charger(live, **SHORT)
    began = time.monotonic()
    with deaf(live, charger_id) as socket:
        with pytest.raises(websockets.ConnectionClosedError):
            socket.recv(timeout=20)
        assert 2.5 < time.monotonic() - began < 8
    eventually(lambda: not live.get(f"/api/ocpp/chargers/{charger_id}/")["connected"])


def test_a_charger_with_interval_0_is_not_pinged(live):
    charger_id = a_charger(live, ping_interval=0, ping_timeout=1)
    with deaf(live, charger_id) as socket:
        time.sleep(4)
        assert exchange(socket, "1", "Heartbeat", {})[0] == 3


@pytest.mark.parametrize("columns", [{"ping_timeout": 0}, {"ping_interval": -1}, {"boot_wait": 3601}])
def test_a_time_that_can_not_be_is_refused(live, columns):
    status, told, _ = live.request("POST", "/api/ocpp/chargers/", {"charger_id": an_id(), **columns})
    assert status == 400 and next(iter(columns)) in told["fields"]


def test_a_charger_that_has_said_nothing_was_last_seen_when_it_connected(live):
    charger_id = a_charger(live)
    with live.socket(charger_id):
        shown = eventually(lambda: (c := live.get(f"/api/ocpp/chargers/{charger_id}/"))["connected_at"] and c)
        assert shown["last_seen"] == shown["connected_at"]
