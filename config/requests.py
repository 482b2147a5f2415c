"""uvicorn's HTTP protocol with time limits within a request, including the handshake of a WebSocket.

uvicorn limits only the time between requests, so an unfinished request would hold its connection without end, and its
head could grow without end.
"""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_TIMEOUT_S = 15.0  # for a request line and headers, from the start of the connection or of the head
MAX_HEAD_BYTES = 64 * 1024  # also between two parts of a body, such as trailers
BODY_WINDOW_S = 30.0  # in which a body must be finished, or MIN_WINDOW_BYTES of it received
MIN_WINDOW_BYTES = 30 * 1024
LINGER_S = 5.0  # for a client that is still sending to read its answer
TOO_SLOW = b"The body was received too slowly: send at least 1 KiB/s."


class LingeringTransport:
    """A transport whose `close` waits, so that a client that is still sending can read its answer.

    If a socket with unread bytes is closed, TCP resets the connection, and the client may lose the answer.
    """

    def __init__(self, transport, protocol):
        self.transport, self.protocol = transport, protocol
        self.timer = None

    def __getattr__(self, name):
        return getattr(self.transport, name)

    @property
    def lingers(self):
        return self.timer is not None

    def is_closing(self):
        return self.lingers or self.transport.is_closing()

    def close(self):
        if self.protocol.is_whole or self.is_closing():
            self.end()
            return
        self.timer = self.protocol.loop.call_later(LINGER_S, self.end)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.protocol.flow.resume_reading()

    def end(self):
        """Close at once."""
        if self.timer is not None:
            self.timer.cancel()
        self.transport.close()


class TimeLimitedHttp(HttpToolsProtocol):
    """Ends connections that send a head or a body too slowly, or a head that is too large."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.timer = None
        self.between = 0  # bytes received since the end of a request, of its head, or of a part of its body
        self.body = None  # bytes of a body received in this `BODY_WINDOW_S`, None if no body is expected
        self.is_whole = True  # whether all requests that began were received completely

    def connection_made(self, transport):
        super().connection_made(LingeringTransport(transport, self))
        self._wait(HEAD_TIMEOUT_S)

    def connection_lost(self, exc):
        self._wait(None)
        self.transport.end()
        super().connection_lost(exc)

    def data_received(self, data):
        if self.transport.lingers:
            return
        self.between += len(data)
        super().data_received(data)
        if self.timer is None and self.timeout_keep_alive_task is None and self._is_idle():
            self._wait(HEAD_TIMEOUT_S)  # uvicorn stops its own timer even for bytes that begin no request
        if self.between > MAX_HEAD_BYTES and not self.is_whole and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def eof_received(self):
        if self.transport.lingers:
            self.transport.end()
        return super().eof_received()

    def _is_idle(self):
        """Whether the connection is between two requests, and was not upgraded to a WebSocket."""
        is_http = self.transport.get_protocol() is self and not self.transport.is_closing()
        return is_http and (self.cycle is None or self.cycle.response_complete)

    def on_message_begin(self):
        super().on_message_begin()
        self.is_whole = False
        if self.timer is None:
            self._wait(HEAD_TIMEOUT_S)

    def on_headers_complete(self):
        super().on_headers_complete()
        self.between = self.body = 0
        self._wait(BODY_WINDOW_S)

    def on_body(self, body):
        super().on_body(body)
        self.between = 0
        self.body += len(body)

    def on_message_complete(self):
        super().on_message_complete()
        self.between, self.body, self.is_whole = 0, None, True
        self._wait(None)

    def handle_websocket_upgrade(self):
        self._wait(None)  # the WebSocket protocol has its own limits
        self.transport = self.transport.transport
        super().handle_websocket_upgrade()

    def _wait(self, seconds):
        """Restart the timer with `seconds`; None stops it."""
        if self.timer:
            self.timer.cancel()
        self.timer = self.loop.call_later(seconds, self._on_timer, seconds) if seconds else None

    def _on_timer(self, seconds):
        # Go on if we have paused reading, or if the rate suffices.
        if self.flow.read_paused or (self.body or 0) >= MIN_WINDOW_BYTES:
            self.body = 0 if self.body is not None else None
            self._wait(seconds)
        elif self.body is None or self.cycle.response_started:
            self.transport.end()
        else:
            self._refuse()

    def _refuse(self):
        """Answer 408 in place of the application, which receives a disconnect."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        head = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(STATUS_LINE[408] + head % len(TOO_SLOW) + TOO_SLOW)
        self.transport.close()
