"""Permissions over REST and in the admin: roles, charger groups and API tokens."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.urls import reverse

from chargers.models import ApiToken, Charger, ChargerGroup
from commands.models import Upload
from core.redis.connections import sync_redis
from tests.support.builders import NOON, a_charger, a_command, a_tag, a_transaction, tell
from transactions.models import Reservation

BASE = "/api/ocpp"
pytestmark = pytest.mark.django_db(transaction=True)


def a_user(*roles, name="bob", **columns):
    user = User.objects.create_user(name, **columns)
    user.groups.set(Group.objects.filter(name__in=roles))
    return user


def reaching(*chargers, user, role=None):
    group = ChargerGroup.objects.create(name="North")
    group.chargers.set(chargers)
    group.users.set([user] if user else [])
    group.roles.set([role] if role else [])
    return group


@pytest.fixture
def asks(client):
    """The status of a request by a user with `roles`: asks(["Viewers"], "post", path, body)."""

    def ask(roles, method, path, body=None):
        client.force_login(a_user(*roles, name=f"user-{User.objects.count()}"))
        return getattr(client, method)(f"{BASE}/{path}", body, content_type="application/json").status_code

    return ask


# What is asked, and the least of the roles that may.
MAY = {
    ("get", "chargers/"): "Viewers",
    ("get", "status/505/"): "Viewers",
    ("get", "transactions/"): "Viewers",
    ("get", "commands/"): "Viewers",
    ("get", "id-tags/"): "Viewers",
    ("get", "certificates/roots/"): "Viewers",
    ("get", "tokens/"): "Viewers",
    ("post", "start/505/"): "Operators",
    ("post", "stop/505/"): "Operators",
    ("post", "authorize/505/"): "Operators",
    ("post", "commands/"): "Operators",
    ("post", "local-lists/505/"): "Operators",
    ("post", "reservations/"): "Operators",
    ("post", "chargers/"): "Managers",
    ("patch", "chargers/505/"): "Managers",
    ("post", "chargers/505/new-key/"): "Managers",
    ("delete", "chargers/505/"): "Managers",
    ("post", "id-tags/"): "Managers",
    ("post", "charging-profiles/"): "Managers",
    ("post", "firmware/"): "Managers",
    ("get", "audit/"): "nobody",
}
ROLES = ["Viewers", "Operators", "Managers", "nobody"]


@pytest.mark.parametrize("asked", MAY, ids=" ".join)
def test_each_role_has_exactly_its_permissions(asks, asked):
    a_charger("505")
    least = ROLES.index(MAY[asked])
    refused = [asks([role, "Every charger"], *asked, body={}) == 403 for role in ROLES[:3]]
    assert refused == [number < least for number in range(3)]
    assert asks([], *asked, body={}) == 403


def test_requests_without_a_login_are_refused(client):
    for path in ("chargers/", "tasks/x/", "tokens/", "audit/", "uploads/1/file/"):
        answer = client.get(f"{BASE}/{path}")
        assert (answer.status_code, list(answer.json())) == (401, ["error"])
        assert answer.headers["WWW-Authenticate"] == "Token"
    assert [client.get(path).status_code for path in ("/metrics", "/api/schema/", "/api/docs/")] == [401] * 3


def test_a_superuser_reads_the_audit_log(api):
    assert api.get(f"{BASE}/audit/").status_code == 200


def one_of_each(charger):
    transaction = a_transaction(charger)
    command = a_command(charger)
    tell(charger, "StopTransaction", transactionId=-1, meterStop=1, timestamp=NOON)
    tell(charger, "SecurityEventNotification", type="x", timestamp=NOON)
    tell(charger, "DataTransfer", vendorId="x")
    Reservation.objects.create(charger=charger, connector_id=1, id_tag="ABC", expiry_date=datetime.now(UTC))
    Upload.objects.create(token_hash=str(charger), command=command, charger=charger, expires_at=datetime.now(UTC))
    return transaction, command


def test_a_user_lists_only_chargers_of_their_groups(client):
    a_tag()
    near, far = a_charger("NEAR"), a_charger("FAR")
    one_of_each(near), one_of_each(far)
    user = a_user("Managers")
    reaching(near, user=user)
    client.force_login(user)
    lists = ["chargers", "transactions", "commands", "reservations", "orphan-stops", "uploads"]
    for name in [*lists, "security-events", "data-transfers"]:
        reply = client.get(f"{BASE}/{name}/").json()
        rows = reply.get("results", reply.get("transaction_logs"))
        assert [row["charger_id"] for row in rows] == ["NEAR"] * len(rows), name
        assert rows, name


def test_a_charger_out_of_reach_is_answered_404(client):
    far = a_charger("FAR")
    transaction, command = one_of_each(far)
    user = a_user("Managers")
    reaching(a_charger("NEAR"), user=user)
    client.force_login(user)
    paths = ["chargers/FAR/", "status/FAR/", "transactions/FAR/", f"tasks/{command.task_id}/", "local-lists/FAR/"]
    paths += [f"transactions/FAR/{transaction.pk}/", f"transactions/FAR/{transaction.pk}/meter-values/"]
    assert {client.get(f"{BASE}/{path}").status_code for path in paths} == {404}
    body = {"charger_id": "FAR", "action": "ClearCache"}
    assert client.post(f"{BASE}/commands/", body, content_type="application/json").status_code == 404
    assert client.post(f"{BASE}/start/FAR/", content_type="application/json").status_code == 404
    assert client.post(f"{BASE}/chargers/", {"charger_id": "X"}, content_type="application/json").status_code == 403
    booked = {"charger_id": "FAR", "connector_id": 1, "id_tag": "A", "expiry_date": "2036-01-01T00:00:00Z"}
    answer = client.post(f"{BASE}/reservations/", booked, content_type="application/json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["charger_id"])


def test_a_charger_group_may_be_reached_by_role(client):
    near = a_charger("NEAR")
    user = a_user("Viewers")
    reaching(near, user=None, role=Group.objects.get(name="Viewers"))
    client.force_login(user)
    assert client.get(f"{BASE}/chargers/NEAR/").status_code == 200


def test_the_admin_shows_only_chargers_within_reach(client):
    near, far = a_charger("NEAR"), a_charger("FAR")
    one_of_each(near), one_of_each(far)
    user = a_user("Managers", is_staff=True)
    reaching(near, user=user)
    client.force_login(user)
    for model in ("chargers_charger", "transactions_transaction", "commands_command", "commands_upload"):
        page = client.get(reverse(f"admin:{model}_changelist")).content.decode()
        assert "NEAR" in page, model
        assert "FAR" not in page, model
    assert client.get(reverse("admin:chargers_charger_change", args=[far.pk])).status_code == 302
    assert client.get(reverse("admin:django_celery_results_taskresult_changelist")).status_code == 403
    form = client.get(reverse("admin:transactions_reservation_add")).content.decode()
    assert "FAR" not in form


# --- tokens ----------------------------------------------------------------------------------


def with_token(client, token):
    return client.get(f"{BASE}/chargers/", headers={"Authorization": f"Token {token}"}).status_code


def test_a_user_has_several_tokens_that_are_revoked_one_by_one(client):
    user = a_user("Viewers")
    client.force_login(user)
    made = {name: client.post(f"{BASE}/tokens/", {"name": name}, "application/json").json() for name in "ab"}
    assert client.post(f"{BASE}/tokens/", {"name": "a"}, "application/json").status_code == 400
    listed = client.get(f"{BASE}/tokens/")
    assert [row["name"] for row in listed.json()["results"]] == ["a", "b"]
    assert made["a"]["token"] not in listed.content.decode()
    client.delete(f"{BASE}/tokens/{made['a']['id']}/")
    client.logout()
    assert [with_token(client, made[name]["token"]) for name in "ab"] == [401, 200]


def test_a_token_is_stored_as_a_hash():
    _, token = ApiToken.make(a_user(), "x")
    (row,) = ApiToken.objects.values()
    assert token not in str(row)
    assert len(token) == 64


def test_an_expired_token_is_refused_and_still_listed(client):
    user = a_user("Viewers")
    made, token = ApiToken.make(user, "x", datetime.now(UTC) + timedelta(days=1))
    assert with_token(client, token) == 200
    ApiToken.objects.update(expiry=datetime.now(UTC))
    assert with_token(client, token) == 401
    assert ApiToken.objects.filter(pk=made.pk).exists()


@pytest.mark.parametrize("header", ["Token", "Token a b", "Token \xff", "Token " + "0" * 64, "Bearer x"])
def test_a_malformed_authorization_header_is_refused(client, header):
    answer = client.get(f"{BASE}/chargers/", headers={"Authorization": header})
    assert (answer.status_code, list(answer.json())) == (401, ["error"])


def test_a_user_neither_sees_nor_revokes_tokens_of_others(client):
    other, _ = ApiToken.make(a_user(name="alice"), "x")
    client.force_login(a_user("Managers", "Every charger"))
    assert client.get(f"{BASE}/tokens/").json()["count"] == 0
    assert client.delete(f"{BASE}/tokens/{other.pk}/").status_code == 404


def test_the_last_use_of_a_token_is_stored(client):
    made, token = ApiToken.make(a_user("Viewers"), "x")
    with_token(client, token)
    made.refresh_from_db()
    assert datetime.now(UTC) - made.last_used < timedelta(minutes=1)


def test_the_management_command_creates_and_replaces_a_token(client, capsys):
    a_user("Viewers")
    for _ in range(2):
        call_command("create_token", "bob", "cron", "--replace")
    first, second = capsys.readouterr().out.split()
    assert [with_token(client, token) for token in (first, second)] == [401, 200]


def test_the_admin_shows_a_new_token_once(api):
    page = api.post(reverse("admin:chargers_apitoken_add"), {"user": User.objects.get().pk, "name": "cron"})
    token = page.context["secret"]
    assert token in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    made = ApiToken.objects.get()
    for path in (reverse("admin:chargers_apitoken_changelist"), f"/admin/chargers/apitoken/{made.pk}/change/"):
        assert token not in api.get(path).content.decode()
        assert made.digest not in api.get(path).content.decode()


@pytest.mark.parametrize("name", ["cron", "other"])
def test_the_admin_refuses_a_second_token_of_one_name(client, name):
    user = a_user("Viewers", is_staff=True)
    ApiToken.make(user, "cron")
    client.force_login(user)
    page = client.post(reverse("admin:chargers_apitoken_add"), {"name": name})
    assert ApiToken.objects.filter(user=user).count() == (2 if name == "other" else 1)
    assert ("name already" in page.content.decode()) == (name == "cron")


def test_the_rate_of_commands_of_a_user_is_limited(client, settings):
    settings.API_COMMANDS_PER_MINUTE = 2
    for counted in sync_redis().scan_iter("ocpp:rate:*"):  # of the run before, which had the same primary keys
        sync_redis().delete(counted)
    a_charger("505")
    client.force_login(a_user("Operators", "Every charger"))
    answers = [
        client.post(f"{BASE}/start/505/", content_type="application/json") for _ in range(5)
    ]  # a minute may begin in between
    assert answers[0].status_code == 202
    assert answers[4].status_code == 429
    assert 1 <= int(answers[4].headers["Retry-After"]) <= 60
    assert list(answers[4].json()) == ["error"]
    client.force_login(a_user("Operators", "Every charger", name="carol"))
    assert client.post(f"{BASE}/start/505/", content_type="application/json").status_code == 202


# --- keys of chargers ------------------------------------------------------------------------


def test_a_new_key_is_shown_once_and_replaces_the_old_one(api):
    charger = a_charger("505", next_authorization_key_hashes=["x"])
    answer = api.post(f"{BASE}/chargers/505/new-key/")
    key = answer.json()["authorization_key"]
    charger.refresh_from_db()
    assert len(key) == 40
    assert charger.has_key(key)
    assert charger.next_authorization_key_hashes == []
    assert answer.headers["Cache-Control"] == "no-store"
    assert key not in api.get(f"{BASE}/chargers/505/").content.decode()
    assert key not in api.get(f"{BASE}/audit/").content.decode()


def test_the_admin_generates_a_key_and_shows_it_once(api):
    charger = a_charger("505")
    path = reverse("admin:chargers_charger_new_key", args=[charger.pk])
    assert "New key" in api.get(reverse("admin:chargers_charger_change", args=[charger.pk])).content.decode()
    assert api.get(path).status_code == 200
    assert not Charger.objects.get().authorization_key_hash
    page = api.post(path)
    assert Charger.objects.get().has_key(page.context["secret"])


def test_a_user_with_view_permission_only_cannot_generate_a_key(client):
    charger = a_charger("505")
    client.force_login(a_user("Viewers", "Every charger", is_staff=True))
    path = reverse("admin:chargers_charger_new_key", args=[charger.pk])
    assert client.post(path).status_code == 403
    assert not Charger.objects.get().authorization_key_hash


# --- without a login, and from browsers ------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "own"}, 200),
        ({"Origin": "other"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
    ],
)
def test_an_open_api_refuses_requests_of_foreign_pages(live, headers, status):
    names = {"own": live.url, "other": "http://evil.example"}
    headers = {name: names.get(value, value) for name, value in headers.items()}
    assert live.request("GET", f"{BASE}/chargers/", **headers)[0] == status


def test_a_session_needs_the_csrf_token_for_changes(client, settings):
    a_charger("505")
    browser = type(client)(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_superuser("alice"))
    answer = browser.post(f"{BASE}/start/505/")
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["error"]


def test_only_configured_origins_may_read_the_api(api, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example"]
    for origin, allowed in (("https://app.example", True), ("https://evil.example", False)):
        answer = api.get(f"{BASE}/chargers/", headers={"Origin": origin})
        assert ("Access-Control-Allow-Origin" in answer.headers) == allowed


def test_every_page_has_a_content_security_policy(api):
    for path in ("/admin/", f"{BASE}/chargers/", "/api/docs/", "/healthz", "/nothing"):
        headers = api.get(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"], path
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["X-Frame-Options"] == "DENY", path


# --- roles, and what migrate makes of them ---------------------------------------------------


def test_roles_are_created_once_and_changes_to_them_stay():
    user = a_user("Viewers")
    ApiToken.make(user, "x")
    Group.objects.filter(name="Every charger").update(name="All chargers")
    Group.objects.filter(name="Operators").delete()
    call_command("migrate", verbosity=0)
    assert not Group.objects.filter(name__in=["Every charger", "Operators"]).exists()
    assert [group.name for group in user.groups.all()] == ["Viewers"]


def test_only_users_who_reach_all_chargers_see_charger_groups(client):
    group = reaching(a_charger("NEAR"), user=None)
    page = reverse("admin:chargers_chargergroup_change", args=[group.pk])
    may = Permission.objects.get(codename="view_chargergroup")
    for roles, status in ((["Managers"], 403), (["Managers", "Every charger"], 200)):
        user = a_user(*roles, name=f"user-{status}", is_staff=True)
        user.user_permissions.add(may)
        client.force_login(user)
        assert client.get(page).status_code == status


@pytest.mark.parametrize(("until", "status"), [(None, 400), ("2099-01-01T00:00:00Z", 400), ("soon", 201), ("", 201)])
def test_a_token_cannot_create_one_that_expires_later(client, until, status):
    end = datetime.now(UTC) + timedelta(days=2)
    _, token = ApiToken.make(a_user("Viewers"), "first", end)
    reply = {"soon": (end - timedelta(days=1)).isoformat()}.get(until, until)
    body = {"name": "second"} if until == "" else {"name": "second", "expires_at": reply}
    headers = {"Authorization": f"Token {token}"}
    assert client.post(f"{BASE}/tokens/", body, "application/json", headers=headers).status_code == status
    assert not ApiToken.objects.filter(name="second", expiry__gt=end).exists()


def test_a_token_expires_at_the_requested_time(api):
    for name, end in (("a", "9999-12-31T23:59:59.999999Z"), ("b", "2099-01-01T00:00:00Z")):
        made = api.post(f"{BASE}/tokens/", {"name": name, "expires_at": end}, "application/json")
        assert (made.status_code, made.json()["expires_at"]) == (201, end)
