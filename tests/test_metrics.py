"""/metrics sums the figures of all processes, and has every series that dashboards and alerts use."""

import json
import re
import threading

import pytest
import yaml
from websockets.exceptions import InvalidStatus

from chargers import metrics
from chargers.metrics import registry
from config import metrics as body
from core.redis import processes
from core.redis.connections import sync_redis
from tests.support.builders import a_charger, a_command, tell
from tests.support.live import an_id, eventually, exchange
from tests.support.metrics import scraped, value
from tools.stack.stack import PROJECT

FOLDER = PROJECT / "docs" / "monitoring"
NAME = re.compile(r"\b(?:ocpp|process)_[a-z_]+\b")
STOP = {"transactionId": -1, "meterStop": 1, "timestamp": "2025-02-26T12:00:00Z"}


@pytest.fixture(scope="module")
def traffic(live):
    """The metrics before and after traffic of every kind."""
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
    """Return whether every process has written its counts: each may have had a part of the traffic."""
    return all(value(now, name, before, **labels) for name, labels in LAST)


LAST = (
    ("ocpp_commands_submitted_total", {"action": "ClearCache"}),
    ("ocpp_commands_finished_total", {"action": "ClearCache", "outcome": "answered"}),
    ("ocpp_messages_total", {"action": "other", "outcome": "NotImplemented"}),
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
        ("ocpp_batch_writer_latency_seconds_count", {}),
        ("ocpp_batch_writer_batch_size_count", {}),
        ("ocpp_event_loop_lag_seconds_count", {}),
        ("ocpp_commands_submitted_total", {"action": "ClearCache"}),
        ("ocpp_commands_finished_total", {"action": "ClearCache", "outcome": "answered"}),
        ("ocpp_commands_finished_total", {"action": "Reset", "outcome": "not_connected"}),
        ("ocpp_command_answer_seconds_count", {}),
        ("ocpp_refused_handshakes_total", {"reason": "unknown"}),
        ("ocpp_orphan_stops_total", {}),
        ("ocpp_events_published_total", {}),
        ("ocpp_sweeps_total", {"outcome": "done"}),
    ],
)
def test_traffic_is_counted_by_its_process(traffic, name, labels):
    assert traffic(name, **labels) >= 1


def test_web_worker_and_beat_report_metrics(live, traffic):
    now = scraped(live)
    assert [value(now, "ocpp_processes", role=role) >= 1 for role in ("web", "worker", "beat")] == [True] * 3
    assert [value(now, "ocpp_up", part=part) for part in ("redis", "database", "broker")] == [1] * 3


def rules():
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return group["rules"]


def drawn():
    panels = json.loads((FOLDER / "grafana.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def test_every_series_of_dashboards_and_alerts_exists(live, traffic):
    wanted = {name for text in [*drawn(), *(rule["expr"] for rule in rules())] for name in NAME.findall(text)}
    assert len(wanted) > 30
    assert wanted <= {name for name, _ in scraped(live)}


@pytest.mark.django_db
def test_every_series_and_alert_is_documented():
    text = (PROJECT / "docs" / "monitoring.md").read_text()
    named = {family.name for family in [*registry.collect(), *body.AllMetrics().collect()]}
    described = {name.removesuffix("_total") for name in NAME.findall(text)}
    assert {name for name in named if name.startswith("ocpp_")} <= described
    headings = {f"docs/monitoring.md#{line[4:].lower()}" for line in text.splitlines() if line.startswith("### Ocpp")}
    assert {rule["annotations"]["runbook"] for rule in rules()} == headings


def test_the_prometheus_configuration_has_one_target_and_a_token():
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert job["authorization"]["type"] == "Token"
    assert len(job["static_configs"][0]["targets"]) == 1


@pytest.mark.django_db
def test_chargers_and_commands_in_the_database_are_counted(api):
    a_command(a_charger())
    said = api.get("/metrics").content.decode()
    assert "ocpp_chargers_known 1.0" in said
    assert 'ocpp_commands_unfinished{state="queued"} 1.0' in said


@pytest.mark.django_db(transaction=True)
def test_the_same_orphan_stop_is_counted_once():
    charger, before = a_charger(), registry.get_sample_value("ocpp_orphan_stops_total")
    for _ in range(2):
        tell(charger, "StopTransaction", **STOP)
    assert registry.get_sample_value("ocpp_orphan_stops_total") == before + 1


def test_invented_actions_create_no_series():
    before = len(metrics.messages.collect()[0].samples)
    for number in range(100):
        metrics.count_message(f"Invented{number}", "NotImplemented")
        metrics.count_close(3000 + number)
    assert len(metrics.messages.collect()[0].samples) <= before + 1
    assert registry.get_sample_value("ocpp_closed_sockets_total", {"code": "other"}) >= 100


def test_samples_of_a_silent_process_are_removed(monkeypatch):
    monkeypatch.setattr(processes, "PROCESSES", f"ocpp:test:{an_id()}")
    body.push("web:here:1")
    assert list(processes.samples()) == ["web:here:1"]
    sync_redis().delete(f"{processes.PROCESSES}:web:here:1")
    assert processes.samples() == {}
    assert sync_redis().smembers(processes.PROCESSES) == set()


def test_metrics_are_pushed_by_a_thread_of_their_own(monkeypatch):
    monkeypatch.setattr(processes, "PROCESSES", f"ocpp:test:{an_id()}")
    monkeypatch.setattr(body, "_pusher", None)
    body.start("web")
    assert body._pusher.daemon and body._pusher in threading.enumerate()
    assert eventually(processes.samples)
    first = body._pusher
    body.start("web")
    first.ending.set()
    assert body._pusher is first
