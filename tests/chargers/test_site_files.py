"""Sites and the chargers at them from CSV: files that are read, and errors, with which nothing is stored."""

import time
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from chargers.models import AuditEntry, Charger, ChargerGroup, Site
from chargers.services import site_files
from tests.support.builders import a_charger

pytestmark = pytest.mark.django_db
IMPORT = "/api/ocpp/sites/import/"


def read(text, user=None):
    data = text if isinstance(text, bytes) else text.encode()
    return site_files.read(user or User.objects.get(username="alice"), data)


def problems(text, user=None):
    return [(found.line, found.column) for found in read(text, user).problems]


@pytest.fixture(autouse=True)
def alice(api):
    return api


def test_sites_are_created_changed_and_their_chargers_moved():
    former = Site.objects.create(name="Former")
    a_charger("A", site=former)
    a_charger("B")
    plan = read(
        "charger_id,site,address,latitude,longitude,time_zone,power_limit_w,offline_minutes\r\n"
        'A,Depot,"Chausseestraße 1\nBerlin",52.5320004,13.38,Europe/Berlin,44000,30\r\n'
        "B,Depot,,,,,\r\n"
        "\r\n"
        ",Former,New street,,,,\r\n"
    )
    assert plan.problems == []
    assert site_files.carry_out(plan) == 2
    depot = Site.objects.get(name="Depot")
    assert (depot.address, depot.latitude, depot.power_limit_w) == (
        "Chausseestraße 1\nBerlin",
        Decimal("52.532000"),
        44000,
    )
    assert (depot.time_zone, depot.offline_minutes) == (ZoneInfo("Europe/Berlin"), 30)
    assert sorted(depot.chargers.values_list("identity", flat=True)) == ["A", "B"]
    assert Site.objects.get(name="Former").address == "New street"
    moved = AuditEntry.objects.filter(kind="charger", action="changed").values_list("name", "before", "after")
    assert sorted(moved, key=str) == [
        ("A", {"site": "Former"}, {"site": "Depot"}),
        ("B", {"site": None}, {"site": "Depot"}),
    ]


def test_an_empty_site_takes_the_charger_away():
    a_charger("A", site=Site.objects.create(name="Depot"))
    site_files.carry_out(read("charger_id,site\nA,\n"))
    assert Charger.objects.get().site is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_delimiters_and_byte_order_marks_of_spreadsheets_are_read(delimiter, encoding):
    a_charger("A")
    lines = [["Charger_ID ", " site", "latitude", "longitude"], ["A", "Köln", "50.9", "6.9"]]
    if delimiter != ",":
        lines[1][2:] = ["50,9", "6,9"]
    plan = read("\n".join(delimiter.join(line) for line in lines).encode(encoding))
    assert plan.problems == []
    (site,) = plan.new
    assert (site.name, site.latitude, site.longitude) == ("Köln", Decimal("50.9"), Decimal("6.9"))


HEAD = "charger_id,site,address,latitude,longitude,time_zone,power_limit_w,offline_minutes\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [(1, "")]),
        ("\n", [(1, "")]),
        ("charger_id\nA\n", [(1, "")]),
        ("charger_id,site,colour\nA,Depot,red\n", [(1, "")]),
        ("charger_id,site,site\nA,Depot,Depot\n", [(1, "")]),
        ("charger_id,site\nA,Depot,more\n", [(2, "")]),
        ('charger_id,site\nA,"Depot\n', [(2, "")]),
        ('charger_id,site\nA,"De"pot\n', [(2, "")]),
        ("charger_id,site\nA,De\0pot\n", [(2, "")]),
        ("charger_id,site\nA,Köln\n".encode("latin-1"), [(2, "")]),
        ("charger_id,site\nA,Depot\n".encode("utf-16"), [(1, "")]),
        (b"PK\x03\x04\xff\xfe spreadsheet", [(1, "")]),
        ("charger_id,site\nX,Depot\n", [(2, "charger_id")]),
        ("charger_id,site\nA,Depot\nA,Depot\n", [(3, "charger_id")]),
        ("charger_id,site\nA,Depot\nA,Other\n", [(3, "charger_id")]),
        (f"charger_id,site\nA,{'x' * 101}\n", [(2, "site")]),
        (HEAD + "A,,Street 1,,,,\n", [(2, "site")]),
        (HEAD + "A,Depot,,91,0,,\n", [(2, "latitude")]),
        (HEAD + "A,Depot,,nan,0,,\n", [(2, "latitude")]),
        (HEAD + "A,Depot,,1e9,0,,\n", [(2, "latitude")]),
        (HEAD + "A,Depot,,1,,,\n", [(2, "longitude")]),
        (HEAD + "A,Depot,,,,Mars/Olympus,\n", [(2, "time_zone")]),
        (HEAD + "A,Depot,,,,,-1\n", [(2, "power_limit_w")]),
        (HEAD + "A,Depot,,,,,9999999999\n", [(2, "power_limit_w")]),
        (HEAD + "A,Depot,,,,,,0\n", [(2, "offline_minutes")]),
        (HEAD + "A,Depot,,,,,,x\n", [(2, "offline_minutes")]),
        (HEAD + "A,Depot,Street 1,,,,\nB,Depot,Street 2,,,,\n", [(3, "address")]),
    ],
)
def test_a_file_with_an_error_names_its_line_and_column(text, found):
    a_charger("A")
    a_charger("B")
    assert problems(text) == found


