"""/metrics sums the figures of all processes, and has every series that dashboards and alerts use."""

import json
import re
import threading
import urllib.request

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from chargers import metrics
from chargers.metrics import registry
from config import metrics as body
from core.redis import processes
from core.redis.connections import sync_redis
from tests.support.builders import a_charger, a_command, tell
from tests.support.live import an_id, eventually, exchange
from tools.stack.stack import PROJECT

FOLDER = PROJECT / "docs" / "monitoring"
NAME = re.compile(r"\b(?:ocpp|process)_[a-z_]+\b")
STOP = {"transactionId": -1, "meterStop": 1, "timestamp": "2025-02-26T12:00:00Z"}


def scraped(live):
    """{(sample's name, its labels but the process): {process: value}}."""
    body = {}
    with urllib.request.urlopen(f"{live.url}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        for family in text_string_to_metric_families(answer.read().decode()):
            for sample in family.samples:
                process = sample.labels.pop("process", "")
                body.setdefault((sample.name, tuple(sorted(sample.labels.items()))), {})[process] = sample.value
    return body


def value(body, name, before=(), **labels):
    """The sum over all processes; since `before` that of what each counted since."""
    key = name, tuple(sorted(labels.items()))
    counted = dict(before).get(key, {})
    return sum(value - counted.get(process, 0) for process, value in body.get(key, {}).items())


@pytest.fixture(scope="module")
def traffic(live):
    """The metrics before and after one of each thing happened."""
    before, charger_id = scraped(live), an_id()
    with live.charger(charger_id, ClearCache={"status": "Accepted"}) as charger:
        charger.exchange("Heartbeat", {})
        live.finished(live.ask(charger_id, "ClearCache", {}))
    with live.socket(charger_id) as socket:
        exchange(socket, "1", "Invented", {})
        exchange(socket, "2", "StopTransaction", STOP | {"idTag": charger_id[:20]})
    eventually(lambda: charger_id not in live.get("/api/ocpp/chargers/")["active_chargers"])
    live.finished(live.ask(charger_id, "Reset", {"type": "Soft"}, timeout=1))
    with pytest.raises(InvalidStatus):
        live.socket("x" * 256)
    after = eventually(lambda: now if _has_all(now := scraped(live), before) else None, seconds=30)
    return lambda name, **labels: value(after, name, before, **labels)


def _has_all(now, before):
    """Every process has written what it counted: each may have had a part of it."""
    return all(value(now, name, before, **labels) for name, labels in LAST)


LAST = (
    ("ocpp_refused_handshakes_total", {"reason": "unknown"}),
    ("ocpp_orphan_stops_total", {}),
    ("ocpp_messages_total", {"action": "Heartbeat", "outcome": "result"}),
    ("ocpp_commands_simulated_total", {"action": "Reset"}),
)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("ocpp_messages_total", {"action": "Heartbeat", "outcome": "result"}),
        ("ocpp_messages_total", {"action": "other", "outcome": "NotImplemented"}),
        ("ocpp_inbox_latency_seconds_count", {}),
        ("ocpp_inbox_batch_size_count", {}),
        ("ocpp_event_loop_lag_seconds_count", {}),
        ("ocpp_commands_asked_total", {"action": "ClearCache"}),
        ("ocpp_commands_finished_total", {"action": "ClearCache", "outcome": "answered"}),
        ("ocpp_commands_finished_total", {"action": "Reset", "outcome": "not_connected"}),
        ("ocpp_command_answer_seconds_count", {}),
        ("ocpp_refused_handshakes_total", {"reason": "unknown"}),
        ("ocpp_orphan_stops_total", {}),
        ("ocpp_events_told_total", {}),
        ("ocpp_sweeps_total", {"outcome": "done"}),
    ],
)
def test_what_happened_is_counted_in_the_process_it_happened_in(traffic, name, labels):
    assert traffic(name, **labels) >= 1


def test_web_workers_and_beat_are_heard_of(live, traffic):
    now = scraped(live)
    assert [value(now, "ocpp_processes", role=role) >= 1 for role in ("web", "worker", "beat")] == [True] * 3
    assert [value(now, "ocpp_up", part=part) for part in ("redis", "database", "broker")] == [1] * 3


def rules():
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return group["rules"]


def drawn():
    panels = json.loads((FOLDER / "grafana.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def test_what_is_drawn_and_alerted_upon_is_told(live, traffic):
    wanted = {name for text in [*drawn(), *(rule["expr"] for rule in rules())] for name in NAME.findall(text)}
    assert len(wanted) > 30 and wanted <= {name for name, _ in scraped(live)}


@pytest.mark.django_db
def test_every_series_and_every_alert_is_explained():
    text = (PROJECT / "docs" / "monitoring.md").read_text()
    named = {family.name for family in [*registry.collect(), *body.AllMetrics().collect()]}
    described = {name.removesuffix("_total") for name in NAME.findall(text)}
    assert {name for name in named if name.startswith("ocpp_")} <= described
    headings = {f"docs/monitoring.md#{line[4:].lower()}" for line in text.splitlines() if line.startswith("### Ocpp")}
    assert {rule["annotations"]["runbook"] for rule in rules()} == headings


def test_prometheus_is_told_one_target_and_a_token():
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert job["authorization"]["type"] == "Token" and len(job["static_configs"][0]["targets"]) == 1


@pytest.mark.django_db
def test_what_the_books_hold_is_told(api):
    a_command(a_charger())
    said = api.get("/metrics").content.decode()
    assert "ocpp_chargers_known 1.0" in said and 'ocpp_commands_unfinished{state="queued"} 1.0' in said


@pytest.mark.django_db(transaction=True)
def test_the_same_orphan_stop_is_counted_once():
    charger, before = a_charger(), registry.get_sample_value("ocpp_orphan_stops_total")
    for _ in range(2):
        tell(charger, "StopTransaction", **STOP)
    assert registry.get_sample_value("ocpp_orphan_stops_total") == before + 1


def test_what_a_charger_invents_makes_no_series():
    before = len(metrics.messages.collect()[0].samples)
    for number in range(100):
        metrics.count_message(f"Invented{number}", "NotImplemented")
        metrics.count_close(3000 + number)
    assert len(metrics.messages.collect()[0].samples) <= before + 1
    assert registry.get_sample_value("ocpp_closed_sockets_total", {"code": "other"}) >= 100


def test_a_process_that_is_silent_is_told_of_no_more(monkeypatch):
    monkeypatch.setattr(processes, "PROCESSES", f"ocpp:test:{an_id()}")
    body.push("web:here:1")
    assert list(processes.samples()) == ["web:here:1"]
    sync_redis().delete(f"{processes.PROCESSES}:web:here:1")
    assert processes.samples() == {} and sync_redis().smembers(processes.PROCESSES) == set()


def test_pushing_is_beside_the_traffic(monkeypatch):
    monkeypatch.setattr(processes, "PROCESSES", f"ocpp:test:{an_id()}")
    monkeypatch.setattr(body, "_pusher", None)
    body.start("web")
    assert body._pusher.daemon and body._pusher in threading.enumerate()
    assert eventually(processes.samples)
    first = body._pusher
    body.start("web")
    first.ending.set()
    assert body._pusher is first
