"""Signs of life of a charger: last_seen, pings and pongs."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from websockets.frames import Opcode

from tests.support.live import an_id, eventually
from tests.support.raw_socket import Wire, frame, heartbeat

SHORT = {"ping_interval": 1, "ping_timeout": 3}
SENT = {
    "Heartbeat": lambda: frame(heartbeat("h")),
    "a ping": lambda: frame(b"", Opcode.PING),
    "a pong nobody asked for": lambda: frame(b"unasked", Opcode.PONG),
    "nonsense": lambda: frame(b"[9]"),
    "a fragment": lambda: frame(b" ", Opcode.CONT, fin=False),
}


def test_a_charger_that_has_sent_nothing_was_last_seen_when_it_connected(charger):
    shown = eventually(lambda: charger.shown["last_seen"] and charger.shown)
    assert shown["last_seen"] == shown["connected_at"] == charger.status["last_seen"]
    assert datetime.now(UTC) - datetime.fromisoformat(shown["last_seen"]) < timedelta(minutes=1)


def test_a_charger_that_has_sent_a_message_was_seen_later(charger):
    charger.call("Heartbeat", {})
    eventually(lambda: charger.shown["last_seen"] > charger.shown["connected_at"])


@pytest.fixture
def connect(live):
    """`connect(**columns)`: a socket of a new charger that answers no ping by itself."""
    opened = []

    def open_one(**columns):
        charger_id = an_id()
        status, made, _ = live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id, **columns})
        assert status == 201
        assert {name: made[name] for name in columns} == columns
        opened.append(Wire(live.ws_url, charger_id))
        opened[-1].identity = charger_id
        return opened[-1]

    yield open_one
    for wire in opened:
        wire.socket.close()


def came(wire):
    """Return {opcode: number} of the received frames."""
    opcodes = Counter()
    wire.socket.settimeout(0.05)
    try:
        while True:
            opcodes[wire.next()[0]] += 1
    except TimeoutError:
        return opcodes


def pings_until_closed(wire):
    """Answer nothing until the socket is closed. Return the number of pings until then."""
    pings = 0
    wire.socket.settimeout(30)
    while (received := wire.next())[0] != Opcode.CLOSE:
        pings += received[0] == Opcode.PING
    assert int.from_bytes(received[1][:2], "big") == 1011
    return pings


def test_any_received_frame_keeps_a_charger_connected(connect):
    wires = {kind: connect(**SHORT) for kind in SENT}
    wires["a fragment"].socket.sendall(frame(b"[", fin=False))
    for _ in range(12):  # a ping each second, closed three seconds later unless something is received
        for kind, wire in wires.items():
            wire.socket.sendall(SENT[kind]())
        time.sleep(0.5)
    seen = {kind: came(wire) for kind, wire in wires.items()}
    assert all(opcodes[Opcode.PING] >= 2 for opcodes in seen.values()), seen
    assert not any(opcodes[Opcode.CLOSE] for opcodes in seen.values()), seen
    for wire in wires.values():
        pings_until_closed(wire)


def test_a_charger_that_is_silent_after_a_ping_is_disconnected(live, connect):
    wire = connect(**SHORT)
    assert pings_until_closed(wire) == 1
    eventually(lambda: not live.get(f"/api/ocpp/chargers/{wire.identity}/")["connected"])


def test_pings_have_an_interval_and_a_timeout_for_each_charger(live, connect):
    answers, slow, unasked = connect(**SHORT), connect(ping_interval=1, ping_timeout=60), connect(ping_interval=0)
    answers.socket.close()
    with live.socket(answers.identity) as socket:  # answers by itself
        time.sleep(4)
        assert came(slow) == {Opcode.PING: 1}
        assert came(unasked) == {}
        socket.ping().wait(20)
        assert live.get(f"/api/ocpp/status/{answers.identity}/")["status"]["connected"]


def test_a_change_of_the_ping_interval_applies_to_an_open_socket(live, connect):
    wire = connect(ping_interval=0)
    eventually(lambda: live.get(f"/api/ocpp/status/{wire.identity}/")["status"]["connected"])
    assert live.request("PATCH", f"/api/ocpp/chargers/{wire.identity}/", SHORT)[0] == 200
    assert pings_until_closed(wire) == 1


@pytest.mark.parametrize("columns", [{"ping_timeout": 0}, {"ping_interval": -1}, {"boot_wait": 3601}])
def test_an_invalid_ping_time_is_refused_with_its_field(live, columns):
    status, answer, _ = live.request("POST", "/api/ocpp/chargers/", {"charger_id": an_id(), **columns})
    assert status == 400
    assert set(answer["fields"]) == set(columns)
