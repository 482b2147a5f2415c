"""The type of middleware functions, and the security headers of all responses."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# Browsers load, run and frame nothing from other sites, except the tiles of MAP_TILES_URL.
POLICY = {
    # The Swagger page sets styles inline, and its style sheet has images as data: URLs.
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def policy(get_response: GetResponse) -> GetResponse:
    """Middleware: add each header of POLICY that the response does not have yet."""
    headers = POLICY | {"Content-Security-Policy": with_tiles(POLICY["Content-Security-Policy"])}

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response

    return middleware


def with_tiles(content_policy: str) -> str:
    """Return `content_policy` with the server of MAP_TILES_URL as a source of images."""
    tiles = urlsplit(settings.MAP_TILES_URL)
    if not tiles.netloc:
        return content_policy
    return content_policy.replace("img-src 'self'", f"img-src 'self' {tiles.scheme}://{tiles.netloc}")
