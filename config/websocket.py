"""uvicorn's WebSocket protocol, with a fast path for the frames that chargers usually send.

A complete, unfragmented, masked text frame (RFC 6455 §5.2) is unmasked and passed on without the state machine of the
library. The handshake and all other frames take the slow path through the library, frame by frame, so that both paths
agree on where a frame begins. docs/performance.md has the difference in speed.

Messages may be compressed (permessage-deflate, RFC 7692) on the sockets of chargers that offer it, see
OCPP_COMPRESSION. Each message is compressed independently, so that no idle socket needs memory for it.
"""

import asyncio

from django.conf import settings
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from chargers import metrics
from core.http import proxies
from core.ocpp import versions

try:
    from websockets.speedups import apply_mask
except ImportError:  # on platforms without the compiled part
    from websockets.utils import apply_mask

WHOLE_TEXT = 0x81  # FIN and opcode 1
MASKED = 0x80
MAX_SHORT_PAYLOAD = 125  # bytes; the second byte of a frame has the length of such a payload
MAX_FAST_PAYLOAD = 16_384  # bytes of a payload on the fast path, because it buffers an incomplete frame
MAX_QUEUED_FRAMES = 32  # above which reading pauses until the application has taken them
MAX_QUEUED_FOR_RESUME = 4  # up to which reading resumes
HEAVY_MESSAGE_BYTES = 2**20  # after a larger message reading pauses until the application has taken it
FRAMES_PER_TURN = 64  # frames of one socket that are read before other sockets get their turn
RESUME_DELAY_S = 0.005  # until such a socket is read again, because the writer thread needs the interpreter, too
# A shorter message is sent as it is, because compression saves few bytes of it.
MIN_COMPRESSED_BYTES = 256
DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=12,  # 4 KiB, which is little even for a charger
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)
LINGER_S = 1.0  # for which a socket is read after its charger has broken the protocol


def _aborts_later(method):
    """Make `method`, which closes the connection, also abort it later, because a peer may not read pending data."""

    def closing(self, *arguments):
        method(self, *arguments)
        self.loop.call_later(self.close_timeout, self.transport.abort)

    return closing


class FrameQueue(list):
    """The queue of uvicorn with one reader. `reader` is the future of the reader while it waits.

    It is short, see MAX_QUEUED_FRAMES. An empty deque would need ten times the memory of an empty list.
    """

    __slots__ = ("reader",)

    def __init__(self):
        super().__init__()
        self.reader = None

    def put_nowait(self, event):
        self.append(event)
        if self.reader is not None and not self.reader.done():
            self.reader.set_result(None)


class Writable:
    """The event of uvicorn that is set while the peer reads. It has an `asyncio.Event` only while it is not set."""

    __slots__ = ("cleared",)

    def __init__(self):
        self.cleared = None

    def is_set(self):
        return self.cleared is None

    def clear(self):
        self.cleared = self.cleared or asyncio.Event()

    def set(self):
        cleared, self.cleared = self.cleared, None
        if cleared is not None:
            cleared.set()

    async def wait(self):
        if self.cleared is not None:
            await self.cleared.wait()


