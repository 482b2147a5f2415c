"""Random and hostile frames get at most one valid answer, and the socket stays open or is closed with a code."""

import json
import socket
import string
from contextlib import ExitStack
from itertools import count

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from gateway.ocpp16 import HANDLERS
from tests.support.live import an_id
from tests.support.negatives import sample
from tests.support.raw_socket import Wire, heartbeat
from tests.support.strategies import BOUNDED, json_values, texts

FAULTS = ("Traceback", "could not handle", "could not process", "InternalError")
BEATS = count(1)


# --- frames that are sent ----------------------------------------------------------------------

message_ids = st.one_of(
    texts, st.text(string.ascii_letters, min_size=1, max_size=36), st.sampled_from(["y" * 36, "y" * 37, "", "1", "é"])
)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def paths(tree, path=()):
    """Yield the path to every value in `tree`, except `tree` itself."""
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, inner in steps:
        yield (*path, step)
        yield from paths(inner, (*path, step))


def put(tree, path, value):
    """Set the value at `path` in `tree`, or delete it if `value` is `DELETED`."""
    *outer, last = path
    for step in outer:
        tree = tree[step]
    if value is DELETED:
        del tree[last]
    else:
        tree[last] = value


DELETED = object()
DEPTHS = st.sampled_from([60, 250, 254, 255, 300]).map(nested)


@st.composite
def nearly_valid(draw):
    """Draw the text of a complete CALL of some action with up to two faults, or with a duplicate member."""
    action = draw(st.sampled_from(sorted(HANDLERS)))
    frame = [2, draw(message_ids), action, sample(action)]
    for _ in range(draw(st.integers(0, 2))):
        if known := [*paths(frame)]:
            put(frame, draw(st.sampled_from(known)), draw(st.one_of(st.just(DELETED), json_values, DEPTHS)))
    text = json.dumps(frame)
    return text.replace("{", '{"vendorId": "twice", ', 1) if draw(st.integers(0, 9)) == 0 else text


any_frame = st.lists(json_values, max_size=6).map(json.dumps)
any_action = st.one_of(texts, st.sampled_from(sorted(HANDLERS)))
any_call = st.tuples(st.just(2), message_ids, any_action, json_values)
any_reply = st.tuples(st.sampled_from([3, 4, 3.0, True, "3"]), message_ids, json_values, json_values).map(json.dumps)
any_text = st.one_of(
    nearly_valid(),
    nearly_valid(),
    any_call.map(json.dumps),
    any_reply,
    any_frame,
    json_values.map(json.dumps),
    json_values.map(lambda value: json.dumps(value, ensure_ascii=False)),
    st.text(max_size=200),
    st.integers(1, 5000).map(lambda depth: '[2,"1","DataTransfer",' + '{"a":' * depth + "1" + "}" * depth + "]"),
    st.builds(lambda text, at, more: text[:at] + more + text[at:], nearly_valid(), st.integers(0, 200), texts),
)


# --- answers that are received -----------------------------------------------------------------


UNUSABLE_CHARACTERS = {
    "\0",
    *map(chr, range(0xD800, 0xE000)),
}  # not usable in a message id, because the answer must contain it unchanged


MAX_DEPTH = 254  # of text that is not strictly JSON


def depth(value):
    """Count the levels of arrays and objects, without recursion, because Python limits its depth."""
    deepest, left = 0, [(value, 0)]
    while left:
        value, level = left.pop()
        deepest = max(deepest, level)
        if isinstance(value, dict | list):
            left += [(inner, level + 1) for inner in (value.values() if isinstance(value, dict) else value)]
            deepest = max(deepest, level + 1)
    return deepest


def answered_id(text):
    """Return the message id that the answer to `text` must have, None if it cannot be answered."""
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            frame = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            return None
        if depth(frame) > MAX_DEPTH:
            return None
    readable = isinstance(frame, list) and len(frame) > 1 and type(frame[0]) is int and frame[0] == 2
    usable = readable and isinstance(frame[1], str) and frame[1] and not set(frame[1]) & UNUSABLE_CHARACTERS
    return frame[1] if usable else None


class Peer:
    """A charger that sends any frame, and reconnects after its socket was closed."""

    def __init__(self, live):
        self.live, self.identity, self.open = live, an_id(), ExitStack()
        self.connect()

    def connect(self):
        self.leave()
        self.socket = self.open.enter_context(self.live.socket(self.identity))

    def leave(self):
        self.open.close()

    def exchange(self, message, text=None):
        """Send `message` and a Heartbeat. Return (the answers before that to the Heartbeat, close code or None)."""
        answers, beat = [], f"beat-{next(BEATS)}"
        try:
            self.socket.send(message, text=text)
            self.socket.send(heartbeat(beat), text=True)
            while (answer := json.loads(self.socket.recv(timeout=10)))[:2] != [3, beat]:
                answers.append(answer)
        except ConnectionClosed as closed:
            self.connect()
            return answers, closed.rcvd.code
        return answers, None


