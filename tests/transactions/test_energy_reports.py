"""Reports of energy: the totals of days equal the sum of the sessions, whatever changes these."""

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chargers.models import ChargerGroup
from tests.support.builders import a_charger, a_transaction, tell
from tests.support.sessions import a_session, a_site
from transactions.models import DayTotal, MonthTotal, StaleDay, Tariff, Transaction
from transactions.services import corrections, day_totals

pytestmark = pytest.mark.django_db
REPORT = "/api/ocpp/reports/energy/"
BERLIN = ZoneInfo("Europe/Berlin")
# Summer time ends in Berlin on 26 October 2025: the hour from 02:00 to 03:00 is twice.
OCTOBER = {"from": "2025-10-01", "to": "2025-10-31"}


def report(api, **query):
    answer = api.get(REPORT, query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def by(api, group_by, member="energy_wh", **query):
    rows, names = report(api, group_by=group_by, **query)["results"], {"site": "site_name", "charger": "charger_id"}
    return {row[names.get(group_by, group_by)]: row[member] for row in rows}


def test_a_session_counts_whole_on_the_local_day_of_its_start(api):
    charger = a_charger("A", site=a_site())
    a_session(charger, "2025-10-25T21:59:00Z", 1)  # 23:59 in summer time
    a_session(charger, "2025-10-25T22:00:00Z", 2)  # midnight
    a_session(charger, "2025-10-26T22:59:00Z", 4)  # 23:59, on a day of 25 hours
    a_session(charger, "2025-10-26T23:00:00Z", 8)
    assert by(api, "day", **OCTOBER) == {"2025-10-25": 1, "2025-10-26": 6, "2025-10-27": 8}
    one = report(api, group_by="day", **{"from": "2025-10-26", "to": "2025-10-26"})
    assert (one["totals"]["energy_wh"], one["totals"]["sessions"], one["time_zone"]) == (6, 2, "Europe/Berlin")
    assert one["totals"]["duration_seconds"] == 2 * 3600


def test_each_charger_counts_in_the_zone_of_its_site(api, settings):
    settings.TIME_ZONE_DISPLAY = "Pacific/Auckland"
    for name, zone in (("A", "Europe/Berlin"), ("B", "America/Los_Angeles")):
        a_session(a_charger(name, site=a_site(name, zone)), "2025-10-31T23:30:00Z")
    a_session(a_charger("C"), "2025-10-31T10:30:00Z")  # half past eleven at night
    a_session(a_charger("D"), "2025-10-31T11:30:00Z")
    assert by(api, "charger", "sessions", **OCTOBER) == {"B": 1, "C": 1}
    assert report(api, **OCTOBER)["time_zone"] is None
    assert report(api, site="A", **OCTOBER)["time_zone"] == "Europe/Berlin"


def test_the_groups_of_a_report(api):
    north, south = a_site("North"), a_site("South")
    a, b, loose = a_charger("A", site=north), a_charger("B", site=south), a_charger("C")
    Tariff.objects.create(description="t", currency="EUR", energy_per_kwh="0.333").chargers.add(a, b)
    a_session(a, "2025-10-01T12:00:00Z", 1000, "T1")
    a_session(b, "2025-10-02T12:00:00Z", 2000, "T2")
    a_session(b, "2025-11-02T12:00:00Z", 4000, "T1")
    a_session(loose, "2025-10-02T12:00:00Z", None, "T2")
    a_transaction(a, timestamp="2025-10-03T12:00:00Z")  # under way
    period = {"from": "2025-10-01", "to": "2025-11-30"}
    assert by(api, "site", **period) == {"North": 1000, "South": 6000, None: 0}
    assert by(api, "charger", **period) == {"A": 1000, "B": 6000, "C": 0}
    assert by(api, "id_tag", **period) == {"T1": 5000, "T2": 2000}
    assert by(api, "month", **period) == {"2025-10": 3000, "2025-11": 4000}
    assert by(api, "site", "cost", **period) == {"North": {"EUR": "0.33"}, "South": {"EUR": "2.00"}, None: {}}
    assert by(api, "charger", id_tag="T1", **period) == {"A": 1000, "B": 4000}
    assert by(api, "charger", site=north.pk, **period) == {"A": 1000}
    assert by(api, "charger", site="South", **period) == {"B": 6000}
    assert by(api, "day", charger_id="B", **period) == {"2025-10-02": 2000, "2025-11-02": 4000}
    assert by(api, "charger", site="Nowhere", **period) == {}
    totals = report(api, **period)["totals"]
    assert (totals["sessions"], totals["sessions_charged"], totals["sessions_without_energy"]) == (4, 3, 1)
    assert (totals["energy_wh"], totals["cost"]) == (7000, {"EUR": "2.33"})


def test_without_days_it_is_the_present_month(api):
    today = datetime.now(UTC).date()
    found = report(api)
    assert (found["group_by"], found["from"], found["to"]) == ("site", f"{today:%Y-%m}-01", str(today))


def test_the_success_of_sessions(api):
    charger = a_charger("A")
    reasons = ("", "Local", "Remote", "EVDisconnected", "PowerLoss", "EmergencyStop")
    for hour, reason in enumerate(reasons, 10):
        session = a_session(charger, f"2025-10-02T{hour}:00:00Z")
        Transaction.objects.filter(pk=session.pk).update(stop_reason=reason)
    a_session(charger, "2025-10-02T20:00:00Z", 0)
    a_session(charger, "2025-10-03T12:00:00Z", None)
    Transaction.objects.get(pk=a_transaction(charger, timestamp="2025-10-04T12:00:00Z").pk).close("ann")
    answer = api.get("/api/ocpp/reports/sessions/", {"group_by": "day", **OCTOBER})
    assert answer.status_code == 200, answer.content
    first, *_ = answer.json()["results"]
    assert first == {
        "day": "2025-10-02", "sessions": 7, "sessions_succeeded": 4, "sessions_interrupted": 2, "failed_starts": 1,
        "sessions_without_energy": 0, "success_percent": "57.14",
    }  # fmt: skip
    totals = answer.json()["totals"]
    assert (totals["sessions"], totals["sessions_without_energy"], totals["success_percent"]) == (9, 2, "44.44")


@pytest.mark.parametrize("query", [{"from": "2025-10-02", "to": "2025-10-01"}, {"from": "x"}, {"group_by": "week"}])
def test_an_invalid_selection_is_refused(api, query):
    assert api.get(REPORT, query).status_code == 400


def test_only_chargers_within_reach_are_counted(api):
    near, far = a_site("Near"), a_site("Far")
    group = ChargerGroup.objects.create(name="g")
    in_group = a_charger("G")
    group.chargers.add(in_group)
    for charger in (a_charger("N", site=near), a_charger("F", site=far), in_group):
        a_session(charger, "2025-10-02T12:00:00Z", tag=f"T-{charger.identity}")
    bob = User.objects.create_user("bob")
    bob.groups.set(Group.objects.filter(name="Viewers"))
    near.users.add(bob)
    group.users.add(bob)
    client = Client()
    client.force_login(bob)
    assert by(client, "charger", "sessions", **OCTOBER) == {"G": 1, "N": 1}
    assert by(client, "id_tag", "sessions", **OCTOBER) == {"T-G": 1, "T-N": 1}
    assert report(client, site="Far", **OCTOBER)["totals"]["sessions"] == 0
    assert report(client, site=far.pk, **OCTOBER)["totals"]["sessions"] == 0
    assert report(client, charger_id="F", **OCTOBER)["totals"]["sessions"] == 0
    bob.groups.clear()
    assert client.get(REPORT).status_code == 403


def test_a_pin_is_not_stored_in_totals(api):
    session = a_session(a_charger(), "2025-10-02T12:00:00Z", tag="1234")
    Transaction.objects.filter(pk=session.pk).update(id_token_type="KeyCode")
    assert by(api, "id_tag", "sessions", **OCTOBER) == {"(hidden)": 1}
    assert not DayTotal.objects.filter(id_tag="1234").exists()


def test_every_change_of_a_session_is_counted(api):
    charger = a_charger("A", site=a_site())
    total = lambda: report(api, **OCTOBER)["totals"]  # noqa: E731
    session = a_transaction(charger, timestamp="2025-10-02T12:00:00Z")
    assert total()["sessions"] == 0
    session.close("ann")
    assert (total()["sessions"], total()["sessions_without_energy"]) == (1, 1)
    tell(charger, "StopTransaction", transactionId=session.pk, timestamp="2025-10-02T13:00:00Z", meterStop=3000)
    assert (total()["energy_wh"], total()["duration_seconds"]) == (2000, 3600)
    corrections.correct(session, "ann", {"meter_stop": 5000, "end_time": datetime(2025, 10, 2, 14, tzinfo=UTC)})
    assert (total()["energy_wh"], total()["duration_seconds"]) == (4000, 7200)
    Transaction.objects.filter(pk=session.pk).update(start_time=datetime(2025, 11, 2, tzinfo=UTC))
    assert total()["sessions"] == 0
    Transaction.objects.filter(pk=session.pk).update(start_time=datetime(2025, 10, 2, tzinfo=UTC))
    assert total()["sessions"] == 1
    Transaction.objects.filter(pk=session.pk).delete()
    assert total()["sessions"] == 0


def test_a_session_under_way_and_a_note_are_not_noted():
    charger = a_charger()
    session = a_session(charger, "2025-10-02T12:00:00Z")
    day_totals.SESSIONS.update()
    reading = {"timestamp": "2025-10-03T12:05:00Z", "sampledValue": [{"value": "1500"}]}
    under_way = a_transaction(charger, timestamp="2025-10-03T12:00:00Z")
    tell(charger, "MeterValues", connectorId=1, transactionId=under_way.pk, meterValue=[reading])
    Transaction.objects.filter(pk=session.pk).update(note="paid")
    assert not StaleDay.objects.exists()


def test_a_moved_charger_and_a_changed_zone_are_counted_again(api):
    berlin, tokyo = a_site("Berlin"), a_site("Tokyo", "Asia/Tokyo")
    charger = a_charger("A", site=berlin)
    a_session(charger, "2025-10-31T20:00:00Z")
    assert by(api, "day", "sessions", **OCTOBER) == {"2025-10-31": 1}
    charger.site = tokyo
    charger.save()
    assert by(api, "day", "sessions", **OCTOBER) == {}
    tokyo.time_zone = "Europe/Berlin"
    tokyo.save()
    assert by(api, "site", "sessions", **OCTOBER) == {"Tokyo": 1}
    tokyo.delete()
    assert by(api, "site", "sessions", **OCTOBER) == {None: 1}


def expected(group):
    """Return {key: (sessions, Wh, seconds, {currency: cost})} of all sessions, computed in Python."""
    found = defaultdict(lambda: [0, 0, 0, defaultdict(Decimal)])
    for session in Transaction.objects.select_related("charger__site"):
        if session.status == "Completed":
            zone = session.charger.site.time_zone if session.charger.site else BERLIN
            sums = found[group(session, session.start_time.astimezone(zone).date())]
            sums[0] += 1
            sums[1] += session.energy_wh or 0
            sums[2] += session.duration_seconds or 0
            if session.currency:
                sums[3][session.currency] += session.total_cost
    return {key: (*sums[:3], {c: f"{cost:.2f}" for c, cost in sums[3].items()}) for key, sums in found.items()}


def stored():
    sums = ("charger", "currency", "sessions", "succeeded", "energy_wh", "duration_s", "cost")
    days, months = (
        DayTotal.objects.values_list("day", "id_tag", *sums),
        MonthTotal.objects.values_list("month", *sums),
    )
    return set(days), set(months)


def whole_and_part_of_months(chance):
    """Yield periods that begin and end within months, and at their bounds."""
    days = [date(2025, 9, 1) + timedelta(days=n) for n in range(122)]
    bounds = [day for day in days if day.day == 1 or (day + timedelta(days=1)).day == 1]
    for some in (days, bounds, bounds + days):
        first, last = sorted(chance.choices(some, k=2))
        yield {"from": str(first), "to": str(last)}


def reported(api, group_by, **period):
    rows = report(api, group_by=group_by, **period or {"from": "2000-01-01", "to": "2030-01-01"})["results"]
    name = "site_name" if group_by == "site" else "charger_id" if group_by == "charger" else group_by
    return {row[name]: (row["sessions"], row["energy_wh"], row["duration_seconds"], row["cost"]) for row in rows}


GROUPS = {
    "day": lambda session, day: str(day),
    "month": lambda session, day: f"{day:%Y-%m}",
    "charger": lambda session, day: session.charger.identity,
    "site": lambda session, day: session.charger.site and session.charger.site.name,
    "id_tag": lambda session, day: session.id_tag,
}


@pytest.mark.parametrize("seed", range(3))
def test_totals_equal_the_sum_of_the_sessions(api, settings, seed):
    settings.TIME_ZONE_DISPLAY = "Europe/Berlin"
    chance = random.Random(seed)
    sites = [a_site("B"), a_site("L", "America/Los_Angeles"), a_site("S", "Pacific/Apia"), None]
    chargers = [a_charger(f"C{seed}-{n}", site=site) for n, site in enumerate(sites * 2)]
    for currency, some in (("EUR", chargers[:3]), ("USD", chargers[3:5])):
        tariff = Tariff.objects.create(
            description=currency, currency=currency, energy_per_kwh="0.1234", per_minute="0.0101"
        )
        tariff.chargers.set(some)
    begin = datetime(2025, 10, 25, 12, tzinfo=UTC)  # and eight days, into November
    for _ in range(60):
        start = begin + timedelta(seconds=chance.randrange(0, 8 * 86400), milliseconds=chance.choice([0, 500]))
        session = a_session(
            chance.choice(chargers), start, chance.choice([None, 0, 1, 12345]), chance.choice("XYZ"), chance.random()
        )
        match chance.randrange(8):
            case 0:
                corrections.correct(session, "ann", {"meter_stop": 1000 + chance.randrange(9999)})
            case 1:
                session.charger.site = chance.choice(sites)
                session.charger.save()
            case 2:
                session.delete()
            case 3:
                day_totals.SESSIONS.update()
            case 4:
                a_transaction(session.charger, timestamp=start.isoformat(), idTag="X").close("ann")
    for group_by, group in GROUPS.items():
        assert reported(api, group_by) == expected(group), group_by
    for period in whole_and_part_of_months(chance):
        parts = [reported(api, group_by, **period) for group_by in ("day", "site", "month", "charger")]
        sums = [[sum(row[n] for row in part.values()) for n in range(3)] for part in parts]
        assert sums[1:] == sums[:1] * 3, period
    incremental = stored()
    DayTotal.objects.all().delete()
    MonthTotal.objects.all().delete()
    out = StringIO()
    call_command("rebuild_reports", stdout=out, stderr=out)
    assert incremental == stored()
    assert "sessions of 8 of 8 chargers" in out.getvalue()


def test_the_first_and_the_last_dates_do_not_stop_the_computation(api):
    session = a_session(a_charger("A"), "2025-10-02T12:00:00Z")
    for moment in ("0001-01-01T00:00:01Z", "9999-12-31T23:59:59Z"):
        Transaction.objects.filter(pk=session.pk).update(start_time=datetime.fromisoformat(moment))
        found = by(api, "day", "sessions", **{"from": "0001-01-01", "to": "9999-12-31"})
        assert found == {moment[:10]: 1}


@pytest.mark.parametrize("group_by", GROUPS)
def test_the_number_of_queries_does_not_depend_on_the_sessions(api, group_by):
    counts = []
    for name in ("A", "B"):
        for n in range(3):
            a_session(a_charger(f"{name}{n}", site=a_site(f"{name}{n}")), "2025-10-02T12:00:00Z", tag=f"{name}{n}")
        day_totals.SESSIONS.update()
        with CaptureQueriesContext(connection) as captured:
            report(api, group_by=group_by, **OCTOBER)
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 7