class ChargerWebSocket(WebSocketsSansIOProtocol):
    """The WebSocket of a charger.

    The scope of the application has `client_certificate`, the subject of a client certificate that TLS has verified,
    and `socket`, this object, which implements `gateway.handshake.Wire`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.queue, self.writable = FrameQueue(), Writable()
        self.of_connection = {}  # members of the scope that describe the TLS connection or the proxy
        self.take = None  # the function that gets text frames first, see `read_by`
        self.partial = b""  # the beginning of an incomplete frame
        self.unwritten = 0  # bytes in the write buffer when the wait for a pong last began
        self.has_received = False  # whether any byte was received since the last ping
        self.has_heavy = False  # whether a message of more than HEAVY_MESSAGE_BYTES is queued
        self.slow_bytes_left = 0  # bytes not yet received of a frame on the slow path
        self.is_refused = False  # whether the charger has broken the protocol
        self.extensions = []  # that were agreed: none, or permessage-deflate

    @property
    def conn(self):
        """The state machine of the library. A new one is made if `_forget_conn` has dropped it."""
        if self.open_conn is None:
            self.open_conn = ServerProtocol(state=OPEN, max_size=self.config.ws_max_size, logger=self.logger)
            self.open_conn.extensions = self.extensions
        return self.open_conn

    @conn.setter
    def conn(self, conn):
        self.open_conn = conn

    def _forget_conn(self):
        """Drop the state machine between two messages. It would need a sixth of the memory of an idle socket."""
        conn = self.open_conn
        if conn and conn.state is OPEN and not self.slow_bytes_left and conn.current_size is None:
            self._drop_conn()

    def _drop_conn(self):
        if self.open_conn is not None:
            self.open_conn.parser.close()  # it refers to the frame received last, and to `open_conn`: a cycle
            self.open_conn = None

    def forget_handshake(self):
        """Drop the request, the response and the members of the scope, a third of the memory of an idle socket."""
        self.request = self.response = None
        self.scope.clear()
        self._forget_conn()

    def keep_alive(self, interval, timeout):
        """Ping every `interval` seconds (0: never), and close `timeout` seconds after a ping without any byte."""
        self.ping_interval, self.ping_timeout = interval, timeout
        if self.handshake_complete and not self.disconnected:
            self.stop_keepalive()
            self.start_keepalive()

    def read_by(self, take):
        self.take = take

    def handle_connect(self, event):
        self.conn.available_extensions = [DEFLATE] if _may_compress(event.headers) else None
        super().handle_connect(event)
        self.extensions = self.conn.extensions
        if self.response.status_code == 101:
            self.scope |= {"socket": self, **self.of_connection}

    def connection_made(self, transport):
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert")
        if certificate:
            self.of_connection = {"client_certificate": _subject(certificate)}
        elif proxies.believed((transport.get_extra_info("peername") or ("",))[0]):
            self.of_connection = {"from_proxy": True}

    def connection_lost(self, exc):
        super().connection_lost(exc)
        # Break reference cycles, so that this protocol is freed at once.
        vars(self).get("scope", {}).pop("socket", None)
        self.take = None
        # Others may keep it until the garbage collector runs, which is rarely; they keep no received bytes.
        self._drop_conn()
        self.partial, self.frames = b"", []

    # --- from the charger --------------------------------------------------------------------

    def data_received(self, data):
        if self.is_refused:
            return
        if data:
            self.has_received = True
        if not self.handshake_initiated:
            super().data_received(data)
            if not self.handshake_initiated and not self.transport.is_closing():
                self._refuse_handshake()  # because uvicorn does not answer a head that it cannot parse
            return
        if self.partial:
            data, self.partial = self.partial + data, b""
        if not self.handshake_complete:  # the charger has not waited for our 101
            self.partial = data
            self._pause_reading()
            return
        position, frames_left = 0, FRAMES_PER_TURN
        while position < len(data) and frames_left and not self.read_paused and not self._is_closed():
            length = self._take(data, position)
            if not length:
                break
            position, frames_left = position + length, frames_left - 1
        self.partial = b"" if self.is_refused else data[position:]
        if not frames_left and not self.read_paused:
            self._pause_reading()
            metrics.held_sockets.inc()
            self.loop.call_later(RESUME_DELAY_S, self._resume_reading)

    def _is_closed(self):
        return self.is_refused or self.transport.is_closing()

    def _refuse_handshake(self):
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.transport.close()

    def _pause_reading(self):
        self.read_paused = True
        self.transport.pause_reading()

    def _resume_reading(self):
        """Read the buffered bytes and then the socket, unless its charger does not read its answers."""
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
        queue = self.queue
        while not queue:
            queue.reader = self.loop.create_future()  # `get_running_loop` would make a system call
            await queue.reader
        message = queue.pop(0)
        if self.read_paused and not queue:
            self.has_heavy = False
            self.loop.call_later(RESUME_DELAY_S, self._resume_reading)
        return message

    def _has_room(self):
        return len(self.queue) <= MAX_QUEUED_FOR_RESUME and not self.has_heavy

    def _take(self, data, position):
        """Take a frame, or pass a part of it on to the library. Return the number of bytes, 0 if more are needed."""
        if self.slow_bytes_left:
            return self._pass_on(data, position)
        header, length = _lengths(data, position)
        start, end = position + header, position + header + length
        if not header:
            return 0
        if (
            data[position] != WHOLE_TEXT
            or not data[position + 1] & MASKED
            or length > MAX_FAST_PAYLOAD
            or self.frames
        ):
            self.slow_bytes_left = header + length
            return self._pass_on(data, position)
        if len(data) < end:
            return 0
        if not self.close_sent:
            try:
                text = apply_mask(data[start:end], data[start - 4 : start]).decode()
            except UnicodeDecodeError:
                self._refuse(1007)
            else:
                if self.queue or self.take is None or not self.take(text):
                    self._queue(text)
        return header + length

    def _queue(self, text):
        self.queue.put_nowait({"type": "websocket.receive", "text": text})
        if len(self.queue) > MAX_QUEUED_FRAMES and not self.read_paused:
            self._pause_reading()

    def _pass_on(self, data, position):
        """Pass a frame on the slow path to the library, as far as it has been received."""
        part = data[position : position + self.slow_bytes_left]
        self.slow_bytes_left -= len(part)
        super().data_received(part)
        self._forget_conn()
        if self.read_paused and self._has_room() and self.writable.is_set():
            # The library would pause until all frames are taken, which would delay pings and pongs behind them.
            self.read_paused = False
            self.transport.resume_reading()
        return len(part)

    def send_receive_event_to_app(self):
        """Refuse a text that is not UTF-8 with 1007, because uvicorn would log a stack trace for each."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self._refuse(1007)
                return
        self.has_heavy = self.has_heavy or sum(map(len, self.frames)) > HEAVY_MESSAGE_BYTES
        super().send_receive_event_to_app()

    def handle_cont(self, event):
        """Limit the number of fragments of a message, because even empty ones need memory."""
        if len(self.frames) * MAX_SHORT_PAYLOAD < self.config.ws_max_size:
            super().handle_cont(event)
        else:
            self._refuse(1009)

    def _refuse(self, code):
        self.conn.send_close(code)
        self.handle_parser_exception()

    def handle_parser_exception(self):
        """Send the close code of the fault, then read and drop bytes for LINGER_S before closing.

        If a socket with unread bytes is closed, TCP resets the connection, and the charger never receives the code.
        """
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self.is_refused = True
        self.frames = []
        self.close_timer = self.loop.call_later(LINGER_S, self._end_refused)
        self.transport.resume_reading()

    def keepalive_timeout(self):
        """Close the socket of a charger that sent nothing since the ping.

        Any byte counts, because some chargers do not answer pings. While reading is paused because the application is
        slow, no byte can be received, so nothing is closed. While the charger still reads a long answer, our ping is
        queued behind it, so the wait continues as long as the write buffer shrinks.
        """
        if self.has_received or (self.read_paused and self.writable.is_set()):
            self.pong_timer = self.pending_ping_payload = None
            self.last_ping_rtt = self.loop.time() - self.ping_sent_at  # so that the next ping is not delayed by it
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
        self.has_received = False
        super().send_keepalive_ping()
        self._forget_conn()

    _end_silence = _aborts_later(WebSocketsSansIOProtocol.keepalive_timeout)
    _end_refused = _aborts_later(lambda self: self.transport.close())
    handle_close = _aborts_later(WebSocketsSansIOProtocol.handle_close)
    on_task_complete = _aborts_later(WebSocketsSansIOProtocol.on_task_complete)

    # --- to the charger ----------------------------------------------------------------------

    def pause_writing(self):
        """Pause reading from a charger that does not read its answers, because each frame causes another answer."""
        super().pause_writing()
        self._pause_reading()

    def resume_writing(self):
        super().resume_writing()
        self.loop.call_soon(self._resume_reading)

    def write_text(self, text):
        is_open = self.handshake_complete and not (self.disconnected or self.close_sent)
        if is_open and self.writable.is_set() and (self.open_conn is None or self.open_conn.state is OPEN):
            payload = text.encode()
            if self.extensions and len(payload) >= MIN_COMPRESSED_BYTES:
                self._write_compressed(payload)
            else:
                self.transport.write(_header(len(payload)) + payload)
            return True
        return False

    def _write_compressed(self, payload):
        self.conn.send_text(payload)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self._forget_conn()

    async def send(self, message):
        text = message.get("text")
        if text is not None and self.write_text(text):
            return
        await super().send(message)
        if self.partial:
            self.loop.call_soon(self._resume_reading)


