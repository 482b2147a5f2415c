"""TIME_ZONE_DISPLAY applies to pages, filters, exports and the admin; REST uses UTC."""

import csv
import io
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from commands.models import Schedule
from core.ocpp.timestamps import FIRST, LAST, day_bounds
from gateway import message_log
from tests.support.builders import a_charger, a_command, a_transaction
from tests.support.live import eventually
from tests.support.responses import streamed
from tests.support.sessions import a_session, a_site
from transactions.services import export

BERLIN, DENVER = "Europe/Berlin", "America/Denver"
# (time zone, day, its begin, its end). On two of the days summer time ends.
DAYS = [
    (BERLIN, "2025-10-26", "2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z"),
    (BERLIN, "2025-10-31", "2025-10-30T23:00:00Z", "2025-10-31T23:00:00Z"),
    (DENVER, "2025-10-31", "2025-10-31T06:00:00Z", "2025-11-01T06:00:00Z"),
    (DENVER, "2025-11-02", "2025-11-02T06:00:00Z", "2025-11-03T07:00:00Z"),
    ("UTC", "2025-10-31", "2025-10-31T00:00:00Z", "2025-11-01T00:00:00Z"),
]
SECOND = timedelta(seconds=1)


def moments(begin, end):
    """Return the second before a day, its first second, its last second, and the second after it."""
    begin, end = datetime.fromisoformat(begin), datetime.fromisoformat(end)
    return begin - SECOND, begin, end - SECOND, end


def sessions_around(begin, end):
    """Create a session at each of `moments`. Return the two of the day, the later one first, as in lists."""
    charger = a_charger()
    made = [
        a_transaction(charger, connectorId=number, timestamp=at.isoformat())
        for number, at in enumerate(moments(begin, end), 1)
    ]
    return [made[2], made[1]]


def local(session, zone, form="%Y-%m-%d %H:%M:%S"):
    return session.start_time.astimezone(ZoneInfo(zone)).strftime(form)


# --- days ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("zone", "day", "begin", "end"), DAYS)
def test_a_day_lasts_from_midnight_to_midnight_of_its_zone(zone, day, begin, end):
    bounds = day_bounds(date.fromisoformat(day), ZoneInfo(zone))
    assert bounds == (datetime.fromisoformat(begin), datetime.fromisoformat(end))


def test_a_day_without_a_midnight_begins_when_summer_time_does():
    begin, end = day_bounds(date(2018, 11, 4), ZoneInfo("America/Sao_Paulo"))
    assert begin == datetime(2018, 11, 4, 3, tzinfo=UTC)
    assert end - begin == timedelta(hours=23)


@pytest.mark.parametrize("zone", [BERLIN, DENVER])
def test_days_at_the_ends_of_the_calendar_have_bounds(zone):
    assert day_bounds(date.min, ZoneInfo(zone))[0] in (FIRST, datetime(1, 1, 1, 6, 59, 56, tzinfo=UTC))
    assert day_bounds(date.max, ZoneInfo(zone))[1] == LAST


# --- lists, exports, admin -------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("zone", "day", "begin", "end"), DAYS)
def test_the_list_the_exports_and_the_admin_have_the_same_sessions_of_a_day(api, settings, zone, day, begin, end):
    settings.TIME_ZONE_DISPLAY = zone
    of_the_day = sessions_around(begin, end)
    keys = [session.pk for session in of_the_day]
    query = f"first_day={day}&last_day={day}"

    listed = api.get(f"/transactions/?{query}")
    assert [session.pk for session in listed.context["page"].object_list] == keys
    page = listed.content.decode()
    assert f"From ({zone})" in page
    assert all(f">{local(session, zone)}</time>" in page for session in of_the_day)

    rows = list(csv.DictReader(io.StringIO(streamed(api.get(f"/transactions/export.csv?{query}")).decode())))
    assert [int(row["transaction_id"]) for row in rows] == keys
    assert [datetime.fromisoformat(row["start_time"]) for row in rows] == [s.start_time for s in of_the_day]
    assert {row["start_time"][:10] for row in rows} == {day}
    assert {row["time_zone"] for row in rows} == {zone}

    assert started(streamed(api.get(f"/transactions/export.xlsx?{query}")), zone) == [
        local(s, zone) for s in of_the_day
    ]

    year, month, number = (int(part) for part in day.split("-"))
    drilled = {"start_time__year": year, "start_time__month": month, "start_time__day": number}
    admin = api.get("/admin/transactions/transaction/", drilled)
    assert [session.pk for session in admin.context["cl"].result_list] == keys
    assert all(local(session, zone) in admin.content.decode() for session in of_the_day)

    logs = api.get("/api/ocpp/transactions/").json()["transaction_logs"]
    assert all(row["start_time"].endswith("Z") for row in logs)


