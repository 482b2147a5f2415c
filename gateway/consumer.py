"""The socket of one charger, from its handshake to its end. `gateway.exchange` processes its frames."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any

from channels.consumer import AsyncConsumer

from chargers import metrics
from chargers.models.charger import OF_SOCKET, is_lenient, keep_alive, seconds_before_commands
from chargers.services import budgets, connections
from chargers.services.refusals import refused
from core.observability import context
from core.ocpp.versions import Version
from gateway import handshake, sockets
from gateway.exchange import Exchange
from gateway.presence_registration import PresenceRegistration
from gateway.sockets import writer

logger = logging.getLogger(__name__)
limiter = handshake.HandshakeLimiter()

REPLACED = 4001  # close code for a socket that a newer one of the same charger replaces


class ChargerConsumer(AsyncConsumer):
    """The socket of one charger. The receive loop of its `exchange` replaces Channels' dispatch, which is slow."""

    scope: handshake.SocketScope
    wire: handshake.Wire
    base_send: handshake.Send
    version: Version
    charger: handshake.ConnectedCharger
    presence_registration: PresenceRegistration
    exchange: Exchange
    background: dict[asyncio.Task[None], None]  # an empty set would need three times the memory
    context: Context  # of the tasks of this socket
    is_closing = False

    async def __call__(self, scope: handshake.SocketScope, receive: handshake.Receive, send: handshake.Send) -> None:
        self.scope, self.wire, self.base_send = scope, scope["socket"], send
        await receive()  # websocket.connect
        try:
            chosen = await self._admit()
        except handshake.Refused as refusal:
            await self._refuse(refusal)
            return
        self.background = {}
        self.exchange, self.presence_registration = Exchange(self), PresenceRegistration(self)
        self.use_settings(**{name: getattr(self.charger, name) for name in OF_SOCKET})
        newest = None
        try:
            # Accept before registering, because a handshake that the charger has given up must not replace a newer
            # socket.
            await self.send({"type": "websocket.accept", "subprotocol": chosen})
            self.wire.forget_handshake()
            opened = connections.ConnectionOpened(self.charger.pk, self.charger.admitted_at, self.version.subprotocol)
            newest = await writer.submit_and_wait(connections.open_sockets, opened)
            if newest is None:
                await self.close_replaced()
                return
            metrics.opened_sockets.inc()
            await self.presence_registration.begin(newest.opened_at)
            sockets.add(self)
            await self.exchange.listen(newest, receive)
        except OSError:  # the charger has disconnected during the handshake
            logger.info("%s: disconnected during the handshake", self.charger)
        finally:
            await self._disconnect(newest)

    async def _admit(self) -> str | None:
        charger_id = handshake.charger_id_in(self.scope["raw_path"])
        context.charger_id.set(charger_id)  # valid for this socket alone, because it has its own asyncio task
        self.context = copy_context()
        request = handshake.request(charger_id, self.scope)
        limiter.check(request)
        try:
            self.charger = await writer.submit_and_wait(handshake.admit, request)
        except handshake.Refused as refusal:
            limiter.refuse(request, refusal.credentials)
            raise
        limiter.admit(charger_id)
        # After the credentials, so that nobody learns the spoken versions without these (2.0.1 TC_B_58).
        self.version, chosen = handshake.negotiate(list(self.scope["subprotocols"]))
        logger.info(
            "%s: connected, subprotocol %s",
            charger_id,
            chosen or f"not offered, taken for {self.version}",
        )
        return chosen

    def use_settings(
        self,
        message_log: str,
        validation: str,
        ping_interval: int | None,
        ping_timeout: int | None,
        boot_wait: int | None,
    ) -> None:
        """Apply these columns of the charger to this socket."""
        self.exchange.recorder.switch(message_log)
        self.exchange.is_lenient = is_lenient(validation)
        self.wire.keep_alive(*keep_alive(ping_interval, ping_timeout))
        self.exchange.boot_wait.limit(seconds_before_commands(boot_wait))

    async def _refuse(self, refusal: handshake.Refused) -> None:
        refused.note(context.charger_id.get() or "", refusal, handshake.address_in(self.scope))
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        if refusal.status == 401:
            headers.append((b"www-authenticate", b'Basic realm="ocpp"'))
        if refusal.status == 429:
            headers.append((b"retry-after", b"60"))
        with suppress(OSError):  # the charger may have disconnected
            await self.send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
            await self.send({"type": "websocket.http.response.body", "body": f"{refusal.reason}\n".encode()})

    async def _disconnect(self, newest: connections.Newest | None) -> None:
        sockets.remove(self)
        budgets.ledger.leave(self.charger.pk, self.exchange.account)
        self.exchange.boot_wait.stop()
        await self.presence_registration.stop()
        if self.exchange.outstanding:
            await self.exchange.report_lost(self.exchange.outstanding)
        await self.presence_registration.leave()
        if newest is not None:
            closed = connections.ConnectionClosed(self.charger.pk, newest.opened_at)
            await writer.submit_and_wait(connections.close_sockets, closed)
        await asyncio.gather(*self.background)  # an answer may still be delivered to its task
        logger.info("%s: disconnected", self.charger)

    def in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine, context=self.context.copy())
        self.background[task] = None
        task.add_done_callback(self.background.pop)

    async def close_replaced(self, code: int = REPLACED, reason: str = "Replaced by a newer connection") -> None:
        """Close this socket, by default because a newer socket of the same charger replaces it."""
        self.is_closing = True
        try:
            await self.send({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError):
            logger.info("%s: the socket was closed already", self.charger)
