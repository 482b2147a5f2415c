"""Adding chargers: refused handshakes, factory keys, `manage.py create_charger`."""

import base64
import io
import json
import re
import socket
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
import websockets
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from websockets.sync.client import connect

from chargers.models import AuditEntry, Charger, ChargerGroup, Refusal
from chargers.services import refusals
from commands.services.maintenance import maintain
from tests.support.builders import a_charger
from tests.support.live import an_id, eventually

FACTORY_KEY = "A1b2C3d4e5"


def basic(charger_id, key):
    return {"Authorization": "Basic " + base64.b64encode(f"{charger_id}:{key}".encode()).decode()}


# --- factory keys ----------------------------------------------------------------------------


def test_a_factory_key_of_10_characters_is_accepted_after_a_confirmation(live):
    charger_id = an_id()
    body = {"charger_id": charger_id, "security_profile": 1, "authorization_key": FACTORY_KEY}
    status, refused, _ = live.request("POST", "/api/ocpp/chargers/", body)
    assert status == 400
    assert "allow_short_key" in refused["fields"]["authorization_key"][0]
    status, made, _ = live.request("POST", "/api/ocpp/chargers/", body | {"allow_short_key": True})
    assert status == 201
    assert "10 characters" in made["warning"]
    assert "allow_short_key" not in made
    with live.socket(charger_id, additional_headers=basic(charger_id, FACTORY_KEY)):
        pass
    with pytest.raises(websockets.InvalidStatus):
        live.socket(charger_id, additional_headers=basic(charger_id, FACTORY_KEY[:-1]))
    audited = live.get(f"/api/ocpp/audit/?charger_id={charger_id}&kind=charger")["results"]
    assert any("10 characters" in ((entry["after"] or {}).get("warning") or "") for entry in audited)
    assert "warning" not in live.get(f"/api/ocpp/chargers/{charger_id}/")


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["put", "patch"])
def test_a_short_key_of_a_known_charger_needs_the_confirmation_too(api, method):
    charger = a_charger()
    change = getattr(api, method)
    path, body = f"/api/ocpp/chargers/{charger.identity}/", {"authorization_key": "12345678"}
    refused = change(path, body, "application/json")
    assert refused.status_code == 400
    assert "allow_short_key" in refused.json()["error"]
    taken = change(path, body | {"allow_short_key": True}, "application/json")
    assert taken.status_code == 200
    assert "8 characters" in taken.json()["warning"]
    charger.refresh_from_db()
    assert charger.has_key("12345678")


@pytest.mark.django_db
def test_a_key_under_8_characters_is_refused(api):
    body = {"charger_id": "CP-7", "authorization_key": "1234567", "allow_short_key": True}
    assert api.post("/api/ocpp/chargers/", body, "application/json").status_code == 400
    with pytest.raises(CommandError, match="16 to 40"):
        call_command("create_charger", "CP-7", "--key", "1234567", "--allow-short-key")
    assert not Charger.objects.filter(identity="CP-7").exists()


