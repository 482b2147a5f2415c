"""Logging. LOG_FORMAT chooses between lines for people and JSON objects for log collectors.

Both formats escape and truncate all input of all loggers, so that input cannot forge a line, control the terminal of
a reader, or fill the disk. The secret key in a URL of an upload or of firmware is hidden, because libraries log the
paths of requests that they refuse.
"""

from collections import Counter
from collections.abc import Mapping
from copy import copy
from logging import Filter, Formatter, LogRecord
from numbers import Number
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from core.observability import context
from core.ocpp.redaction import HIDDEN, TOKEN

FIELDS = ("timestamp", "level", "logger", "message", "charger_id", "task_id", "exception")
MAX_ARGUMENT, MAX_MESSAGE, MAX_TRACE = 1000, 4000, 16_000  # characters
INDENTED = "\n    "  # distinguishes lines of a trace from lines of records, which begin with a time
# Loggers of libraries that write a line for requests without a login. MAX_LINES_PER_MINUTE limits them.
LIMITED_LOGGERS = ("django.request", "django.security", "uvicorn.error", "axes")
MAX_LINES_PER_MINUTE = 60
RENAMED = {"levelname": "level", "name": "logger", "exc_info": "exception"}


class ContextFilter(Filter):
    """Adds to each record the ids of the charger and the task that it is about, None if unknown."""

    def filter(self, record: LogRecord) -> bool:
        celery_data = getattr(record, "data", None)  # Celery sets it when a task begins and ends
        record.charger_id = context.charger_id.get()
        record.task_id = context.task_id.get() or (celery_data.get("id") if isinstance(celery_data, dict) else None)
        return True


class RefusedHandshakeFilter(Filter):
    """Drops an error that uvicorn logs for each refused handshake, because `gateway.consumer` logs a warning."""

    def filter(self, record: LogRecord) -> bool:
        return record.msg != "ASGI callable returned without completing handshake."


class RateFilter(Filter):
    """Limits the lines of each level of each of LIMITED_LOGGERS to MAX_LINES_PER_MINUTE.

    Levels are counted separately, so that many requests of unknown pages do not hide the traces of errors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.minute = 0
        self.counts: Counter[tuple[str, str]] = Counter()

    def filter(self, record: LogRecord) -> bool:
        if not record.name.startswith(LIMITED_LOGGERS):
            return True
        minute = int(record.created / 60)
        if minute != self.minute:
            self.minute, self.counts = minute, Counter()
        key = record.name, record.levelname
        self.counts[key] += 1
        if self.counts[key] == MAX_LINES_PER_MINUTE:
            record.msg = (
                f"{record.msg} (further {record.levelname} lines of {record.name} are left out in this minute)"
            )
        return self.counts[key] <= MAX_LINES_PER_MINUTE


# --- escaping and truncation -----------------------------------------------------------------


def escaped(text: str) -> str:
    """Replace each character of `text` that is not printable by an escape such as \\x1b."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def without_keys(text: str) -> str:
    """Hide the secret keys in URLs of uploads and firmware."""
    return TOKEN.sub(rf"\1{HIDDEN}", text)


def truncated(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


class TruncatedArgument:
    """An argument of a message, truncated for each format specifier."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __str__(self) -> str:
        return truncated(str(self.value), MAX_ARGUMENT)

    def __repr__(self) -> str:
        return truncated(repr(self.value), MAX_ARGUMENT)


def _argument(value: object) -> object:
    return value if value is None or isinstance(value, Number) else TruncatedArgument(value)


def _arguments(args: Any) -> Any:
    if isinstance(args, Mapping):
        return {name: _argument(value) for name, value in args.items()}
    return tuple(_argument(value) for value in args or ())


class EscapingMixin(Formatter):
    """Makes a `Formatter` escape and truncate messages and traces. A trace keeps its line ends."""

    def format(self, record: LogRecord) -> str:
        record = copy(record)
        record.args = _arguments(record.args)
        record.msg, record.args = escaped(truncated(without_keys(record.getMessage()), MAX_MESSAGE)), None
        record.exc_text = None  # the cached text of another formatter
        return super().format(record)

    def formatException(self, ei: Any) -> str:
        return _trace(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        return _trace(super().formatStack(stack_info))


def _trace(text: str) -> str:
    text = without_keys(text)
    if len(text) > MAX_TRACE:
        half = MAX_TRACE // 2
        text = f"{text[:half]}\n… ({len(text)} characters)\n{text[-half:]}"
    return "\n".join(escaped(line) for line in text.split("\n"))


# --- formats ---------------------------------------------------------------------------------


class LineFormatter(EscapingMixin, Formatter):
    """Writes a line for people, with an indented trace below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: LogRecord) -> str:
        return super().format(record).replace("\n", INDENTED)


class ObjectFormatter(EscapingMixin, JsonFormatter):
    """Writes a JSON object with only FIELDS, because libraries attach more, such as results of tasks."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s %(message)s", rename_fields=RENAMED, timestamp=True)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        fields = {name: log_data[name] for name in FIELDS if log_data.get(name) is not None}
        for name in fields.keys() & {"charger_id", "task_id"}:
            fields[name] = escaped(truncated(str(fields[name]), MAX_ARGUMENT))
        return fields


FILTERS = {"context": ContextFilter, "rate": RateFilter, "refused_handshakes": RefusedHandshakeFilter}
FORMATTERS = {"line": LineFormatter, "json": ObjectFormatter}


def settings(log_format: str) -> dict[str, Any]:
    """Django's LOGGING for a LOG_FORMAT. Everything goes to stderr, including records of libraries."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {name: {"()": formatter} for name, formatter in FORMATTERS.items()},
        "filters": {name: {"()": record_filter} for name, record_filter in FILTERS.items()},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": log_format, "filters": ["rate", "context"]}
        },
        "root": {"handlers": ["stderr"], "level": "INFO"},
        # Without Django's own handlers, because each line would appear twice.
        "loggers": {
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "axes": {"level": "WARNING"},
            "fontTools": {"level": "WARNING"},  # writes a hundred lines for a PDF
            "uvicorn.error": {"filters": ["refused_handshakes"]},
            # Scanners would fill the log with stack traces; the client gets 400 with the reason.
            "django.security.DisallowedHost": {"level": "CRITICAL"},
        },
    }
