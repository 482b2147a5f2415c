"""LOG_FORMAT: the fields of a line, and that input is escaped and limited."""

import json
import logging
import re
import socket
import sys
from urllib.parse import quote, urlsplit

import pytest

from config import logs
from config.logs import FIELDS, INDENTED, ContextFilter, LineFormatter, ObjectFormatter, RateFilter
from core.observability import context
from tests.support.beside import web_beside
from tests.support.live import an_id, eventually
from tests.support.raw_socket import HANDSHAKE
from tests.support.settings import load_settings


def logged(message, error=None, **extra):
    """Return the JSON object of a record."""
    record = logging.getLogger("chargers").makeRecord(
        "chargers", logging.INFO, __file__, 1, message, (), error, extra=extra
    )
    assert ContextFilter().filter(record)
    return json.loads(ObjectFormatter().format(record))


def test_a_json_record_has_its_charger_and_task():
    with context.about(charger="505", task="t1"):
        fields = logged('505: "hello"\nworld')
    assert fields.pop("timestamp").endswith("+00:00")
    assert fields == {"level": "INFO", "logger": "chargers", "message": '505: "hello"\\nworld'} | {
        "charger_id": "505",
        "task_id": "t1",
    }


def test_unknown_fields_are_left_out():
    assert logged("hello").keys() == {"timestamp", "level", "logger", "message"}


def test_fields_of_libraries_are_left_out_except_the_task():
    fields = logged("Task succeeded", data={"id": "t1", "args": "['secret']"}, request="secret")
    assert fields["task_id"] == "t1"
    assert "secret" not in str(fields)


def test_an_exception_is_logged_with_its_trace():
    try:
        raise ValueError("no")
    except ValueError:
        fields = logged("It failed", sys.exc_info())
    assert fields["exception"].startswith("Traceback")
    assert fields["exception"].endswith("ValueError: no")


def test_an_unknown_format_is_refused():
    code, error = load_settings(LOG_FORMAT="xml")
    assert code != 0
    assert "LOG_FORMAT" in error


def lines(live, name):
    """The lines in the log of a program since its start."""
    child = next(child for child in live.stack.children if child.name == name)
    return child.log.read_bytes()[child.logged_at_start :].decode().splitlines()


@pytest.mark.parametrize("name", ["web 1", "web 2", "beat"])
def test_every_line_of_a_program_is_json(live, name):
    assert all(json.loads(line).keys() <= set(FIELDS) for line in lines(live, name))


def test_a_text_line_has_its_charger_and_task(live):
    charger_id = an_id()
    with live.charger(charger_id, ClearCache={"status": "Accepted"}):
        task_id = live.ask(charger_id, "ClearCache", {})["task_id"]
        eventually(lambda: any(task_id in line and '"task_id"' in line for line in lines(live, "worker 1")))
    web = [json.loads(line) for n in (1, 2) for line in lines(live, f"web {n}") if charger_id in line]
    assert web and all(line["charger_id"] == charger_id for line in web)


# --- input -----------------------------------------------------------------------------------

FORGED = "2026-01-01 00:00:00,000 INFO gateway.consumer: FORGED"
HIDDEN = ["\n", "\r\n", "\x1b[2J", "\u2028", "\u202e", "\u200b", "\x85", "\x7f", "\x0b", "\U000e0041", "\u00a0"]
BEGINS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [\w.]+: |    |$")


def formatted(formatter, message, *args, error=None):
    record = logging.getLogger("chargers").makeRecord("chargers", logging.INFO, "x.py", 1, message, args, error)
    assert ContextFilter().filter(record)
    return formatter.format(record)


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("formatter", [LineFormatter(), ObjectFormatter()])
def test_unprintable_characters_are_escaped_everywhere(formatter, hidden):
    text = f"a{hidden}b"
    shown = [formatted(formatter, text), formatted(formatter, "%s", text), formatted(formatter, "%r %d", text, 1)]
    shown += [formatted(formatter, "%(name)s", {"name": text}), formatted(formatter, "%s", ValueError(text))]
    with context.about(charger=text, task=text):
        shown.append(formatted(formatter, "x"))
    for line in shown:
        assert line.isprintable()
        values = [] if isinstance(formatter, LineFormatter) else json.loads(line).values()
        assert all(value.isprintable() for value in values)


def test_a_trace_keeps_its_lines_and_cannot_forge_records():
    try:
        raise ValueError(f"no\n{FORGED}\x1b")
    except ValueError:
        error = sys.exc_info()
    first, *others = formatted(LineFormatter(), "It failed", error=error).split("\n")
    assert BEGINS.match(first)
    assert len(others) > 3
    assert all(line.startswith(INDENTED[1:]) for line in others)
    assert others[-1] == f"    {FORGED}\\x1b"
    assert json.loads(formatted(ObjectFormatter(), "It failed", error=error))["exception"].endswith(
        f"no\n{FORGED}\\x1b"
    )


