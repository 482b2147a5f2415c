"""The audit log has the user, the time, the address and the values before and after, and never a secret."""

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.urls import reverse

from chargers.models import ApiToken, AuditEntry, Charger, ChargerGroup
from chargers.services import keys
from commands.services.creation import submit_internal
from commands.services.submission import submit
from gateway import handshake
from tests.support.builders import a_charger, a_tag, a_transaction
from tests.support.handshakes import KEY, NEXT, a_request

BASE = "/api/ocpp"
pytestmark = pytest.mark.django_db(transaction=True)


def entries(**columns):
    """Return (user, action, name, before, after) of the entries, the oldest first."""
    found = AuditEntry.objects.filter(**columns).order_by("id")
    return list(found.values_list("who", "action", "name", "before", "after"))


def test_every_change_of_a_charger_leaves_an_entry(api):
    api.post(f"{BASE}/chargers/", {"charger_id": "505"}, content_type="application/json")
    api.patch(f"{BASE}/chargers/505/", {"boot_policy": "Pending"}, content_type="application/json")
    api.patch(f"{BASE}/chargers/505/", {"boot_policy": "Pending"}, content_type="application/json")
    api.delete(f"{BASE}/chargers/505/")
    made, changed, deleted = entries(kind="charger")
    assert made[:3] == ("alice", "created", "505")
    assert made[4]["boot_policy"] == "Accepted"
    assert changed == ("alice", "changed", "505", {"boot_policy": "Accepted"}, {"boot_policy": "Pending"})
    assert deleted[:3] == ("alice", "deleted", "505")
    assert deleted[3]["boot_policy"] == "Pending"
    assert set(AuditEntry.objects.filter(kind="charger").values_list("address", flat=True)) == {"127.0.0.1"}


def test_an_entry_shows_only_whether_a_key_is_set(api):
    a_charger("505")
    for key in ("sixteen-chars-ok", "another-sixteen-c", None):
        api.patch(f"{BASE}/chargers/505/", {"authorization_key": key}, content_type="application/json")
    changes = [(before, after) for *_, before, after in entries(kind="charger", action="changed")]
    states = ["not set", "set", "replaced", "set", "not set"]
    reply = [{"authorization_key_hash": state} for state in states]
    assert changes == [(reply[0], reply[1]), (reply[1], reply[2]), (reply[3], reply[4])]


def test_the_first_use_of_a_new_key_leaves_an_entry_without_a_user():
    charger = a_charger(authorization_key_hash=keys.hashed(KEY), next_authorization_key_hashes=[keys.hashed(NEXT)])
    with transaction.atomic():
        handshake.admit([a_request(charger, NEXT)])
    assert entries(kind="charger", action="changed")[0][0] == "central system"


def test_a_command_leaves_an_entry_without_its_secret(api):
    charger = a_charger("505")
    payload = {"key": "AuthorizationKey", "value": KEY}
    body = {"charger_id": "505", "action": "ChangeConfiguration", "payload": payload}
    task = api.post(f"{BASE}/commands/", body, content_type="application/json").json()
    submit_internal(charger, "GetConfiguration", {})
    ours, own = entries(kind="command")
    assert ours[:3] == ("alice", "submitted", task["task_id"])
    assert ours[4] == {"action": "ChangeConfiguration", "payload": {"key": "AuthorizationKey", "value": "(hidden)"}}
    assert own[0] == "central system"
    assert KEY not in api.get(f"{BASE}/audit/").content.decode()


def test_a_refused_command_leaves_no_entry():
    with pytest.raises(Exception, match="requestedMessage"):
        submit(a_charger(), "TriggerMessage", {})
    assert entries(kind="command") == []


