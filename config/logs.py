"""The two forms of the log, LOG_FORMAT: a line for people, or a JSON object for what collects logs."""

from logging import Filter

from pythonjsonlogger.json import JsonFormatter

from chargers import context

FIELDS = ("timestamp", "level", "logger", "message", "charger_id", "task_id", "exception")
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


class Json(JsonFormatter):
    """One object a line, of FIELDS alone: libraries attach more, a task's arguments and results among it."""

    def __init__(self):
        super().__init__("%(levelname)s %(name)s %(message)s", rename_fields=RENAMED, timestamp=True)

    def process_log_record(self, log_data):
        return {name: log_data[name] for name in FIELDS if log_data.get(name) is not None}


def settings(form):
    """Django's LOGGING for LOG_FORMAT `form`: everything to stderr, that of libraries too."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
            "json": {"()": "config.logs.Json"},
        },
        "filters": {"known": {"()": "config.logs.Known"}, "refusals": {"()": "config.logs.Refusals"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form, "filters": ["known"]}},
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
