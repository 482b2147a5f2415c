"""The path of a command through real processes, to a simulated charger."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest
from celery.app.task import Context
from django.db import connection
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from chargers.models import Charger
from chargers.services import presence
from chargers.services.presence import Presence
from commands.models import Command
from commands.services.lifecycle import NotNow, _finish, _replied, run, task_name, task_result
from commands.services.queries import get_command
from commands.services.sweep import sweep
from config.celery import app
from core.redis.connections import sync_redis
from tests.support.builders import a_charger, a_command
from tests.support.live import an_id, eventually
from tools.simulator.connection import CallError
from tools.stack.stack import PROJECT

RESET = {"type": "Soft"}
ACCEPTED = {"status": "Accepted"}
OF_ONE_RESULT = {"id", "task_id", "date_created", "date_done"}  # columns that differ between equal results


def duration(task):
    return datetime.fromisoformat(task["finished_at"]) - datetime.fromisoformat(task["created_at"])


def sent(live, task):
    """Return the task once its CALL was written."""
    path = f"/api/ocpp/tasks/{task['task_id']}/"
    return eventually(lambda: (shown := live.get(path))["state"] != "queued" and shown)


@pytest.mark.parametrize("status", ["Accepted", "Rejected"])
def test_an_answer_is_stored_unchanged(live, status):
    with live.charger(an_id(), Reset={"status": status}) as charger:
        task = live.finished(live.ask(charger.identity, "Reset", RESET))
    assert (task["state"], task["outcome"], task["simulated"]) == ("finished", "answered", False)
    assert task["response"] == task["result"] == {"status": status}
    assert task["simulated_response"] is None
    assert task["error"] is None
    assert task["created_at"] <= task["sent_at"] <= task["finished_at"]
    frame = json.loads(charger.received[0])
    assert frame == [2, task["task_id"], "Reset", RESET]
    assert " " not in charger.received[0]


def test_a_call_error_is_an_outcome_of_its_own(live):
    with live.charger(an_id(), Reset=CallError("InternalError", "out of order", {"a": 1})) as charger:
        task = live.finished(live.ask(charger.identity, "Reset", RESET))
    assert (task["outcome"], task["simulated"], task["response"], task["result"]) == ("call_error", False, None, None)
    assert task["error"] == {"code": "InternalError", "description": "out of order", "details": {"a": 1}}


@pytest.mark.parametrize("reply", [{}, {"status": "Maybe"}, "text", {"status": "Accepted", "more": 1}])
def test_a_reply_that_breaks_its_schema_is_stored_as_invalid(live, reply):
    with live.socket(charger_id := live.strict(an_id())) as socket:
        task = live.ask(charger_id, "Reset", RESET)
        socket.send(json.dumps([3, json.loads(socket.recv(5))[1], reply]))
        task = live.finished(task)
    assert (task["outcome"], task["simulated"], task["response"]) == ("invalid_response", False, reply)
    assert task["error"]["description"]


def test_a_command_to_a_silent_charger_gets_a_simulated_result(live):
    with live.charger(an_id(), Reset=None) as charger:
        task = live.finished(live.ask(charger.identity, "Reset", RESET, timeout=1))
    assert (task["outcome"], task["simulated"], task["response"]) == ("timed_out", True, None)
    assert task["result"] == task["simulated_response"] == ACCEPTED
    assert task["sent_at"]


def test_a_simulated_acceptance_changes_nothing(live):
    with live.charger(charger_id := an_id(), SendLocalList=None):
        task = live.ask(charger_id, "SendLocalList", {"updateType": "Full"}, timeout=1)
        assert task["payload"]["listVersion"] == 1
        assert live.finished(task)["simulated"]
    assert live.get(f"/api/ocpp/chargers/{charger_id}/")["local_list_version"] == 0


def test_a_real_acceptance_raises_the_list_version(live):
    with live.charger(charger_id := an_id(), SendLocalList=ACCEPTED):
        live.finished(live.ask(charger_id, "SendLocalList", {"updateType": "Full"}))
    assert live.get(f"/api/ocpp/chargers/{charger_id}/")["local_list_version"] == 1


def test_a_command_to_an_absent_charger_ends_after_its_timeout(live):
    charger_id = an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id})
    task = live.finished(live.ask(charger_id, "Reset", RESET, timeout=1.5))
    assert (task["outcome"], task["simulated"], task["sent_at"]) == ("not_connected", True, None)
    assert duration(task) >= timedelta(seconds=1.5)


def test_each_command_waits_for_an_absent_charger_for_its_own_timeout(live):
    charger_id = an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id})
    patient = live.ask(charger_id, "Reset", RESET, timeout=7)
    task = live.finished(live.ask(charger_id, "ClearCache", {}, timeout=1.5))
    assert (task["outcome"], task["sent_at"]) == ("not_connected", None)
    assert duration(task) >= timedelta(seconds=1.5)
    assert task["finished_at"] < live.finished(patient)["finished_at"]


def test_a_charger_that_connects_while_its_command_waits_gets_it(live):
    charger_id = an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id})
    task = live.ask(charger_id, "Reset", RESET, timeout=11)
    time.sleep(1)
    with live.charger(charger_id, Reset=ACCEPTED) as charger:
        task = live.finished(task)
    assert task["outcome"] == "answered"
    assert len(charger.received) == 1


def test_a_connection_that_ends_before_the_answer_gives_connection_lost(live):
    with live.charger(an_id(), Reset=None) as charger:
        task = live.ask(charger.identity, "Reset", RESET, timeout=20)
        sent(live, task)
        charger.drop()
        charger.reconnect()
        task = live.finished(task)
        assert len(charger.received) == 1
    assert (task["outcome"], task["simulated"], task["response"]) == ("connection_lost", True, None)


def test_a_late_answer_is_stored_and_changes_nothing_else(live):
    with live.socket(charger_id := an_id()) as socket:
        task = live.ask(charger_id, "Reset", RESET, timeout=1)
        assert json.loads(socket.recv(10))[1] == task["task_id"]
        task = live.finished(task)
        assert (task["outcome"], task["late_response"]) == ("timed_out", None)
        socket.send(json.dumps([3, task["task_id"], ACCEPTED]))
        path = f"/api/ocpp/tasks/{task['task_id']}/"
        late = eventually(lambda: (shown := live.get(path))["late_response"] and shown)
    assert late["late_response"] == ACCEPTED
    assert {k: v for k, v in late.items() if k != "late_response"} == {
        k: v for k, v in task.items() if k != "late_response"
    }


def test_an_answer_on_a_new_socket_is_late(live):
    with live.socket(charger_id := an_id()) as first:
        task = live.ask(charger_id, "Reset", RESET, timeout=20)
        message_id = json.loads(first.recv(5))[1]
    assert live.finished(task)["outcome"] == "connection_lost"
    with live.socket(charger_id) as second:
        second.send(json.dumps([3, message_id, ACCEPTED]))
        path = f"/api/ocpp/tasks/{message_id}/"
        assert eventually(lambda: live.get(path)["late_response"]) == ACCEPTED


def test_an_answer_of_another_charger_is_ignored(live):
    with live.socket(charger_id := an_id()) as socket, live.socket(an_id()) as stranger:
        task = live.ask(charger_id, "Reset", RESET, timeout=2)
        message_id = json.loads(socket.recv(5))[1]
        stranger.send(json.dumps([3, message_id, ACCEPTED]))
        task = live.finished(task)
    assert (task["outcome"], task["late_response"]) == ("timed_out", None)


def test_a_task_delivered_twice_is_sent_once(live):
    with live.charger(an_id(), Reset=1.5) as charger:
        task = live.ask(charger.identity, "Reset", RESET)
        for _ in range(3):
            app.send_task("commands.Reset", [charger.identity], task_id=task["task_id"])
        task = live.finished(task)
        time.sleep(1)
        assert len(charger.received) == 1
    assert task["outcome"] == "answered"


def test_commands_of_a_charger_are_sent_one_at_a_time_in_order(live):
    with live.charger(an_id(), Reset=0.4, ClearCache=0.4) as charger:
        actions = ["Reset", "ClearCache", "Reset", "ClearCache"]
        tasks = [live.ask(charger.identity, a, RESET if a == "Reset" else {}) for a in actions]
        tasks = [live.finished(task) for task in tasks]
    assert [json.loads(frame)[2] for frame in charger.received] == actions
    for earlier, later in zip(tasks, tasks[1:], strict=False):
        assert earlier["finished_at"] <= later["sent_at"]


def test_time_in_the_queue_does_not_count_towards_the_timeout(live):
    with live.charger(an_id(), Reset=None, ClearCache=ACCEPTED) as charger:
        live.ask(charger.identity, "Reset", RESET, timeout=6)
        task = live.finished(live.ask(charger.identity, "ClearCache", {}, timeout=4))
    assert task["outcome"] == "answered"


def test_a_command_that_times_out_in_the_queue_is_never_sent(live):
    with live.charger(an_id(), Reset=None, ClearCache=ACCEPTED) as charger:
        live.ask(charger.identity, "Reset", RESET, timeout=25)
        task = live.finished(live.ask(charger.identity, "ClearCache", {}))
        assert (task["outcome"], task["sent_at"], task["simulated"]) == ("timed_out", None, True)
        assert len(charger.received) == 1


def test_silent_chargers_delay_no_other(live):
    """There are more silent chargers than redis-py's pool has connections by default."""
    with ExitStack() as sockets, live.charger(an_id(), Reset=ACCEPTED) as charger, ThreadPoolExecutor(16) as threads:
        silent = [an_id() for _ in range(120)]
        list(threads.map(lambda charger_id: sockets.enter_context(live.socket(charger_id)), silent))
        asked = list(threads.map(lambda charger_id: live.ask(charger_id, "Reset", RESET, timeout=300), silent))
        assert live.finished(live.ask(charger.identity, "Reset", RESET))["outcome"] == "answered"
        assert {live.get(task["task_url"])["state"] for task in asked} <= {"queued", "sent"}
        sockets.close()
        assert {task["outcome"] for task in threads.map(live.finished, asked)} <= {"connection_lost", "not_connected"}


