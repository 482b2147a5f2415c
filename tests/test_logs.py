"""LOG_FORMAT: what a line of the log is, and that nothing but what is meant for it gets there."""

import json
import logging
import re
import socket
import sys
from urllib.parse import quote, urlsplit

import pytest

from chargers import context
from config import logs
from config.logs import FIELDS, INDENTED, ContextFilter, LineFormatter, ObjectFormatter, RateFilter
from tests.beside import web_beside
from tests.config.test_settings import check
from tests.config.test_websocket import HANDSHAKE
from tests.live import an_id, eventually


def logged(message, error=None, **extra):
    """The object that a record becomes."""
    record = logging.getLogger("chargers").makeRecord(
        "chargers", logging.INFO, __file__, 1, message, (), error, extra=extra
    )
    assert ContextFilter().filter(record)
    return json.loads(ObjectFormatter().format(record))


def test_a_record_is_an_object_with_what_it_is_about():
    with context.about(charger="505", task="t1"):
        said = logged('505: "hello"\nworld')
    assert said.pop("timestamp").endswith("+00:00")
    assert said == {"level": "INFO", "logger": "chargers", "message": '505: "hello"\\nworld'} | {
        "charger_id": "505",
        "task_id": "t1",
    }


def test_what_is_not_known_is_left_out():
    assert logged("hello").keys() == {"timestamp", "level", "logger", "message"}


def test_what_libraries_attach_stays_out_but_for_the_task():
    said = logged("Task succeeded", data={"id": "t1", "args": "['secret']"}, request="secret")
    assert said["task_id"] == "t1" and "secret" not in str(said)


def test_an_exception_is_told_with_its_trace():
    try:
        raise ValueError("no")
    except ValueError:
        said = logged("It failed", sys.exc_info())
    assert said["exception"].startswith("Traceback") and said["exception"].endswith("ValueError: no")


def test_another_form_is_refused():
    code, said = check(LOG_FORMAT="xml")
    assert code != 0 and "LOG_FORMAT" in said


def lines(live, name):
    """Of the log of a program, since it was started."""
    child = next(child for child in live.stack.children if child.name == name)
    return child.log.read_bytes()[child.logged_at_start :].decode().splitlines()


@pytest.mark.parametrize("name", ["web 1", "web 2", "beat"])
def test_every_line_of_a_program_is_an_object(live, name):
    assert all(json.loads(line).keys() <= set(FIELDS) for line in lines(live, name))


def test_a_line_tells_its_charger_and_its_task(live):
    charger_id = an_id()
    with live.charger(charger_id, ClearCache={"status": "Accepted"}):
        task_id = live.ask(charger_id, "ClearCache", {})["task_id"]
        eventually(lambda: any(task_id in line and '"task_id"' in line for line in lines(live, "worker 1")))
    web = [json.loads(line) for n in (1, 2) for line in lines(live, f"web {n}") if charger_id in line]
    assert web and all(line["charger_id"] == charger_id for line in web)


# --- what comes from outside -----------------------------------------------------------------

FORGED = "2026-01-01 00:00:00,000 INFO chargers.consumers: FORGED"
HIDDEN = ["\n", "\r\n", "\x1b[2J", "\u2028", "\u202e", "\u200b", "\x85", "\x7f", "\x0b", "\U000e0041", "\u00a0"]
BEGINS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [\w.]+: |    |$")


def said(formatter, message, *args, error=None):
    record = logging.getLogger("chargers").makeRecord("chargers", logging.INFO, "x.py", 1, message, args, error)
    assert ContextFilter().filter(record)
    return formatter.format(record)


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("formatter", [LineFormatter(), ObjectFormatter()])
def test_what_cannot_be_seen_is_escaped_wherever_it_stands(formatter, hidden):
    text = f"a{hidden}b"
    shown = [said(formatter, text), said(formatter, "%s", text), said(formatter, "%r %d", text, 1)]
    shown += [said(formatter, "%(name)s", {"name": text}), said(formatter, "%s", ValueError(text))]
    with context.about(charger=text, task=text):
        shown.append(said(formatter, "x"))
    for line in shown:
        assert line.isprintable()
        assert isinstance(formatter, LineFormatter) or all(value.isprintable() for value in json.loads(line).values())


def test_a_trace_keeps_its_lines_and_cannot_be_taken_for_records():
    try:
        raise ValueError(f"no\n{FORGED}\x1b")
    except ValueError:
        error = sys.exc_info()
    first, *others = said(LineFormatter(), "It failed", error=error).split("\n")
    assert BEGINS.match(first) and len(others) > 3 and all(line.startswith(INDENTED[1:]) for line in others)
    assert others[-1] == f"    {FORGED}\\x1b"
    assert json.loads(said(ObjectFormatter(), "It failed", error=error))["exception"].endswith(f"no\n{FORGED}\\x1b")


@pytest.mark.parametrize("formatter", [LineFormatter(), ObjectFormatter()])
def test_a_line_has_an_end_whatever_it_is_about(formatter):
    long = "x" * 2**20
    try:
        raise ValueError(long)
    except ValueError:
        assert len(said(formatter, "%s" * 20, *[long] * 20, error=sys.exc_info())) < 22_000
    assert len(said(formatter, "%r", [long])) < 1500
    assert "7 1.50 None" in said(formatter, "%d %.2f %s", 7, 1.5, None)


def test_what_strangers_cause_fills_no_log():
    rate_filter, written = RateFilter(), []
    for name in ["django.request"] * 200 + ["chargers.consumers"] * 200:
        record = logging.getLogger(name).makeRecord(name, logging.WARNING, "x.py", 1, "Not Found: %s", ("/x",), None)
        record.created = 1_000_000.0
        if rate_filter.filter(record):
            written.append(LineFormatter().format(record))
    assert len(written) == logs.MAX_LINES_PER_MINUTE + 200 and "left out" in written[logs.MAX_LINES_PER_MINUTE - 1]


def test_lines_that_strangers_cause_hide_no_error():
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
    """Send `text` as the beginning of a connection, and read until it ends or says something."""
    with socket.create_connection((urlsplit(web.url).hostname, web.port), 10) as connection:
        connection.sendall(text.encode("latin-1", "replace"))
        return connection.recv(1000)


def attempts(hidden):
    """What a stranger may send to have `FORGED` in the log."""
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


def test_strangers_forge_no_line(web):
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


def test_refusals_past_the_limit_cost_no_line(web):
    before = len(web.logged().splitlines())
    for number in range(400):
        sent(web, HANDSHAKE.format(charger_id=f"{an_id()}-{number}"))
        sent(web, f"GET /{number} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        sent(web, "nonsense\r\n\r\n")
    # Two minutes at most, of three kinds of lines.
    assert len(web.logged().splitlines()) - before <= 2 * 3 * logs.MAX_LINES_PER_MINUTE + 10


def test_a_worker_and_celery_write_no_forged_line(live):
    charger_id = f"{an_id()}\n{FORGED}\u202e\x1b"
    with live.charger(charger_id, ClearCache={"status": "Accepted"}):
        task_id = live.ask(charger_id, "ClearCache", {})["task_id"]
        told = eventually(
            lambda: [line for line in lines(live, "worker 1") if task_id in line and "succeeded" in line]
        )
    assert all(value.isprintable() for line in told for value in json.loads(line).values())
    assert not any(line.startswith(FORGED[:23]) for line in lines(live, "worker 1"))
