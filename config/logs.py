"""The two forms of the log, LOG_FORMAT: a line for people, or a JSON object for what collects logs.

In both, whatever comes from outside is escaped and cut here, for every logger: nobody can forge a line, steer the
terminal of whoever reads it, or fill the disk with one. The key in a URL of an upload or of firmware is left out:
libraries log the paths of requests that they refuse.
"""

from collections import Counter
from collections.abc import Mapping
from copy import copy
from logging import Filter, Formatter
from numbers import Number

from pythonjsonlogger.json import JsonFormatter

from chargers import context
from chargers.masking import HIDDEN, TOKEN

FIELDS = ("timestamp", "level", "logger", "message", "charger_id", "task_id", "exception")
LONGEST_ARGUMENT, LONGEST_MESSAGE, LONGEST_TRACE = 1000, 4000, 16_000  # characters
INDENTED = "\n    "  # begins each line of a trace in the form for people: those of records begin with their time
# Loggers of libraries that have a line for what any stranger sends, and how many of each are written in a minute.
LOUD = ("django.request", "django.security", "uvicorn.error", "axes")
MOST_LINES = 60
RENAMED = {"levelname": "level", "name": "logger", "exc_info": "exception"}


class Known(Filter):
    """Gives each record the charger and the task it is about, where that is known."""

    def filter(self, record):
        told = getattr(record, "data", None)  # by Celery, where a task begins and ends
        record.charger_id = context.charger_id.get()
        record.task_id = context.task_id.get() or (told.get("id") if isinstance(told, dict) else None)
        return True


class Refusals(Filter):
    """Leaves out an error that uvicorn logs for each refused handshake: it takes an HTTP answer for none.

    `chargers.consumers` has logged the refusal as a warning, once.
    """

    def filter(self, record):
        return record.msg != "ASGI callable returned without completing handshake."


class Few(Filter):
    """Lets no more than MOST_LINES a minute of each level of each of the LOUD loggers through.

    Levels are counted apart: a stranger who asks for pages that do not exist must not hide the traces of real errors.
    """

    def __init__(self):
        super().__init__()
        self.minute, self.lines = 0, Counter()

    def filter(self, record):
        if not record.name.startswith(LOUD):
            return True
        minute = int(record.created / 60)
        if minute != self.minute:
            self.minute, self.lines = minute, Counter()
        kind = record.name, record.levelname
        self.lines[kind] += 1
        if self.lines[kind] == MOST_LINES:
            record.msg = f"{record.msg} (more {record.levelname} lines of {record.name} are left out for this minute)"
        return self.lines[kind] <= MOST_LINES


# --- what comes from outside -----------------------------------------------------------------


def escaped(text):
    """`text`, in which each control, format or other character that cannot be seen is an escape such as \\x1b."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def without_keys(text):
    return TOKEN.sub(rf"\1{HIDDEN}", text)


def cut(text, longest):
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"


class Argument:
    """An argument of a message, cut, however the message writes it."""

    def __init__(self, value):
        self.value = value

    def __str__(self):
        return cut(str(self.value), LONGEST_ARGUMENT)

    def __repr__(self):
        return cut(repr(self.value), LONGEST_ARGUMENT)


def _argument(value):
    return value if value is None or isinstance(value, Number) else Argument(value)


def _arguments(given):
    if isinstance(given, Mapping):
        return {name: _argument(value) for name, value in given.items()}
    return tuple(_argument(value) for value in given or ())


class Safe:
    """Of a `Formatter`: what a record says is escaped and cut. A trace keeps its own line ends."""

    def format(self, record):
        record = copy(record)
        record.args = _arguments(record.args)
        record.msg, record.args = escaped(cut(without_keys(record.getMessage()), LONGEST_MESSAGE)), None
        record.exc_text = None  # as another formatter wrote it
        return super().format(record)

    def formatException(self, ei):
        return _trace(super().formatException(ei))

    def formatStack(self, stack_info):
        return _trace(super().formatStack(stack_info))


def _trace(text):
    text = without_keys(text)
    if len(text) > LONGEST_TRACE:
        half = LONGEST_TRACE // 2
        text = f"{text[:half]}\n… ({len(text)} characters)\n{text[-half:]}"
    return "\n".join(escaped(line) for line in text.split("\n"))


# --- the two forms ---------------------------------------------------------------------------


class Line(Safe, Formatter):
    """A line for people; those of a trace are indented below it."""

    def __init__(self):
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record):
        return super().format(record).replace("\n", INDENTED)


class Json(Safe, JsonFormatter):
    """One object a line, of FIELDS alone: libraries attach more, a task's arguments and results among it."""

    def __init__(self):
        super().__init__("%(levelname)s %(name)s %(message)s", rename_fields=RENAMED, timestamp=True)

    def process_log_record(self, log_data):
        told = {name: log_data[name] for name in FIELDS if log_data.get(name) is not None}
        for name in told.keys() & {"charger_id", "task_id"}:
            told[name] = escaped(cut(str(told[name]), LONGEST_ARGUMENT))
        return told


def settings(form):
    """Django's LOGGING for LOG_FORMAT `form`: everything to stderr, that of libraries too."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"()": "config.logs.Line"},
            "json": {"()": "config.logs.Json"},
        },
        "filters": {name.lower(): {"()": f"config.logs.{name}"} for name in ("Known", "Refusals", "Few")},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form, "filters": ["few", "known"]}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        # Django's own handlers would say everything twice.
        "loggers": {
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "axes": {"level": "WARNING"},
            "uvicorn.error": {"filters": ["refusals"]},
            # Its client is answered with a 400 that says why; a scanner would fill the log with stack traces.
            "django.security.DisallowedHost": {"level": "CRITICAL"},
        },
    }
