"""Middleware that records a span for each HTTP request. In use if OTEL_EXPORTER_OTLP_ENDPOINT is set."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from core.http.middleware import GetResponse
from core.observability import tracing

# Not traced, because monitoring requests them every few seconds.
UNTRACED = ("/healthz", "/readyz", "/metrics")


def requests(get_response: GetResponse) -> GetResponse:
    """Django middleware. The span has the route, not the path, because a path may contain the token of an upload."""

    def in_span(request: HttpRequest) -> HttpResponseBase:
        if request.path_info in UNTRACED:
            return get_response(request)
        parent = {name.lower(): value for name, value in request.headers.items()}
        method: Any = request.method
        with tracing.span(method, "server", parent, **{"http.request.method": method}) as current:
            response = get_response(request)
            _describe(current, request, response)
        return response

    return in_span


def _describe(current: Any, request: HttpRequest, response: HttpResponseBase) -> None:
    from opentelemetry.trace import StatusCode

    route = request.resolver_match.route if request.resolver_match else ""
    current.update_name(f"{request.method} /{route}")
    current.set_attribute("http.route", f"/{route}")
    current.set_attribute("http.response.status_code", response.status_code)
    if response.status_code >= 500:
        current.set_status(StatusCode.ERROR)
