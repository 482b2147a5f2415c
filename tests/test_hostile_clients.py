"""Clients that flood, stall or break the protocol do not delay other chargers."""

import json
import resource
import socket
import threading
from contextlib import ExitStack, suppress
from itertools import cycle, islice
from urllib.parse import urlsplit

import pytest
from websockets.frames import Opcode

from config import startup
from config.requests import HEAD_TIMEOUT_S
from tests.support.live import an_id
from tests.support.others import others_undisturbed
from tests.support.raw_socket import HANDSHAKE, Wire, frame, heartbeat

HALF_OPEN = 10_000
ANSWERS = 100  # that each other charger receives during a flood


def flood(live, first, then, over):
    """Send `first`, and `then` repeatedly, until `over` is set, and read nothing; reconnect after a disconnect."""
    while not over.is_set():
        wire = Wire(live.ws_url, an_id()).socket
        with wire, suppress(ConnectionError):
            wire.settimeout(0.1)
            _send(wire, first, then, over)


def _send(wire, first, then, over):
    """Send until `over`. The rest of a frame that TCP has not taken is sent by the next call: frames stay whole."""
    left = memoryview(first)
    while not over.is_set():
        left = left or memoryview(then)
        with suppress(TimeoutError):
            left = left[wire.send(left) :]


READING = json.dumps([2, "big", "DataTransfer", {"vendorId": "x", "data": "y" * 15_000}]).encode()
BIG = json.dumps([2, "big", "DataTransfer", {"vendorId": "x", "data": "y" * 2**21}]).encode()
FLOODS = {
    "frames that are too large": (b"", frame(b"x" * 2**24)),
    "large frames": (b"", frame(b"x" * 2**21)),
    "large messages": (b"", frame(BIG)),
    "heartbeats": (b"", frame(heartbeat("1")) * 5_000),
    "long messages": (b"", frame(READING) * 20),
    "nonsense": (b"", frame(b"x") * 20_000),
    "pings": (b"", frame(b"", Opcode.PING) * 20_000),
    "long pings": (b"", frame(b"p" * 125, Opcode.PING) * 5_000),
    "fragments": (frame(b"[", fin=False), frame(b"", Opcode.CONT, fin=False) * 1_000),
}


@pytest.mark.parametrize("what", FLOODS)
def test_chargers_that_flood_and_never_read_delay_no_other(live, what):
    over = threading.Event()
    threads = [threading.Thread(target=flood, args=[live, *FLOODS[what], over]) for _ in range(3)]
    with others_undisturbed(live) as others:
        for thread in threads:
            thread.start()
        try:
            others.are_each_answered(ANSWERS)
        finally:
            over.set()
            for thread in threads:
                thread.join()


MEBIBYTE = 2**20


def carrying(data, kind=2):
    """The text of a CALL with `data`, as JSON text; of a frame that is none with another `kind`."""
    return f'[{kind},"large","DataTransfer",{{"vendorId":"x","data":{data}}}]'


LARGE = {
    "quotes": '"' * MEBIBYTE,
    "digits": carrying("1" * MEBIBYTE),
    "URLs": json.dumps("://" * (MEBIBYTE // 3)),
    "URLs with logins": carrying(json.dumps("ftp://a:b@c " * (MEBIBYTE // 12))),
    "nesting": "[" * MEBIBYTE,
    "nesting within a call": carrying("[" * (MEBIBYTE // 2) + "]" * (MEBIBYTE // 2)),
    "JSON that breaks off": carrying(json.dumps("password" * (MEBIBYTE // 8)))[:-2],
    "many texts": carrying("[" + '"a",' * (MEBIBYTE // 4) + '"key"]', kind=9),
    "many keys": carrying("[" + '{"key":"a","value":"b"},' * (MEBIBYTE // 24) + "0]", kind=9),
    "many numbers": carrying("[" + "0," * (MEBIBYTE // 2) + "0]"),
    "numbers without end": carrying("[" + "NaN," * (MEBIBYTE // 4) + "1]"),
    "control characters": carrying('"' + "\x01" * MEBIBYTE + '"'),
    "unknown members": carrying("1").replace("vendorId", "x" * MEBIBYTE),
    "readings": carrying("[" + "1," * (MEBIBYTE // 2) + "1]").replace("DataTransfer", "MeterValues"),
    "bytes": b"\xff" * MEBIBYTE,
}


@pytest.mark.parametrize("shape", LARGE)
def test_large_frames_of_any_shape_delay_no_other(live, shape):
    with live.socket(an_id(), max_size=None) as charger, others_undisturbed(live):
        for _ in range(20):
            charger.send(LARGE[shape])
        charger.send(json.dumps([2, "last", "Heartbeat", {}]))
        while json.loads(charger.recv(120))[1] != "last":
            pass


def test_nonsense_does_not_fill_the_log(live):
    logs = sorted((live.stack.run_dir / "logs").glob("web-*.log"))
    before = sum(log.stat().st_size for log in logs)
    with live.socket(an_id()) as charger:
        for number in range(2000):
            charger.send(json.dumps([2, "x" * 40, number, {}]))
        for _ in range(2000):
            charger.recv(10)
    assert sum(log.stat().st_size for log in logs) - before < 50_000


def test_a_message_in_fragments_without_end_closes_the_socket(live):
    wire = Wire(live.ws_url, an_id())
    first, then = FLOODS["fragments"]
    with wire.socket, suppress(ConnectionError):
        wire.socket.sendall(first + then * 68)
        assert wire.close_code() == 1009


def test_unfinished_handshakes_are_closed_and_delay_no_other(live):
    address = urlsplit(live.url)
    half = HANDSHAKE.format(charger_id="half").encode()
    begun = islice(cycle([b"", half[:30], half[:-2], b"GET /api/ocpp/chargers/ HTTP/1.1\r\n"]), _affordable())
    with others_undisturbed(live), ExitStack() as opened:
        connections = []
        for start in begun:
            connection = opened.enter_context(socket.create_connection((address.hostname, address.port), 10))
            connection.sendall(start)
            connections.append(connection)
        for connection in connections:
            connection.settimeout(4 * HEAD_TIMEOUT_S)
            assert connection.recv(1) == b""


def _affordable():
    """As many as HALF_OPEN, or as file descriptors allow: here, and in a web process that may get all of them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(HALF_OPEN, hard * 3 // 4)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux alone tells of other processes")
@pytest.mark.parametrize("name", ["web 1", "web tls", "worker 1"])
def test_a_process_opens_as_many_files_as_it_may(live, name):
    child = next(child for child in live.stack.children if child.name == name)
    soft, hard = resource.prlimit(child.process.pid, resource.RLIMIT_NOFILE)
    assert soft == min(hard, startup.MAX_OPEN_FILES)
