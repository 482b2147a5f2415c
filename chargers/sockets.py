"""The sockets of this process: one inbox for all of them, and their presence kept alive."""

import asyncio
import logging

from redis.exceptions import RedisError

from chargers import diagnosis, gateway, metrics, presence
from chargers.inbox import Inbox
from chargers.redis import async_redis

logger = logging.getLogger(__name__)

inbox = Inbox()
_open = {}  # in the order they were opened
_keeper = None
metrics.open_sockets.set_function(lambda: len(_open))
metrics.chargers_set_aside.set_function(lambda: len(inbox.aside))
metrics.inbox_waiting.set_function(lambda: len(inbox.entries))
metrics.inbox_oldest.set_function(inbox.longest_wait_s)


def add(socket):
    """Keep `socket` (a consumer) reachable from now on."""
    global _keeper
    _open[socket] = None
    if _keeper is None:
        _keeper = asyncio.create_task(_keep())


def remove(socket):
    _open.pop(socket, None)


async def _keep():
    while True:
        try:
            await _renew()
            await asyncio.sleep(presence.REFRESH)
        except RedisError as error:
            logger.warning("%s Commands can't reach chargers. The error: %s", diagnosis.in_words(error), error)
            await asyncio.sleep(1)
        except Exception:  # noqa: BLE001  (without it every charger here would look disconnected)
            logger.exception("Presence could not be renewed")
            await asyncio.sleep(1)


async def _renew():
    await async_redis().ping()
    for socket in list(_open):
        if socket.enrolment.presence is None and socket in _open:
            await socket.enrolment.enter()
    entered = [socket for socket in _open if socket.enrolment.presence]
    ours = await gateway.renew([(socket.charger.charger_id, socket.enrolment.presence) for socket in entered])
    for socket, still in zip(entered, ours, strict=True):
        if not still:  # the word that a newer socket took over did not reach it
            socket.in_background(socket.supersede())