def test_all_errors_are_found_at_once():
    a_charger("A")
    assert problems(HEAD + "X,Depot,,x,0,,\nA,Depot,,,,nowhere,\nY,,,,,,\n") == [
        (2, "latitude"),
        (2, "charger_id"),
        (3, "time_zone"),
        (4, "charger_id"),
    ]


def test_formulas_are_texts_and_lose_the_quote_of_an_export():
    a_charger("=1+1")
    plan = read("charger_id,site\n'=1+1,'=cmd|' /C calc'!A0\n")
    assert [(charger.identity, site.name) for charger, site in plan.places] == [("=1+1", "=cmd|' /C calc'!A0")]
    assert read("charger_id,site\n=1+1,-2\n").new[0].name == "-2"


def test_an_export_is_read_as_it_was_written(api):
    names = ["=1+1", "'=1+1", "''=1", "'quoted", "''", "'", "-2", "'-2", "a'b", "\t'x"]
    for name in names:
        a_charger(name, site=Site.objects.create(name=name.strip()))
    written = api.get("/sites/export.csv").content
    plan = read(written)
    assert plan.problems == []
    assert {charger.identity: site.name for charger, site in plan.places} == {name: name.strip() for name in names}
    assert (plan.new, plan.changed, plan.moved) == ([], [], [])


def limited(*roles):
    user = User.objects.create_user("bob")
    user.groups.set(Group.objects.filter(name__in=roles))
    return user


def test_a_user_of_one_site_moves_only_chargers_in_reach_to_it():
    user, mine = limited("Managers"), Site.objects.create(name="Mine")
    other = Site.objects.create(name="Other")
    mine.users.add(user)
    a_charger("A", site=mine)
    a_charger("B", site=other)
    assert problems("charger_id,site\nA,Mine\n", user) == []
    assert problems("charger_id,site\nB,Mine\n", user) == [(2, "charger_id")]
    for text in ("charger_id,site\nA,Other\n", "charger_id,site\nA,New\n"):
        (problem,) = read(text, user).problems
        assert "There is no site" in problem.text
    assert problems(HEAD + "A,Mine,New street,,,,\n", user) == []
    user.groups.set(Group.objects.filter(name="Viewers"))
    user = User.objects.get(pk=user.pk)
    assert problems(HEAD + "A,Mine,New street,,,,\n", user) == [(2, "site")]


