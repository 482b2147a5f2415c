"""The charger's side of OCPP-J: one CALL at a time, each until its answer, over one connection or several."""

import asyncio
import contextlib
import logging
import socket
import struct
import time
from base64 import b64encode
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from ssl import SSLContext
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import orjson
import picows

from core.ocpp.frames import CALL, CALLERROR, CALLRESULT
from core.ocpp.versions import OCPP16, Version

ACCEPTED = {"status": "Accepted"}
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: the socket is reset instead of closed
CONNECTION_ERRORS = (OSError, picows.WSError, TimeoutError)

logging.getLogger("picows").setLevel(logging.WARNING)  # otherwise it logs each connection


class CallError(Exception):
    """A CALLERROR, received for a call or given as an answer."""

    def __init__(self, code: str, description: str = "", details: Mapping | None = None) -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code, self.description, self.details = code, description, dict(details or {})


@dataclass(slots=True)
class Call:
    """A CALL of the charger and its frame. `asked` is when it was first sent (`time.monotonic`), 0 before."""

    message_id: str
    action: str
    payload: Any
    frame: bytes
    asked: float = 0.0
    answer: asyncio.Future | None = None


class Connection(picows.WSListener):
    """One WebSocket of a client. `close_code` is that of the server, if any; `ended_here`: the charger ended it."""

    def __init__(self, client: "Client") -> None:
        self.client, self.close_code, self.ended_here = client, None, False

    def on_ws_connected(self, transport):
        self.transport = transport
        self.client.connected(self)

    def on_ws_disconnected(self, transport):
        self.client.disconnected(self)

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == picows.WSMsgType.TEXT:
            self.client.heard(self, frame.get_payload_as_bytes())
        elif frame.msg_type == picows.WSMsgType.CLOSE:
            self.close_code = frame.get_close_code()
            transport.send_close(self.close_code)
            transport.disconnect()

    def send(self, frame: bytes) -> bool:
        """Send a text frame; return False if the connection has ended."""
        if self.transport.is_disconnected:
            return False
        self.transport.send(picows.WSMsgType.TEXT, frame)
        return True

    def close(self) -> None:
        self.ended_here = True
        self.transport.send_close(1000)
        self.transport.disconnect()

    def reset(self) -> None:
        """End the connection without a close frame: RST."""
        self.ended_here = True
        raw = self.transport.underlying_transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.underlying_transport.abort()


