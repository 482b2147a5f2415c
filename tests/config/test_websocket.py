"""Frames of chargers on the fast path and on the slow path through the library, over the wire."""

import json
import os
import socket
import sys
import time
from pathlib import Path

import psycopg
import pytest
from websockets.frames import Opcode

from tests.support.live import an_id
from tests.support.raw_socket import HANDSHAKE, Wire, frame, heartbeat


@pytest.fixture
def wire(live):
    opened = Wire(live.ws_url)
    yield opened
    opened.socket.close()


def test_a_frame_may_be_received_byte_by_byte(wire):
    for byte in frame(heartbeat("1")):
        wire.socket.sendall(bytes([byte]))
    assert wire.answered() == "1"


def test_a_charger_may_send_before_its_handshake_is_answered(live):
    with psycopg.connect(live.database_url) as connection:
        connection.execute("LOCK TABLE chargers_charger")
        wire = Wire(live.ws_url, wait=False)
        time.sleep(0.2)
        wire.socket.sendall(frame(heartbeat("early")) + frame(heartbeat("earlier")))
    wire.read_handshake()
    assert [wire.answered(), wire.answered()] == ["early", "earlier"]


def test_several_frames_may_be_received_at_once(wire):
    last = frame(heartbeat("last"))
    wire.socket.sendall(b"".join(frame(heartbeat(str(number))) for number in range(5)) + last[:4])
    assert [wire.answered() for _ in range(5)] == ["0", "1", "2", "3", "4"]
    wire.socket.sendall(last[4:])
    assert wire.answered() == "last"


def test_a_message_in_fragments_with_a_ping_between_them_is_one_message(wire):
    whole = heartbeat("fragments")
    parts = [frame(whole[:5], fin=False), frame(b"are you there", Opcode.PING), frame(whole[5:], Opcode.CONT)]
    wire.socket.sendall(b"".join(parts) + frame(heartbeat("after")))
    assert wire.next() == (Opcode.PONG, b"are you there")
    assert [wire.answered(), wire.answered()] == ["fragments", "after"]


@pytest.mark.parametrize("size", [100, 125, 126, 5_000, 16_384, 16_385, 65_535, 65_536, 300_000])
def test_a_frame_of_any_length_is_followed_by_the_next(wire, size):
    vendor = {"vendorId": "x", "data": ""}
    empty = json.dumps([2, "long", "DataTransfer", vendor])
    vendor["data"] = "y" * (size - len(empty))
    wire.socket.sendall(frame(json.dumps([2, "long", "DataTransfer", vendor]).encode()) + frame(heartbeat("next")))
    assert [wire.answered(), wire.answered()] == ["long", "next"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b'[2,"1","Heartbeat",{}]\xff'), 1007),
        (frame(heartbeat("1"), mask=False), 1002),
        (bytes([0xC1, *frame(heartbeat("1"))[1:]]), 1002),
        (frame(heartbeat("1"), Opcode.CONT), 1002),
        (frame(b"x" * (8 * 2**20 + 1)), 1009),
    ],
    ids=["not UTF-8", "not masked", "reserved bit", "continuation of nothing", "too large"],
)
def test_a_frame_that_breaks_the_protocol_closes_the_socket(wire, sent, code):
    wire.socket.sendall(sent)
    assert wire.close_code() == code


def test_frames_after_a_fault_are_dropped(wire):
    wire.socket.sendall(frame(heartbeat("1"), mask=False) + frame(heartbeat("2")) * 100)
    wire.socket.sendall(frame(b"x" * 2**20) * 8)
    assert wire.close_code() == 1002
    with pytest.raises(AssertionError):  # the end of the connection, not a reset and no second close frame
        wire.next()
    assert wire.received == b""


def test_text_between_the_fragments_of_another_message_closes_the_socket(wire):
    wire.socket.sendall(frame(b"[2,", fin=False) + frame(heartbeat("1")))
    assert wire.close_code() == 1002


def test_the_closing_handshake_is_answered(wire):
    wire.socket.sendall(frame((1000).to_bytes(2, "big"), Opcode.CLOSE))
    assert wire.close_code() == 1000


def test_a_charger_that_waits_for_no_answer_is_read_on_when_there_is_room(wire, live):
    ids = [str(number) for number in range(100)]
    with psycopg.connect(live.database_url) as connection:
        connection.execute("LOCK TABLE chargers_charger")
        wire.socket.sendall(b"".join(frame(heartbeat(message_id)) for message_id in ids))
    assert [wire.answered() for _ in ids] == ids


def test_a_large_message_does_not_keep_pings_from_being_answered(wire, live):
    """Pongs are read, too, though the answers wait for the database; without pongs the socket would be closed."""
    vendor = {"vendorId": "x", "data": "y" * 20_000}
    with psycopg.connect(live.database_url) as connection:  # its end releases the lock
        connection.execute("LOCK TABLE chargers_charger")
        wire.socket.sendall(frame(heartbeat("1")) + frame(json.dumps([2, "2", "DataTransfer", vendor]).encode()))
        wire.socket.sendall(frame(b"are you there", Opcode.PING))
        assert wire.next() == (Opcode.PONG, b"are you there")
    assert [wire.answered(), wire.answered()] == ["1", "2"]


MEBIBYTE = 2**20


def memory(live):
    """The bytes of memory that the web processes use."""
    processes = [child.process.pid for child in live.stack.children if child.name in ("web 1", "web 2")]
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in processes]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def large_heartbeats(live, number):
    """Send large heartbeats over one socket."""
    wire, payload = Wire(live.ws_url), heartbeat("1")
    with wire.socket:
        for _ in range(number):
            wire.socket.sendall(frame(payload[:-1] + b" " * 2 * MEBIBYTE + payload[-1:]))
            assert wire.answered() == "1"


def unfinished_frames(live, number):
    """Send a large part of a frame over each of many sockets, and disconnect."""
    part = frame(b"x" * 7 * MEBIBYTE)[:-1]
    for _ in range(number):
        wire = Wire(live.ws_url)
        with wire.socket:
            wire.socket.sendall(part)
            wire.socket.shutdown(socket.SHUT_WR)
            while wire.socket.recv(4096):
                pass


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("send", "number"), [(large_heartbeats, 100), (unfinished_frames, 30)])
def test_the_memory_of_large_frames_is_freed_at_once(live, send, number):
    """The garbage collector runs rarely, so frames must not wait for it."""
    send(live, 5)  # because the first ones need memory that stays
    before = memory(live)
    send(live, number)
    assert memory(live) - before < 120 * MEBIBYTE


@pytest.mark.parametrize("more", ["".join(f"X-{n}: y\r\n" for n in range(200)), f"X: {'y' * 10_000}\r\n"])
def test_an_unreadable_handshake_is_refused_and_closed(live, more):
    head = HANDSHAKE.format(charger_id=an_id()).removesuffix("\r\n") + more + "\r\n"
    with socket.create_connection((live.stack.host, int(live.stack.env["PORT"])), 5) as opened:
        opened.sendall(head.encode())
        assert opened.recv(4096).startswith(b"HTTP/1.1 400")
        assert opened.recv(4096) == b""
