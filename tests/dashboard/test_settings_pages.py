"""The pages below "Settings", and those that change chargers and schedules."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from drf_spectacular.generators import SchemaGenerator

from chargers.models import ApiToken, AuditEntry, Charger, ChargerGroup, Delivery, Event, Site, Webhook
from chargers.services import keys
from commands.models import Batch, Schedule
from core.http.subjects import TAGS
from dashboard.templatetags.dashboard import charger_url
from tests.support.builders import a_charger, a_transaction
from tests.support.dashboard import HTML, a_user, new_batch, page_of

pytestmark = pytest.mark.django_db


def text_of(answer):
    return answer.content.decode()


def secret_of(answer):
    """Return the secret that a page shows once."""
    assert "no-store" in answer.headers["Cache-Control"]
    return re.search(r'<input readonly size="50" value="([^"]+)"', text_of(answer))[1]


def form_of(answer):
    """Return what a browser sends if the first form of a page is not changed."""
    page = text_of(answer)
    form = page[page.index('<form method="post" class="card submit"') :]
    form = form[: form.index("</form>")]
    values = {}
    for tag in re.findall(r"<input [^>]*>", form):
        name = re.search(r'name="([^"]+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name and ("checkbox" not in tag or " checked" in tag):
            values.setdefault(name[1], []).append(value[1] if value else "on")
    for name, inner in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', inner) or re.search(r'value="([^"]*)"', inner)
        values[name] = [chosen[1]]
    for name, inner in re.findall(r'<textarea name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.DOTALL):
        values[name] = [inner.replace("&quot;", '"')]
    values.pop("csrfmiddlewaretoken", None)
    return values


def log_in(client, username, password):
    assert client.post("/login/", {"username": username, "password": password}).status_code == 302


# --- chargers --------------------------------------------------------------------------------


def path_of(charger, page):
    return charger_url(f"dashboard:{page}", charger.identity)


def test_a_charger_is_changed(api):
    charger, site = a_charger("a b"), Site.objects.create(name="Harbour")
    page = api.get(path_of(charger, "edit-charger"))
    form = form_of(page)
    assert api.post(path_of(charger, "edit-charger"), form).status_code == 302
    assert not AuditEntry.objects.filter(kind="charger", action="changed").exists()
    changed = form | {"description": "Left", "site": site.pk, "security_profile": "1", "boot_policy": "Pending"}
    answer = api.post(path_of(charger, "edit-charger"), changed)
    assert answer.headers["Location"] == page_of(charger)
    charger.refresh_from_db()
    assert (charger.description, charger.site, charger.boot_policy) == ("Left", site, "Pending")
    assert charger.security_profile == 1
    entry = AuditEntry.objects.filter(kind="charger", action="changed").first()
    assert entry.after["description"] == "Left"
    refused = api.post(path_of(charger, "edit-charger"), changed | {"ping_interval": "-1"})
    assert refused.status_code == 400 and 'role="alert"' in text_of(refused)


def test_a_new_key_is_shown_once(api):
    charger = a_charger()
    key = secret_of(api.post(path_of(charger, "new-key")))
    charger.refresh_from_db()
    assert keys.matches(key.encode(), charger.authorization_key_hash)
    assert key not in text_of(api.get(page_of(charger)))
    own = form_of(api.get(path_of(charger, "edit-charger"))) | {"authorization_key": "0123456789"}
    assert api.post(path_of(charger, "edit-charger"), own).status_code == 400
    assert api.post(path_of(charger, "edit-charger"), own | {"allow_short_key": "on"}).status_code == 302
    charger.refresh_from_db()
    assert keys.matches(b"0123456789", charger.authorization_key_hash)


def test_a_charger_without_transactions_is_deleted(api):
    used, unused = a_transaction().charger, a_charger()
    assert api.post(path_of(used, "delete-charger"), follow=True).status_code == 200
    assert api.post(path_of(unused, "delete-charger")).headers["Location"] == "/"
    assert list(Charger.objects.all()) == [used]


def test_changing_chargers_needs_permission_and_reach(client):
    mine, other = a_charger(), a_charger()
    user = a_user(client, "view_charger", group_of=[mine])
    pages = ("edit-charger", "new-key", "delete-charger")
    assert [client.post(path_of(mine, page), **HTML).status_code for page in pages] == [403] * 3
    user.user_permissions.add(*Permission.objects.filter(codename__in=["change_charger", "delete_charger"]))
    assert [client.post(path_of(other, page), **HTML).status_code for page in pages] == [404] * 3
    Site.objects.create(name="Foreign")
    assert "Foreign" not in text_of(client.get(path_of(mine, "edit-charger")))


# --- account ---------------------------------------------------------------------------------


def test_a_user_changes_the_own_password(client):
    user = a_user(client)
    user.set_password("former-password-1")
    user.save()
    client.force_login(user)
    assert user.username in text_of(client.get("/account/"))
    form = {"old_password": "former-password-1", "new_password1": "short", "new_password2": "short"}
    assert "at least 10 characters" in text_of(client.post("/account/password/", form))
    form |= {"new_password1": "another-password-2", "new_password2": "another-password-2"}
    assert client.post("/account/password/", form).headers["Location"] == "/account/"
    client.logout()
    log_in(client, "bob", "another-password-2")


def test_an_api_token_is_created_shown_once_and_revoked(client):
    charger = a_charger()
    a_user(client, "view_charger", "add_apitoken", "delete_apitoken", group_of=[charger])
    token = secret_of(client.post("/account/tokens/", {"name": "Backup", "days": "30"}))
    row = ApiToken.objects.get()
    assert timedelta(days=29) < row.expiry - datetime.now(UTC) < timedelta(days=31)
    page = text_of(client.get("/account/"))
    assert "Backup" in page and token not in page
    client.logout()
    assert client.get("/api/ocpp/chargers/", HTTP_AUTHORIZATION=f"Token {token}").status_code == 200
    client.force_login(row.user)
    assert "already" in text_of(client.post("/account/tokens/", {"name": "Backup"}, follow=True))
    others, _ = ApiToken.make(User.objects.create_user("eve"), "Other")
    assert client.post(f"/account/tokens/{others.pk}/delete/", **HTML).status_code == 404
    client.post(f"/account/tokens/{row.pk}/delete/")
    assert list(ApiToken.objects.all()) == [others]


# --- users -----------------------------------------------------------------------------------


def test_a_colleague_gets_read_access_to_one_site(api, client):
    site, viewers = Site.objects.create(name="Harbour"), Group.objects.get(name="Viewers")
    mine, other = a_charger(site=site), a_charger()
    form = {"username": "carla", "email": "carla@example.com", "is_active": "on", "roles": viewers.pk}
    answer = api.post("/users/new/", form | {"sites": site.pk})
    password = secret_of(answer)
    assert "carla" in text_of(api.get("/users/"))
    assert AuditEntry.objects.filter(kind="user", name="carla", action="created").exists()
    assert password not in str(list(AuditEntry.objects.values()))
    client.logout()
    log_in(client, "carla", password)
    fleet = text_of(client.get("/"))
    assert mine.identity in fleet and other.identity not in fleet
    assert client.get("/users/", **HTML).status_code == 403


def test_a_user_is_changed_deactivated_and_gets_a_new_password(api):
    user = User.objects.create_user("carla")
    viewers = Group.objects.get(name="Viewers")
    form = {"first_name": "Carla", "is_active": "on", "roles": viewers.pk}
    assert api.post(f"/users/{user.pk}/", form).headers["Location"] == "/users/"
    user.refresh_from_db()
    assert (user.first_name, list(user.groups.all())) == ("Carla", [viewers])
    password = secret_of(api.post(f"/users/{user.pk}/password/"))
    assert User.objects.get(pk=user.pk).check_password(password)
    api.post(f"/users/{user.pk}/", form | {"is_active": ""})
    user.refresh_from_db()
    assert not user.is_active
    me = User.objects.get(username="alice")
    assert api.post(f"/users/{me.pk}/", {"first_name": "A"}).status_code == 400


def test_nobody_grants_more_than_he_has(client):
    mine, other = Site.objects.create(name="Mine"), Site.objects.create(name="Other")
    manager = a_user(client, "view_user", "add_user", "change_user", "view_charger")
    mine.users.add(manager)
    strong = Group.objects.get(name="Managers")
    weak = Group.objects.create(name="Readers")
    weak.permissions.add(Permission.objects.get(codename="view_charger"))
    elsewhere = Group.objects.create(name="Elsewhere")
    other.roles.add(elsewhere)
    page = text_of(client.get("/users/new/"))
    assert "Readers" in page and "Mine" in page
    assert not any(name in page for name in ("Managers", "Every charger", "Elsewhere", "> Other"))
    form = {"is_active": "on"}
    refused = [{"roles": strong.pk, "sites": mine.pk}, {"sites": other.pk}, {}, {"roles": elsewhere.pk}]
    names = [f"u{n}" for n in range(len(refused))]
    answers = [
        client.post("/users/new/", form | {"username": n} | more) for n, more in zip(names, refused, strict=True)
    ]
    assert [answer.status_code for answer in answers] == [400] * 4
    assert not User.objects.filter(username__in=names).exists()


def test_stronger_users_and_those_of_other_sites_are_not_changed(client):
    mine, other = Site.objects.create(name="Mine"), Site.objects.create(name="Other")
    manager = a_user(client, "view_user", "change_user", "view_charger")
    mine.users.add(manager)
    boss, neighbour, both, colleague = (
        User.objects.create_user(name) for name in ("boss", "neighbour", "both", "col")
    )
    boss.is_superuser = True
    boss.save()
    mine.users.add(boss, both, colleague)
    other.users.add(neighbour, both)
    assert "neighbour" not in text_of(client.get("/users/"))
    expected = {boss: 403, neighbour: 404, both: 403, colleague: 200}
    assert {user: client.get(f"/users/{user.pk}/", **HTML).status_code for user in expected} == expected
    assert client.post(f"/users/{boss.pk}/password/", **HTML).status_code == 403


def test_rights_that_a_manager_cannot_give_are_kept(client):
    """A charger group and a role stay that the form does not offer."""
    manager = a_user(client, "view_user", "change_user", "reach_every_charger")
    user = User.objects.create_user("carla")
    role = Group.objects.create(name="Empty")
    user.groups.add(role)
    ChargerGroup.objects.create(name="G").users.add(user)
    client.post(f"/users/{user.pk}/", {"first_name": "C", "is_active": "on", "roles": role.pk})
    assert (list(user.groups.all()), user.charger_groups.count()) == ([role], 0)
    assert manager.has_perm("auth.change_user")


# --- webhooks --------------------------------------------------------------------------------


def test_a_webhook_is_added_changed_and_deleted(api):
    form = form_of(api.get("/webhooks/new/"))
    assert "charger.online" in form["kinds"]
    sent = form | {"name": "Billing", "url": "https://example.com/events", "kinds": ["command.finished"]}
    secret = secret_of(api.post("/webhooks/new/", sent))
    webhook = Webhook.objects.get()
    assert (webhook.kinds, webhook.secret.opened()) == (["command.finished"], secret)
    page = text_of(api.get(f"/webhooks/{webhook.pk}/"))
    assert secret not in page + text_of(api.get("/webhooks/"))
    api.post(
        f"/webhooks/{webhook.pk}/", form_of(api.get(f"/webhooks/{webhook.pk}/")) | {"name": "Two", "is_enabled": []}
    )
    webhook.refresh_from_db()
    assert (webhook.name, webhook.is_enabled) == ("Two", False)
    assert api.post("/webhooks/new/", sent | {"url": "nonsense"}).status_code == 400
    api.post(f"/webhooks/{webhook.pk}/delete/")
    assert not Webhook.objects.exists()


def test_deliveries_are_listed_and_sent_again(api):
    webhook = Webhook.objects.create(name="W", url="https://example.com/")
    now = datetime.now(UTC)
    event = Event.objects.create(kind="charger.online", charger=a_charger(), at=now, body={})
    columns = {"webhook": webhook, "event": event, "due_at": now}
    dead, done = (Delivery.objects.create(state=state, attempts=11, **columns) for state in ("dead", "delivered"))
    assert text_of(api.get(f"/webhooks/{webhook.pk}/deliveries/")).count("charger.online") == 2
    assert text_of(api.get(f"/webhooks/{webhook.pk}/deliveries/?state=dead")).count("charger.online") == 1
    api.post(f"/webhooks/{webhook.pk}/replay/")
    assert set(Delivery.objects.values_list("state", flat=True)) == {"pending", "delivered"}
    api.post(f"/webhooks/{webhook.pk}/deliveries/{done.pk}/replay/")
    dead.refresh_from_db()
    assert (dead.attempts, Delivery.objects.filter(state="pending").count()) == (0, 2)


def test_webhooks_need_every_charger(client):
    a_user(client, "view_webhook", "add_webhook", "view_delivery", group_of=[])
    assert [client.get(path, **HTML).status_code for path in ("/webhooks/", "/webhooks/new/")] == [403] * 2


# --- schedules -------------------------------------------------------------------------------


def a_schedule(api, **fields):
    a_charger()
    new_batch(
        api,
        "reset",
        is_immediate="false",
        schedule_name="Nightly",
        when="crontab",
        when_crontab="30 3 * * *",
        **fields,
    )
    return Schedule.objects.get()


def test_a_schedule_is_opened_and_changed(api):
    schedule = a_schedule(api)
    page = api.get(f"/schedules/{schedule.pk}/")
    assert len(page.context["runs"]) == 5
    form = form_of(page) | {"do": "save"}
    before = list(Schedule.objects.values("chosen", "crontab", "timezone", "owner", "payload"))
    assert api.post(f"/schedules/{schedule.pk}/", form).status_code == 302
    assert list(Schedule.objects.values("chosen", "crontab", "timezone", "owner", "payload")) == before
    changed = {"schedule_name": "Hourly", "when": "every", "when_every": "60", "spread_minutes": "5"}
    api.post(f"/schedules/{schedule.pk}/", form | changed)
    schedule.refresh_from_db()
    assert (schedule.name, schedule.every_seconds, schedule.crontab, schedule.spread_seconds) == (
        "Hourly",
        3600,
        "",
        300,
    )
    runs = api.get(f"/schedules/{schedule.pk}/").context["runs"]
    assert runs[1] - runs[0] == timedelta(hours=1)
    wrong = api.post(f"/schedules/{schedule.pk}/", form | {"when": "crontab", "when_crontab": "nonsense"})
    assert wrong.status_code == 400 and "five fields" in text_of(wrong)
    nobody = api.post(f"/schedules/{schedule.pk}/", form | {"of_search": ""})
    assert nobody.status_code == 400


def test_the_payload_of_a_schedule_is_changed(api):
    schedule = a_schedule(api)
    form = form_of(api.get(f"/schedules/{schedule.pk}/")) | {"do": "save"}
    api.post(f"/schedules/{schedule.pk}/", form | {"written": '{"is_immediate": true}'})
    schedule.refresh_from_db()
    assert schedule.payload == {"is_immediate": True}
    assert api.post(f"/schedules/{schedule.pk}/", form | {"written": "{"}).status_code == 400


def test_a_schedule_is_run_now_switched_and_deleted(api):
    schedule = a_schedule(api)
    answer = api.post(f"/schedules/{schedule.pk}/", {"do": "run"})
    batch = Batch.objects.get()
    assert (answer.headers["Location"], batch.schedule) == (f"/batches/{batch.pk}/", schedule)
    api.post(f"/schedules/{schedule.pk}/", {"do": "switch"})
    schedule.refresh_from_db()
    assert not schedule.is_enabled
    assert api.get(f"/schedules/{schedule.pk}/").context["runs"] == []
    api.post(f"/schedules/{schedule.pk}/", {"do": "delete"})
    assert not Schedule.objects.exists()


def test_schedules_of_others_are_not_found(client, api):
    schedule = a_schedule(api)
    a_user(client, "view_command", "add_command", group_of=[a_charger()])
    assert client.get(f"/schedules/{schedule.pk}/", **HTML).status_code == 404
    assert client.post(f"/schedules/{schedule.pk}/", {"do": "run"}, **HTML).status_code == 404


# --- settings --------------------------------------------------------------------------------


def test_settings_link_to_what_the_user_may_see(client, api):
    page = text_of(api.get("/settings/"))
    assert all(f'href="{path}' in page for path in ("/tags/", "/users/", "/webhooks/", "/account/", "/batches/"))
    a_user(client)
    page = text_of(client.get("/settings/"))
    assert "/account/" in page and "/tags/" not in page and "/users/" not in page


def test_every_operation_of_the_api_has_one_known_subject():
    described = SchemaGenerator().get_schema(public=True)
    listed = {tag["name"] for tag in described["tags"]}
    assert listed == {tag["name"] for tag in TAGS} and all(tag["description"].endswith(".") for tag in TAGS)
    operations = [
        (path, operation.get("tags", []))
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict) and method != "parameters"
    ]
    assert [found for found in operations if len(found[1]) != 1 or found[1][0] not in listed] == []
    assert {tags[0] for _, tags in operations} == listed


@pytest.mark.parametrize("path", ["/tags/", "/users/", "/webhooks/"])
def test_lists_have_a_fixed_number_of_queries(api, django_assert_max_num_queries, path):
    for n in range(3):
        user = User.objects.create_user(f"u{n}")
        Site.objects.create(name=f"S{n}").users.add(user)
        Webhook.objects.create(
            name=f"W{n}", url="https://example.com/", group=ChargerGroup.objects.create(name=f"G{n}")
        )
    with django_assert_max_num_queries(14):
        api.get(path)
