"""Traces by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT says where they go.

Without it we import nothing of OpenTelemetry, and what `traced` decorates stays as it is.
"""

from contextlib import contextmanager, nullcontext
from functools import cache, wraps

from django.conf import settings

IS_ON = bool(settings.OTEL_EXPORTER_OTLP_ENDPOINT)
_NOTHING = nullcontext()


def traced(describe, quiet=()):
    """Decorate a coroutine function: each call is a span of kind `server`.

    `describe`: called with the same arguments, returns the span's name and {attribute: value}. Exceptions of `quiet`
    are no fault.
    """

    def decorate(function):
        if not IS_ON:
            return function

        @wraps(function)
        async def in_a_span(*arguments):
            name, attributes = describe(*arguments)
            with span(name, "server", quiet=quiet, **attributes):
                return await function(*arguments)

        return in_a_span

    return decorate


def span(name, kind="internal", parent=None, quiet=(), **attributes):
    """A context in which what is done belongs to a span. Yields the span, or None where nothing is traced.

    `kind`: internal, server, client, producer, consumer. `parent`: what `carried` returned where the trace began;
    without it, the span that is under way. Of an exception its type alone is told: its text may hold anything.
    """
    return _span(name, kind, parent, quiet, attributes) if IS_ON else _NOTHING


def carried():
    """The span that is under way, as HTTP headers carry it (W3C Trace Context); {} without one."""
    carrier = {}
    if IS_ON:
        from opentelemetry import propagate

        propagate.inject(carrier)
    return carrier


@contextmanager
def _span(name, kind, parent, quiet, attributes):
    from opentelemetry import propagate
    from opentelemetry.trace import SpanKind, Status, StatusCode

    with _tracer().start_as_current_span(
        name,
        context=propagate.extract(parent) if parent else None,
        kind=SpanKind[kind.upper()],
        attributes={key: value for key, value in attributes.items() if value is not None},
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except quiet:
            raise
        except Exception as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


@cache
def _tracer():
    """Made at the first span, and so in the process that makes spans, not in one that it was forked from."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": settings.OTEL_SERVICE_NAME}))
    endpoint = f"{settings.OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    return provider.get_tracer("ocpp")
