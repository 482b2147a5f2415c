"""Middleware that records a span for each HTTP request. In use if OTEL_EXPORTER_OTLP_ENDPOINT is set."""

from core.observability import tracing

# Not traced, because monitoring requests them every few seconds.
UNTRACED = ("/healthz", "/readyz", "/metrics")


def requests(get_response):
    """Django middleware. The span has the route, not the path, because a path may contain the token of an upload."""

    def in_span(request):
        if request.path_info in UNTRACED:
            return get_response(request)
        parent = {name.lower(): value for name, value in request.headers.items()}
        with tracing.span(request.method, "server", parent, **{"http.request.method": request.method}) as current:
            response = get_response(request)
            _describe(current, request, response)
        return response

    return in_span


def _describe(current, request, response):
    from opentelemetry.trace import StatusCode

    route = request.resolver_match.route if request.resolver_match else ""
    current.update_name(f"{request.method} /{route}")
    current.set_attribute("http.route", f"/{route}")
    current.set_attribute("http.response.status_code", response.status_code)
    if response.status_code >= 500:
        current.set_status(StatusCode.ERROR)
