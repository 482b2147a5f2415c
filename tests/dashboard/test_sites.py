"""Pages of sites: the list and its figures, one site, its form and its users, and chargers that are put at sites."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chargers.models import AuditEntry, Charger, ChargerGroup, Site
from commands.models import Batch, BatchItem, PowerLimit, Schedule
from core.ocpp.timestamps import day_bounds
from dashboard import sites
from tests.support.builders import a_charger, a_command, a_transaction, open_socket, tell
from tests.support.dashboard import HTML, a_user, charging, page_of
from tests.support.responses import content
from transactions.models import Transaction

pytestmark = pytest.mark.django_db
BERLIN, APIA = ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Apia")


def a_site(name="Depot", **columns):
    return Site.objects.create(name=name, **columns)


def limited(name="bob", role="Managers"):
    user = User.objects.create_user(name)
    user.groups.set(Group.objects.filter(name=role))
    client = Client()
    client.force_login(user)
    return user, client


def at(site, state="free", charger_id=None):
    """A charger at `site` in `state`."""
    charger = a_charger(charger_id, site=site)
    if state != "never":
        open_socket(charger)
    if state == "faulted":
        tell(charger, "StatusNotification", connectorId=1, errorCode="GroundFailure", status="Faulted")
    if state == "offline":
        Charger.objects.filter(pk=charger.pk).update(disconnected_at=datetime.now(UTC) + timedelta(days=1))
    return charger


def shown(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return answer.content.decode()


# --- the list --------------------------------------------------------------------------------


def test_sites_with_trouble_are_first(api):
    for name, states in (
        ("fine", ["free"]),
        ("one offline", ["offline", "free"]),
        ("faulted", ["faulted"]),
        ("two offline", ["offline", "offline"]),
        ("empty", []),
    ):
        site = a_site(name)
        for state in states:
            at(site, state)
    page = api.get("/sites/").context["page"]
    assert [state.site.name for state in page.object_list] == [
        "faulted",
        "two offline",
        "one offline",
        "empty",
        "fine",
    ]
    assert [state.state for state in page.object_list] == ["faulted", "offline", "offline", "", "available"]
    assert [state.in_trouble for state in page.object_list] == [1, 2, 1, 0, 0]


def test_sites_are_searched(api):
    a_site("Depot", address="Chausseestraße 1, Berlin")
    a_site("Harbour", contacts="Ann")
    for search, found in (("depot berlin", ["Depot"]), ("ann", ["Harbour"]), ("x", []), ("\0x", [])):
        assert [state.site.name for state in api.get("/sites/", {"search": search}).context["page"]] == found


def test_the_figures_of_a_site_are_those_of_its_chargers(api):
    session = charging(power=7000)
    Charger.objects.filter(pk=session.charger_id).update(site=a_site())
    charging(power=1000)
    (state,) = api.get("/sites/").context["page"]
    assert (state.power_w, state.open_sessions, state.total) == (7000, 1, 1)


def test_the_energy_of_today_is_since_the_midnight_of_the_site():
    """In Apia, the day is at least 11 hours ahead of that in Berlin."""
    now = datetime(2026, 6, 10, 12, 0, tzinfo=UTC)  # 14:00 in Berlin, 01:00 on the next day in Apia
    berlin, apia = a_site("Berlin", time_zone=BERLIN), a_site("Apia", time_zone=APIA)
    for site in (berlin, apia):
        for hours, energy in ((20, 1000), (5, 200), (0.5, 30)):  # before now
            session = a_transaction(a_charger(site=site), meterStart=0)
            start = now - timedelta(hours=hours)
            Transaction.objects.filter(pk=session.pk).update(
                start_time=start, stop_time=start, stop_received_at=start, meter_stop=energy
            )
    a_site("empty")
    assert sites.energy_today(Site.objects.all(), now) == {berlin.pk: 230, apia.pk: 30}


def test_the_energy_of_sites_is_that_of_the_fleet():
    """A transaction that was under way at midnight counts from its last register before."""
    from dashboard import fleet

    site = a_site(time_zone=BERLIN)
    now = datetime.now(UTC)
    midnight = day_bounds(now.astimezone(BERLIN).date(), BERLIN)[0]
    session = a_transaction(a_charger(site=site), meterStart=0)
    reading = {"measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    for moment, value in ((midnight - timedelta(hours=1), "500"), (midnight + timedelta(seconds=1), "1700")):
        values = [{"timestamp": moment.isoformat(), "sampledValue": [reading | {"value": value}]}]
        tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=values)
    Transaction.objects.filter(pk=session.pk).update(start_time=midnight - timedelta(hours=2))
    assert sites.energy_today([site], now) == {site.pk: 1200} == {site.pk: fleet.energy_today(now, BERLIN)}


LIST_QUERIES, SITE_QUERIES = 11, 19


def test_the_number_of_queries_does_not_depend_on_sites_and_chargers(api, django_assert_max_num_queries):
    def more(number):
        for _ in range(number):
            site = a_site(f"S{Site.objects.count()}", latitude=1, longitude=2)
            for _ in range(2):
                a_transaction(at(site))
        return site

    site = more(1)
    shown(api, "/sites/"), shown(api, f"/sites/{site.pk}/")
    with django_assert_max_num_queries(LIST_QUERIES):
        api.get("/sites/")
    more(4)
    with django_assert_max_num_queries(LIST_QUERIES):
        api.get("/sites/")
    with django_assert_max_num_queries(SITE_QUERIES):
        api.get(f"/sites/{site.pk}/")


def test_a_site_without_coordinates_is_listed_but_not_on_the_map(api):
    a_site("Depot")
    a_site("Harbour", latitude="53.5", longitude="9.9")
    context = api.get("/sites/").context
    assert len(context["page"]) == 2
    assert [(place["name"], place["at"]) for place in context["places"]] == [("Harbour", [9.9, 53.5])]


def test_the_map_loads_tiles_of_a_setting_and_the_policy_allows_only_their_server(api, settings):
    policy = "Content-Security-Policy"
    assert "tiles" not in api.get("/sites/").headers[policy]
    settings.MAP_TILES_URL = "https://tiles.example.com:8443/{z}/{x}/{y}.png"
    settings.MAP_TILES_ATTRIBUTION = "© <b>Example"
    client = Client()
    client.force_login(User.objects.get(username="alice"))
    answer = client.get("/sites/")
    assert "img-src 'self' https://tiles.example.com:8443 data:;" in answer.headers[policy]
    assert "© &lt;b&gt;Example" in answer.content.decode()


# --- rights ----------------------------------------------------------------------------------


def test_a_user_of_one_site_sees_only_it():
    user, client = limited()
    site, other = a_site(), a_site("Elsewhere")
    site.users.add(user)
    at(site, charger_id="MINE")
    group = ChargerGroup.objects.create(name="North")
    group.users.add(user)
    group.chargers.add(at(other, charger_id="SHARED"))
    at(other, charger_id="THEIRS")
    for path in ("/sites/", "/", "/?group=site", "/sites/place/", "/chargers/SHARED/"):
        page = shown(client, path)
        assert "Elsewhere" not in page, path
        assert "THEIRS" not in page, path
    assert "Depot" in shown(client, "/sites/")
    assert "MINE" in shown(client, f"/sites/{site.pk}/")
    assert client.get(f"/sites/{other.pk}/").status_code == 404
    assert client.get(f"/sites/{other.pk}/edit/").status_code == 404
    assert shown(client, f"/?site={other.pk}").count("SHARED") == 0
    assert "Elsewhere" not in client.get("/sites/export.csv").content.decode()
    assert "Users of this site" not in shown(client, f"/sites/{site.pk}/")


@pytest.mark.parametrize("path", ["new/", "{other}/delete/", "{mine}/delete/", "{mine}/users/"])
def test_a_user_of_one_site_adds_deletes_and_shares_no_site(path):
    user, client = limited()
    mine, other = a_site(), a_site("Other")
    mine.users.add(user)
    path = f"/sites/{path}".format(mine=mine.pk, other=other.pk)
    fields = {"name": "New", "time_zone": "UTC", "username": "bob", "do": "remove"}
    assert client.post(path, fields).status_code in (403, 404)
    assert Site.objects.count() == 2
    assert list(mine.users.all()) == [user]


def test_a_viewer_changes_nothing():
    user, client = limited(role="Viewers")
    site = a_site()
    site.users.add(user)
    charger = at(site)
    for path in ("new/", "place/", "import/", f"{site.pk}/edit/", f"{site.pk}/delete/", f"{site.pk}/users/"):
        answer = client.post(f"/sites/{path}", {"site": "none", "charger": charger.pk}, **HTML)
        assert answer.status_code == 403, path
    page = shown(client, f"/sites/{site.pk}/")
    assert "Edit…" not in page
    assert "Move chargers" not in page


def test_chargers_are_moved_only_to_sites_and_from_chargers_in_reach():
    user, client = limited()
    site, other = a_site(), a_site("Other")
    site.users.add(user)
    mine, theirs = at(site), at(other)
    client.post("/sites/place/", {"site": site.pk, "charger": theirs.pk})
    client.post("/sites/place/", {"site": other.pk, "charger": mine.pk})
    assert Charger.objects.get(pk=theirs.pk).site == other
    assert Charger.objects.get(pk=mine.pk).site == site


# --- the form --------------------------------------------------------------------------------


FIELDS = {
    "name": "Depot",
    "address": "Chausseestraße 1\nBerlin",
    "latitude": "52.532",
    "longitude": "13.38",
    "time_zone": "Europe/Berlin",
    "contacts": "Ann",
    "power_limit_w": "44000",
}


def test_a_site_is_added_changed_and_deleted(api):
    made = api.post("/sites/new/", FIELDS)
    site = Site.objects.get()
    assert made.headers["Location"] == f"/sites/{site.pk}/"
    assert (site.name, site.time_zone, site.power_limit_w) == ("Depot", BERLIN, 44000)
    assert "52.532" in shown(api, f"/sites/{site.pk}/edit/")
    api.post(f"/sites/{site.pk}/edit/", FIELDS | {"name": "New", "power_limit_w": ""})
    site.refresh_from_db()
    assert (site.name, site.power_limit_w) == ("New", None)
    charger = at(site)
    api.post(f"/sites/{site.pk}/delete/")
    assert not Site.objects.exists()
    assert Charger.objects.get(pk=charger.pk).site is None
    actions = AuditEntry.objects.filter(kind="site").values_list("action", flat=True)
    assert list(actions) == ["deleted", "changed", "created"]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"name": ""}, "This field is required."),
        ({"latitude": "91"}, "less than or equal to 90"),
        ({"longitude": ""}, "Enter both latitude and longitude, or neither."),
        ({"time_zone": "Mars/Olympus"}, "Select a valid choice"),
        ({"power_limit_w": "-1"}, "greater than or equal to 0"),
        ({"name": "Other"}, "Site with this Name already exists."),
    ],
)
def test_an_invalid_form_is_shown_again(api, wrong, text):
    a_site("Other")
    answer = api.post("/sites/new/", FIELDS | wrong)
    assert answer.status_code == 400
    assert text in answer.content.decode()
    assert Site.objects.count() == 1


# --- one site --------------------------------------------------------------------------------


def test_a_site_shows_its_details_its_chargers_and_its_local_time(api):
    site = a_site(address="Chausseestraße 1", contacts="Ann <1>", time_zone=APIA, power_limit_w=44000)
    at(site, charger_id="HERE-1")
    at(a_site("Other"), charger_id="THERE-1")
    page = shown(api, f"/sites/{site.pk}/")
    for text in ("Chausseestraße 1", "Ann &lt;1&gt;", "44.0\N{NO-BREAK SPACE}kW", "HERE-1", "Pacific/Apia"):
        assert text in page
    assert f"{datetime.now(APIA):%H:}" in page
    assert "THERE-1" not in page
    assert 'data-time-zone="Pacific/Apia"' in page
    assert api.get("/sites/999/").status_code == 404


def test_a_site_shows_its_power_limits_and_those_of_its_chargers(api):
    site, other = a_site(time_zone=BERLIN), a_site("Other")
    charger, foreign = at(site, charger_id="HERE-1"), at(other, charger_id="THERE-1")
    assert "No power limits" in shown(api, f"/sites/{site.pk}/")
    PowerLimit.objects.create(site=site, amount=50, weekdays=[6, 7])
    PowerLimit.objects.create(site=site, amount=32)
    PowerLimit.objects.create(charger=charger, amount=6000, unit="W", from_time="18:00", until_time="22:00")
    PowerLimit.objects.create(charger=charger, amount=7, removed_at=datetime.now(UTC))
    PowerLimit.objects.create(charger=foreign, amount=9)
    page = shown(api, f"/sites/{site.pk}/")
    for text in ("50 A", "32 A", "6 kW", "daily 18:00–22:00"):
        assert text in page
    assert page.count('class="curve"') == 2
    assert "/curves/chargers/HERE-1/limits.json?evse=0" in page
    assert "7 A" not in page
    assert "9 A" not in page
    curve = api.get(f"/curves/sites/{site.pk}/limits.json").json()
    assert set(curve["limit"]) == {32}  # the lowest of both
    assert api.get(f"/curves/sites/{other.pk}/limits.json").json() == {"at": [], "limit": []}


def test_the_power_limits_of_a_site_need_the_permission_to_view_commands(client):
    site = a_site()
    user = a_user(client, "view_charger", "view_site", group_of=[])
    site.users.add(user)
    PowerLimit.objects.create(site=site, amount=50)
    assert "50 A" not in shown(client, f"/sites/{site.pk}/")
    assert client.get(f"/curves/sites/{site.pk}/limits.json").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_command"))
    assert "50 A" in shown(client, f"/sites/{site.pk}/")
    assert client.get(f"/curves/sites/{a_site('Far').pk}/limits.json").status_code == 404


def test_the_queries_of_a_site_do_not_depend_on_its_power_limits(api):
    site, counts = a_site(), []
    for number in range(3):
        charger = at(site, charger_id=f"HERE-{number}")
        PowerLimit.objects.create(charger=charger, amount=6)
        PowerLimit.objects.create(site=site, amount=6)
        with CaptureQueriesContext(connection) as captured:
            shown(api, f"/sites/{site.pk}/")
        counts.append(len(captured))
    assert counts[1] == counts[2]


def test_pages_and_lists_of_a_site_show_times_in_its_zone(api):
    site = a_site(time_zone=APIA)
    charger = at(site, charger_id="HERE-1")
    session, command = a_transaction(charger), a_command(charger)
    a_transaction(a_charger("THERE-1"))
    paths = [page_of(charger), f"/transactions/{session.pk}/", f"/commands/{command.task_id}/"]
    paths += [f"/{name}/?site={site.pk}" for name in ("transactions", "commands", "batches")]
    for path in [*paths, f"/?site={site.pk}"]:
        page = shown(api, path)
        assert 'data-time-zone="Pacific/Apia"' in page, path
        assert "THERE-1" not in page, path
    assert 'data-time-zone="UTC"' in shown(api, "/transactions/")
    Transaction.objects.filter(pk=session.pk).update(start_time="2026-06-10T11:30:00Z")
    day = "&first_day=2026-06-11&last_day=2026-06-11"
    assert "2026-06-11 00:30:00" in shown(api, f"/transactions/?site=Depot{day}")
    assert "No transactions match" in shown(api, "/transactions/?first_day=2026-06-11&last_day=2026-06-11")


@pytest.mark.django_db(transaction=True)
def test_the_export_of_a_site_is_in_its_zone(api):
    session = a_transaction(at(a_site(time_zone=APIA)))
    Transaction.objects.filter(pk=session.pk).update(start_time="2026-06-10T11:30:00Z")
    exported = content(api.get("/transactions/export.csv?site=Depot&first_day=2026-06-11&last_day=2026-06-11"))
    assert "2026-06-11T00:30:00+13:00" in exported.decode()


def test_a_list_of_an_unknown_site_is_empty(api):
    a_transaction(at(a_site()))
    for path in ("/transactions/?site=x", "/commands/?site=x", "/?site=x", "/?site=%00"):
        assert not api.get(path).context["page"].object_list, path


def test_batches_of_a_site_are_those_of_its_chargers(api):
    site = a_site()
    for charger in (at(site), a_charger()):
        now = datetime.now(UTC)
        batch = Batch.objects.create(action="ClearCache", payload={}, chosen={}, total=1, start_at=now)
        BatchItem.objects.create(batch=batch, charger=charger, due_at=now)
    assert len(api.get("/batches/").context["page"].object_list) == 2
    (batch,) = api.get(f"/batches/?site={site.pk}").context["page"].object_list
    assert batch.items.get().charger.site == site


def test_the_page_of_a_charger_names_its_site(api):
    site = a_site(time_zone=APIA)
    page = shown(api, page_of(at(site)))
    assert f'<a href="/sites/{site.pk}/">Depot</a>' in page
    assert "(Pacific/Apia)" in page


# --- users of a site -------------------------------------------------------------------------


def test_a_colleague_without_a_role_gets_access_and_a_role(api):
    site, colleague = a_site(), User.objects.create_user("carol")
    charger = at(site)
    api.post(f"/sites/{site.pk}/users/", {"username": "carol", "role": "Viewers", "do": "add"})
    assert [group.name for group in colleague.groups.all()] == ["Viewers"]
    client = Client()
    client.force_login(User.objects.get(username="carol"))
    assert charger.identity in shown(client, f"/sites/{site.pk}/")
    api.post(f"/sites/{site.pk}/users/", {"username": "carol", "do": "remove"})
    assert client.get(f"/sites/{site.pk}/").status_code == 404
    assert AuditEntry.objects.filter(kind="site", action="changed").count() == 2


def test_a_colleague_keeps_the_role(api):
    site, (colleague, _) = a_site(), limited("carol", "Operators")
    api.post(f"/sites/{site.pk}/users/", {"username": "carol", "role": "Viewers", "do": "add"})
    assert [group.name for group in colleague.groups.all()] == ["Operators"]


@pytest.mark.parametrize("role", ["Managers", "Every charger", ""])
def test_other_roles_are_not_given(api, role):
    site, colleague = a_site(), User.objects.create_user("carol")
    answer = api.post(f"/sites/{site.pk}/users/", {"username": "carol", "role": role, "do": "add"}, follow=True)
    assert not colleague.groups.exists()
    assert "has no role" in answer.content.decode()


def test_an_unknown_user_is_reported(api):
    site = a_site()
    for name in ("nobody", "\0", ""):
        answer = api.post(f"/sites/{site.pk}/users/", {"username": name, "do": "add"}, follow=True)
        assert "There is no user" in answer.content.decode()


# --- chargers that are put at sites ----------------------------------------------------------


def test_selected_chargers_are_put_at_a_site_and_taken_away(api):
    site, chargers = a_site(), [a_charger(), a_charger(), a_charger()]
    api.post("/sites/place/", {"site": site.pk, "charger": [chargers[0].pk, chargers[1].pk]})
    assert set(site.chargers.all()) == set(chargers[:2])
    answer = api.post("/sites/place/", {"to": "none", "charger": chargers[0].pk}, follow=True)
    assert "Chargers moved: 1" in answer.content.decode()
    assert set(site.chargers.all()) == {chargers[1]}
    entries = AuditEntry.objects.filter(kind="charger", charger=chargers[0], action="changed")
    assert [(entry.before, entry.after) for entry in entries] == [
        ({"site": "Depot"}, {"site": None}),
        ({"site": None}, {"site": "Depot"}),
    ]


def test_all_chargers_that_match_are_put_at_a_site(api):
    site = a_site()
    for number in range(3):
        a_charger(f"ACME-{number}")
    a_charger("OTHER")
    api.post("/sites/place/?search=acme", {"to": site.pk, "all": "on"})
    assert sorted(site.chargers.values_list("identity", flat=True)) == ["ACME-0", "ACME-1", "ACME-2"]


@pytest.mark.parametrize("fields", [{}, {"site": "x"}, {"site": ""}, {"to": "999999"}])
def test_nothing_is_moved_without_a_site(api, fields):
    charger = at(a_site())
    answer = api.post("/sites/place/", fields | {"charger": charger.pk}, follow=True)
    assert "Select a site." in answer.content.decode()
    assert Charger.objects.get().site is not None


def test_hostile_numbers_of_chargers_are_ignored(api):
    site = a_site()
    api.post("/sites/place/", {"site": site.pk, "charger": ["x", "-1", "9" * 40, "٣", ""]})
    assert not site.chargers.exists()


# --- the fleet -------------------------------------------------------------------------------


def test_the_fleet_is_filtered_and_grouped_by_site(api):
    site, other = a_site("B depot"), a_site("A depot")
    here, there, nowhere = at(site), at(other), a_charger()
    assert [tile["charger"] for tile in api.get(f"/?site={site.pk}").context["tiles"]] == [here]
    assert [tile["charger"] for tile in api.get("/?site=none").context["tiles"]] == [nowhere]
    groups = api.get("/?group=site").context["tiles_by_site"]
    assert [(site and site[1], [tile["charger"] for tile in tiles]) for site, tiles in groups] == [
        ("A depot", [there]),
        ("B depot", [here]),
        (None, [nowhere]),
    ]
    assert api.get(f"/?site={site.pk}").context["counts"]["total"] == 1


# --- CSV -------------------------------------------------------------------------------------


def upload(api, text, **fields):
    data = text if isinstance(text, bytes) else text.encode()
    return api.post("/sites/import/", {"file": SimpleUploadedFile("sites.csv", data), **fields})


def test_a_file_is_shown_before_it_is_stored(api):
    a_charger("A")
    preview = upload(api, "charger_id,site,time_zone\nA,Depot,Europe/Berlin\n")
    assert preview.status_code == 200
    assert not Site.objects.exists()
    page = preview.content.decode()
    assert "1 charger is moved." in page
    assert "1 site is added." in page
    api.post("/sites/import/", {"text": preview.context["text"], "store": "1"})
    site = Site.objects.get()
    assert (site.name, site.time_zone, Charger.objects.get().site) == ("Depot", BERLIN, site)
    again = upload(api, "charger_id,site\nA,Depot\n").content.decode()
    assert "Everything is as in the file already." in again


def test_errors_of_a_file_are_shown_with_their_lines(api):
    a_charger("A")
    answer = upload(api, "charger_id,site,latitude\nA,Depot,x\nB,Depot,\n")
    assert answer.status_code == 400
    assert [(problem.line, problem.column) for problem in answer.context["problems"]] == [
        (2, "latitude"),
        (3, "charger_id"),
    ]
    assert not Site.objects.exists()
    assert api.post("/sites/import/").status_code == 400


def test_an_export_is_imported_again(api):
    at(a_site("=1+1", address='a, "b"\nc', latitude="1.5", longitude="-2"), charger_id="=A")
    a_site("empty")
    a_charger("B")
    exported = api.get("/sites/export.csv").content
    assert b"'=1+1" in exported
    preview = upload(api, exported)
    assert preview.status_code == 200, preview.context["problems"]
    assert preview.context["is_unchanged"]


# --- schedules -------------------------------------------------------------------------------


def schedule_of(api, **fields):
    usual = {"when": "crontab", "when_crontab": "0 6 * * *", "schedule_name": "daily", "of_search": "CP-"}
    api.post("/batches/new/ClearCache/", usual | {"confirmed": "1"} | fields)
    return Schedule.objects.get()


def test_the_crontab_of_a_site_is_in_its_zone(api):
    a_site(time_zone=APIA)
    assert schedule_of(api, of_site="Depot", of_search="").timezone == APIA


def test_the_crontab_of_other_chargers_is_in_the_zone_of_the_pages(api):
    assert schedule_of(api).timezone == ZoneInfo("UTC")


def test_a_time_of_a_site_is_in_its_zone(api):
    a_site(time_zone=APIA)
    made = schedule_of(api, of_site="Depot", of_search="", when="at", when_at="2099-01-31 03:00")
    assert made.at == datetime(2099, 1, 31, 3, tzinfo=APIA)


def test_the_crontab_over_rest_is_in_the_zone_of_the_site(api):
    a_site(time_zone=APIA)
    body = {"name": "x", "action": "ClearCache", "filter": {"site": "Depot"}, "crontab": "0 6 * * *"}
    made = api.post("/api/ocpp/schedules/", body, content_type="application/json")
    assert made.json()["timezone"] == "Pacific/Apia", made.json()
    body |= {"name": "y", "timezone": "Europe/Berlin"}
    made = api.post("/api/ocpp/schedules/", body, content_type="application/json")
    assert made.json()["timezone"] == "Europe/Berlin"