def test_a_user_of_one_site_moves_chargers_between_own_sites_only():
    """After another move the user, or those of the other site, would not reach the charger any more."""
    user, (mine, second, other) = limited("Managers"), (Site.objects.create(name=name) for name in "MSO")
    for site in (mine, second):
        site.users.add(user)
    group = ChargerGroup.objects.create(name="Group")
    group.users.add(user)
    group.chargers.set([a_charger("NOWHERE"), a_charger("THEIRS", site=other)])
    a_charger("MINE", site=mine)
    client = Client()
    client.force_login(user)
    allowed = [("MINE", "S"), ("NOWHERE", "M"), ("MINE", "M"), ("THEIRS", "O"), ("THEIRS", "")]
    for charger, site, is_allowed in [
        *((*row, True) for row in allowed),
        ("MINE", "", False),
        ("THEIRS", "M", False),
    ]:
        expected = [] if is_allowed else [(2, "site")]
        text = f"charger_id,site\n{charger},{site}\n"
        if (charger, site) != ("THEIRS", "O"):  # a site that the user does not see does not exist
            assert problems(text, user) == expected, text
        if charger != "THEIRS" or not is_allowed:
            answer = client.patch(f"/api/ocpp/chargers/{charger}/", {"site": site or None}, "application/json")
            assert answer.status_code == (200 if is_allowed else 400), (text, answer.content)
            if not is_allowed:
                assert answer.json()["fields"] == {"site": ["You may move chargers between your sites only."]}
    assert read("charger_id,site\nTHEIRS,\n", user).places == []  # the export of this user shows no site there
    assert Charger.objects.get(identity="THEIRS").site == other
    page = client.get("/sites/place/").content.decode()
    assert "No site" not in page
    body = {"site": "none", "charger": Charger.objects.get(identity="MINE").pk}
    shown = client.post("/sites/place/", body, follow=True, headers={"Accept-Language": "de"}).content.decode()
    assert "Sie dürfen Ladestationen nur zwischen Ihren Standorten verschieben." in shown
    assert Charger.objects.get(identity="MINE").site == mine


def test_a_large_file_is_read_and_stored_in_seconds():
    Charger.objects.bulk_create(Charger(identity=f"CP-{number:05}") for number in range(5000))
    lines = "".join(f"CP-{number:05},Site {number % 200},Street {number % 200}\n" for number in range(5000))
    began = time.process_time()
    plan = read("charger_id,site,address\n" + lines)
    assert (plan.problems, len(plan.new)) == ([], 200)
    assert site_files.carry_out(plan) == 5000
    assert time.process_time() - began < 10
    assert Site.objects.get(name="Site 7").chargers.count() == 25
    assert AuditEntry.objects.filter(kind="charger").count() == 5000


def test_a_file_with_too_many_lines_is_refused():
    lines = "A,Depot\n" * (site_files.MAX_LINES + 1)
    assert problems("charger_id,site\n" + lines) == [(site_files.MAX_LINES + 2, "")]
    assert problems(b"x" * (site_files.MAX_BYTES + 1)) == [(1, "")]


# --- over REST -------------------------------------------------------------------------------


def test_a_file_is_imported_over_rest(api):
    a_charger("A")
    text = "charger_id,site\nA,Depot\n"
    done = api.post(IMPORT, text, content_type="text/csv")
    assert (done.status_code, done.json()) == (200, {"chargers": 1, "sites_created": 1, "sites_changed": 0})
    again = api.post(IMPORT, {"file": SimpleUploadedFile("x.csv", text.encode())})
    assert (again.status_code, again.json()["chargers"]) == (200, 0)
    assert Charger.objects.get().site.name == "Depot"


def test_errors_over_rest_have_their_lines_and_change_nothing(api):
    a_charger("A")
    refused = api.post(IMPORT, "charger_id,site\nA,Depot\nB,Depot\n", content_type="text/csv; charset=utf-8")
    assert refused.status_code == 400
    assert refused.json() == {
        "error": "line 3 charger_id: There is no charger B.",
        "fields": {"line 3 charger_id": ["There is no charger B."]},
    }
    assert not Site.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("", "text/csv", 400),
        ("{}", "application/json", 415),
        ("x", "multipart/form-data", 400),
        ("x", "multipart/form-data; boundary=x", 400),
    ],
)
def test_other_bodies_are_refused(api, body, content_type, status):
    assert api.post(IMPORT, body, content_type=content_type).status_code == status


def test_the_import_needs_the_permission_to_change_chargers():
    client = Client()
    client.force_login(limited("Viewers"))
    assert client.post(IMPORT, "charger_id,site\n", content_type="text/csv").status_code == 403
    assert client.get(IMPORT).status_code == 405
