"""The ASGI application: HTTP to Django, WebSockets to the consumers of chargers and of pages."""

import os
from urllib.parse import unquote

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from config import http  # noqa: E402

django = http.application()

from django.conf import settings  # noqa: E402

from chargers import admission  # noqa: E402
from chargers.consumers import ChargerConsumer  # noqa: E402  (models are loaded by now)
from config.dashboard import live  # noqa: E402

# Where files are sent, and how many bytes a body may have elsewhere.
FILES = ("/files/uploads/", "/api/ocpp/firmware/", "/admin/commands/firmware/")
LARGEST_BODY = 8 * 2**20

CHARGERS = admission.PATH.decode()

charger = ChargerConsumer.as_asgi()


async def application(scope, receive, send):
    """Every WebSocket but one is a charger's: a path that is not one gets its 404 from the consumer."""
    if settings.URL_PREFIX and scope["type"] in ("http", "websocket"):
        scope = _below_prefix(scope)
    if scope["type"] == "websocket":
        await (live.application if scope["path"] == live.PATH else charger)(scope, receive, send)
    elif scope["type"] == "http" and scope["path"].startswith(CHARGERS):
        await admission.answer_without_upgrade(scope, send)
    elif scope["type"] == "http":
        limit = settings.OCPP_LARGEST_FILE if scope["path"].startswith(FILES) else LARGEST_BODY
        if _announced(scope) > limit:
            await _refuse_body(send, limit)
        else:
            await _within(limit, scope, receive, send)


async def _within(limit, scope, receive, send):
    """Serve a request whose body may turn out too large: Django spools it to disk before any view sees it."""
    received, begun = 0, False

    async def counting():
        nonlocal received
        event = await receive()
        received += len(event.get("body", b""))
        return event if received <= limit else {"type": "http.disconnect"}

    async def noticing(event):
        nonlocal begun
        begun = True
        await send(event)

    await django(_keeping_slashes(scope), counting, noticing)
    if received > limit and not begun:
        await _refuse_body(send, limit)


def _below_prefix(scope):
    """`scope` with its path below URL_PREFIX, whether or not a proxy has taken the prefix off."""
    prefix, path = settings.URL_PREFIX, scope["path"]
    if path != prefix and not path.startswith(f"{prefix}/"):
        return scope
    raw_path = scope["raw_path"].removeprefix(prefix.encode())
    return scope | {"path": path.removeprefix(prefix) or "/", "raw_path": raw_path or b"/"}


def _announced(scope):
    """The length of the body as its client says, in bytes."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


async def _refuse_body(send, limit):
    said = f'{{"error": "The body is too large: at most {limit // 2**20} MiB are taken here."}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": said})


def _keeping_slashes(scope):
    """In paths of chargers an encoded slash or percent sign stays encoded: it is part of an id, not of the path."""
    raw = scope["raw_path"]
    if raw.startswith((b"/api/", b"/chargers/")) and b"%" in raw:
        kept = raw.decode("ascii").replace("%25", "%2525").replace("%2F", "%252F").replace("%2f", "%252F")
        return scope | {"path": unquote(kept)}
    return scope
