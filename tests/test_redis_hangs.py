"""A hanging Redis keeps no row of a charger locked, because changes use Redis after the commit."""

import signal
import threading
from datetime import UTC, datetime, timedelta

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models.signals import post_save
from django.urls import reverse

from commands.actions.intents import Reset
from commands.models import CertificateRequest, Schedule
from commands.services import batches, schedules
from commands.services.origin import Origin
from core.redis import connections as clients
from tests.support.builders import a_charger
from tests.support.servers import RUN_DIR
from tools.stack.servers import Redis

pytestmark = pytest.mark.django_db(transaction=True)
INLINES = (
    "connectors",
    "variables",
    "network_profiles",
    "installed_profiles",
    "installed_certificates",
    "held_serials",
)
FORMS = {f"{name}-{what}_FORMS": 0 for name in INLINES for what in ("TOTAL", "INITIAL")}
A_KEY = "sixteen-chars-ok"
LONG = 60  # seconds a client waits for Redis here, so that a test need not hurry


def page(charger):
    return reverse("admin:chargers_charger_change", args=[charger.pk])


def in_admin(**reply):
    return lambda client, charger: client.post(
        page(charger), {"boot_policy": "Accepted", "validation": "", "message_log": "", **FORMS, **reply}
    )


def by_rest(method, path="", **body):
    return lambda client, charger: getattr(client, method)(
        f"/api/ocpp/chargers/{charger.identity}/{path}", body, content_type="application/json"
    )


def new_key_in_admin(client, charger):
    return client.post(reverse("admin:chargers_charger_new_key", args=[charger.pk]))


def reset_in_admin(client, charger):
    asked = {"action": "soft_reset", "_selected_action": [charger.pk]}
    return client.post(reverse("admin:chargers_charger_changelist"), asked)


def reset_by_rest(client, charger):
    body = {"charger_id": charger.identity, "action": "Reset", "payload": {"type": "Soft"}}
    return client.post("/api/ocpp/commands/", body, content_type="application/json")


def reset_on_a_page(client, charger):
    return client.post(
        reverse("dashboard:submit", args=[charger.identity, "Reset"]), {"type": "Soft", "confirmed": "1"}
    )


def revoke_in_admin(client, charger):
    reply = {"common_name": "x", "csr": "x", "serial_number": "1f", "state": "Signed"}
    signed = CertificateRequest.objects.create(charger=charger, received_at=datetime.now(UTC), **reply)
    asked = {"action": "revoke", "_selected_action": [signed.pk]}
    return client.post(reverse("admin:commands_certificaterequest_changelist"), asked)


def release_a_batch(client, charger):
    wanted = batches.BatchRequest(Reset(), {"chargers": [charger.identity]})
    batches.create(wanted, [charger], Origin("alice"))
    assert batches.release() == 1


def run_a_schedule(client, charger):
    """`now` gives the batch its chargers, so that the row of the schedule is what must not stay locked."""
    owner = User.objects.get(username="alice")
    due = datetime.now(UTC) - timedelta(seconds=5)
    schedule = Schedule.objects.create(
        name="due", action="Reset", payload={"type": "Soft"}, chosen={"filter": {"connected": True}}, at=due,
        owner=owner, requested_by="alice",
    )  # fmt: skip
    schedules.run(schedule.pk)


CHANGES = {
    "a key in the admin": in_admin(new_authorization_key=A_KEY),
    "a ping interval in the admin": in_admin(ping_interval=30),
    "a new key in the admin": new_key_in_admin,
    "a security profile over REST": by_rest("patch", security_profile=1, authorization_key=A_KEY),
    "a ping interval over REST": by_rest("patch", ping_interval=30),
    "a new key over REST": by_rest("post", "new-key/"),
    "a command in the admin": reset_in_admin,
    "a command over REST": reset_by_rest,
    "a command of a page": reset_on_a_page,
    "a certificate revoked in the admin": revoke_in_admin,
    "a batch": release_a_batch,
    "a schedule": run_a_schedule,
}

OTHERS = {"a schedule": ["commands_schedule"]}


class Hanging:
    """A Redis of its own, stopped as soon as a row is saved; `asked` is set by the next command to it."""

    def __init__(self, child):
        self.child, self.stopped, self.asked = child, False, threading.Event()

    def stop(self, **_):
        if not self.stopped:
            self.stopped = True
            self.child.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.child.process.send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def own_server():
    server = Redis(RUN_DIR / "hanging")
    child = server.start()
    yield child, server.url()
    child.stop()


@pytest.fixture
def hanging(own_server, settings, monkeypatch):
    child, settings.REDIS_URL = own_server
    monkeypatch.setitem(clients.OPTIONS, "socket_timeout", LONG)
    clients.sync_redis.cache_clear()
    server = Hanging(child)
    send = redis.connection.AbstractConnection.send_packed_command

    def noted(*arguments, **options):
        if server.stopped and threading.current_thread().name == "walk":
            server.asked.set()
        return send(*arguments, **options)

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", noted)
    yield server
    server.go_on()
    clients.sync_redis.cache_clear()


def walked(change, client, charger, answers):
    """Carry out `change`, in a thread and with a connection to the database of its own."""
    try:
        answers.append(change(client, charger))
    finally:
        connection.close()


def is_locked(table):
    """Return whether another session has locked a row of `table`, or whether it has no row."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        (rows,) = cursor.fetchone()
        cursor.execute(f"SELECT FROM {table} FOR UPDATE SKIP LOCKED")
        return rows == 0 or len(cursor.fetchall()) < rows


@pytest.mark.parametrize("what", CHANGES)
def test_no_row_is_locked_while_redis_hangs(api, hanging, what):
    charger, answers = a_charger(), []
    walk = threading.Thread(target=walked, args=(CHANGES[what], api, charger, answers), name="walk")
    post_save.connect(hanging.stop)
    try:
        walk.start()
        assert hanging.asked.wait(LONG), "nobody talked to Redis after a row was saved"
        locked = [table for table in ("chargers_charger", *OTHERS.get(what, ())) if is_locked(table)]
        assert walk.is_alive()
        assert not answers
    finally:
        post_save.disconnect(hanging.stop)
        hanging.go_on()
        walk.join()
    assert locked == []
    (answer,) = answers
    assert answer is None or answer.status_code < 400, answer.content
