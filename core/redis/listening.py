"""Distribute messages published in Redis to the listeners of this process: dashboards and event streams."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from core.redis.connections import listening_redis

logger = logging.getLogger(__name__)
Messages = list[dict[str, Any]]  # JSON objects that are published together

MAX_QUEUED_MESSAGES = 1000  # messages that a listener has not read; beyond it the listener is closed as too slow
IDLE_TIMEOUT_S = 60.0  # without a message, after which the connection to Redis is checked


class Ended(Exception):
    """The listener was closed, because Redis is unavailable or it is too slow; its client must reconnect."""


class Listener(asyncio.Queue[Messages | None]):
    """A queue of the messages of some channels, each a list of JSON objects. None ends it."""

    def __init__(self) -> None:
        super().__init__(MAX_QUEUED_MESSAGES)
        self.has_ended = False

    def deliver(self, message: Messages) -> None:
        if self.full():
            self.end()
        else:
            self.put_nowait(message)

    def end(self) -> None:
        self.has_ended = True
        if not self.full():
            self.put_nowait(None)

    async def next(self, seconds: float) -> Messages | None:
        """Return the next message, or None after `seconds` without one; raise `Ended` once the listener is closed."""
        try:
            message = await asyncio.wait_for(self.get(), seconds)
        except TimeoutError:
            return None
        if message is None or self.has_ended:
            raise Ended
        return message


class Hub:
    """One connection to Redis for all listeners of a process and event loop."""

    def __init__(self) -> None:
        self.listeners: defaultdict[str, set[Listener]] = defaultdict(set)  # by channel
        self.subscribed: PubSub | None = None
        self.reader: asyncio.Task[None] | None = None
        self.lock = asyncio.Lock()

    @asynccontextmanager
    async def listening(self, *channels: str) -> AsyncIterator[Listener]:
        """Yield a `Listener` of `channels`. Raises `RedisError` when Redis is unavailable."""
        listener = Listener()
        await self._add(listener, channels)
        try:
            yield listener
        finally:
            await self._remove(listener, channels)

    async def _add(self, listener: Listener, channels: Iterable[str]) -> None:
        async with self.lock:
            if self.reader is None or self.subscribed is None:
                self.subscribed = listening_redis().pubsub()
            new = [channel for channel in channels if channel not in self.listeners]
            if new:
                await self.subscribed.subscribe(*new)
            for channel in channels:
                self.listeners[channel].add(listener)
            if self.reader is None:
                self.reader = asyncio.create_task(self._read(self.subscribed))

    async def _remove(self, listener: Listener, channels: Iterable[str]) -> None:
        async with self.lock:
            unused = [channel for channel in channels if not self._discard(listener, channel)]
            if self.reader is None or self.subscribed is None:
                return
            if not self.listeners:  # reading a connection without subscriptions would be a busy loop
                self.reader.cancel()
                self.reader = self.subscribed = None
                return
            try:
                if unused:
                    await self.subscribed.unsubscribe(*unused)
            except RedisError as error:
                logger.info("Unsubscribing failed, because Redis is unavailable: %s", error)

    def _discard(self, listener: Listener, channel: str) -> set[Listener]:
        """Remove `listener` from `channel`, and return those that remain."""
        self.listeners[channel].discard(listener)
        return self.listeners[channel] or self.listeners.pop(channel)

    async def _read(self, subscribed: PubSub) -> None:
        """Read until Redis fails; then close all listeners, so that clients reconnect and catch up."""
        is_pinged = False
        try:
            while self.subscribed is subscribed:  # because redis-py may swallow the cancellation
                # None means silence and nothing else, since confirmations and pongs are messages, too.
                message = await subscribed.get_message(timeout=IDLE_TIMEOUT_S)
                if message is None and is_pinged:
                    raise RedisConnectionError("Redis did not answer a ping")
                if message is None and self.subscribed is subscribed:
                    await subscribed.ping()
                is_pinged = message is None
                if message is not None and message["type"] == "message":
                    self._deliver(message["channel"], orjson.loads(message["data"]))
        except (RedisError, OSError) as error:
            logger.warning("Dashboards and event streams must reconnect, because Redis is unavailable: %s", error)
        except Exception:  # noqa: BLE001  (the listeners must be closed)
            logger.exception("Dashboards and event streams must reconnect, because reading from Redis failed")
        finally:
            if self.subscribed is subscribed:
                self._close_listeners()
            await subscribed.aclose()

    def _deliver(self, channel: str, messages: Messages) -> None:
        for listener in self.listeners.get(channel, ()):
            listener.deliver(messages)

    def _close_listeners(self) -> None:
        for listeners in self.listeners.values():
            for listener in listeners:
                listener.end()
        self.listeners.clear()
        self.reader = self.subscribed = None


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """Return the `Hub` of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs.clear()
        _hubs[loop] = Hub()
    return _hubs[loop]
