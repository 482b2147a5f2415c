"""The type of middleware functions, and the security headers of all responses."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# Browsers load, run and frame nothing from other sites.
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

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        for name, value in POLICY.items():
            response.headers.setdefault(name, value)
        return response

    return middleware
