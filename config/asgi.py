"""The ASGI application: HTTP to Django, WebSockets to the consumers of chargers and of pages."""

import os
from urllib.parse import unquote

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django  # noqa: E402

django.setup(set_prefix=False)  # whoever imports models needs it

from django.conf import settings  # noqa: E402

from chargers import faults, handshake  # noqa: E402
from chargers.consumers import ChargerConsumer  # noqa: E402
from config import http  # noqa: E402
from config.dashboard import live  # noqa: E402

CHARGERS = handshake.PATH.decode()

faults.limit_requests()
pages = http.Handler()
charger = ChargerConsumer.as_asgi()


async def application(scope, receive, send):
    """Every WebSocket but one is a charger's: a path that is not one gets its 404 from the consumer."""
    if settings.URL_PREFIX and scope["type"] in ("http", "websocket"):
        scope = _below_prefix(scope)
    if scope["type"] == "websocket":
        await (live.application if scope["path"] == live.PATH else charger)(scope, receive, send)
    elif scope["type"] == "http" and scope["path"].startswith(CHARGERS):
        await handshake.answer_without_upgrade(scope, send)
    elif scope["type"] == "http":
        await pages(_keeping_slashes(scope), receive, send)


def _below_prefix(scope):
    """`scope` with its path below URL_PREFIX, whether or not a proxy has taken the prefix off."""
    prefix, path = settings.URL_PREFIX, scope["path"]
    if path != prefix and not path.startswith(f"{prefix}/"):
        return scope
    raw_path = scope["raw_path"].removeprefix(prefix.encode())
    return scope | {"path": path.removeprefix(prefix) or "/", "raw_path": raw_path or b"/"}


def _keeping_slashes(scope):
    """In paths of chargers an encoded slash or percent sign stays encoded: it is part of an id, not of the path."""
    raw = scope["raw_path"]
    if raw.startswith((b"/api/", b"/chargers/")) and b"%" in raw:
        kept = raw.decode("ascii").replace("%25", "%2525").replace("%2F", "%252F").replace("%2f", "%252F")
        return scope | {"path": unquote(kept)}
    return scope