@pytest.mark.django_db
def test_the_admin_accepts_a_short_key_with_a_confirmation(client, django_user_model):
    client.force_login(django_user_model.objects.create_superuser("root"))
    charger = a_charger()
    path = f"/admin/chargers/charger/{charger.pk}/change/"
    inlines = (
        "connectors",
        "variables",
        "network_profiles",
        "installed_profiles",
        "installed_certificates",
        "held_serials",
    )
    form = {f"{prefix}-{name}": "0" for prefix in inlines for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    form |= {"boot_policy": "Accepted", "new_authorization_key": FACTORY_KEY}
    assert "Allow short key" in client.post(path, form).content.decode()
    charger.refresh_from_db()
    assert not charger.authorization_key_hash
    said = client.post(path, form | {"allow_short_key": "on"}, follow=True).content.decode()
    charger.refresh_from_db()
    assert charger.has_key(FACTORY_KEY)
    assert "can be guessed" in said
    entries = AuditEntry.objects.filter(charger=charger, after__has_key="warning")
    assert "10 characters" in entries.get().after["warning"]


# --- manage.py create_charger ----------------------------------------------------------------


def created(*arguments):
    """Return (output, warnings) of `manage.py create_charger` with `arguments`."""
    out, err = io.StringIO(), io.StringIO()
    call_command("create_charger", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.django_db
def test_create_charger_accepts_a_factory_key_with_allow_short_key():
    with pytest.raises(CommandError, match="--allow-short-key"):
        created("CP-1", "--key", FACTORY_KEY)
    _, warned = created("CP-1", "--key", FACTORY_KEY, "--allow-short-key")
    assert "can be guessed" in warned
    assert Charger.objects.get(identity="CP-1").has_key(FACTORY_KEY)


@pytest.mark.django_db
def test_create_charger_changes_a_known_charger_only_with_force():
    charger = a_charger(security_profile=1)
    key = charger.make_key()
    with pytest.raises(CommandError, match=r"to 2 \(now 1\) and replace its key.*--force"):
        created(charger.identity, "--security-profile", "2", "--new-key")
    with pytest.raises(CommandError, match="nothing would be changed"):
        created(charger.identity)
    charger.refresh_from_db()
    assert charger.security_profile == 1
    assert charger.has_key(key)
    printed, _ = created(charger.identity, "--security-profile", "2", "--new-key", "--force")
    charger.refresh_from_db()
    assert charger.security_profile == 2
    assert charger.has_key(printed.strip())
    assert not charger.has_key(key)


# --- refused handshakes ----------------------------------------------------------------------


def refused(live, charger_id, **options):
    """Return the HTTP status with which a handshake of `charger_id` is refused."""
    with pytest.raises(websockets.InvalidStatus) as caught:
        live.socket(charger_id, **options)
    return caught.value.response.status_code


def listed(live, charger_id):
    return live.get(f"/api/ocpp/refused-chargers/?charger_id={charger_id}")["results"]


def plain_get(live, path, **headers):
    request = urllib.request.Request(live.url + path, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    return caught.value


def a_keyed_charger(live):
    charger_id = an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id})
    return charger_id, live.post(f"/api/ocpp/chargers/{charger_id}/new-key/")["authorization_key"]


def log_of_web(live):
    return "".join(path.read_text() for path in (live.stack.run_dir / "logs").glob("web-*.log"))


def test_a_refused_charger_is_listed_until_it_connects(live):
    charger_id, key = a_keyed_charger(live)
    assert [refused(live, charger_id) for _ in range(3)] == [401] * 3
    rows = eventually(lambda: [row for row in listed(live, charger_id) if row["count"] == 3])
    assert (rows[0]["kind"], rows[0]["status"], rows[0]["is_known"]) == ("credentials", 401, True)
    assert "Basic auth" in rows[0]["reason"]
    assert rows[0]["address"] == "127.0.0.1"
    spoken = {"subprotocols": ["ocpp0.1"], "additional_headers": basic(charger_id, key)}
    assert refused(live, charger_id, **spoken) == 400
    eventually(lambda: {row["kind"] for row in listed(live, charger_id)} == {"credentials", "subprotocol"})
    with live.socket(charger_id, additional_headers=basic(charger_id, key)):
        eventually(lambda: not listed(live, charger_id))


def test_a_refusal_is_one_warning_without_a_stack_trace(live):
    charger_id, _ = a_keyed_charger(live)
    for _ in range(5):
        refused(live, charger_id)
    lines = [json.loads(line) for line in log_of_web(live).splitlines() if charger_id in line and "refused" in line]
    assert 1 <= len(lines) <= 2, lines  # one of each web process
    assert {line["level"] for line in lines} == {"WARNING"}
    assert not any("exception" in line for line in lines)


def test_malformed_handshakes_log_no_errors(live):
    before = len(log_of_web(live))
    host, port = live.url.removeprefix("http://").split(":")
    head = f"GET /ws/ocpp/{an_id()} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    for more in ("", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n", "Sec-WebSocket-Version: 8\r\n"):
        with socket.create_connection((host, int(port)), 5) as raw:
            raw.sendall(f"{head}{more}\r\n".encode())
            assert b" 4" in raw.recv(1000).split(b"\r\n")[0]
    said = log_of_web(live)[before:]
    assert "ERROR" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize("headers", [{}, {"Upgrade": "websocket"}, {"Connection": "keep-alive"}])
def test_a_get_without_an_upgrade_names_the_missing_headers(live, end, headers):
    charger_id = an_id()
    answer = plain_get(live, f"/ws/ocpp/{charger_id}{end}", **headers)
    assert answer.code == 426
    assert answer.headers["Upgrade"] == "websocket"
    said = answer.read().decode()
    assert "Upgrade: websocket" in said
    assert "proxy" in said
    (row,) = eventually(lambda: listed(live, charger_id))
    assert row["kind"] == "upgrade"
    assert row["status"] == 426


def test_a_wrong_path_is_listed_without_an_id(live):
    path = f"/ocpp16/{an_id()}"
    with pytest.raises(websockets.InvalidStatus):
        connect(f"{live.stack.ws_url}{path}")
    rows = eventually(lambda: [row for row in listed(live, "") if row["kind"] == "path" and path in row["reason"]])
    assert "/ws/ocpp/<charger id>" in rows[0]["reason"]
    assert live.request("POST", f"/api/ocpp/refused-chargers/{rows[0]['id']}/add/")[0] == 409