@pytest.fixture
def peer(live):
    """A charger whose frames must cause no error in the logs of the web processes."""
    logs = {path: path.stat().st_size for path in (live.stack.run_dir / "logs").glob("web-*.log")}
    peer = Peer(live)
    yield peer
    assert peer.exchange(b"[]", text=True) == ([], None)
    peer.leave()
    for path, size in logs.items():
        written = path.read_bytes()[size:].decode(errors="replace")
        assert not [fault for fault in FAULTS if fault in written], written[-2000:]


@settings(BOUNDED, max_examples=500)
@given(text=any_text)
def test_a_call_is_answered_once_and_other_frames_are_not_answered(peer, text):
    message = text.encode(errors="surrogatepass")
    answers, closed = peer.exchange(message, text=True)
    if closed:
        assert closed == code_for(message), text
        return
    expected = answered_id(text)
    assert [answer[1] for answer in answers] == ([] if expected is None else [expected]), (text, answers)
    assert all(answer[0] == 3 or answer[2] != "InternalError" for answer in answers), (text, answers)


def code_for(message):
    """Return the close code for a text message (RFC 6455 §7.4.1), None if it does not close the socket."""
    try:
        message.decode()
    except UnicodeDecodeError:
        return 1007
    return None


@settings(BOUNDED, max_examples=100)
@given(message=st.binary(max_size=300), text=st.booleans())
def test_any_bytes_are_ignored_or_close_the_socket_with_1007(peer, message, text):
    _, closed = peer.exchange(message, text=text)
    assert closed == (code_for(message) if text else None)


# --- below the messages ------------------------------------------------------------------------

payloads = st.one_of(
    st.binary(max_size=130),
    st.just(heartbeat("1")),
    st.just(heartbeat("1")),
    st.just(b"\xff"),
    st.just(b"y" * 17_000),
)
opcodes = st.sampled_from([Opcode.TEXT] * 4 + [Opcode.CONT, Opcode.BINARY, Opcode.PING, Opcode.PONG])
masks = st.integers(0, 15).map(bool)  # all but one in sixteen


@st.composite
def in_pieces(draw):
    """Draw the bytes of some frames in pieces, as TCP may deliver them, sometimes with one byte changed."""
    whole = b""
    for opcode, payload, fin, mask in draw(st.lists(st.tuples(opcodes, payloads, masks, masks), max_size=6)):
        control = opcode in (Opcode.PING, Opcode.PONG)
        sent = Frame(opcode, payload[:125], True) if control else Frame(opcode, payload, fin)
        whole += sent.serialize(mask=mask, extensions=[])
    if whole and draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(whole) - 1))
        whole = whole[:at] + bytes([draw(st.integers(0, 255))]) + whole[at + 1 :]
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def expected_close_code(sent):
    """Return the close code of the state machine of `websockets` for these bytes, None if they are valid."""
    reference = ServerProtocol(state=OPEN, max_size=2**20)
    reference.receive_data(sent)
    frames, message = reference.events_received(), []
    for frame in frames:
        if frame.opcode is Opcode.TEXT or (frame.opcode is Opcode.CONT and message):
            message = [frame.data] if frame.opcode is Opcode.TEXT else [*message, frame.data]
            if frame.fin and code_for(b"".join(message)):
                return 1007
        if frame.opcode is Opcode.BINARY:
            message = []
    return reference.close_sent and reference.close_sent.code


@settings(BOUNDED, max_examples=200)
@given(pieces=in_pieces())
def test_frames_in_any_pieces_are_handled_as_websockets_handles_them(live, peer, pieces):
    expected, code = expected_close_code(b"".join(pieces)), close_code_for(live, pieces)
    # Bytes after a fault are not read, so that TCP may reset the connection before the code is received.
    assert code == expected or (expected and code == "reset")


def close_code_for(live, pieces):
    """Return the code of the close frame that answers `pieces`, None without one, "reset" for a reset connection."""
    client = ClientProtocol(parse_uri("ws://here"), state=OPEN)
    with Wire(live.ws_url).socket as wire:
        try:
            for piece in pieces:
                wire.sendall(piece)
            wire.shutdown(socket.SHUT_WR)
            client.receive_data(b"".join(iter(lambda: wire.recv(65_536), b"")))
        except OSError:
            return "reset"
    return client.close_rcvd and client.close_rcvd.code