def test_tags_profiles_tokens_groups_and_users_leave_entries(api):
    api.post(f"{BASE}/id-tags/", {"id_tag": "ABC"}, content_type="application/json")
    api.post(f"{BASE}/tokens/", {"name": "cron"}, content_type="application/json")
    group = ChargerGroup.objects.create(name="North")
    group.chargers.add(a_charger("505"))
    bob = User.objects.create_user("bob", password="a long password")
    bob.groups.set(Group.objects.filter(name="Viewers"))
    bob.groups.clear()
    assert entries(kind="id tag")[0][:3] == ("alice", "created", "ABC")
    assert entries(kind="api token")[0][1:3] == ("created", "alice cron")
    assert entries(kind="charger group")[-1][4] == {"chargers": ["505"]}
    made, added, cleared = entries(kind="user", name="bob")
    assert made[4]["password"] == "set"
    assert added[4] == cleared[3] == {"groups": ["Viewers"]}


def test_a_transaction_closed_by_hand_leaves_an_entry(api):
    a_tag()
    stuck = a_transaction()
    api.post(f"{BASE}/transactions/{stuck.charger}/{stuck.pk}/close/", content_type="application/json")
    assert entries(kind="transaction")[0][:3] == ("alice", "closed", str(stuck.pk))


def log_in(client, password="a long password", **headers):
    body = {"username": "bob", "password": password}
    return client.post(reverse("admin:login"), body, headers=headers)


def test_logins_leave_entries(client):
    User.objects.create_user("bob", password="a long password", is_staff=True)
    log_in(client, "wrong")
    log_in(client)
    client.post(reverse("admin:logout"))
    reply = [entry[:3] for entry in entries(kind="user", action__startswith="log")]
    assert reply == [("", "login failed", "bob"), ("bob", "login", "bob"), ("bob", "logout", "bob")]


def test_an_address_with_many_failed_logins_is_locked_out(client, settings):
    User.objects.create_user("bob", password="a long password", is_staff=True)
    codes = [log_in(client, "wrong").status_code for _ in range(settings.AXES_FAILURE_LIMIT + 3)]
    assert codes[0] == 200
    assert codes[-1] == 429
    assert log_in(client).status_code == 429
    failed = entries(kind="user", action="login failed")
    assert len(failed) <= settings.AXES_FAILURE_LIMIT


def test_entries_cannot_be_changed(api):
    a_tag("X")
    entry = AuditEntry.objects.first()
    page = reverse("admin:chargers_auditentry_change", args=[entry.pk])
    assert api.get(page).status_code == 200
    assert api.post(page, {"who": "eve"}).status_code == 403
    assert api.post(reverse("admin:chargers_auditentry_delete", args=[entry.pk])).status_code == 403
    for method in ("post", "delete", "put"):
        assert getattr(api, method)(f"{BASE}/audit/", {}, content_type="application/json").status_code in (403, 405)


def test_the_log_is_filtered_by_user_object_and_time(api):
    a_tag("X")
    at = AuditEntry.objects.get(kind="id tag").at.isoformat().replace("+00:00", "Z")
    for query, count in (
        ("kind=id tag", 1),
        ("kind=charger", 0),
        (f"kind=id tag&since={at}", 1),
        (f"until={at}&kind=id tag", 0),
    ):
        assert api.get(f"{BASE}/audit/?{query}").json()["count"] == count, query


def test_an_entry_outlives_its_charger(api):
    charger = a_charger("505")
    submit_internal(charger, "GetConfiguration", {})
    charger.commands.all().delete()
    Charger.objects.all().delete()
    assert entries(kind="command")
    assert ApiToken.objects.count() == 0


@pytest.mark.parametrize("text", ["a \\u0000 b", '{"x": "\\u0000"}', "\\"])
def test_a_text_that_looks_like_an_escape_is_recorded_unchanged(api, text):
    answer = api.post(
        f"{BASE}/chargers/", {"charger_id": "505", "description": text}, content_type="application/json"
    )
    assert answer.status_code == 201
    assert entries(kind="charger")[0][4]["description"] == text


def test_a_rolled_back_change_leaves_no_entry():
    charger = a_charger("505")
    Charger.objects.filter(pk=charger.pk).update(description="new")  # by somebody else, meanwhile
    charger.security_profile = 1
    charger.save(update_fields=["security_profile"])
    assert entries(kind="charger", action="changed")[0][3:] == ({"security_profile": None}, {"security_profile": 1})
