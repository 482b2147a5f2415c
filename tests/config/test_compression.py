"""Compression of messages (permessage-deflate, RFC 7692) with chargers that offer it, over the wire."""

import json

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode

from tests.support.live import an_id
from tests.support.station201 import Station201
from tests.support.wire import WireCharger

LONG = {"vendorId": "x", "data": "a text that is worth compressing " * 20}


@pytest.fixture
def station(live):
    """A station that offers compression, as the library does by default."""
    with Station201(live) as station:
        yield station.connect()


def extension(charger):
    """The extension that was agreed, None if there is none."""
    return next(iter(charger.socket.protocol.extensions), None)


def serialized(station, *frames):
    return b"".join(frame.serialize(mask=True, extensions=station.socket.protocol.extensions) for frame in frames)


def sends(station, *frames):
    """Send `frames` as they are, each compressed, and return the next frame received."""
    station.socket.socket.sendall(serialized(station, *frames))
    return json.loads(station.socket.recv(timeout=10))


def test_it_is_agreed_with_a_small_window_and_without_a_context_between_messages(station):
    agreed = extension(station)
    assert (agreed.local_no_context_takeover, agreed.remote_no_context_takeover) == (True, True)
    assert (agreed.local_max_window_bits, agreed.remote_max_window_bits) == (12, 12)


def test_compressed_messages_are_answered_one_after_the_other(station):
    assert [station.call("DataTransfer", **LONG)["status"] for _ in range(3)] == ["UnknownVendorId"] * 3
    assert station.boot()["status"] == "Accepted"


def test_a_long_message_to_the_charger_is_compressed_and_a_short_one_is_not(station, monkeypatch):
    received, decode = [], extension(station).decode
    monkeypatch.setattr(
        extension(station), "decode", lambda frame, **limits: received.append(frame) or decode(frame, **limits)
    )
    station.boot()
    station.obeys("DataTransfer", LONG)
    short, long = (frame for frame in received if frame.opcode is Opcode.TEXT)
    assert (short.rsv1, long.rsv1) == (False, True) and len(long.data) < 200


def test_a_charger_may_send_single_messages_uncompressed(station):
    beat = json.dumps([2, "1", "Heartbeat", {}]).encode()
    station.socket.socket.sendall(Frame(Opcode.TEXT, beat).serialize(mask=True, extensions=[]))
    assert json.loads(station.socket.recv(timeout=10))[:2] == [3, "1"]
    assert station.call("Heartbeat")


def test_a_compressed_message_in_fragments_with_a_ping_between_them_is_one_message(station):
    whole = json.dumps([2, "1", "DataTransfer", LONG]).encode()
    parts = Frame(Opcode.TEXT, whole[:99], fin=False), Frame(Opcode.PING, b""), Frame(Opcode.CONT, whole[99:])
    assert sends(station, *parts) == [3, "1", {"status": "UnknownVendorId"}]


def test_a_compressed_message_may_be_received_byte_by_byte(station):
    for byte in serialized(station, Frame(Opcode.TEXT, json.dumps([2, "1", "DataTransfer", LONG]).encode())):
        station.socket.socket.sendall(bytes([byte]))
    assert json.loads(station.socket.recv(timeout=10))[:2] == [3, "1"]


def test_a_message_that_is_too_large_when_decompressed_closes_the_socket(station):
    station.socket.socket.sendall(serialized(station, Frame(Opcode.TEXT, b" " * (8 * 2**20 + 1))))
    assert station.closed() == 1009


def test_what_cannot_be_decompressed_closes_the_socket(station):
    station.socket.socket.sendall(b"\xc1\x84" + bytes(4) + b"\xff" * 4)
    assert station.closed() == 1002


def test_a_compressed_text_that_is_not_utf8_closes_the_socket(station):
    station.socket.socket.sendall(serialized(station, Frame(Opcode.TEXT, b'[2,"1","Heartbeat",{}]\xff')))
    assert station.closed() == 1007


@pytest.mark.parametrize("window", [9, 10, 15])
def test_the_window_that_the_charger_asks_for_is_not_exceeded(live, window):
    offer = ClientPerMessageDeflateFactory(server_max_window_bits=window, client_max_window_bits=window)
    with Station201(live, extensions=[offer], compression=None) as station:
        station.connect()
        assert extension(station).remote_max_window_bits == min(window, 12)
        assert station.call("DataTransfer", **LONG)["status"] == "UnknownVendorId"


def test_it_is_not_agreed_with_a_charger_that_does_not_offer_it(live):
    with Station201(live, compression=None) as station:
        station.connect()
        assert extension(station) is None and station.boot()["status"] == "Accepted"


def test_it_is_not_agreed_with_a_charger_of_ocpp_1_6(live):
    with WireCharger(live, live.strict(an_id()), subprotocols=["ocpp1.6", "ocpp2.0.1"]) as charger:
        assert extension(charger.connect()) is None


def test_an_offer_that_cannot_be_read_refuses_the_handshake(live):
    headers = {"Sec-WebSocket-Extensions": "permessage-deflate; ="}
    with Station201(live, compression=None) as station:
        assert station.refused(additional_headers=headers) == 400
