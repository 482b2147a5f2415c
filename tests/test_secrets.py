"""Secrets are in no column, no key of Redis and no log, whatever their entry point, and are sent unchanged."""

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import redis
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.urls import reverse

from chargers.models import AuditEntry, Charger, Webhook
from commands.fields import Payload
from commands.models import Batch, Command, Schedule
from commands.services import batches, schedules
from core.db import sealing
from core.ocpp.versions import OCPP201
from gateway.retries import as_sent
from tests.support.builders import a_charger, a_command, tell
from tests.support.live import an_id, eventually, exchange
from tests.support.postgres import run_program
from tests.support.servers import RUN_DIR
from tools.simulator.connection import CallError

OLD, NEW = ("b2xkLWtleS0wMTIzNDU2Nzg5YWJjZGVmZ2hpamtsbW4=", "bmV3LWtleS0wMTIzNDU2Nzg5YWJjZGVmZ2hpamtsbW4=")
READ = {
    "string": lambda client, key: [client.get(key)],
    "list": lambda client, key: client.lrange(key, 0, -1),
    "hash": lambda client, key: [text for pair in client.hgetall(key).items() for text in pair],
    "set": lambda client, key: client.smembers(key),
    "zset": lambda client, key: client.zrange(key, 0, -1),
    "stream": lambda client, key: [repr(client.xrange(key)).encode()],
}


class Planted:
    """Unique secrets, by their entry point."""

    def __init__(self):
        self.by_way = {}

    def __getitem__(self, way):
        return self.by_way.setdefault(way, f"Zq{uuid4().hex}")

    def found_in(self, text):
        return {way for way, secret in self.by_way.items() if secret in text}


def dump(live):
    """Return the whole database as text."""
    path = RUN_DIR / "secrets.sql"
    run_program("pg_dump", "--data-only", f"--file={path}", live.database_url)
    return path.read_text()


def in_redis(live):
    """Return every key and value as text, those of the broker included."""
    client = redis.Redis.from_url(live.stack.env["REDIS_URL"])
    values = [value for key in client.scan_iter() for value in [key, *READ[client.type(key).decode()](client, key)]]
    return b"\n".join(value for value in values if value is not None).decode(errors="replace")


def in_logs(live):
    return "".join(path.read_text(errors="replace") for path in (live.stack.run_dir / "logs").iterdir())


