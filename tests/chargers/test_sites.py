"""Sites over REST: the place of a charger, and the users who reach its chargers."""

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from chargers.models import AuditEntry, Charger, ChargerGroup, NotificationRule, Site
from commands.services import batches
from core import zones
from tests.support.builders import a_charger, a_rule

pytestmark = pytest.mark.django_db
SITES = "/api/ocpp/sites/"
BERLIN = {
    "name": "Depot",
    "address": "Chausseestraße 1, Berlin",
    "latitude": "52.532000",
    "longitude": "13.380000",
    "time_zone": "Europe/Berlin",
    "contacts": "Ann, +49 30 1",
    "power_limit_w": 44000,
    "offline_minutes": 30,
}


def limited(name="bob", *roles):
    user = User.objects.create_user(name)
    user.groups.set(Group.objects.filter(name__in=roles or ["Managers"]))
    client = Client()
    client.force_login(user)
    return user, client


def post(api, body, path=SITES):
    return api.post(path, body, content_type="application/json")


def patch(api, path, body):
    return api.patch(path, body, content_type="application/json")


def ids(api, path):
    answer = api.get(path)
    assert answer.status_code == 200, answer.content
    return [row["charger_id"] for row in answer.json()["results"]]


def test_a_site_is_created_changed_and_deleted(api):
    made = post(api, BERLIN)
    assert made.status_code == 201, made.content
    assert made.json() == made.json() | BERLIN
    one = f"{SITES}{made.json()['id']}/"
    assert patch(api, one, {"power_limit_w": None}).json()["power_limit_w"] is None
    a_charger("A", site=Site.objects.get())
    assert api.get(one).json()["charger_count"] == 1
    assert api.delete(one).status_code == 204
    assert Charger.objects.get().site is None
    assert list(AuditEntry.objects.filter(kind="site").values_list("action", flat=True)) == [
        "deleted",
        "changed",
        "created",
    ]


# Some are files of this machine, of which Python makes a zone and PostgreSQL does not.
ODD_ZONES = [
    "Mars/Olympus",
    "localtime",
    "posixrules",
    "right/UTC",
    "../../etc/passwd",
    "Europe",
    ".",
    "\0",
    "x" * 300,
]


def test_postgresql_knows_the_zones_that_users_may_choose(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_timezone_names")
        assert zones.NAMES - {name for (name,) in cursor.fetchall()} == set()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        *(({"time_zone": name}, "time_zone") for name in ODD_ZONES),
        ({"latitude": "91"}, "latitude"),
        ({"longitude": "-180.5"}, "longitude"),
        ({"longitude": None}, "longitude"),
        ({"power_limit_w": -1}, "power_limit_w"),
        ({"offline_minutes": 0}, "offline_minutes"),
        ({"users": ["nobody"]}, "users"),
    ],
)
def test_an_invalid_site_is_refused(api, wrong, field):
    refused = post(api, BERLIN | wrong)
    assert refused.status_code == 400
    assert field in refused.json()["fields"]


def test_a_site_that_a_notification_rule_names_is_deleted_with_the_rule(api):
    site = Site.objects.create(name="Depot")
    a_rule(site=site)
    assert api.delete(f"{SITES}{site.pk}/").status_code == 204
    assert not NotificationRule.objects.exists()
    assert AuditEntry.objects.filter(action="deleted").count() == 2


def test_a_charger_is_put_at_a_site_by_its_id_or_its_name(api):
    a_charger("A")
    site = Site.objects.create(name="Depot")
    for written in (site.pk, str(site.pk), "Depot"):
        assert patch(api, "/api/ocpp/chargers/A/", {"site": written}).json()["site"] == site.pk
    assert patch(api, "/api/ocpp/chargers/A/", {"site": None}).json()["site"] is None
    for unknown in ("Nowhere", 10**30, True, {}):
        refused = patch(api, "/api/ocpp/chargers/A/", {"site": unknown})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["site"])


def test_chargers_are_listed_by_site(api):
    site, other = Site.objects.create(name="Depot"), Site.objects.create(name="Other")
    a_charger("A", site=site)
    a_charger("B", site=other)
    a_charger("C")
    assert ids(api, "/api/ocpp/chargers/?site=Depot") == ["A"]
    assert ids(api, f"/api/ocpp/chargers/?site={other.pk}") == ["B"]
    assert ids(api, "/api/ocpp/chargers/?site=nowhere") == []


def test_a_user_of_a_site_reaches_its_chargers_and_those_of_the_groups_of_the_user(client):
    user, client = limited()
    site, group = Site.objects.create(name="Depot"), ChargerGroup.objects.create(name="North")
    a_charger("A", site=site)
    group.chargers.add(a_charger("B"))
    a_charger("C", site=Site.objects.create(name="Other"))
    assert ids(client, "/api/ocpp/chargers/") == []
    site.users.add(user)
    assert ids(client, "/api/ocpp/chargers/") == ["A"]
    group.users.add(user)
    assert ids(client, "/api/ocpp/chargers/") == ["A", "B"]
    site.users.clear()
    site.roles.set(user.groups.all())
    assert ids(client, "/api/ocpp/chargers/") == ["A", "B"]


def test_a_user_of_a_site_sees_no_other_site_nor_its_users():
    user, client = limited()
    site, other = Site.objects.create(name="Depot"), Site.objects.create(name="Other")
    site.users.add(user)
    a_charger("A", site=site)
    a_charger("B", site=other)
    (row,) = client.get(SITES).json()["results"]
    assert row["name"] == "Depot"
    assert not {"users", "roles"} & set(row)
    assert client.get(f"{SITES}{other.pk}/").status_code == 404
    assert ids(client, "/api/ocpp/chargers/?site=Other") == []
    assert patch(client, "/api/ocpp/chargers/A/", {"site": "Other"}).status_code == 400
    assert post(client, BERLIN).status_code == 403
    assert client.delete(f"{SITES}{site.pk}/").status_code == 403
    assert patch(client, f"{SITES}{site.pk}/", {"users": [], "address": "New"}).status_code == 400
    assert patch(client, f"{SITES}{site.pk}/", {"address": "New"}).status_code == 200
    site.refresh_from_db()
    assert (site.address, list(site.users.all())) == ("New", [user])


def test_a_batch_is_sent_to_the_chargers_of_a_site(api):
    a_charger("A", site=Site.objects.create(name="Depot"))
    a_charger("B")
    chosen = batches.candidates(User.objects.get(username="alice"), {"filter": {"site": "Depot"}})
    assert [charger.identity for charger in chosen] == ["A"]
