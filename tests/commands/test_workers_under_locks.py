"""A worker goes on with its other commands while a statement of one command waits for a lock."""

import json
from contextlib import contextmanager

import psycopg

from tests.support.live import an_id, eventually

WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%django_celery_results%%'"


@contextmanager
def locked(live, task):
    with psycopg.connect(live.database_url) as holder:
        holder.execute("SELECT FROM commands_command WHERE task_id = %s FOR UPDATE", [task["task_id"]])
        yield


def test_a_command_whose_row_is_locked_delays_no_other_command(live):
    held, free = live.strict(an_id()), live.strict(an_id())
    with live.socket(held) as socket, live.charger(free, ClearCache={"status": "Accepted"}):
        task = live.ask(held, "ClearCache", {})
        sent = json.loads(socket.recv(timeout=5))
        with locked(live, task):
            socket.send(json.dumps([3, sent[1], {"status": "Accepted"}]))
            eventually(lambda: live.rows(WAITING))
            other = live.ask(free, "ClearCache", {})
            assert live.get(f"/api/ocpp/tasks/{other['task_id']}/?wait=5")["outcome"] == "answered"
        assert live.finished(task)["outcome"] == "answered"