def test_an_unknown_charger_is_added_in_one_step(live):
    charger_id = an_id()
    plain_get(live, f"/ws/ocpp/{charger_id}")
    (row,) = eventually(lambda: listed(live, charger_id))
    assert row["is_known"] is False
    status, reply, _ = live.request("POST", f"/api/ocpp/refused-chargers/{row['id']}/add/")
    assert status == 201
    assert reply["charger_id"] == charger_id
    with live.socket(charger_id, additional_headers=basic(charger_id, reply["authorization_key"])):
        eventually(lambda: not listed(live, charger_id))
    assert live.request("POST", f"/api/ocpp/refused-chargers/{row['id']}/add/")[0] == 404


def a_refusal(charger_id, kind="unknown", **columns):
    at = datetime.now(UTC)
    reply = {"status": 404, "reason": "not known", "count": 1, "first_at": at, "last_at": at} | columns
    return Refusal.objects.create(charger_id=charger_id, kind=kind, **reply)


@pytest.mark.django_db
def test_refused_ids_are_shown_only_to_users_who_may_add_them(client):
    mine, other = a_charger(), a_charger()
    for charger_id in (mine.identity, other.identity, "STRANGER"):
        a_refusal(charger_id)
    limited = User.objects.create_user("limited")
    limited.user_permissions.set(Permission.objects.filter(codename__in=["view_charger", "add_charger"]))
    group = ChargerGroup.objects.create(name="site")
    group.chargers.set([mine])
    group.users.add(limited)
    client.force_login(limited)
    rows = client.get("/api/ocpp/refused-chargers/").json()["results"]
    assert [row["charger_id"] for row in rows] == [mine.identity]
    page = client.get("/refused/").content.decode()
    assert mine.identity in page
    assert other.identity not in page
    assert "STRANGER" not in page
    assert "Add charger" not in page
    limited.user_permissions.add(Permission.objects.get(codename="reach_every_charger"))
    rows = client.get("/api/ocpp/refused-chargers/").json()["results"]
    assert {row["charger_id"] for row in rows} == {mine.identity, other.identity, "STRANGER"}
    limited.user_permissions.remove(Permission.objects.get(codename="add_charger"))
    rows = client.get("/api/ocpp/refused-chargers/").json()["results"]
    assert {row["charger_id"] for row in rows} == {mine.identity, other.identity}


@pytest.mark.django_db
def test_the_list_of_refused_connections_leads_to_the_form_of_a_new_charger(api):
    a_refusal("NEW 1", address="10.1.2.3")
    fleet, page = api.get("/").content.decode(), api.get("/refused/").content.decode()
    assert "/refused/" in fleet
    assert "10.1.2.3" in page
    (form,) = re.findall(r'href="(/add-charger/[^"]+)"', page)
    assert 'value="NEW 1"' in api.get(form).content.decode()


@pytest.mark.django_db
def test_the_admin_creates_chargers_by_an_action(api):
    rows = [a_refusal("NEW-1"), a_refusal("NEW-1", "upgrade"), a_refusal("NEW-2")]
    path = "/admin/chargers/refusal/"
    assert "NEW-1" in api.get(path).content.decode()
    made = api.post(path, {"action": "add_chargers", "_selected_action": [row.pk for row in rows]})
    keys = re.findall(r'value="([0-9a-f]{40})"', made.content.decode())
    assert [Charger.objects.get(identity=f"NEW-{n}").has_key(key) for n, key in enumerate(keys, 1)] == [True, True]


@pytest.mark.django_db
def test_a_flood_of_made_up_ids_keeps_the_table_small():
    a_refusal("OLDEST", last_at=datetime.now(UTC) - timedelta(days=1))
    for flood in range(3):
        now = datetime.now(UTC)
        ids = [f"MADE-UP-{flood}-{n}" for n in range(2 * refusals.MAX_ROWS_PER_WRITE)]
        rows = refusals.counted(refusals.CountedRefusal(one, "unknown", 404, "r", "a", now, now) for one in ids)
        assert len(rows) == refusals.MAX_ROWS_PER_WRITE
        refusals.write(rows)
    assert Refusal.objects.count() == refusals.MAX_STORED_ROWS
    assert not Refusal.objects.filter(charger_id="OLDEST").exists()


@pytest.mark.django_db
def test_maintenance_removes_old_and_settled_refusals():
    old, settled = a_charger(), a_charger(connected_at=datetime.now(UTC) + timedelta(seconds=5))
    a_refusal(old.identity, last_at=datetime.now(UTC) - timedelta(days=31))
    a_refusal(settled.identity)
    a_refusal("STILL")
    maintain()
    assert [row.charger_id for row in Refusal.objects.all()] == ["STILL"]