def started(book, zone):
    """Return the start times of an XLSX export as text."""
    with zipfile.ZipFile(io.BytesIO(book)) as opened:
        sheet = opened.read("xl/worksheets/sheet1.xml").decode()
    column = re.search(r'r="([A-Z]+)1"[^>]*><is><t>start_time \(' + re.escape(zone), sheet)[1]
    days = re.findall(rf'<c r="{column}[0-9]+"[^>]*><v>([0-9.E+]+)</v>', sheet)
    shown = (datetime(1899, 12, 30) + timedelta(days=float(value), milliseconds=1) for value in days)
    return [f"{at:%Y-%m-%d %H:%M:%S}" for at in shown]


@pytest.mark.django_db
def test_the_repeated_hour_is_distinguished_by_offset_and_file_name(api, settings):
    settings.TIME_ZONE_DISPLAY = BERLIN
    first, second = (datetime(2025, 10, 26, hour, 30, tzinfo=UTC) for hour in (0, 1))
    pages = [api.get(f"/transactions/{a_transaction(timestamp=at.isoformat()).pk}/") for at in (first, second)]
    offsets = ("+02:00", "+01:00")
    for page, offset in zip(pages, offsets, strict=True):
        assert f'title="2025-10-26T02:30:00{offset}">2025-10-26 02:30:00</time>' in page.content.decode()
    names = [export.file_name("csv", at.astimezone(ZoneInfo(BERLIN))) for at in (first, second)]
    assert names == ["transactions-2025-10-26-0230-CEST.csv", "transactions-2025-10-26-0230-CET.csv"]


@pytest.mark.django_db
def test_the_admin_filters_years_of_the_zone(api, settings):
    a_transaction(timestamp="2023-12-31T23:30:00Z")
    a_transaction(timestamp="2025-06-01T12:00:00Z")
    settings.TIME_ZONE_DISPLAY = BERLIN
    page = api.get("/admin/transactions/transaction/").content.decode()
    assert "start_time__year=2024" in page
    assert "start_time__year=2023" not in page
    settings.TIME_ZONE_DISPLAY = DENVER
    assert "start_time__year=2023" in api.get("/admin/transactions/transaction/").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "begin", "end"),
    [
        (BERLIN, "2025-09-30T22:00:00Z", "2025-10-31T23:00:00Z"),
        (DENVER, "2025-10-01T06:00:00Z", "2025-11-01T06:00:00Z"),
    ],
)
def test_the_admin_filters_months_of_the_zone(api, settings, zone, begin, end):
    settings.TIME_ZONE_DISPLAY = zone
    inside = sessions_around(begin, end)
    month = {"start_time__year": 2025, "start_time__month": 10}
    page = api.get("/admin/transactions/transaction/", month)
    assert list(page.context["cl"].result_list) == inside
    days = {int(day) for day in re.findall("start_time__day=([0-9]+)", page.content.decode())}
    assert days == set(range(1, 32))


