"""Readiness: each problem, its place and its remedy."""

import threading
from uuid import uuid4

import pytest
from django.db import connection
from django.test import override_settings

from config import metrics
from core.redis import processes
from dashboard import probes, readiness

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def isolated(monkeypatch):
    """Ignore processes of other tests, which write to the same Redis, and the previous check."""
    monkeypatch.setattr(processes, "PROCESSES", f"ocpp:test:{uuid4().hex}")
    monkeypatch.setattr(readiness, "latest_check", readiness.LatestCheck())


def test_a_missing_worker_or_beat_is_a_warning(client):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert [warning["part"] for warning in answer.json()["warnings"]] == ["worker", "beat"]


def test_processes_that_write_their_metrics_are_active(client):
    metrics.push("worker:here:1")
    metrics.push("beat:here:2")
    assert client.get("/readyz").json() == {"status": "ok", "warnings": []}


@pytest.mark.django_db(transaction=True)
def test_a_missing_migration_is_reported_with_its_remedy(client):
    where = "django_migrations WHERE app = 'dashboard'"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT app, name, applied FROM {where}")
        applied = cursor.fetchall()
        cursor.execute(f"DELETE FROM {where}")
        try:
            probes.migrations.are_applied = False
            answer = client.get("/readyz")
        finally:
            cursor.executemany("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", applied)
    assert answer.status_code == 503
    assert answer.json()["faults"] == {"migrations": "not_migrated"}
    (problem,) = answer.json()["problems"]
    assert "manage.py migrate" in problem["what_to_do"]
    assert "DATABASE_URL" in problem["where"]


def test_a_hanging_part_is_not_waited_for_and_not_probed_again(client, monkeypatch):
    monkeypatch.setattr(readiness, "PROBE_TIMEOUT_S", 0.3)
    probes_begun, answered = [], threading.Event()

    def hang():
        probes_begun.append(1)
        answered.wait(30)

    part = next(part for part in readiness.INDEPENDENT_PARTS if part.name == "database")
    monkeypatch.setattr(part, "probe", hang)
    try:
        for _ in range(2):
            monkeypatch.setattr(readiness, "latest_check", readiness.LatestCheck())
            answer = client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["faults"] == {"database": "hanging"}
        assert probes_begun == [1]
    finally:
        answered.set()
        part.running.result(10)


def test_an_unavailable_broker_is_named_without_its_password(client):
    from config.celery import app

    unreachable = "redis://:secret@127.0.0.1:1/0"
    with override_settings(BROKER=unreachable):
        app.conf.broker_write_url = unreachable
        answer = client.get("/readyz")
        app.conf.broker_write_url = None
    assert answer.status_code == 503
    assert set(answer.json()["faults"]) == {"broker"}
    assert "BROKER_URL" in answer.json()["problems"][0]["where"]
    assert "secret" not in answer.content.decode()


FAULTS = [pytest.param(part, fault, id=f"{part.name}-{fault}") for part in readiness.PARTS for fault in part.faults]


@pytest.mark.parametrize(("part", "fault"), FAULTS)
def test_every_fault_of_every_part_is_described_in_sentences(part, fault):
    words = {"server": part.server, "variable": part.variable}
    texts = part.faults[fault]
    for sentence in (texts.wrong.format(**words), texts.what_to_do.format(**words), part.where):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert "  " not in sentence
