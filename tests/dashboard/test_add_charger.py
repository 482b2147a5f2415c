"""The pages that add a charger and wait until it connects."""

import re

import pytest
from django.contrib.auth.models import Permission

from chargers.models import Charger, Refusal, Site
from chargers.services import onboarding
from core.db import bulk_sql
from tests.support.builders import a_charger
from tests.support.dashboard import a_user


def a_refusal(charger_id, kind="unknown", **columns):
    at = bulk_sql.clock()
    reply = {"status": 404, "reason": "not known", "count": 1, "first_at": at, "last_at": at} | columns
    return Refusal.objects.create(charger_id=charger_id, kind=kind, **reply)


def added(api, charger_id="NEW-1", **values):
    return api.post("/add-charger/", {"charger_id": charger_id, "security_profile": "1", **values})


def shown(api, charger):
    answer = api.get(f"/chargers/{charger.identity}/connection/", headers={"X-Live": "1"})
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.django_db
def test_a_user_of_a_site_adds_chargers_to_it_alone(client):
    mine, other = Site.objects.create(name="Mine"), Site.objects.create(name="Harbour")
    user = a_user(client, "view_charger", "view_site", "add_charger", group_of=[a_charger()])
    assert client.get("/add-charger/").status_code == 403
    assert added(client).status_code == 403
    body = {"charger_id": "NEW-2"}
    assert client.post("/api/ocpp/chargers/", body, "application/json").status_code == 403
    mine.users.add(user)
    form = client.get(f"/add-charger/?site={mine.pk}").content.decode()
    assert f'value="{mine.pk}" selected' in form
    assert "Harbour" not in form
    assert "/add-charger/?site=" in client.get(f"/sites/{mine.pk}/").content.decode()
    for site in ("", other.pk, "x"):
        assert added(client, site=site).status_code == 400, site
        answer = client.post("/api/ocpp/chargers/", body | {"site": site or None}, "application/json")
        assert (answer.status_code, list(answer.json()["fields"])) == (400, ["site"]), site
    assert not Charger.objects.filter(identity__startswith="NEW").exists()
    assert added(client, site=mine.pk).status_code == 200
    assert client.post("/api/ocpp/chargers/", body | {"site": "Mine"}, "application/json").status_code == 201
    assert set(mine.chargers.values_list("identity", flat=True)) == {"NEW-1", "NEW-2"}
    user.user_permissions.add(Permission.objects.get(codename="change_charger"))
    moved = client.patch("/api/ocpp/chargers/NEW-1/", {"site": other.pk}, "application/json")
    assert moved.status_code == 400


@pytest.mark.django_db
def test_the_key_is_shown_once_with_the_url_and_a_code_of_it(api):
    site = Site.objects.create(name="Depot")
    answer = added(api, site=str(site.pk), description="Gate")
    page = answer.content.decode()
    key = re.search(r'value="([0-9a-f]{40})"', page)[1]
    charger = Charger.objects.get(identity="NEW-1")
    assert charger.has_key(key)
    assert (charger.site, charger.description, charger.security_profile) == (site, "Gate", 1)
    assert 'value="ws://testserver/ws/ocpp/NEW-1"' in page
    assert "<svg" in page
    assert "no-store" in answer.headers["Cache-Control"]
    later = api.get("/chargers/NEW-1/connection/").content.decode()
    assert key not in later
    again = added(api)
    assert again.status_code == 409
    assert "known already" in again.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("profile", "secure", "scheme", "has_key"),
    [("", False, "ws", True), ("0", False, "ws", False), ("2", True, "wss", True), ("3", False, "wss", False)],
)
def test_the_url_and_the_key_are_those_of_the_security_profile(api, settings, profile, secure, scheme, has_key):
    settings.URL_PREFIX = "/csms"
    values = {"charger_id": "A B/1", "security_profile": profile}
    page = api.post("/add-charger/", values, secure=secure).content.decode()
    assert f'value="{scheme}://testserver/csms/ws/ocpp/A%20B%2F1"' in page
    assert bool(re.search(r'value="[0-9a-f]{40}"', page)) == has_key
    assert bool(Charger.objects.get().authorization_key_hash) == has_key


@pytest.mark.django_db
@pytest.mark.parametrize("charger_id", ["", "x" * 256])
def test_an_invalid_id_is_refused(api, charger_id):
    answer = added(api, charger_id)
    assert answer.status_code == 409
    assert "1 to 255 characters" in answer.content.decode()
    assert not Charger.objects.exists()


@pytest.mark.parametrize("other", ["cp-7", "CP-7 ", "CP-7/", "ocpp/CP-7", "CP_7", "CP7"])
def test_ids_that_are_typed_otherwise_are_similar(other):
    assert onboarding.is_similar(other, "CP-7")


@pytest.mark.parametrize("other", ["CP-70", "CP-8", "", "/", "CP-7/1"])
def test_other_ids_are_not_similar(other):
    assert not onboarding.is_similar(other, "CP-7")


@pytest.mark.django_db
def test_attempts_under_a_similar_id_and_without_one_are_shown(api):
    charger = a_charger("CP-7")
    a_refusal("cp-7 ", address="10.1.2.3")
    a_refusal("CP-8", address="10.9.9.9")
    a_refusal("", "path", reason="Connect to elsewhere")
    a_charger("CP_7", connected_at=bulk_sql.clock())
    page = shown(api, charger)
    assert "similar ID “cp-7 ” tried to connect" in page
    assert "10.1.2.3" in page
    assert "10.9.9.9" not in page
    assert "Connect to elsewhere" in page
    assert "similar ID “CP_7” has connected" in page


@pytest.mark.django_db
def test_an_attempt_before_the_charger_was_added_is_not_shown(api):
    a_refusal("NEW-1")
    page = added(api).content.decode()
    assert "Nothing has arrived from this charger yet" in page


@pytest.mark.django_db
def test_only_users_who_reach_every_charger_add_one(client):
    charger = a_charger("CP-7")
    a_refusal("cp-7")
    user = a_user(client, "view_charger", "add_charger", group_of=[charger])
    assert "/add-charger/" not in client.get("/").content.decode()
    assert client.get("/add-charger/").status_code == 403
    assert added(client).status_code == 403
    assert not Charger.objects.filter(identity="NEW-1").exists()
    assert "similar" not in shown(client, charger)
    assert client.get(f"/chargers/{a_charger().identity}/connection/").status_code == 404
    user.user_permissions.add(Permission.objects.get(codename="reach_every_charger"))
    assert added(client).status_code == 200


@pytest.mark.django_db
def test_the_queries_do_not_grow_with_the_attempts(api, django_assert_num_queries):
    charger = a_charger("CP-7")
    shown(api, charger)
    counts = []
    for number in range(3):
        a_refusal(f"cp-7{' ' * number}")
        a_refusal(f"x{number}")
        with django_assert_num_queries(7, exact=False) as queries:
            shown(api, charger)
        counts.append(len(queries))
    assert len(set(counts)) == 1


@pytest.mark.django_db
def test_the_page_is_in_german(api):
    charger = a_charger("CP-7")
    a_refusal("CP-7", "credentials", reason="Basic auth with the charger's id and key is required.")
    page = api.get("/chargers/CP-7/connection/", headers={"Accept-Language": "de"}).content.decode()
    assert "Schlüssel als Passwort" in page
    assert str(charger) in page
