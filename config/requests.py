"""uvicorn's HTTP protocol, for those who begin a request, the handshake of a WebSocket too, and never end it.

uvicorn counts the time between requests alone: such connections would stay for ever, and a head might grow for ever.
"""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD = 15.0  # seconds for a request line and headers, from when the connection is made or the head begins
LARGEST_HEAD = 64 * 1024  # bytes; also of what comes between two parts of a body, such as trailers
WINDOW = 30.0  # seconds in which a body must have come to its end, or by LEAST bytes
LEAST = 30 * 1024
LINGER = 5.0  # seconds in which a client that is still sending may read its answer
TOO_SLOW = b"The body came too slowly: at least 1 KiB/s is needed."


class Lingering:
    """A transport whose `close` lets a client that is still sending read its answer first.

    If a socket is closed with bytes unread, TCP resets the connection, and the client may never see the answer.
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
        self.timer = self.protocol.loop.call_later(LINGER, self.end)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.protocol.flow.resume_reading()

    def end(self):
        """Close at once."""
        if self.timer is not None:
            self.timer.cancel()
        self.transport.close()


class PatientHttp(HttpToolsProtocol):
    """Patient, but not without end."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.patience = None
        self.between = 0  # bytes that came since the end of a request, of its head, or of a part of its body
        self.body = None  # bytes that came of a body in this `WINDOW`, None where none is to come
        self.is_whole = True  # whether all has come of every request that began

    def connection_made(self, transport):
        super().connection_made(Lingering(transport, self))
        self._wait(HEAD)

    def connection_lost(self, exc):
        self._wait(None)
        self.transport.end()
        super().connection_lost(exc)

    def data_received(self, data):
        if self.transport.lingers:
            return
        self.between += len(data)
        super().data_received(data)
        if self.patience is None and self.timeout_keep_alive_task is None and self._is_idle():
            self._wait(HEAD)  # bytes between requests that begin none have stopped uvicorn's own timer
        if self.between > LARGEST_HEAD and not self.is_whole and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def eof_received(self):
        if self.transport.lingers:
            self.transport.end()
        return super().eof_received()

    def _is_idle(self):
        """Between two requests; and the connection is ours, not a charger's."""
        ours = self.transport.get_protocol() is self and not self.transport.is_closing()
        return ours and (self.cycle is None or self.cycle.response_complete)

    def on_message_begin(self):
        super().on_message_begin()
        self.is_whole = False
        if self.patience is None:
            self._wait(HEAD)

    def on_headers_complete(self):
        super().on_headers_complete()
        self.between = self.body = 0
        self._wait(WINDOW)

    def on_body(self, body):
        super().on_body(body)
        self.between = 0
        self.body += len(body)

    def on_message_complete(self):
        super().on_message_complete()
        self.between, self.body, self.is_whole = 0, None, True
        self._wait(None)

    def handle_websocket_upgrade(self):
        self._wait(None)  # the connection has another protocol from now on
        self.transport = self.transport.transport
        super().handle_websocket_upgrade()

    def _wait(self, seconds):
        """From now on for this long, None for without end: then it is our turn, or uvicorn's."""
        if self.patience:
            self.patience.cancel()
        self.patience = self.loop.call_later(seconds, self._look, seconds) if seconds else None

    def _look(self, seconds):
        if self.flow.read_paused or (self.body or 0) >= LEAST:  # it is we who do not read on, or it goes well
            self.body = 0 if self.body is not None else None
            self._wait(seconds)
        elif self.body is None or self.cycle.response_started:
            self.transport.end()
        else:
            self._give_up()

    def _give_up(self):
        """Answer 408 in place of the application, which is told that its client has gone."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        head = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(STATUS_LINE[408] + head % len(TOO_SLOW) + TOO_SLOW)
        self.transport.close()
