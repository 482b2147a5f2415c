"""The registration of sockets in Redis, by which commands and newer sockets of their chargers reach them.

The sockets of a process share one channel of the channel layer and register in batches. A subscription, a task and a
command to Redis for each of them would take a quarter of the event loop's time when many chargers connect.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextvars import Context
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from chargers.services import control, presence
from chargers.services.presence import TTL_S, Presence
from core.observability import diagnosis

if TYPE_CHECKING:
    from gateway.consumer import ChargerConsumer

logger = logging.getLogger(__name__)

PRESENCE_TIMEOUT_S = 1.0


class ChannelLayer(Protocol):
    """The methods of a channel layer that a process uses."""

    async def new_channel(self) -> str: ...
    async def receive(self, channel: str) -> dict[str, Any]: ...


class PresenceRegistration:
    """The registration of one consumer, `socket`. `presence` is its `entry`, None while it is not registered."""

    __slots__ = ("socket", "opened_at", "entry", "presence", "registering", "has_ended")

    opened_at: datetime  # of the socket, from `begin`

    def __init__(self, socket: "ChargerConsumer") -> None:
        self.socket = socket
        self.entry: Presence | None = None
        self.presence: Presence | None = None
        self.registering: asyncio.Future[None] | None = None  # the end of its last batch
        self.has_ended = False

    async def begin(self, opened_at: datetime) -> None:
        """Register presence before the first answer, but wait at most PRESENCE_TIMEOUT_S for Redis.

        The socket was opened at `opened_at`.
        """
        self.opened_at = opened_at
        await asyncio.wait({registrar.add(self)}, timeout=PRESENCE_TIMEOUT_S)

    def entry_at(self, channel: str) -> Presence:
        """Return the entry with the `channel` of this process. A second attempt to register has the same entry."""
        if self.entry is None:
            self.entry = Presence.opened(channel, self.opened_at, self.socket.version.subprotocol)
            registrar.sockets[self.entry.session] = self.socket  # at once, because a command may arrive at once
        return self.entry

    def conclude(self, outcome: Presence | RedisError | None) -> Presence | None:
        """Use the outcome of registering `entry`. Return the entry of an older socket, which must close."""
        if isinstance(outcome, RedisError):
            cause = diagnosis.in_words(outcome)
            logger.warning("%s: commands cannot reach it. %s The error: %s", self.socket.charger, cause, outcome)
            return None
        self.presence = self.entry
        if outcome is not None and outcome == self.entry:  # the charger has opened a newer socket meanwhile
            self.socket.in_background(self.socket.close_replaced())
            return None
        return outcome

    async def stop(self) -> None:
        """Stop accepting commands, after one that is being claimed has been written or reported lost."""
        self.has_ended = True
        if self.registering is not None:  # it ends by the timeouts of Redis
            await asyncio.wait({self.registering})
        async with self.socket.exchange.commanding:
            if self.entry is not None:
                registrar.sockets.pop(self.entry.session, None)

    async def leave(self) -> None:
        """Clear the entry, after `stop`."""
        try:
            if self.presence:
                await presence.leave(self.socket.charger.identity, self.presence)
        except RedisError as error:
            why = "%s: its presence could not be deleted, and expires in %s s. %s The error: %s"
            logger.warning(why, self.socket.charger, TTL_S, diagnosis.in_words(error), error)


class Registrar:
    """The registrar of this process: it registers waiting sockets as one batch, and passes on control messages."""

    def __init__(self) -> None:
        self.sockets: dict[str, ChargerConsumer] = {}  # by session
        self.waiting: dict[PresenceRegistration, None] = {}
        self.batch: asyncio.Future[None] | None = None  # that of `waiting`
        self.channel: str | None = None
        self.running: asyncio.Task[None] | None = None
        self.listener: asyncio.Task[None] | None = None

    def add(self, registration: PresenceRegistration) -> asyncio.Future[None]:
        """Register it in the next batch. Return a future of the end of that batch, which is no error if it fails."""
        if self.batch is None:
            self.batch = asyncio.get_running_loop().create_future()
        if self.running is None:
            self.running = asyncio.create_task(self._run(), context=Context())
        self.waiting[registration] = None
        registration.registering = self.batch
        return self.batch

    async def _run(self) -> None:
        while (batch := self.batch) is not None:
            registrations, self.waiting, self.batch = self.waiting, {}, None
            try:
                await self._register([one for one in registrations if one.presence is None and not one.has_ended])
            except Exception:  # noqa: BLE001  (their sockets must go on, and others must register)
                logger.exception("%s sockets could not be registered. It is tried again.", len(registrations))
            finally:
                batch.set_result(None)
        self.running = None

    async def _register(self, registrations: Collection[PresenceRegistration]) -> None:
        """Make the sockets reachable for commands, and close older sockets of their chargers."""
        outcomes: Sequence[Presence | RedisError | None]
        try:
            channel = await self._open_channel()
            entries = [(one.socket.charger.identity, one.entry_at(channel)) for one in registrations]
            outcomes = await presence.register(entries)
        except RedisError as error:
            outcomes = [error] * len(registrations)
        pairs = zip(registrations, outcomes, strict=True)
        older = [one.socket.context.run(one.conclude, outcome) for one, outcome in pairs]
        await self._close([entry for entry in older if entry is not None])

    async def _close(self, older: list[Presence]) -> None:
        try:
            if older:
                await control.close_replaced(older)
        except RedisError as error:  # the renewal of their presence, or their next CALL, closes them later
            logger.warning("%s former sockets are not closed yet: %s", len(older), error)

    async def _open_channel(self) -> str:
        """Return the channel of this process, which it listens to from now on."""
        if self.channel is None:
            layer: ChannelLayer = get_channel_layer()
            self.channel = await layer.new_channel()
            self.listener = asyncio.create_task(self._listen(layer, self.channel), context=Context())
        return self.channel

    async def _listen(self, layer: ChannelLayer, channel: str) -> None:
        while True:
            try:
                message = await layer.receive(channel)
                if socket := self.sockets.get(message.pop("session")):
                    socket.context.run(socket.exchange.on_control, message)
            except Exception:  # noqa: BLE001  (the chargers must stay reachable; a command is sent again)
                # The message is not logged, because that of a command may hold a key.
                logger.exception("A message of another process could not be handled.")


registrar = Registrar()