def test_a_charger_may_send_a_call_before_its_answer(live):
    with live.socket(charger_id := an_id()) as socket:
        task = live.ask(charger_id, "Reset", RESET)
        message_id = json.loads(socket.recv(5))[1]
        socket.send(json.dumps([2, "h", "Heartbeat", {}]))
        assert json.loads(socket.recv(5))[:2] == [3, "h"]
        socket.send(json.dumps([3, message_id, ACCEPTED]))
        assert live.finished(task)["outcome"] == "answered"


def test_waiting_clients_do_not_block_other_requests(live):
    """Each web process has 20 database connections; 60 waiting clients must not use them up."""
    with live.charger(an_id(), Reset=None, ClearCache=ACCEPTED) as charger, ThreadPoolExecutor(60) as threads:
        task = live.ask(charger.identity, "Reset", RESET, timeout=300)
        waiting = [threads.submit(live.finished, task) for _ in range(60)]
        time.sleep(1)
        assert live.get(f"/api/ocpp/status/{charger.identity}/")["status"]["connected"]
        assert not any(future.done() for future in waiting)
        charger.drop()
        assert {future.result()["outcome"] for future in waiting} == {"connection_lost"}


def test_results_are_also_in_django_celery_results(live):
    with live.charger(an_id(), Reset=ACCEPTED) as charger:
        task = live.finished(live.ask(charger.identity, "Reset", RESET))
    query = "SELECT task_name, status, result FROM django_celery_results_taskresult WHERE task_id = %s"
    name, status, result = eventually(lambda: live.rows(query, task["task_id"]))[0]
    assert (name, status) == ("commands.Reset", "SUCCESS")
    assert json.loads(result) == {"outcome": "answered", "simulated": False, "result": ACCEPTED}


