"""Send traces by OpenTelemetry to OTEL_EXPORTER_OTLP_ENDPOINT.

Without this setting OpenTelemetry is not imported, and `traced` returns functions unchanged.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from django.conf import settings

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

P = ParamSpec("P")
R = TypeVar("R")
Attribute = str | int | float | bool | None
Quiet = type[Exception] | tuple[type[Exception], ...]
IS_ON = bool(settings.OTEL_EXPORTER_OTLP_ENDPOINT)
_NOTHING = nullcontext()


def traced(
    describe: Callable[P, tuple[str, Mapping[str, Attribute]]], quiet: Quiet = ()
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """Decorate a coroutine function: each call is a span of kind `server`.

    `describe` is called with the same arguments and returns the span's name and {attribute: value}. Exceptions of
    the types in `quiet` do not mark the span as failed.
    """

    def decorate(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        if not IS_ON:
            return function

        @wraps(function)
        async def in_a_span(*arguments: P.args, **options: P.kwargs) -> R:
            name, attributes = describe(*arguments, **options)
            with _span(name, "server", None, quiet, attributes):
                return await function(*arguments, **options)

        return in_a_span

    return decorate


def span(
    name: str,
    kind: str = "internal",
    parent: Mapping[str, str] | None = None,
    quiet: Quiet = (),
    **attributes: Attribute,
) -> AbstractContextManager["Span | None"]:
    """Return a context manager that opens a span and yields it, or yields None where nothing is traced.

    `kind`: internal, server, client, producer, consumer. `parent`: the result of `carried` where the trace began; by
    default the current span. Only the type of an exception is recorded, because its text may contain secrets.
    """
    return _span(name, kind, parent, quiet, attributes) if IS_ON else _NOTHING


def carried() -> dict[str, str]:
    """Return the current span as HTTP headers (W3C Trace Context), {} without one."""
    carrier: dict[str, str] = {}
    if IS_ON:
        from opentelemetry import propagate

        propagate.inject(carrier)
    return carrier


@contextmanager
def _span(
    name: str,
    kind: str,
    parent: Mapping[str, str] | None,
    quiet: Quiet,
    attributes: Mapping[str, Attribute],
) -> Iterator["Span"]:
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
def _tracer() -> "Tracer":
    """Return the tracer, created at the first span, because its thread does not survive a fork."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": settings.OTEL_SERVICE_NAME}))
    endpoint = f"{settings.OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    return provider.get_tracer("ocpp")
