"""The connection to PostgreSQL is lost while a submission commits."""

import threading

from tests.support.live import an_id, eventually

WAITS = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'"


def standby(live, names):
    """Make every commit wait for a standby named `names`, or for none if it is ""."""
    live.execute("ALTER SYSTEM SET synchronous_standby_names = " + (f"'{names}'" if names else "''"))
    live.execute("SELECT pg_reload_conf()")


def test_a_submission_whose_commit_was_cut_off_is_answered_202(live):
    charger_id, answers = an_id(), []
    assert live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id})[0] == 201
    body = {"charger_id": charger_id, "action": "ClearCache", "payload": {}}
    post = threading.Thread(target=lambda: answers.append(live.request("POST", "/api/ocpp/commands/", body)))
    standby(live, "nobody")
    try:
        post.start()
        stored = "SELECT count(*) FROM commands_command c JOIN chargers_charger h ON h.id = c.charger_id"
        eventually(lambda: live.rows(WAITS))
        while not answers and post.is_alive():  # other sessions commit as well, and wait
            live.execute(f"SELECT pg_terminate_backend(pid) FROM ({WAITS}) waiting")
            post.join(0.2)
            standby(live, "")
    finally:
        standby(live, "")
    post.join(30)
    ((status, answer, _),) = answers
    ((rows,),) = live.rows(f"{stored} WHERE h.identity = %s", charger_id)
    assert (status, rows) == (202, 1), answer
    assert live.get(f"/api/ocpp/tasks/{answer['task_id']}/")["task_id"] == answer["task_id"]
