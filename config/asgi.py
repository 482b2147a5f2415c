"""The ASGI application. It passes HTTP to Django, and WebSockets to the consumers for chargers and for pages."""

import os
from typing import cast
from urllib.parse import unquote

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django  # noqa: E402

django.setup(set_prefix=False)  # before the imports below, which import models

from django.conf import settings  # noqa: E402

from config import http  # noqa: E402
from config.bodies import Receive, Scope, Send  # noqa: E402
from core.db import faults  # noqa: E402
from dashboard import live  # noqa: E402
from gateway import handshake  # noqa: E402
from gateway.consumer import ChargerConsumer  # noqa: E402

CHARGER_PATH = handshake.PATH.decode()

faults.limit_requests()
pages = http.Handler()
charger = ChargerConsumer.as_asgi()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Route a connection. `ChargerConsumer` also gets WebSockets of unknown paths, which it answers with 404."""
    if settings.URL_PREFIX and scope["type"] in ("http", "websocket"):
        scope = _below_prefix(scope)
    if scope["type"] == "websocket":
        await (live.application if scope["path"] == live.PATH else charger)(scope, receive, send)
    elif scope["type"] == "http" and scope["path"].startswith(CHARGER_PATH):
        await handshake.answer_without_upgrade(cast(handshake.RequestScope, scope), send)
    elif scope["type"] == "http":
        await pages(_with_encoded_slashes(scope), receive, send)


def _below_prefix(scope: Scope) -> Scope:
    """Remove URL_PREFIX from the path of `scope`, unless a proxy has removed it already."""
    prefix, path = settings.URL_PREFIX, scope["path"]
    if path != prefix and not path.startswith(f"{prefix}/"):
        return scope
    raw_path = scope["raw_path"].removeprefix(prefix.encode())
    return scope | {"path": path.removeprefix(prefix) or "/", "raw_path": raw_path or b"/"}


def _with_encoded_slashes(scope: Scope) -> Scope:
    """Leave encoded slashes and percent signs in paths of chargers encoded, because they are parts of an id."""
    raw = scope["raw_path"]
    if raw.startswith((b"/api/", b"/chargers/")) and b"%" in raw:
        path = raw.decode("ascii").replace("%25", "%2525").replace("%2F", "%252F").replace("%2f", "%252F")
        return scope | {"path": unquote(path)}
    return scope