@pytest.mark.django_db(transaction=True)
def test_a_result_is_stored_as_celery_would_store_it():
    command = _finish(a_command(action="Reset", payload=RESET, state="sent"), "answered", response=ACCEPTED)
    arguments = {"argsrepr": repr((command.charger.identity,)), "kwargsrepr": repr({})}
    request = Context(id="by-celery", task=task_name("Reset"), hostname=None, **arguments)
    app.backend.store_result(request.id, task_result(command), "SUCCESS", request=request)

    def stored(task_id):
        row = TaskResult.objects.filter(task_id=task_id).values().get()
        texts = {name: json.loads(row.pop(name)) for name in ("result", "meta")}
        return {name: value for name, value in row.items() if name not in OF_ONE_RESULT} | texts

    assert stored(command.task_id) == stored(request.id)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("outcome", ["timed_out", "not_connected", "connection_lost", "cancelled", "failed"])
@pytest.mark.parametrize("simulate", [True, False])
def test_only_unanswered_commands_are_simulated_and_only_if_configured(settings, outcome, simulate):
    settings.OCPP_SIMULATE_RESPONSES = simulate
    command = _finish(a_command(action="Reset", payload=RESET), outcome)
    silent = outcome in ("timed_out", "not_connected", "connection_lost")
    assert (command.state, command.outcome, command.response) == ("finished", outcome, None)
    assert command.simulated is (silent and simulate)
    assert command.result == (ACCEPTED if silent and simulate else None)


def set_clock(monkeypatch, by_s, after_s=0.3):
    """Set the wall clock of this process by so many seconds in a moment."""
    set_at, genuine = time.monotonic() + after_s, time.time
    monkeypatch.setattr(time, "time", lambda: genuine() + (by_s if time.monotonic() > set_at else 0))


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
@pytest.mark.parametrize("by_s", [-3600, 3600])
@pytest.mark.parametrize(("state", "outcome"), [("sent", "timed_out"), ("queued", "not_connected")])
def test_a_wait_lasts_as_long_when_the_clock_of_the_worker_is_set(monkeypatch, by_s, state, outcome):
    command = a_command(a_charger(an_id()), timeout=2, state=state)
    if state == "sent":
        Command.objects.filter(pk=command.pk).update(sent_at=Now())
    set_clock(monkeypatch, by_s)
    began = time.monotonic()
    ended = eventually(lambda: the_end(command), 60)
    assert (ended.outcome, ended.simulated) == (outcome, True)
    assert time.monotonic() - began >= 1.5


