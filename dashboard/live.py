"""The WebSocket of pages, /live/: it notifies a page of events, and the page fetches its parts again."""

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import orjson
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.http import HttpRequest
from redis.exceptions import RedisError

from chargers.models import Charger
from chargers.services import access, control, events
from core.db.in_db_thread import in_db_thread
from core.redis.connections import sync_redis
from core.redis.listening import Ended, hub
from gateway import message_log

logger = logging.getLogger(__name__)

PATH = "/live/"
CHARGER = re.compile(r"[0-9]{1,18}")
LIFETIME_S = 60.0  # then the page reconnects, which checks the session and the permissions again
REWATCH_S = 20.0  # between requests to the process of the charger to publish its frames
MIN_INTERVAL_S = 1.0  # between two messages; events in between are combined
MAX_CHARGERS = 500  # listed in a message
LOGOUTS = "ocpp:logouts"  # Redis channel of logouts
LOGIN = 4401  # close code: the user is not logged in
FORBIDDEN = 4403  # close code: the user has no permission for any of the requested kinds
# The permission for each kind of events: that of the page which shows it.
NEEDED = {
    "charger": "chargers.view_charger",
    "connector": "chargers.view_charger",
    "transaction": "transactions.view_transaction",
    "command": "commands.view_command",
    "campaign": "commands.view_command",
    "incident": "chargers.view_incident",
    "security": "chargers.view_securityevent",
}
RECONNECT = 1012  # close code: the page is to reconnect


class LiveConsumer(AsyncWebsocketConsumer):
    """Serve `?kinds=charger,transaction&charger=<primary key>`.

    Send {"kinds": […], "chargers": [primary keys]} at most once a second, of the kinds that the user may see.
    Without `charger`, send events of all chargers that the user has access to. With `frames=1`, also send
    {"frames": […]}, the OCPP messages of the charger as `gateway.message_log` publishes them.
    """

    notifier = None
    watched_until = 0.0
    charger: Any = None  # a primary key, None for all
    watched: Any = None  # the `Charger` whose frames are sent

    async def connect(self) -> None:
        self.user = self.scope["user"]
        if not _is_same_origin(dict(self.scope["headers"])):
            await self.close()
            return
        await self.accept()
        if not self.user.is_authenticated:
            await self.close(LOGIN)
            return
        query = parse_qs(self.scope["query_string"].decode("ascii", "replace"))
        self.kinds = await in_db_thread(self._visible)(query.get("kinds", [""])[0].split(","))
        self.charger = int(query["charger"][0]) if CHARGER.fullmatch(query.get("charger", [""])[0]) else None
        wants_frames = self.charger is not None and query.get("frames") == ["1"]
        self.watches = wants_frames and await in_db_thread(self._may_watch)()
        if not self.kinds and not self.watches:
            await self.close(FORBIDDEN)
            return
        self.notifier = asyncio.create_task(self._notify())

    async def disconnect(self, code: int) -> None:
        if self.notifier is not None:
            self.notifier.cancel()
            with suppress(asyncio.CancelledError):
                await self.notifier

    def _visible(self, kinds: Iterable[str]) -> set[str]:
        """Return those of `kinds` that the user may see. Each connection checks this, so at least once a minute."""
        return {kind for kind in kinds if kind in NEEDED and self.user.has_perm(NEEDED[kind])}

    def _may_watch(self) -> bool:
        self.watched = access.within(self.user, Charger.objects.filter(pk=self.charger), "pk").first()
        return self.watched is not None and self.user.has_perm("chargers.view_message")

    async def _notify(self) -> None:
        self.reachable = await in_db_thread(access.reachable)(self.user)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + LIFETIME_S
        channels = [events.CHANNEL, LOGOUTS, *([message_log.channel(self.charger)] if self.watches else [])]
        with suppress(Ended, RedisError):  # the page reconnects and fetches all of its parts
            async with hub().listening(*channels) as listener:
                await self.send('{"listening": true}')
                while loop.time() < ends_at:
                    await self._send_batched(listener, loop, ends_at)
        await self.close(RECONNECT)

    async def _send_batched(self, listener: Any, loop: asyncio.AbstractEventLoop, ends_at: float) -> None:
        """Send the first event immediately, and combine those of the next `MIN_INTERVAL_S` into one message."""
        kinds, chargers, until = set(), set(), ends_at
        while (left := until - loop.time()) > 0:
            if self.watches and loop.time() >= self.watched_until:
                self.watched_until = loop.time() + REWATCH_S
                await control.watch(self.watched)
            received = await listener.next(min(left, REWATCH_S)) or ()
            if received and "frame" in received[0]:
                await self.send(orjson.dumps({"frames": received}).decode())
                continue
            if received and "logged_out" in received[0]:
                if received[0]["logged_out"] == self.user.pk:  # reconnecting checks the session again
                    raise Ended
                continue
            for event in received:
                if self._is_relevant(event):
                    kinds.add(event["kind"])
                    chargers.add(event["charger"] or 0)
            if kinds and until == ends_at:
                until = loop.time() + MIN_INTERVAL_S
                await self._send(kinds, chargers)
                kinds, chargers = set(), set()
        if kinds:
            await self._send(kinds, chargers)

    async def _send(self, kinds: set[str], chargers: set[int]) -> None:
        update = {"kinds": sorted(kinds), "chargers": sorted(chargers)[:MAX_CHARGERS]}
        await self.send(orjson.dumps(update | {"more": len(chargers) > MAX_CHARGERS}).decode())

    def _is_relevant(self, event: Mapping[str, Any]) -> bool:
        charger = event["charger"]
        return (
            event["kind"].partition(".")[0] in self.kinds
            and self.charger in (None, charger)
            and (self.reachable is None or charger in self.reachable)
        )


def publish_logout(request: HttpRequest, user: Any, **_: Any) -> None:
    """Handle `user_logged_out`: close the sockets of `user`, so that their pages check the session again."""
    request.session.flush()  # before the message, because Django flushes it only afterwards
    try:
        if user is not None:
            sync_redis().publish(LOGOUTS, orjson.dumps([{"logged_out": user.pk}]).decode())
    except RedisError as error:
        logger.warning(
            "Redis is unavailable: open pages of %s stay connected up to one minute after logout: %s",
            user,
            error,
        )


def _is_same_origin(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether the Origin header names this host and port, or a trusted origin; it may be absent."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    return origin in ("", f"http://{host}", f"https://{host}", *settings.CSRF_TRUSTED_ORIGINS)


application = AllowedHostsOriginValidator(AuthMiddlewareStack(LiveConsumer.as_asgi()))
