"""What is published in Redis, handed to whoever listens in this process: dashboards and event streams."""

import asyncio
import logging
from collections import defaultdict
from contextlib import asynccontextmanager

import orjson
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from chargers.redis import listening_redis

logger = logging.getLogger(__name__)

MOST_WAITING = 1000  # messages a listener has not taken, past which it is too slow and let go
IDLE = 60.0  # seconds without a message after which the connection is tried


class Ended(Exception):
    """Nothing more will come here: Redis is away, or this listener is too slow. Whoever wants more begins anew."""


class Listener(asyncio.Queue):
    """The messages of some channels as they come: lists of JSON objects."""

    def __init__(self):
        super().__init__(MOST_WAITING)
        self.has_ended = False

    def hand(self, message):
        if self.full():
            self.end()
        else:
            self.put_nowait(message)

    def end(self):
        self.has_ended = True
        if not self.full():
            self.put_nowait(None)

    async def next(self, seconds):
        """The next message, None after `seconds` without one; raises `Ended`."""
        try:
            message = await asyncio.wait_for(self.get(), seconds)
        except TimeoutError:
            return None
        if message is None or self.has_ended:
            raise Ended
        return message


class Hub:
    """One connection to Redis for all listeners of a process and event loop."""

    def __init__(self):
        self.listeners = defaultdict(set)  # by channel
        self.subscribed = None
        self.reader = None
        self.lock = asyncio.Lock()

    @asynccontextmanager
    async def listening(self, *channels):
        """A `Listener` of `channels`. Raises `RedisError` where Redis is away."""
        listener = Listener()
        await self._add(listener, channels)
        try:
            yield listener
        finally:
            await self._remove(listener, channels)

    async def _add(self, listener, channels):
        async with self.lock:
            if self.reader is None:
                self.subscribed = listening_redis().pubsub()
            new = [channel for channel in channels if channel not in self.listeners]
            if new:
                await self.subscribed.subscribe(*new)
            for channel in channels:
                self.listeners[channel].add(listener)
            if self.reader is None:
                self.reader = asyncio.create_task(self._read(self.subscribed))

    async def _remove(self, listener, channels):
        async with self.lock:
            over = [channel for channel in channels if not self._without(listener, channel)]
            if self.reader is None:
                return
            if not self.listeners:  # a connection that listens to nothing would be read again and again
                self.reader.cancel()
                self.reader = self.subscribed = None
                return
            try:
                if over:
                    await self.subscribed.unsubscribe(*over)
            except RedisError as error:
                logger.info("Redis is away, nothing is listened to any more: %s", error)

    def _without(self, listener, channel):
        """Who still listens to `channel`."""
        self.listeners[channel].discard(listener)
        return self.listeners[channel] or self.listeners.pop(channel)

    async def _read(self, subscribed):
        """Until Redis fails: then everybody begins anew, and reads up what was missed."""
        is_asked = False
        try:
            while self.subscribed is subscribed:  # redis-py may swallow that the task is cancelled
                # Confirmations and pongs are messages, too: None is silence, and nothing else.
                message = await subscribed.get_message(timeout=IDLE)
                if message is None and is_asked:
                    raise RedisConnectionError("it does not answer")
                if message is None and self.subscribed is subscribed:
                    await subscribed.ping()
                is_asked = message is None
                if message is not None and message["type"] == "message":
                    self._hand_on(message["channel"], orjson.loads(message["data"]))
        except (RedisError, OSError) as error:
            logger.warning("Dashboards and event streams begin anew, Redis is away: %s", error)
        except Exception:  # noqa: BLE001  (those who wait must hear of it)
            logger.exception("Dashboards and event streams begin anew")
        finally:
            if self.subscribed is subscribed:
                self._end()
            await subscribed.aclose()

    def _hand_on(self, channel, told):
        for listener in self.listeners.get(channel, ()):
            listener.hand(told)

    def _end(self):
        for listeners in self.listeners.values():
            for listener in listeners:
                listener.end()
        self.listeners.clear()
        self.reader = self.subscribed = None


_hubs = {}


def hub():
    """That of the event loop that runs."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs.clear()
        _hubs[loop] = Hub()
    return _hubs[loop]
