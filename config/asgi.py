"""The ASGI application: HTTP to Django, WebSockets of chargers to their consumer."""

import os
from urllib.parse import unquote

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.asgi import get_asgi_application  # noqa: E402

django = get_asgi_application()

from django.conf import settings  # noqa: E402

from chargers.consumers import ChargerConsumer  # noqa: E402  (models are loaded by now)

charger = ChargerConsumer.as_asgi()


async def application(scope, receive, send):
    """Every WebSocket is a charger's: a path that is not one gets its 404 from the consumer."""
    if scope["type"] == "websocket":
        await charger(scope, receive, send)
    elif scope["type"] == "http":
        await django(_keeping_slashes(scope), _limited(receive), send)


def _limited(receive):
    """A body that grows too large ends as if the client had gone: Django spools it to disk before any view."""
    received = 0

    async def limited():
        nonlocal received
        event = await receive()
        received += len(event.get("body", b""))
        return event if received <= settings.OCPP_LARGEST_FILE else {"type": "http.disconnect"}

    return limited


def _keeping_slashes(scope):
    """In API paths an encoded slash or percent sign stays encoded: it belongs to a charger's id, not the path."""
    raw = scope["raw_path"]
    if raw.startswith(b"/api/") and b"%" in raw:
        kept = raw.decode("ascii").replace("%25", "%2525").replace("%2F", "%252F").replace("%2f", "%252F")
        return scope | {"path": unquote(kept)}
    return scope
