"""The WebSocket of pages, /live/: it tells that something is new, and they ask for it."""

import asyncio
import logging
import re
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import orjson
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from redis.exceptions import RedisError

from chargers import access, events, gateway, message_log
from chargers.models import Charger
from core.db.in_db_thread import in_db_thread
from core.redis.connections import sync_redis
from core.redis.listening import Ended, hub

logger = logging.getLogger(__name__)

PATH = "/live/"
CHARGER = re.compile(r"[0-9]{1,18}")
LIFETIME = 60.0  # seconds after which a page connects again, and who looks is asked again
REWATCH = 20.0  # seconds after which the socket of a charger is asked for its frames again
PAUSE = 1.0  # seconds between two messages: what happens meanwhile is told together
MOST = 500  # chargers that are named in a message
LOGOUTS = "ocpp:logouts"  # the channel on which it is told who has logged out, somewhere
LOGIN = 4401  # close code: nobody is logged in any more
FORBIDDEN = 4403  # close code: the user may see nothing of what was asked for
# The permission that a user needs to hear of a kind of events: that of the page which shows it.
NEEDED = {
    "charger": "chargers.view_charger",
    "connector": "chargers.view_charger",
    "transaction": "transactions.view_transaction",
    "command": "commands.view_command",
    "security": "chargers.view_securityevent",
}
AGAIN = 1012


class LiveConsumer(AsyncWebsocketConsumer):
    """Of `?kinds=charger,transaction&charger=<primary key>`: {"kinds": […], "chargers": [primary keys]}, once a
    second at most, of the kinds that the user may see. `charger` left out: of all that the user may reach. With
    `frames=1`, too: {"frames": […]}, what passes between a charger and us, as `chargers.message_log` tells it.
    """

    telling = None
    watched_until = 0.0

    async def connect(self):
        self.user = self.scope["user"]
        if not _is_from_here(dict(self.scope["headers"])):
            await self.close()
            return
        await self.accept()
        if not self.user.is_authenticated:
            await self.close(LOGIN)
            return
        asked = parse_qs(self.scope["query_string"].decode("ascii", "replace"))
        self.kinds = await in_db_thread(self._visible)(asked.get("kinds", [""])[0].split(","))
        self.charger = int(asked["charger"][0]) if CHARGER.fullmatch(asked.get("charger", [""])[0]) else None
        wants_frames = self.charger is not None and asked.get("frames") == ["1"]
        self.watches = wants_frames and await in_db_thread(self._may_watch)()
        if not self.kinds and not self.watches:
            await self.close(FORBIDDEN)
            return
        self.telling = asyncio.create_task(self._tell())

    async def disconnect(self, code):
        if self.telling is not None:
            self.telling.cancel()
            with suppress(asyncio.CancelledError):
                await self.telling

    def _visible(self, kinds):
        """Those of `kinds` that the user may see. Asked again with each connection, so at least once a minute."""
        return {kind for kind in kinds if kind in NEEDED and self.user.has_perm(NEEDED[kind])}

    def _may_watch(self):
        self.watched = access.within(self.user, Charger.objects.filter(pk=self.charger), "pk").first()
        return self.watched is not None and self.user.has_perm("chargers.view_message")

    async def _tell(self):
        self.reachable = await in_db_thread(access.reachable)(self.user)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + LIFETIME
        channels = [events.CHANNEL, LOGOUTS, *([message_log.channel(self.charger)] if self.watches else [])]
        with suppress(Ended, RedisError):  # the page comes again, and asks for all of its parts
            async with hub().listening(*channels) as listener:
                await self.send('{"listening": true}')
                while loop.time() < ends_at:
                    await self._tell_together(listener, loop, ends_at)
        await self.close(AGAIN)

    async def _tell_together(self, listener, loop, ends_at):
        """What has happened, and after it nothing for `PAUSE`."""
        kinds, chargers, until = set(), set(), ends_at
        while (left := until - loop.time()) > 0:
            if self.watches and loop.time() >= self.watched_until:
                self.watched_until = loop.time() + REWATCH
                await gateway.watch(self.watched)
            told = await listener.next(min(left, REWATCH)) or ()
            if told and "frame" in told[0]:
                await self.send(orjson.dumps({"frames": told}).decode())
                continue
            if told and "logged_out" in told[0]:
                if told[0]["logged_out"] == self.user.pk:  # whether it was here is looked at again
                    raise Ended
                continue
            for event in told:
                if self._concerns(event):
                    kinds.add(event["kind"])
                    chargers.add(event["charger"])
            if kinds and until == ends_at:
                until = loop.time() + PAUSE
                await self._send(kinds, chargers)
                kinds, chargers = set(), set()
        if kinds:
            await self._send(kinds, chargers)

    async def _send(self, kinds, chargers):
        told = {"kinds": sorted(kinds), "chargers": sorted(chargers)[:MOST], "more": len(chargers) > MOST}
        await self.send(orjson.dumps(told).decode())

    def _concerns(self, event):
        charger = event["charger"]
        return (
            event["kind"].partition(".")[0] in self.kinds
            and self.charger in (None, charger)
            and (self.reachable is None or charger in self.reachable)
        )


def tell_of_logout(request, user, **_):
    """The signal of Django: the pages of `user` are to look again who they are of, and find the session gone."""
    request.session.flush()  # which Django does only afterwards
    try:
        if user is not None:
            sync_redis().publish(LOGOUTS, orjson.dumps([{"logged_out": user.pk}]).decode())
    except RedisError as error:
        logger.warning("Pages of %s end within a minute, Redis is away: %s", user, error)


def _is_from_here(headers):
    """Browsers tell whose page it is that connects: another port of this host is another site."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    is_same = urlsplit(origin).netloc == headers.get(b"host", b"").decode("latin-1")
    return not origin or is_same or origin in settings.CSRF_TRUSTED_ORIGINS


application = AllowedHostsOriginValidator(AuthMiddlewareStack(LiveConsumer.as_asgi()))
