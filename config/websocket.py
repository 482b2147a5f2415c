"""uvicorn's WebSocket protocol, with a short way for the frames that chargers send all day.

A whole, unfragmented, masked text frame (RFC 6455 §5.2) needs none of the library's state machine: it is unmasked and
handed on. Everything else, and the handshake, goes the library's way, frame by frame, so that both agree on where a
frame begins. The difference is measured in docs/performance.md.
"""

from collections import deque

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

from chargers import metrics, proxies

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without its compiled part
    from websockets.utils import apply_mask

WHOLE_TEXT = 0x81  # FIN and opcode 1
MASKED = 0x80
SHORT = 125  # the longest payload whose length stands in the second byte
LONGEST = 16_384  # of a payload that goes the short way: what is kept of a frame that comes in pieces is small
QUEUED = 32  # frames the application has not taken, past which the socket is not read
LARGE = 4  # the same, after one that went the library's way
HEAVY = 2**20  # bytes of a message: after a larger one the socket is not read before it is taken
TURN = 64  # frames of one socket that are taken before all others have their turn
BREATH = 0.005  # seconds until such a socket is read again: the thread that writes needs the interpreter, too
LINGER = 1.0  # seconds a socket is read on after its charger has broken the protocol


def _ending(method):
    """`method` ends the connection: a peer that does not read what is still to be written is waited for no longer."""

    def ending(self, *arguments):
        method(self, *arguments)
        self.loop.call_later(self.close_timeout, self.transport.abort)

    return ending


class Frames(deque):
    """The little of `asyncio.Queue` that uvicorn uses, for one reader."""

    def __init__(self, loop):
        super().__init__()
        self.loop, self.reader = loop, None

    def put_nowait(self, event):
        self.append(event)
        if self.reader is not None and not self.reader.done():
            self.reader.set_result(None)

    def empty(self):
        return not self

    async def get(self):
        while not self:
            self.reader = self.loop.create_future()  # asking for the running loop is a system call
            await self.reader
        return self.popleft()


