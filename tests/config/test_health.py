"""Readiness: what is wrong, where, and what to do."""

import threading
from uuid import uuid4

import pytest
from django.db import connection
from django.test import override_settings

from config import health, metrics

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    """From the processes of other tests, which tell their metrics in the same Redis."""
    monkeypatch.setattr(metrics, "PROCESSES", f"ocpp:test:{uuid4().hex}")


def test_it_is_ready_and_misses_a_worker_and_beat(client):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert [warning["part"] for warning in answer.json()["warnings"]] == ["worker", "beat"]


def test_processes_that_tell_their_metrics_are_heard_of(client):
    metrics.push("worker:here:1")
    metrics.push("beat:here:2")
    assert client.get("/readyz").json() == {"status": "ok", "warnings": []}


def test_a_migration_that_is_missing_is_told_and_what_to_do(client):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'dashboard'")
    health.NEEDED["migrations"][0].__self__.are_applied = False
    answer = client.get("/readyz")
    assert answer.status_code == 503 and answer.json()["faults"] == {"migrations": "NotMigrated"}
    (problem,) = answer.json()["problems"]
    assert "manage.py migrate" in problem["what_to_do"] and "DATABASE_URL" in problem["where"]


def test_a_database_that_hangs_is_not_waited_for(client, monkeypatch):
    monkeypatch.setattr(health, "PATIENCE", 0.3)
    answered = threading.Event()
    for _ in range(2):  # those who asked before still wait
        health._asking.submit(answered.wait, 30)
    try:
        answer = client.get("/readyz")
    finally:
        answered.set()
    assert answer.status_code == 503 and answer.json()["faults"] == {"database": "TimeoutError"}


def test_a_broker_that_is_away_is_named_without_its_password(client):
    from config.celery import app

    away = "redis://:secret@127.0.0.1:1/0"
    with override_settings(BROKER=away):
        app.conf.broker_write_url = away
        answer = client.get("/readyz")
        app.conf.broker_write_url = None
    assert answer.status_code == 503 and set(answer.json()["faults"]) == {"broker"}
    assert "BROKER_URL" in answer.json()["problems"][0]["where"] and "secret" not in answer.content.decode()