@pytest.mark.django_db
def test_every_page_names_the_zone(api, settings):
    settings.TIME_ZONE_DISPLAY = DENVER
    command = a_command()
    session = a_transaction(command.charger)
    paths = ["/", f"/chargers/{command.charger}/", "/transactions/", f"/transactions/{session.pk}/", "/messages/"]
    paths += ["/commands/", f"/commands/{command.task_id}/", "/batches/", "/batches/new/Reset/", "/limits/new/"]
    for path in paths:
        page = api.get(path).content.decode()
        assert f"time zone {DENVER}" in page, path
        assert f'data-time-zone="{DENVER}"' in page, path
        assert "UTC" not in page, path
    admin = api.get(f"/admin/transactions/transaction/{session.pk}/change/").content.decode()
    assert f'data-time-zone="{DENVER}"' in admin
    assert "times in " in admin


# --- times without a time zone ---------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_time_without_a_zone_is_of_the_zone_on_a_page_and_utc_over_rest(api, settings):
    settings.TIME_ZONE_DISPLAY = BERLIN
    charger, log = a_charger(), message_log.MessageLogWriter()
    at = datetime(2025, 10, 25, 22, 30, tzinfo=UTC).timestamp()  # 0:30 of the 26th in Berlin
    log.record(
        message_log.LoggedFrame(
            charger.pk, at, "in", '[2,"1","Heartbeat",{}]', "call", "1", "Heartbeat", False, True, False
        )
    )
    eventually(lambda: log.written == 1)
    query = f"charger_id={charger}&since=2025-10-26&until=2025-10-26T01:00"
    assert len(api.get(f"/messages/?{query}").context["rows"]) == 1
    assert api.get(f"/api/ocpp/messages/?{query}").json()["results"] == []


@pytest.mark.django_db
def test_schedules_created_on_a_page_use_its_time_zone(api, settings):
    settings.TIME_ZONE_DISPLAY = DENVER
    charger = a_charger()
    form = {"type": "Soft", "chargers_listed": charger.identity, "confirmed": "1"}
    night = {"when": "crontab", "when_crontab": "30 3 * * *", "schedule_name": "night"}
    page = api.post("/batches/new/Reset/", form | night, follow=True).content.decode()
    assert f"03:30 ({DENVER})" in page
    assert str(Schedule.objects.get().timezone) == DENVER
    noon = (datetime.now(ZoneInfo(DENVER)) + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
    once = {"when": "at", "when_at": f"{noon:%Y-%m-%d %H:%M}", "schedule_name": "noon"}
    assert f"12:00 ({DENVER})" in api.post("/batches/new/Reset/", form | once, follow=True).content.decode()
    assert Schedule.objects.get(name="noon").at == noon


@pytest.mark.django_db(transaction=True)
def test_a_chosen_site_has_its_own_zone_on_the_page_and_in_files(api, settings):
    settings.TIME_ZONE_DISPLAY = DENVER
    site = a_site("Depot", BERLIN)
    charger = a_charger(site=site)
    here = [a_session(charger, start).pk for start in ("2025-10-26T22:59:00Z", "2025-10-25T22:00:00Z")]
    a_session(a_charger(), "2025-10-26T12:00:00Z")
    day = "first_day=2025-10-26&last_day=2025-10-26"
    for chosen in (str(site.pk), "Depot"):
        listed = api.get(f"/transactions/?site={chosen}&{day}").content.decode()
        assert re.findall(r'href="/transactions/(\d+)/"', listed) == [str(pk) for pk in sorted(here, reverse=True)]
        assert f"All times, dates, filters and crontabs use the time zone {BERLIN}." in listed
        text = streamed(api.get(f"/transactions/export.csv?site={chosen}&{day}")).decode()
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["start_time"] for row in rows] == ["2025-10-26T00:00:00+02:00", "2025-10-26T23:59:00+01:00"]
        assert {row["time_zone"] for row in rows} == {BERLIN}
    assert f"the time zone {DENVER}." in api.get("/transactions/").content.decode()
    assert "Site" in api.get("/transactions/").content.decode()
    assert api.get("/api/ocpp/transactions/?site=Depot").json()["count"] == 2
    assert api.get("/api/ocpp/transactions/?site=Nowhere").json()["count"] == 0