class ChargerWebSocket(WebSocketsSansIOProtocol):
    """Hands the subject of a client certificate, which TLS has verified, to the application.

    The application finds `keep_alive` in its scope, by which it says how often the charger is pinged.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.queue = Frames(self.loop)
        self.begun = b""  # of a frame that has not come whole
        self.unwritten = 0  # bytes, when the pong was last waited for
        self.heard = False  # whether anything came since the last ping
        self.heavy = False  # whether a message of more than HEAVY bytes is queued
        self.through = 0  # bytes still to come of a frame that goes the library's way
        self.is_refused = False  # for a fault in what came

    def keep_alive(self, interval, timeout):
        """Ping every `interval` seconds (0: never), and close after `timeout` without any byte, from now on."""
        self.ping_interval, self.ping_timeout = interval, timeout
        if self.handshake_complete and not self.disconnected:
            self.stop_keepalive()
            self.start_keepalive()

    def handle_connect(self, event):
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["keep_alive"] = self.keep_alive

    def connection_made(self, transport):
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert")
        if certificate:
            self.app = _with(self.app, {"client_certificate": _subject(certificate)})
        elif proxies.believed((transport.get_extra_info("peername") or ("",))[0]):
            self.app = _with(self.app, {"from_proxy": True})

    def connection_lost(self, exc):
        super().connection_lost(exc)
        vars(self).get("scope", {}).pop("keep_alive", None)  # it would keep this protocol from being freed at once

    # --- from the charger --------------------------------------------------------------------

    def data_received(self, data):
        if self.is_refused:
            return
        if data:
            self.heard = True
        if not self.handshake_initiated:
            super().data_received(data)
            if not self.handshake_initiated and not self.transport.is_closing():
                self._refuse_handshake()  # the whole head was there, and uvicorn would leave it at that
            return
        if self.begun:
            data, self.begun = self.begun + data, b""
        if not self.handshake_complete:  # it did not wait for our 101
            self.begun = data
            self._pause_reading()
            return
        at, left = 0, TURN
        while at < len(data) and left and not self.read_paused and not self._is_over():
            taken = self._take(data, at)
            if not taken:
                break
            at, left = at + taken, left - 1
        self.begun = b"" if self.is_refused else data[at:]
        if not left and not self.read_paused:
            self._pause_reading()
            metrics.held_sockets.inc()
            self.loop.call_later(BREATH, self._read_on)

    def _is_over(self):
        return self.is_refused or self.transport.is_closing()

    def _refuse_handshake(self):
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.transport.close()

    def _pause_reading(self):
        self.read_paused = True
        self.transport.pause_reading()

    def _read_on(self):
        """What came already, and then the socket; unless its charger does not read what it is answered."""
        if (
            self._has_room()
            and self.writable.is_set()
            and self.handshake_complete
            and not self.transport.is_closing()
        ):
            self.read_paused = False
            self.transport.resume_reading()
            self.data_received(b"")

    async def receive(self):
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.heavy = False
            self.loop.call_later(BREATH, self._read_on)
        return message

    def _has_room(self):
        return len(self.queue) <= LARGE and not self.heavy

    def _take(self, data, at):
        """Take a frame, or a part of one that goes the library's way; the number of bytes, 0 for too few."""
        if not self.through:
            header, length = _measured(data, at)
            if not header:
                return 0
            if not self._is_short(data[at], data[at + 1], length):
                self.through = header + length
            elif len(data) - at < header + length:
                return 0
            else:
                end = at + header + length
                self._on_text(apply_mask(data[at + header : end], data[at + header - 4 : at + header]))
                return header + length
        part = data[at : at + self.through]
        self.through -= len(part)
        super().data_received(part)
        if self.read_paused and self._has_room() and self.writable.is_set():
            self.read_paused = False  # the library would not read on before all are taken: pongs wait behind them
            self.transport.resume_reading()
        return len(part)

    def _is_short(self, first, second, length):
        return first == WHOLE_TEXT and second & MASKED and length <= LONGEST and not self.frames

    def _on_text(self, payload):
        if self.close_sent:
            return
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            self._refuse(1007)
            return
        self.queue.put_nowait({"type": "websocket.receive", "text": text})
        if len(self.queue) > QUEUED and not self.read_paused:
            self._pause_reading()

    def send_receive_event_to_app(self):
        """A text that is not UTF-8 is no fault of ours: uvicorn would write a stack trace for each."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self._refuse(1007)
                return
        self.heavy = self.heavy or sum(map(len, self.frames)) > HEAVY
        super().send_receive_event_to_app()

    def handle_cont(self, event):
        """However little they hold, a message has no more fragments than short ones that would fill it."""
        if len(self.frames) * SHORT < self.config.ws_max_size:
            super().handle_cont(event)
        else:
            self._refuse(1009)

    def _refuse(self, code):
        self.conn.send_close(code)
        self.handle_parser_exception()

    def handle_parser_exception(self):
        """Close with the code of the fault, but read on for a moment and drop what comes.

        If a socket is closed with bytes unread, TCP resets the connection, and the charger never sees the code.
        """
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self.is_refused = True
        self.frames = []
        self.close_timer = self.loop.call_later(LINGER, self._end_refused)
        self.transport.resume_reading()

    def keepalive_timeout(self):
        """Close a charger that was silent since the ping: any byte is a sign of life, for some answer no ping.

        One that is not read because the application takes its frames slowly cannot be heard. A slow line may have a
        long answer to carry before our ping, and while it does we don't read the pong.
        """
        if self.heard or (self.read_paused and self.writable.is_set()):
            self.pong_timer = self.pending_ping_payload = None
            self.last_ping_rtt = self.loop.time() - self.ping_sent_at  # so that the next ping is not later for it
            self.schedule_ping()
            return
        unwritten = self.transport.get_write_buffer_size()
        if not self.writable.is_set() and unwritten < self.unwritten:
            self.unwritten = unwritten
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
        else:
            self._end_silence()

    def send_keepalive_ping(self):
        self.unwritten = self.transport.get_write_buffer_size()
        self.heard = False
        super().send_keepalive_ping()

    _end_silence = _ending(WebSocketsSansIOProtocol.keepalive_timeout)
    _end_refused = _ending(lambda self: self.transport.close())
    handle_close = _ending(WebSocketsSansIOProtocol.handle_close)
    on_task_complete = _ending(WebSocketsSansIOProtocol.on_task_complete)

    # --- to the charger ----------------------------------------------------------------------

    def pause_writing(self):
        """A charger that does not read its answers is not read either: each frame, a ping too, asks for one."""
        super().pause_writing()
        self._pause_reading()

    def resume_writing(self):
        super().resume_writing()
        self.loop.call_soon(self._read_on)

    async def send(self, message):
        text = message.get("text")
        if text is None or not self.handshake_complete or self.close_sent or self.conn.state is not OPEN:
            await super().send(message)
            if self.begun:
                self.loop.call_soon(self._read_on)
            return
        if not self.writable.is_set():
            await self.writable.wait()
        if self.disconnected or self.close_sent or self.conn.state is not OPEN:
            raise ClientDisconnected
        payload = text.encode()
        self.transport.write(_header(len(payload)) + payload)


def _measured(data, at):
    """(bytes of the header with its mask, of the payload) of the frame at `at`; (0, 0) while too few are here."""
    here = len(data) - at
    length = data[at + 1] & 127 if here >= 2 else None
    extended = {126: 2, 127: 8}.get(length, 0)
    if length is None or here < 2 + extended:
        return 0, 0
    if extended:
        length = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
    return 2 + extended + (4 if data[at + 1] & MASKED else 0), length


def _header(length):
    """Of an unmasked text frame."""
    if length <= SHORT:
        return bytes((WHOLE_TEXT, length))
    if length < 2**16:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


def _with(app, extra):
    def extended(scope, receive, send):
        return app(scope | extra, receive, send)

    return extended


def _subject(certificate):
    """{"CN": [names], "O": [names], "serial": hex digits} of what `ssl` tells of a certificate."""
    parts = [part for rdn in certificate["subject"] for part in rdn]
    names = {"CN": "commonName", "O": "organizationName"}
    told = {short: [value for name, value in parts if name == long] for short, long in names.items()}
    return told | {"serial": certificate["serialNumber"]}