def _may_compress(headers):
    """Whether messages may be compressed in the OCPP version that a charger with these `headers` gets."""
    offered = ",".join(headers.get_all("Sec-WebSocket-Protocol"))
    version = versions.negotiate([name.strip() for name in offered.split(",")])
    return version is not None and version.subprotocol in settings.OCPP_COMPRESSION


def _lengths(data, position):
    """The frame at `position`: (bytes of its header with the mask, of its payload); (0, 0) if more are needed."""
    available = len(data) - position
    length = data[position + 1] & 127 if available >= 2 else None
    extended = {126: 2, 127: 8}.get(length, 0)
    if length is None or available < 2 + extended:
        return 0, 0
    if extended:
        length = int.from_bytes(data[position + 2 : position + 2 + extended], "big")
    return 2 + extended + (4 if data[position + 1] & MASKED else 0), length


def _header(length):
    """The header of an unmasked text frame with a payload of `length` bytes."""
    if length <= MAX_SHORT_PAYLOAD:
        return bytes((WHOLE_TEXT, length))
    if length < 2**16:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


def _subject(certificate):
    """{"CN": [names], "O": [names], "serial": hex digits} of a `certificate`, as `ssl.getpeercert` returns it."""
    parts = [part for rdn in certificate["subject"] for part in rdn]
    names = {"CN": "commonName", "O": "organizationName"}
    subject = {short: [value for name, value in parts if name == long] for short, long in names.items()}
    return subject | {"serial": certificate["serialNumber"]}
