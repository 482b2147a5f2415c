"""A socket's place in Redis: there commands find it, and a newer one of its charger tells it to go."""

import asyncio
import logging

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from chargers import diagnosis, gateway
from chargers.presence import Presence

logger = logging.getLogger(__name__)

PATIENCE = 1.0  # seconds a socket is not read because Redis does not answer


class PresenceRegistration:
    """Of one consumer, `socket`: `presence` is its entry, None while it can't be commanded."""

    def __init__(self, socket):
        self.socket = socket
        self.presence = self.listener = self.beginning = None
        self.gone = False
        self.lock = asyncio.Lock()

    async def begin(self):
        """A charger that is answered can be commanded; but a Redis that hangs is not waited for to hear it."""
        self.beginning = asyncio.create_task(self.enter())
        await asyncio.wait({self.beginning}, timeout=PATIENCE)

    async def enter(self):
        """Become reachable for commands; the older socket of this charger is told to go."""
        async with self.lock:
            if self.presence is None and not self.gone:
                await self._enter()

    async def _enter(self):
        layer = get_channel_layer()
        try:
            entry = Presence.opened(await layer.new_channel(), self.socket.newest.opened_at)
            self.listener = asyncio.create_task(self.socket.handle_control_message(layer, entry.channel))
            replaced = await gateway.register_presence(self.socket.charger.charger_id, entry)
            self.presence = entry
            if replaced == entry:  # it has connected again since
                self.socket.in_background(self.socket.supersede())
            elif replaced:
                await self._tell_to_close(layer, replaced)
        except RedisError as error:
            wrong = diagnosis.in_words(error)
            logger.warning("%s: can't be commanded. %s The error: %s", self.socket.charger, wrong, error)
            await self._stop_listening()

    async def _tell_to_close(self, layer, replaced):
        try:
            await layer.send(replaced.channel, {"type": "ocpp.close"})
        except RedisError as error:  # it learns so when it renews its presence, or by its next CALL
            logger.warning("%s: its former socket was not told to close: %s", self.socket.charger, error)

    async def _stop_listening(self):
        """A command that is being claimed is written or reported lost first; none is claimed and forgotten."""
        async with self.socket.commanding:
            if self.listener:
                self.listener.cancel()
                self.listener = None

    async def stop(self):
        """Take no more commands, from now on."""
        async with self.lock:  # an entry that is under way knows how long to wait for Redis
            self.gone = True
        await self._stop_listening()

    async def leave(self):
        """Clear the entry, after `stop`."""
        try:
            if self.presence:
                await gateway.leave(self.socket.charger.charger_id, self.presence)
        except RedisError as error:
            logger.warning("%s: presence ends by itself, Redis is away: %s", self.socket.charger, error)