def the_end(command):
    """Run the command as the sweep does; return None for a queued command whose time is not over."""
    try:
        return run(command.task_id, command.charger.identity)[0]
    except NotNow:
        return None


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("state", "outcome"), [("sent", "timed_out"), ("queued", "not_connected")])
def test_a_command_from_the_future_ends_in_time(state, outcome):
    """The command has the times that it gets if the clock of the database is set back by an hour."""
    command, ahead = a_command(a_charger(an_id()), timeout=1, state=state), Now() + timedelta(hours=1)
    Command.objects.filter(pk=command.pk).update(created_at=ahead, sent_at=ahead if state == "sent" else None)
    assert eventually(sweep, 30) == [command]
    ended = eventually(lambda: the_end(command), 30)
    assert (ended.outcome, ended.simulated) == (outcome, True)
    assert ended.created_at <= ended.finished_at


@pytest.mark.django_db(transaction=True)
def test_the_first_of_two_outcomes_stays():
    waiting = a_command()
    _finish(waiting, "answered", response=ACCEPTED)
    late = _finish(waiting, "timed_out")
    assert (late.outcome, late.response, late.simulated) == ("answered", ACCEPTED, False)


@pytest.mark.django_db(transaction=True)
def test_a_command_of_a_former_version_is_not_sent():
    command = a_command(action="Reset", payload=RESET)
    holder = Presence("channel", "session", "ocpp2.0.1")
    sync_redis().set(presence.key(command.charger.identity), holder.dumps(), ex=60)
    ended, _ = run(command.task_id, command.charger.identity)
    assert (ended.state, ended.outcome, ended.sent_at, ended.simulated) == ("finished", "failed", None, False)
    assert "of ocpp1.6, and the charger now speaks ocpp2.0.1." in ended.error["description"]


@pytest.mark.django_db(transaction=True)
def test_a_command_is_ended_by_its_own_version():
    charger = a_charger()
    answered, silent = (a_command(charger, "Reset", RESET, state=state) for state in ("sent", "queued"))
    Charger.objects.update(ocpp_version="ocpp2.0.1")
    assert _replied(get_command(answered.task_id), {"status": "Scheduled"})[0] == "invalid_response"
    assert _finish(get_command(silent.task_id), "not_connected").simulated_response == ACCEPTED


FAIL_ONCE = """
CREATE SEQUENCE attempts;
CREATE FUNCTION fail_once() RETURNS trigger AS $$ BEGIN
    IF nextval('attempts') = 1 THEN RAISE EXCEPTION 'a deadlock' USING ERRCODE = '40P01'; END IF; RETURN NEW;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER fail_once BEFORE UPDATE ON chargers_charger FOR EACH ROW EXECUTE FUNCTION fail_once();
"""
CLEAN = "DROP TRIGGER fail_once ON chargers_charger; DROP FUNCTION fail_once; DROP SEQUENCE attempts"


@pytest.mark.django_db(transaction=True)
def test_an_answer_is_stored_after_a_failed_write():
    command = a_command(action="SendLocalList", payload={"updateType": "Full", "listVersion": 7}, state="sent")
    with connection.cursor() as cursor:
        cursor.execute(FAIL_ONCE)
    try:
        ended = _finish(get_command(command.task_id), "answered", response=ACCEPTED)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(CLEAN)
    assert (ended.state, ended.outcome, ended.response) == ("finished", "answered", ACCEPTED)
    command.charger.refresh_from_db()
    assert command.charger.local_list_version == 7


def test_a_finished_task_is_shown_without_redis(live):
    """Redis publishes outcomes, and is not needed for one that is stored."""
    with live.charger(an_id(), Reset=ACCEPTED) as charger:
        task = live.finished(live.ask(charger.identity, "Reset", RESET))
    env = live.stack.env | {"REDIS_URL": "redis://127.0.0.1:1/0", "DJANGO_SETTINGS_MODULE": "config.settings"}
    script = (
        "import django; django.setup(); from django.test import Client; "
        f"print(Client(headers={{'Host': '127.0.0.1'}}).get('/api/ocpp/tasks/{task['task_id']}/?wait=5').json())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert "'outcome': 'answered'" in done.stdout