@pytest.mark.parametrize("formatter", [LineFormatter(), ObjectFormatter()])
def test_a_line_has_a_limited_length(formatter):
    long = "x" * 2**20
    try:
        raise ValueError(long)
    except ValueError:
        assert len(formatted(formatter, "%s" * 20, *[long] * 20, error=sys.exc_info())) < 22_000
    assert len(formatted(formatter, "%r", [long])) < 1500
    assert "7 1.50 None" in formatted(formatter, "%d %.2f %s", 7, 1.5, None)


def test_lines_of_unauthenticated_requests_are_limited():
    rate_filter, written = RateFilter(), []
    for name in ["django.request"] * 200 + ["gateway.consumer"] * 200:
        record = logging.getLogger(name).makeRecord(name, logging.WARNING, "x.py", 1, "Not Found: %s", ("/x",), None)
        record.created = 1_000_000.0
        if rate_filter.filter(record):
            written.append(LineFormatter().format(record))
    assert len(written) == logs.MAX_LINES_PER_MINUTE + 200
    assert "left out" in written[logs.MAX_LINES_PER_MINUTE - 1]


def test_the_limit_hides_no_error():
    rate_filter = RateFilter()
    for level in [logging.WARNING] * (logs.MAX_LINES_PER_MINUTE + 1) + [logging.ERROR]:
        record = logging.getLogger("django.request").makeRecord("django.request", level, "x.py", 1, "", (), None)
        record.created = 1_000_000.0
        passes = rate_filter.filter(record)
        assert passes or level == logging.WARNING
    assert passes


@pytest.fixture(scope="module", params=["line", "json"])
def web(request, live):
    with web_beside(live, f"logs-{request.param}", LOG_FORMAT=request.param, FORWARDED_ALLOW_IPS="127.0.0.1") as web:
        web.form = request.param
        yield web


def sent(web, text):
    """Send `text` over a new connection, and read until bytes arrive or it ends."""
    with socket.create_connection((urlsplit(web.url).hostname, web.port), 10) as connection:
        connection.sendall(text.encode("latin-1", "replace"))
        return connection.recv(1000)


def attempts(hidden):
    """Requests without a login that try to write `FORGED` to the log."""
    path, raw = quote(f"x{hidden}{FORGED}", safe=""), hidden.encode().decode("latin-1").replace("\n", "")
    raw = raw.replace("\r", "")
    handshake = HANDSHAKE.format(charger_id=path)
    yield handshake
    yield HANDSHAKE.format(charger_id=f"{path}/{path}")
    yield handshake.replace("ocpp1.6", f"ocpp1.6x{raw}{FORGED}")
    yield handshake.replace("\r\n\r\n", f"\r\nX-Forwarded-For: 1{raw}{FORGED}\r\n\r\n")
    yield handshake.replace("Upgrade: websocket", f"X: {raw}")
    yield handshake.replace("websocket", f"web{raw}socket")
    for where in (
        f"/{path}",
        f"/api/{path}",
        f"/api/ocpp/chargers/{path}/",
        f"/files/uploads/{path}",
        f"/admin/{path}",
    ):
        for method in ("GET", "POST"):
            yield f"{method} {where} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    yield f"GET / HTTP/1.1\r\nHost: x{raw}{FORGED}\r\nConnection: close\r\n\r\n"
    yield f"GE{raw}T {FORGED}\r\n\r\n"


def test_requests_without_a_login_forge_no_line(web):
    for hidden in HIDDEN:
        for attempt in attempts(hidden):
            sent(web, attempt)
    for line in eventually(lambda: "FORGED" in web.logged() and web.logged().split("\n")):
        assert line.isprintable()
        if web.form == "line":
            assert BEGINS.match(line)
        elif line:
            assert all(value.isprintable() for name, value in json.loads(line).items() if name != "exception")
        assert not line.startswith(FORGED[:23])


def test_refusals_above_the_limit_write_no_line(web):
    before = len(web.logged().splitlines())
    for number in range(400):
        sent(web, HANDSHAKE.format(charger_id=f"{an_id()}-{number}"))
        sent(web, f"GET /{number} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        sent(web, "nonsense\r\n\r\n")
    # At most two minutes of three kinds of lines.
    assert len(web.logged().splitlines()) - before <= 2 * 3 * logs.MAX_LINES_PER_MINUTE + 10


def test_a_worker_and_celery_write_no_forged_line(live):
    charger_id = f"{an_id()}\n{FORGED}\u202e\x1b"
    with live.charger(charger_id, ClearCache={"status": "Accepted"}):
        task_id = live.ask(charger_id, "ClearCache", {})["task_id"]
        succeeded = eventually(
            lambda: [line for line in lines(live, "worker 1") if task_id in line and "succeeded" in line]
        )
    assert all(value.isprintable() for line in succeeded for value in json.loads(line).values())
    assert not any(line.startswith(FORGED[:23]) for line in lines(live, "worker 1"))