class Client:
    """A charger at the wire. A CALL that was not answered is sent again on the next connection, with its message id.

    `answers` has the answer for each action: a CALLRESULT's payload, a `CallError`, a number of seconds after which
    the charger answers Accepted, None for no answer, or a function of the payload that returns one of these.
    """

    version: Version = OCPP16
    first_delay_s, longest_delay_s = 1.0, 60.0  # between attempts to connect; the delay doubles
    handshake_timeout_s = 30.0

    def __init__(
        self,
        url: str,
        charger_id: str,
        answers: Mapping[str, Any] | None = None,
        key: str = "",
        tls: SSLContext | None = None,
    ) -> None:
        """`url` ends before the charger id, `key` is that of Basic auth."""
        self.url, self.identity, self.answers = url, charger_id, answers or {}
        self.key, self.tls = key, tls
        self.connection: Connection | None = None
        self.calls: deque[Call] = deque()  # the first one waits for its answer
        self.sent_at = 0.0  # when the first one was sent last
        self.missing = asyncio.Event()  # set while a connection is wanted
        self.missing.set()
        self._ids = (f"{prefix}-{number}" for prefix in [uuid4().hex[:12]] for number in count(1))

    # --- connections -------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open a connection, whether or not there is one; the newest counts. Raises `CONNECTION_ERRORS`."""
        headers = {"Sec-WebSocket-Protocol": self.version.subprotocol}
        if self.key:
            headers["Authorization"] = f"Basic {b64encode(f'{self.identity}:{self.key}'.encode()).decode()}"
        await picows.ws_connect(
            lambda: Connection(self),
            f"{self.url}/{quote(self.identity, safe='')}",
            ssl_context=self.tls,
            extra_headers=headers,
            websocket_handshake_timeout=self.handshake_timeout_s,
        )

    async def stay_connected(self) -> None:
        """Connect, and connect again after each loss."""
        delay_s = self.first_delay_s
        while True:
            await self.missing.wait()
            began = time.monotonic()
            try:
                await self.connect()
                await self.missing.wait()
                delay_s = self.first_delay_s if time.monotonic() - began > delay_s else delay_s
                self.report_disconnected(None, delay_s)
            except CONNECTION_ERRORS as error:
                self.report_disconnected(error, delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, self.longest_delay_s)

    def report_disconnected(self, error: Exception | None, delay_s: float) -> None:
        """A handshake failed with `error`, or a connection was lost; the next attempt is in `delay_s`."""

    def connected(self, connection: Connection) -> None:
        self.connection = connection
        self.missing.clear()
        self._send_first()

    def disconnected(self, connection: Connection) -> None:
        if connection is self.connection:
            self.connection = None
            self.missing.set()

    def disconnect(self) -> None:
        """Close the connection, if there is one."""
        if self.connection:
            self.connection.close()

    def drop(self) -> None:
        """Reset the connection, if there is one."""
        if self.connection:
            self.connection.reset()

    def drop_if_unanswered_for(self, seconds: float) -> None:
        """Drop a connection on which an answer does not come, as chargers do."""
        if self.calls and self.sent_at < time.monotonic() - seconds:
            self.drop()

    # --- calls of the charger ----------------------------------------------------------------

    def post(self, action: str, payload: Any) -> Call:
        """Queue a CALL; `payload` may be its JSON text. It is sent when all before it are answered."""
        call = self.framed(action, payload)
        self.calls.append(call)
        if len(self.calls) == 1:
            self._send_first()
        return call

    def framed(self, action: str, payload: Any) -> Call:
        """A new CALL, which is not queued."""
        message_id = next(self._ids)
        frame = f'[2,"{message_id}","{action}",{self.as_text(action, payload)}]'
        return Call(message_id, action, payload, frame.encode())

    def as_text(self, action: str, payload: Any) -> str:
        """The payload of a CALL as JSON."""
        return payload if isinstance(payload, str) else orjson.dumps(payload).decode()

    async def call(self, action: str, payload: Any) -> dict:
        """Return the payload of the CALLRESULT; raise `CallError`."""
        call = self.post(action, payload)
        call.answer = asyncio.get_running_loop().create_future()
        return await call.answer

    def _send_first(self) -> None:
        if self.calls and self.connection:
            call, self.sent_at = self.calls[0], time.monotonic()
            call.asked = call.asked or self.sent_at
            self.connection.send(call.frame)

    def heard(self, connection: Connection, frame: bytes) -> None:
        kind, message_id, *rest = orjson.loads(frame)
        if kind == CALL:  # also on a connection that was replaced
            self.commanded(connection, message_id, *rest)
        elif connection is not self.connection or not self.calls or self.calls[0].message_id != message_id:
            self.unexpected(frame)
        else:
            call = self.calls.popleft()
            self._send_first()
            if kind == CALLRESULT:
                self.answered(call, rest[0])
            else:
                self.refused(call, CallError(*rest))

    def answered(self, call: Call, answer: dict) -> None:
        """A CALLRESULT has arrived."""
        if call.answer and not call.answer.done():
            call.answer.set_result(answer)

    def refused(self, call: Call, error: CallError) -> None:
        """A CALLERROR has arrived."""
        if call.answer and not call.answer.done():
            call.answer.set_exception(error)

    def unexpected(self, frame: bytes) -> None:
        """An answer has arrived that the charger does not wait for (any more)."""

    # --- CALLs to the charger ----------------------------------------------------------------

    def commanded(self, connection: Connection, message_id: str, action: str, payload: dict) -> None:
        self.reply(connection, message_id, self.answer_to(action, payload))

    def answer_to(self, action: str, payload: dict) -> Any:
        """The answer, see `Client`."""
        answer = self.answers.get(action)
        return answer(payload) if callable(answer) else answer

    def reply(self, connection: Connection, message_id: str, answer: Any) -> bool:
        """Send an answer; return whether it was sent."""
        if isinstance(answer, int | float):
            asyncio.get_running_loop().call_later(answer, self.reply, connection, message_id, ACCEPTED)
            return False
        if answer is None:
            return False
        if isinstance(answer, CallError):
            frame = [CALLERROR, message_id, answer.code, answer.description, answer.details]
        else:
            frame = [CALLRESULT, message_id, answer]
        return connection.send(orjson.dumps(frame))
