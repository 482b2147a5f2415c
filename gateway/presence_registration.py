"""The registration of a socket's presence in Redis, by which commands and a newer socket of the charger reach it."""

import asyncio
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from chargers.services import presence
from chargers.services.presence import TTL_S, Presence
from core.observability import diagnosis

if TYPE_CHECKING:
    from gateway.consumer import ChargerConsumer

logger = logging.getLogger(__name__)

PRESENCE_TIMEOUT_S = 1.0


class ChannelLayer(Protocol):
    """The methods of a channel layer that a socket uses."""

    async def new_channel(self) -> str: ...
    async def receive(self, channel: str) -> dict[str, Any]: ...
    async def send(self, channel: str, message: dict[str, Any]) -> None: ...


class PresenceRegistration:
    """The registration of one consumer, `socket`. `presence` is its entry, None while commands cannot reach it."""

    opened_at: datetime  # of the socket, from `begin`

    def __init__(self, socket: "ChargerConsumer") -> None:
        self.socket = socket
        self.presence: Presence | None = None
        self.listener: asyncio.Task[None] | None = None
        self.beginning: asyncio.Task[None] | None = None
        self.has_ended = False
        self.lock = asyncio.Lock()

    async def begin(self, opened_at: datetime) -> None:
        """Register presence before the first answer, but wait at most PRESENCE_TIMEOUT_S for Redis.

        The socket was opened at `opened_at`.
        """
        self.opened_at = opened_at
        self.beginning = asyncio.create_task(self.register())
        await asyncio.wait({self.beginning}, timeout=PRESENCE_TIMEOUT_S)

    async def register(self) -> None:
        """Make the socket reachable for commands, and close the older socket of this charger."""
        async with self.lock:
            if self.presence is None and not self.has_ended:
                await self._register()

    async def _register(self) -> None:
        layer: ChannelLayer = get_channel_layer()
        try:
            version = self.socket.version.subprotocol
            entry = Presence.opened(await layer.new_channel(), self.opened_at, version)
            self.listener = asyncio.create_task(self.socket.exchange.handle_control_message(layer, entry.channel))
            replaced = await presence.register(self.socket.charger.identity, entry)
            self.presence = entry
            if replaced == entry:  # the charger has opened a newer socket meanwhile
                self.socket.in_background(self.socket.close_replaced())
            elif replaced:
                await self._close_socket(layer, replaced)
        except RedisError as error:
            cause = diagnosis.in_words(error)
            logger.warning("%s: commands cannot reach it. %s The error: %s", self.socket.charger, cause, error)
            await self._stop_listening()

    async def _close_socket(self, layer: ChannelLayer, replaced: Presence) -> None:
        try:
            await layer.send(replaced.channel, {"type": "ocpp.close"})
        except RedisError as error:  # the renewal of its presence, or its next CALL, closes the socket later
            logger.warning("%s: its former socket is not closed yet: %s", self.socket.charger, error)

    async def _stop_listening(self) -> None:
        """Stop the listener, after a command that is being claimed has been written or reported lost."""
        async with self.socket.exchange.commanding:
            if self.listener:
                self.listener.cancel()
                self.listener = None

    async def stop(self) -> None:
        """Stop accepting commands."""
        async with self.lock:  # a registration in progress ends by the timeouts of Redis
            self.has_ended = True
        await self._stop_listening()

    async def leave(self) -> None:
        """Clear the entry, after `stop`."""
        try:
            if self.presence:
                await presence.leave(self.socket.charger.identity, self.presence)
        except RedisError as error:
            why = "%s: its presence could not be deleted, and expires in %s s. %s The error: %s"
            logger.warning(why, self.socket.charger, TTL_S, diagnosis.in_words(error), error)
