"""The open sockets of this process, their common batch writer, and the renewal of their presence in Redis."""

import asyncio
import logging
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from chargers import metrics
from chargers.services import presence
from core.observability import diagnosis
from core.redis.connections import async_redis
from gateway.batch_writer import BatchWriter
from gateway.presence_registration import registrar

if TYPE_CHECKING:
    from gateway.consumer import ChargerConsumer

logger = logging.getLogger(__name__)

writer = BatchWriter()
_open: dict["ChargerConsumer", None] = {}  # in the order of opening
_renewal: asyncio.Task[None] | None = None
metrics.open_sockets.set_function(lambda: len(_open))
metrics.chargers_set_aside.set_function(lambda: len(writer.set_aside))
metrics.batch_writer_waiting.set_function(lambda: len(writer.entries))
metrics.batch_writer_oldest.set_function(writer.longest_wait_s)


def add(socket: "ChargerConsumer") -> None:
    """Add `socket` (a consumer), so that its presence is renewed."""
    global _renewal
    _open[socket] = None
    if _renewal is None:
        _renewal = asyncio.create_task(_renew_forever())


def remove(socket: "ChargerConsumer") -> None:
    _open.pop(socket, None)


async def _renew_forever() -> None:
    while True:
        try:
            await _renew()
            await asyncio.sleep(presence.REFRESH_S)
        except RedisError as error:
            logger.warning("%s Commands cannot reach chargers. The error: %s", diagnosis.in_words(error), error)
            await asyncio.sleep(1)
        except Exception:  # noqa: BLE001  (without renewal every charger of this process would look disconnected)
            logger.exception("Presence could not be renewed. It is tried again in a second.")
            await asyncio.sleep(1)


async def _renew() -> None:
    await async_redis().ping()
    if unregistered := [one for socket in _open if (one := socket.presence_registration).presence is None]:
        await asyncio.wait({registrar.add(one) for one in unregistered})
    registered = {socket: entry for socket in _open if (entry := socket.presence_registration.presence)}
    entries = [(socket.charger.identity, entry) for socket, entry in registered.items()]
    for socket, is_current in zip(registered, await presence.renew(entries), strict=True):
        if not is_current:  # a newer socket replaced this one, and its control message was lost
            socket.in_background(socket.close_replaced())
