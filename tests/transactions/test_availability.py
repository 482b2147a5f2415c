"""Outages are computed from events, and reports of availability and faults from outages."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command

from chargers.models import Event
from tests.support.builders import a_charger
from tests.support.dashboard import a_user
from tests.support.sessions import a_port, a_site, happened, offline, status
from transactions.models import Outage
from transactions.services import outages

pytestmark = pytest.mark.django_db
AVAILABILITY, FAULTS, OUTAGES = (
    f"/api/ocpp/{path}/" for path in ("reports/availability", "reports/faults", "outages")
)
OCTOBER = {"from": "2025-10-01", "to": "2025-10-31"}
HOUR = 3600
HOURS_OF_OCTOBER = 31 * 24 + 1  # summer time ends in Berlin


def report(api, path=AVAILABILITY, **query):
    answer = api.get(path, OCTOBER | query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def stored():
    rows = Outage.objects.order_by("began_at", "evse_id", "kind")
    return list(rows.values_list("kind", "evse_id", "began_at", "ended_at"))


@pytest.fixture
def site(settings):
    settings.TIME_ZONE_DISPLAY = "Europe/Berlin"
    return a_site()


def test_uptime_by_both_definitions(api, site):
    charger = a_port(site=site)
    offline(charger, "2025-10-02T00:00:00Z", "2025-10-02T10:00:00Z")
    status(charger, "2025-10-02T09:00:00Z", "Faulted", error_code="GroundFailure")  # an hour of both
    status(charger, "2025-10-02T12:00:00Z", "Available")
    status(charger, "2025-10-03T00:00:00Z", "Unavailable")
    status(charger, "2025-10-03T08:00:00Z", "Available")
    outages.update()
    found = report(api)
    measured = HOURS_OF_OCTOBER * HOUR
    assert found["time_zone"] == "Europe/Berlin"
    assert found["results"] == [
        {
            "site": site.pk,
            "site_name": "Depot",
            "ports": 1,
            "measured_seconds": measured,
            "outage_seconds": 12 * HOUR,
            "uptime_percent": str((100 - Decimal(1200) / HOURS_OF_OCTOBER).quantize(Decimal("0.001"))),
            "nevi_outage_seconds": 20 * HOUR,
            "nevi_excluded_seconds": 0,
            "nevi_uptime_percent": str((100 - Decimal(2000) / HOURS_OF_OCTOBER).quantize(Decimal("0.001"))),
        }
    ]
    [unavailable] = api.get(OUTAGES, {"kind": "unavailable"}).json()["results"]
    excluded = api.patch(
        f"{OUTAGES}{unavailable['id']}/", {"excluded_because": "maintenance"}, content_type="application/json"
    )
    assert excluded.json()["excluded_because"] == "maintenance"
    assert report(api)["totals"]["nevi_excluded_seconds"] == 8 * HOUR
    assert report(api)["totals"]["nevi_uptime_percent"] == report(api)["totals"]["uptime_percent"]
    refused = api.patch(f"{OUTAGES}{unavailable['id']}/", {"excluded_because": "x"}, content_type="application/json")
    assert refused.status_code == 400


def test_the_groups_of_the_report(api, site):
    charger, other = a_port("A", 2, site=site), a_port("B")
    a_charger("never connected")
    status(charger, "2025-10-02T00:00:00Z", "Faulted", evse=2)
    status(charger, "2025-10-02T01:00:00Z", "Available", evse=2)
    status(charger, "2025-10-31T22:00:00Z", "Faulted", evse=0)  # of the whole charger, an hour before November
    status(charger, "2025-11-01T00:00:00Z", "Available", evse=0)
    outages.update()

    def by(group, **query):
        rows = report(api, group_by=group, **query)["results"]
        return [(*list(row.values())[:-7], row["ports"], row["outage_seconds"] // HOUR) for row in rows]

    assert by("port") == [
        ("A", site.pk, "Depot", 1, 1, 1),
        ("A", site.pk, "Depot", 2, 1, 2),
        ("B", None, None, 1, 1, 0),
    ]
    assert by("charger") == [("A", site.pk, "Depot", 2, 3), ("B", None, None, 1, 0)]
    assert by("site") == [(site.pk, "Depot", 2, 3), (None, None, 1, 0)]
    assert by("month", to="2025-11-30") == [("2025-10", 3, 3), ("2025-11", 3, 2)]
    assert by("charger", charger_id=other.identity) == [("B", None, None, 1, 0)]
    assert by("charger", site="Depot") == [("A", site.pk, "Depot", 2, 3)]


def test_an_outage_that_goes_on_counts_until_now(api, site):
    charger = a_port(site=site)
    begin = datetime.now(UTC) - timedelta(hours=2)
    offline(charger, begin.isoformat())
    outages.update()
    today = str(datetime.now(UTC).date() + timedelta(days=1))
    found = api.get(AVAILABILITY, {"from": str(begin.date() - timedelta(days=1)), "to": today}).json()
    assert 2 * HOUR <= found["totals"]["outage_seconds"] <= 2 * HOUR + 60
    assert api.get(OUTAGES, {"is_under_way": "true"}).json()["results"][0]["ended_at"] is None


def test_outages_are_computed_once_and_stay_when_events_are_deleted():
    charger = a_port()
    offline(charger, "2025-10-02T00:00:00Z", "2025-10-02T01:00:00Z")
    offline(charger, "2025-10-05T00:00:00Z")
    status(charger, "2025-10-05T00:00:00Z", "Faulted", error_code="GroundFailure")
    status(charger, "2025-10-05T01:00:00Z", "Faulted", error_code="GroundFailure")  # said again
    for _ in range(2):
        outages.update()
        assert [kind for kind, *_ in stored()] == ["offline", "offline", "faulted"]
    first = stored()
    Event.objects.all().delete()
    outages.update()
    outages.update(everything=True)
    assert stored() == first
    status(charger, "2025-10-05T02:00:00Z", "Faulted", error_code="GroundFailure")
    status(charger, "2025-10-05T03:00:00Z", "Faulted", error_code="OverVoltage")
    happened(charger, "charger.online", "2025-10-07T00:00:00Z", since="2025-10-07T00:00:00Z")
    for everything in (False, True):
        outages.update(everything)
        ends = {
            (kind, began.isoformat()[:13]): ended and ended.isoformat()[:13] for kind, _, began, ended in stored()
        }
        assert ends == {
            ("offline", "2025-10-02T00"): "2025-10-02T01",
            ("offline", "2025-10-05T00"): "2025-10-07T00",
            ("faulted", "2025-10-05T00"): "2025-10-05T03",
            ("faulted", "2025-10-05T03"): None,
        }


def test_step_by_step_and_at_once_are_equal():
    """The outages do not depend on when they were computed."""
    charger = a_port()
    for hour in range(60):
        at = (datetime(2025, 10, 1, tzinfo=UTC) + timedelta(hours=hour)).isoformat()
        if hour % 7 < 2:
            happened(charger, ("charger.offline", "charger.online")[hour % 7], at, since=at)
        status(charger, at, ("Faulted", "Faulted", "Available", "Unavailable", "Charging")[hour % 5])
        outages.update()
    by_steps = stored()
    Outage.objects.all().delete()
    call_command("rebuild_reports", stdout=StringIO(), stderr=StringIO())
    assert stored() == by_steps
    assert len(by_steps) > 20


def test_top_faults(api, site):
    charger, other = a_port("A", 2, site=site), a_port("B")
    for hour in (1, 3, 5):
        status(charger, f"2025-10-02T0{hour}:00:00Z", "Faulted", error_code="OtherError", vendor_error_code="E7")
        status(charger, f"2025-10-02T0{hour}:30:00Z", "Available")
    status(other, "2025-10-02T00:00:00Z", "Faulted", error_code="GroundFailure")
    status(other, "2025-10-02T09:00:00Z", "Available")
    status(other, "2025-12-02T00:00:00Z", "Faulted", error_code="Later")
    outages.update()
    rows = report(api, FAULTS)["results"]
    assert [(r["error_code"], r["vendor_error_code"], r["count"], r["chargers"], r["seconds"]) for r in rows] == [
        ("OtherError", "E7", 3, 1, 5400),
        ("GroundFailure", "", 1, 1, 9 * HOUR),
    ]
    assert [r["error_code"] for r in report(api, FAULTS, site=site.pk)["results"]] == ["OtherError"]


def test_only_chargers_within_reach_are_counted(client, site):
    near, far = a_port("N"), a_port("F", site=site)
    for charger in (near, far):
        status(charger, "2025-10-02T00:00:00Z", "Faulted", error_code=charger.identity)
    outages.update()
    user = a_user(client, "view_transaction", "view_outage", group_of=[near])
    assert [row["charger_id"] for row in report(client, group_by="charger")["results"]] == ["N"]
    assert [row["error_code"] for row in report(client, FAULTS)["results"]] == ["N"]
    assert [row["charger_id"] for row in client.get(OUTAGES).json()["results"]] == ["N"]
    hidden = Outage.objects.get(charger=far).pk
    assert client.get(f"{OUTAGES}{hidden}/").status_code == 404
    user.user_permissions.clear()
    assert {client.get(path).status_code for path in (AVAILABILITY, FAULTS, OUTAGES)} == {403}


@pytest.mark.parametrize("group_by", ["site", "month"])
def test_a_period_of_more_than_ten_years_is_refused(api, site, group_by):
    """Each month is computed from the outages in it, so 10,000 years would take seconds."""
    a_port(site=site)
    query = {"group_by": group_by}
    refused = api.get(AVAILABILITY, query | {"from": "0001-01-01", "to": "9999-12-31"})
    assert (refused.status_code, refused.json()["fields"]) == (400, {"from": ["A period has at most 3660 days."]})
    assert api.get(AVAILABILITY, query | {"from": "1990-01-01"}).status_code == 400
    for first, last in (("2016-01-01", "2025-12-31"), ("9999-12-01", "9999-12-31"), ("0001-01-01", "0001-01-31")):
        assert api.get(AVAILABILITY, query | {"from": first, "to": last}).status_code == 200, (first, last)
