"""OpenTelemetry: a command is one trace up to its answer, and nothing is imported without the setting."""

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.live import Live, an_id, eventually, free_port
from tests.support.servers import RUN_DIR
from tests.support.settings import load_settings
from tools.stack import programs
from tools.stack.processes import Child
from tools.stack.stack import PROJECT


class Receiver(ThreadingHTTPServer):
    """A collector that receives OTLP over HTTP and stores the spans."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Taking)
        self.spans, self.services = [], set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def of(self, **attributes):
        """{name: span} of the trace with a span that has these attributes."""
        wanted = attributes.items()
        traces = [span.trace_id for span in list(self.spans) if wanted <= _attributes(span).items()]
        return {span.name: span for span in list(self.spans) if span.trace_id in traces}


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self):
        sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in sent.resource_spans:
            self.server.services |= {a.value.string_value for a in resource.resource.attributes}
            self.server.spans += [span for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Keep log lines off the screen."""


def _attributes(span):
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


class Beside:
    """The stack of a `Live` with a web process and a worker beside those of `live`, on a Redis of its own."""

    def __init__(self, live, **env):
        port = str(free_port())
        redis = live.stack.env["REDIS_URL"].replace("db=0", "db=9").replace("6379/0", "6379/9")
        self.env = live.stack.env | {"PORT": port, "REDIS_URL": redis, "TLS_PORT": ""} | env
        self.url, self.ws_url = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
        programs_ = {"web": programs.web("--port", port), "worker": programs.worker("traced", 20)}
        log = RUN_DIR / "traced"
        options = {"cwd": PROJECT, "signals": [(signal.SIGTERM, 2), (signal.SIGKILL, 1)]}
        self.children = [Child(n, argv, self.env, log / f"{n}.log", **options) for n, argv in programs_.items()]

    @contextmanager
    def running(self):
        web, worker = (child.start() for child in self.children)
        try:
            web.wait_until(self._is_up)
            worker.wait_until(lambda: worker.logged(" ready."))
            yield self
        finally:
            web.stop()
            worker.stop()

    def _is_up(self):
        try:
            return urllib.request.urlopen(f"{self.url}/healthz", timeout=5).status == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def receiver():
    server = Receiver()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def traced(live, receiver):
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with Beside(live, **settings).running() as stack:
        yield Live(stack, live.database_url)


STEPS = {
    "POST /api/ocpp/commands/",
    "commands.ClearCache",
    "send",
    "ClearCache to charger",
    "reply of charger",
}
STEPS_OF_A_SLOW_ANSWER = STEPS | {"wait for the answer"}


def test_a_command_is_one_trace_from_its_request_to_its_answer(traced, receiver):
    charger_id = an_id()
    with traced.charger(charger_id, ClearCache={"status": "Accepted"}):
        task = traced.finished(traced.ask(charger_id, "ClearCache", {}))
    assert task["outcome"] == "answered"
    spans = eventually(lambda: receiver.of(task_id=task["task_id"]) if _has(receiver, task, STEPS) else None)
    assert _attributes(spans["commands.ClearCache"])["outcome"] == "answered"
    assert spans["commands.ClearCache"].parent_span_id == spans["POST /api/ocpp/commands/"].span_id
    assert spans["ClearCache to charger"].parent_span_id == spans["send"].span_id
    assert "ocpp-central-system" in receiver.services


def _has(receiver, task, steps):
    return receiver.of(task_id=task["task_id"]).keys() >= steps


def test_a_client_may_begin_the_trace(traced, receiver):
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    traced.request("GET", "/api/ocpp/chargers/", traceparent=f"00-{trace_id}-b7ad6b7169203331-01")
    eventually(lambda: any(span.trace_id.hex() == trace_id for span in list(receiver.spans)))


def test_a_queued_command_stays_in_its_own_trace(traced, receiver):
    charger_id = an_id()
    with traced.charger(charger_id, ClearCache=0.5):
        first, second = (traced.ask(charger_id, "ClearCache", {}) for _ in range(2))
        traced.finished(second)
    for task in (first, second):
        eventually(lambda task=task: _has(receiver, task, STEPS_OF_A_SLOW_ANSWER))
    assert _traces(receiver, first) != _traces(receiver, second)


def _traces(receiver, task):
    return {span.trace_id for span in receiver.of(task_id=task["task_id"]).values()}


def test_a_message_is_a_span_without_the_name_of_an_unknown_action(traced, receiver):
    charger_id = an_id()
    with traced.charger(charger_id) as charger:
        charger.exchange("Heartbeat", {})
    with traced.socket(charger_id) as socket:
        socket.send(json.dumps([2, "1", "Invented", {}]))
        assert "NotImplemented" in socket.recv(timeout=5)
    eventually(lambda: receiver.of(charger_id=charger_id).keys() >= {"Heartbeat from charger"})
    eventually(lambda: receiver.of(charger_id=charger_id).keys() >= {"unknown action from charger"})


# redis-py imports a part of it for itself, whether or not it is used.
WITHOUT = """
import sys, django
django.setup()
import config.asgi, config.celery, commands.tasks
from gateway.exchange import Exchange
unused = ["opentelemetry.exporter", "google.protobuf", "config.tracing"]
sys.exit(any(name in sys.modules for name in unused) or hasattr(Exchange._on_call, "__wrapped__"))
"""


def test_without_the_setting_nothing_is_imported_or_wrapped(live):
    env = live.stack.env | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    assert subprocess.run([sys.executable, "-c", WITHOUT], cwd=PROJECT, env=env, check=False).returncode == 0


def test_an_invalid_receiver_is_refused():
    code, said = load_settings(OTEL_EXPORTER_OTLP_ENDPOINT="collector:4317")
    assert code != 0
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in said
