"""The load of the benchmark against the system; its speed is not tested here."""

import os
import subprocess
import sys

import pytest

from tests.support.live import an_id
from tools.bench import servers


def test_messages_counted_as_answered_are_stored(live):
    prefix = an_id()
    body = servers.load("closed", live.ws_url, chargers=3, prefix=prefix, seconds=1, warmup=0)
    assert body["faults"] == body["unanswered"] == 0
    stored = sum(live.get(f"/api/ocpp/transactions/{prefix}{number}/")["count"] for number in range(3))
    assert stored == body["messages"]["StartTransaction"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_cpu_of_a_process_includes_what_it_started():
    before = servers.cpu(os.getpid())
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 1: pass"], check=True)
    assert servers.cpu(os.getpid()) - before > 0.9


def test_an_idle_fleet_answers_commands(live):
    prefix = an_id()
    with servers.fleet(live.ws_url, chargers=2, prefix=prefix):
        task = live.ask(f"{prefix}1", "ClearCache", {})
        assert live.get(f"/api/ocpp/tasks/{task['task_id']}/?wait=10")["outcome"] == "answered"
