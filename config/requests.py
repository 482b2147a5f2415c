"""uvicorn's HTTP protocol, for those who begin a request, the handshake of a WebSocket too, and never end it.

uvicorn counts the time between requests alone: such connections would stay for ever, and a head might grow for ever.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = 15.0  # seconds for a request line and headers, from when the connection is made or the head begins
LARGEST_HEAD = 128 * 1024  # bytes
SILENCE = 60.0  # seconds without a byte of a body that is still to come


class PatientHttp(HttpToolsProtocol):
    """Patient, but not without end."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.patience = None
        self.head = 0  # bytes of a head that has not come whole, None behind it

    def connection_made(self, transport):
        super().connection_made(transport)
        self._wait(HEAD)

    def connection_lost(self, exc):
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data):
        super().data_received(data)
        if self.patience is None and self.timeout_keep_alive_task is None and self._is_idle():
            self._wait(HEAD)  # bytes between requests that begin none have stopped uvicorn's own timer
        if self.head is not None and not self.transport.is_closing():
            self.head += len(data)
            if self.head > LARGEST_HEAD:
                self.send_400_response("The head of the request is too large.")

    def _is_idle(self):
        """Between two requests; and the connection is ours, not a charger's."""
        ours = self.transport.get_protocol() is self and not self.transport.is_closing()
        return ours and (self.cycle is None or self.cycle.response_complete)

    def on_message_begin(self):
        super().on_message_begin()
        self.head = 0
        if self.patience is None:
            self._wait(HEAD)

    def on_headers_complete(self):
        super().on_headers_complete()
        self.head = None
        self._wait(SILENCE)

    def on_body(self, body):
        super().on_body(body)
        self._wait(SILENCE)

    def on_message_complete(self):
        super().on_message_complete()
        self._wait(None)

    def handle_websocket_upgrade(self):
        self._wait(None)  # the connection has another protocol from now on
        super().handle_websocket_upgrade()

    def _wait(self, seconds):
        """From now on for this long, None for without end: then it is our turn, or uvicorn's."""
        if self.patience:
            self.patience.cancel()
        self.patience = self.loop.call_later(seconds, self._give_up, seconds) if seconds else None

    def _give_up(self, seconds):
        if self.flow.read_paused:  # it is we who do not read on
            self._wait(seconds)
        else:
            self.transport.close()