def refused_status(live, path):
    """Return the HTTP status of a DELETE of `path`, which must not be permitted."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(live.url + path, method="DELETE"), timeout=60)
    return refused.value.code


def posted(live, path, body):
    status, reply, _ = live.request("POST", f"/api/ocpp/{path}", body)
    assert status in (201, 202), reply
    return reply


def requests_to(secrets):
    """(action, payload) of commands that hold secrets."""
    later = {"retrieveDate": "2036-01-01T00:00:00Z"}
    return [
        ("ChangeConfiguration", {"key": "AuthorizationKey", "value": secrets["key"]}),
        ("ChangeConfiguration", {"key": "WifiPassword", "value": secrets["configuration"]}),
        ("ChangeConfiguration", {"key": "LogUrl", "value": f"ftp://u:{secrets['configured url']}@host/"}),
        ("GetDiagnostics", {"location": f"ftp://me:{secrets['diagnostics']}@host/logs/"}),
        ("GetLog", {"logType": "SecurityLog", "log": {"remoteLocation": f"sftp://{secrets['log']}@host/"}}),
        ("UpdateFirmware", {"location": f"ftp://me:{secrets['firmware']}@host/fw.bin", **later}),
        ("UpdateFirmware", {"location": f"https://host/fw.bin?token={secrets['argument']}", **later}),
        ("DataTransfer", {"vendorId": "V", "data": json.dumps({"password": secrets["transfer"], "ssid": "x"})}),
    ]


ACCEPTED = {"status": "Accepted"}


def answers(secrets):
    reply = [{"key": "ApnPassword", "readonly": False, "value": secrets["reported"]}]
    return {
        "ChangeConfiguration": ACCEPTED,
        "GetDiagnostics": {"fileName": "log"},
        "GetLog": ACCEPTED,
        "UpdateFirmware": {},
        "GetConfiguration": {"configurationKey": reply, "unknownKey": []},
        "DataTransfer": {"status": "Accepted", "data": json.dumps({"secret": secrets["answered"]})},
    }


def test_no_entry_point_stores_a_secret_in_plain(live):
    secrets = Planted()
    queued = an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": queued})
    with live.charger(an_id(), **answers(secrets)) as charger:
        for action, payload in requests_to(secrets):
            assert live.finished(live.ask(charger.identity, action, payload))["outcome"] == "answered"
            live.ask(queued, action, payload, timeout=3000) if action == "GetDiagnostics" else None
        live.finished(live.ask(charger.identity, "GetConfiguration", {}))
        live.finished(live.ask(charger.identity, "GetDiagnostics", {}))
        place = json.loads(charger.received[-1])[3]["location"]
        secrets.by_way["upload token"] = place.rstrip("/").rpartition("/")[2]
        assert live.request("PUT", place.removeprefix(live.url) + "log.txt", {})[0] == 201
        wifi = {"action": "ChangeConfiguration", "chargers": [charger.identity]}
        batch = posted(live, "batches/", wifi | {"payload": {"key": "ApnPassword", "value": secrets["batch"]}})
        eventually(lambda: live.get(batch["url"])["finished_at"], 30)
        at = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        password = {"payload": {"key": "ApnPassword", "value": secrets["schedule"]}}
        posted(live, "schedules/", wifi | password | {"name": an_id(), "at": at})
        sent = eventually(lambda: secrets["schedule"] in "".join(charger.received) and charger.received, 30)
    assert secrets.found_in("".join(sent)) == secrets.by_way.keys() - {"reported", "answered"}
    with live.socket(an_id()) as socket:
        data = json.dumps({"vendor": "x", "apiKey": secrets["said"]})
        assert exchange(socket, "1", "DataTransfer", {"vendorId": "V", "data": data})[0] == 3
    webhook = posted(live, "webhooks/", {"name": an_id(), "url": "http://127.0.0.1:9/"})
    secrets.by_way["webhook"] = webhook["secret"]
    assert live.request("DELETE", f"/api/ocpp/webhooks/{webhook['id']}/")[0] == 204
    posted(live, "webhooks/", {"name": an_id(), "url": "http://127.0.0.1:9/", "is_enabled": False})
    # The message log is the last to be written.
    said = "SELECT count(*) FROM chargers_message WHERE frame LIKE '%%apiKey%%'"
    eventually(lambda: live.rows(said)[0][0], 20)
    assert secrets.found_in(dump(live)) == set()
    assert secrets.found_in(in_redis(live)) == secrets.found_in(in_logs(live)) == set()


def test_the_secret_of_a_webhook_is_sealed(live):
    made = posted(live, "webhooks/", {"name": an_id(), "url": "http://127.0.0.1:9/", "is_enabled": False})
    [(stored,)] = live.rows("SELECT secret FROM chargers_webhook WHERE id = %s", made["id"])
    assert stored.startswith(sealing.TOKEN)
    assert made["secret"] not in dump(live)


def test_an_error_that_quotes_the_secret_is_stored_masked(live):
    secret = f"Zq{uuid4().hex}"
    refusal = CallError("InternalError", f"{secret} is too long", {"given": secret})
    with live.charger(an_id(), ChangeConfiguration=refusal) as charger:
        task = live.ask(charger.identity, "ChangeConfiguration", {"key": "WifiPassword", "value": secret})
        task = live.finished(task)
    assert task["error"]["description"] == "(hidden) is too long"
    assert secret not in dump(live)


QUOTING = [
    ("GetDiagnostics", lambda secret: {"location": f"ftp://me:{secret}@host/"}),
    ("GetDiagnostics", lambda secret: {"location": f"https://u:x@host/?a=b&pw={secret}&c=d"}),
    ("DataTransfer", lambda secret: {"vendorId": "V", "data": json.dumps({"password": secret})}),
]


@pytest.mark.parametrize("action, payload", QUOTING)
def test_an_error_that_quotes_a_part_of_a_secret_is_stored_masked(action, payload):
    secret = f"Zq{uuid4().hex}"
    refusal = {"description": f"login me, {secret} failed", "details": {"given": secret}}
    hidden = Payload.of(payload(secret)).hide_in(refusal)
    assert hidden == {"description": "login me, (hidden) failed", "details": {"given": "(hidden)"}}


VPN = {"server": "vpn.example", "user": "u", "password": "Zq1234", "key": "Zq5678", "type": "IPSec"}


def test_a_secret_is_sealed_though_only_its_message_tells_that_it_is_one():
    whole = {"configurationSlot": 1, "connectionData": {"vpn": VPN}}
    payload = Payload.of(whole, OCPP201, "SetNetworkProfile")
    assert payload["connectionData"]["vpn"] == VPN | {"password": "(hidden)", "key": "(hidden)"}
    assert payload.opened() == whole
    assert "Zq5678" not in payload.as_stored()
    assert payload.hide_in({"description": "no PSK Zq5678"}) == {"description": "no PSK (hidden)"}


NESTED = [
    lambda secret: json.dumps({"a": json.dumps({"password": secret})}),
    lambda secret: json.dumps({"a": [json.dumps({"b": json.dumps({"secret": secret})})]}),
    lambda secret: json.dumps(json.dumps({"password": secret})),
    lambda secret: json.dumps({"to": json.dumps({"url": f"ftp://me:{secret}@host/"})}),
    lambda secret: f'\ufeff{{"password": "{secret}"}}',
    lambda secret: f'{{"password":"{secret}","password":""}}',
    lambda secret: f'{{"key":"WifiPassword","key":"x","value":"{secret}"}}',
]


@pytest.mark.parametrize("data", NESTED)
def test_a_secret_is_sealed_in_any_nesting_of_json(data):
    payload = {"vendorId": "V", "data": data("Zq-s3cret")}
    sealed = Payload.of(payload)
    assert "Zq-s3cret" not in sealed.as_stored()
    assert sealed.opened() == payload


@pytest.mark.parametrize(
    "data",
    [
        '{"a": "x", "a": "y"}',
        '{"key": "x", "n": %s}' % ("1" * 5000),
        '{"a": "[1, 2]"}',
        '"a"',
        '[{"key": "x",  "value": "1"}]',
    ],
)
def test_json_without_a_secret_is_shown_as_sent(data):
    assert Payload.of({"data": data}) == {"data": data}


@pytest.mark.parametrize("name", ["FtpPw", "WepKey1", "ApiToken2", "SimPin2"])
def test_a_configuration_key_with_a_number_or_a_short_name_is_a_secret(name):
    assert Payload.of({"key": name, "value": "Zq-s3cret"})["value"] == "(hidden)"


def test_the_token_in_an_upload_url_is_not_in_the_log(live):
    with live.charger(an_id(), GetDiagnostics={"fileName": "log"}) as charger:
        live.finished(live.ask(charger.identity, "GetDiagnostics", {}))
        place = json.loads(charger.received[-1])[3]["location"].removeprefix(live.url)
    token, name = place.rstrip("/").rpartition("/")[2], uuid4().hex
    for path in (f"{place}{name}", f"{place}{name}".replace("/files/", "/files//")):
        assert refused_status(live, path) in (404, 405)
    eventually(lambda: in_logs(live).count(name) >= 2)
    assert token not in in_logs(live)


@pytest.mark.django_db
def test_logins_in_urls_are_masked_in_texts_of_chargers():
    charger, said = a_charger(), "no login at ftp://me:Zq-s3cret@host/"
    moment = {"timestamp": "2026-01-01T00:00:00Z"}
    tell(charger, "SecurityEventNotification", type="MemoryExhaustion", techInfo=said, **moment)
    tell(charger, "StatusNotification", connectorId=1, status="Available", errorCode="NoError", info=said)
    reply = charger.security_events.get().tech_info + charger.connectors.get().info
    assert reply == 2 * "no login at ftp://(hidden)@host/"
    assert "Zq-s3cret" not in "".join(str(event.body) for event in charger.events.all())


@pytest.mark.django_db
def test_the_audit_log_masks_the_token_in_the_url_of_a_webhook():
    Webhook.objects.create(name="billing", url="http://127.0.0.1:9/?token=Zq-s3cret&a=b")
    assert AuditEntry.objects.get(kind="webhook").after["url"] == "http://127.0.0.1:9/?token=(hidden)&a=b"


def test_a_retried_command_is_sent_with_its_secret(live):
    secret = f"Zq{uuid4().hex}"
    with live.charger(an_id(), ChangeConfiguration=ACCEPTED) as charger:
        task = live.ask(charger.identity, "ChangeConfiguration", {"key": "WifiPassword", "value": secret})
        assert live.finished(task)["payload"]["value"] == "(hidden)"
        again = live.finished(posted(live, f"tasks/{task['task_id']}/retry/", {}))
    assert again["payload"]["value"] == "(hidden)"
    assert [json.loads(frame)[3]["value"] for frame in charger.received] == [secret, secret]


# --- who looks on ----------------------------------------------------------------------------

pytest_db = pytest.mark.django_db(transaction=True)
BASE = "http://charging.example"


@pytest.fixture
def public_url(settings, tmp_path):
    settings.PUBLIC_URL, settings.MEDIA_ROOT = BASE, tmp_path / "files"


@pytest_db
def test_an_upload_token_is_never_shown_and_permits_the_upload(api, public_url):
    charger = a_charger()
    body = {"charger_id": charger.identity, "action": "GetDiagnostics", "payload": {}}
    task = api.post("/api/ocpp/commands/", body, "application/json").json()
    location = Command.objects.get().payload.opened()["location"]
    token = location.rstrip("/").rpartition("/")[2]
    assert task["payload"]["location"] == location.replace(token, "(hidden)")
    assert api.put(location.removeprefix(BASE) + "log.txt", b"log", "text/plain").status_code == 201
    viewer = User.objects.create_user("vera", is_staff=True)
    viewer.groups.set(Group.objects.filter(name__in=["Viewers", "Every charger"]))
    pk = Command.objects.get().pk
    pages = [
        f"/api/ocpp/{name}/" for name in ("commands", "uploads", "events", "messages", f"tasks/{task['task_id']}")
    ]
    pages += [f"/commands/{task['task_id']}/", "/commands/", f"/chargers/{charger.identity}/"]
    pages += [reverse("admin:commands_command_change", args=[pk]), reverse("admin:commands_command_changelist")]
    pages += [reverse("admin:commands_upload_changelist"), reverse("admin:chargers_event_changelist")]
    reply = ""
    for page in ["/api/ocpp/audit/", *pages]:
        answer = api.get(page)
        assert answer.status_code == 200, page
        reply += answer.content.decode()
    api.force_login(viewer)
    for page in pages:
        answer = api.get(page)
        assert answer.status_code == 200, page
        reply += answer.content.decode()
    shown = api.get(f"/api/ocpp/tasks/{task['task_id']}/").json()["payload"]["location"]
    assert token not in reply
    assert task["task_id"] in reply
    assert api.put(shown.removeprefix(BASE) + "log.txt", b"other", "text/plain").status_code == 404


# --- keys ------------------------------------------------------------------------------------


def in_plain(model, pk, column):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {model._meta.db_table} WHERE id = %s", [pk])
        return cursor.fetchone()[0]


PASSWORD = {"key": "WifiPassword", "value": "Zq-s3cret"}


@pytest.mark.django_db
def test_a_payload_without_a_secret_is_stored_in_plain():
    command = a_command(payload={"b": 1, "a": {"d": 1, "c": 2}})
    assert in_plain(Command, command.pk, "payload") == '{"b":1,"a":{"d":1,"c":2}}'


@pytest.mark.django_db
def test_members_of_a_sealed_payload_keep_their_order():
    payload = {"value": "Zq", "key": "WifiPassword", "b": {"z": 1, "a": 2}}
    command = a_command(action="ChangeConfiguration", payload=payload)
    command.refresh_from_db()
    assert list(command.payload) == ["value", "key", "b"]
    assert command.payload["value"] == "(hidden)"
    assert json.dumps(command.payload.opened()) == json.dumps(payload)


@pytest.mark.django_db
def test_keys_are_rotated_with_progress_until_the_old_one_is_unused(settings, capsys):
    settings.SECRETS_KEYS = [OLD]
    command = a_command(action="ChangeConfiguration", payload=PASSWORD)
    webhook = Webhook.objects.create(name="billing", url="http://127.0.0.1:9/")
    secret = webhook.secret.opened()
    settings.SECRETS_KEYS = [NEW, OLD]
    command.refresh_from_db()
    assert command.payload.opened() == PASSWORD
    call_command("reseal")
    reply = capsys.readouterr()
    assert "commands_command.payload: 1 of 1 rows" in reply.err
    assert reply.out.startswith("2 secrets")
    call_command("reseal")
    assert capsys.readouterr().out.startswith("0 secrets")
    settings.SECRETS_KEYS = [NEW]
    command.refresh_from_db()
    webhook.refresh_from_db()
    assert (command.payload.opened(), webhook.secret.opened()) == (PASSWORD, secret)
    assert list(command.payload) == list(PASSWORD)


@pytest.mark.django_db
def test_rotation_seals_plain_secrets():
    command = a_command(payload=PASSWORD)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE commands_command SET payload = %s", [json.dumps(PASSWORD)])
    call_command("reseal")
    assert "Zq-s3cret" not in in_plain(Command, command.pk, "payload")
    assert Command.objects.get().payload.opened() == PASSWORD


@pytest.mark.django_db
def test_a_lost_key_is_reported_and_masked_payloads_are_still_shown(settings, api):
    settings.SECRETS_KEYS = [OLD]
    command = a_command(action="ChangeConfiguration", payload=PASSWORD)
    settings.SECRETS_KEYS = [NEW]
    shown = api.get(f"/api/ocpp/tasks/{command.task_id}/").json()
    assert shown["payload"] == {"key": "WifiPassword", "value": "(hidden)"}
    with pytest.raises(sealing.Unreadable, match="add the key"):
        Command.objects.get().payload.opened()
    Command.objects.update(state="finished")
    assert api.post(f"/api/ocpp/tasks/{command.task_id}/retry/", {}, "application/json").status_code == 409
    settings.SECRETS_KEYS = []
    with pytest.raises(sealing.Unreadable, match="none"):
        Command.objects.get().payload.opened()


@pytest.mark.django_db
def test_batches_and_schedules_send_the_plain_secret(api):
    charger = a_charger()
    body = {"action": "ChangeConfiguration", "payload": PASSWORD, "chargers": [str(charger)]}
    made = api.post("/api/ocpp/schedules/", body | {"name": "n", "every_seconds": 60}, "application/json")
    assert made.status_code == 201
    assert made.json()["payload"]["value"] == "(hidden)"
    schedule = Schedule.objects.get()
    renamed = api.patch(f"/api/ocpp/schedules/{schedule.pk}/", {"name": "m"}, "application/json")
    assert renamed.status_code == 200, renamed.content
    Schedule.objects.update(next_run_at=datetime.now(UTC))
    batch = schedules.run(schedule.pk)
    assert batch is not None, Schedule.objects.get().note
    batches.release()
    stored = [in_plain(Schedule, schedule.pk, "payload"), in_plain(Batch, batch.pk, "payload")]
    assert Command.objects.get().payload.opened() == PASSWORD
    assert "Zq-s3cret" not in "".join(stored)


@pytest.mark.django_db
def test_a_secret_answer_of_a_vendor_function_is_stored_sealed(monkeypatch):
    from gateway import vendors

    monkeypatch.setitem(
        vendors._functions, ("V", ""), lambda charger_id, data: ("Accepted", '{"password":"Zq-s3cret"}')
    )
    charger = a_charger()
    assert tell(charger, "DataTransfer", vendorId="V", data="x")["data"] == '{"password":"Zq-s3cret"}'
    stored = Charger.objects.get(pk=charger.pk).last_answer
    assert "Zq-s3cret" not in stored + charger.data_transfers.get().answered_data
    assert charger.data_transfers.get().sealed_answer.opened() == '{"password":"Zq-s3cret"}'
    assert '"data":"{\\"password\\":\\"Zq-s3cret\\"}"' in as_sent(stored)
