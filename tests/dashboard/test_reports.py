"""The page of reports and its files."""

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import openpyxl
import pypdf
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chargers.models import Charger, Site
from dashboard import report_tables
from dashboard.report_tables import bounds_of
from tests.support.builders import a_charger, a_command
from tests.support.dashboard import a_user
from tests.support.sessions import a_port, a_session, a_site, status
from transactions.models import DayTotal, MonthTotal, Tariff
from transactions.services import outages
from transactions.services.reports import Part

pytestmark = pytest.mark.django_db
OCTOBER = {"period": "2025-10", "group_by": "day"}


@pytest.fixture
def sessions():
    charger = a_charger("A", site=a_site("Łódź Ω <b>"))
    Tariff.objects.create(description="t", currency="EUR", energy_per_kwh="0.5")
    for start, wh in (("2025-10-26T22:59:00Z", 1500), ("2025-10-25T22:00:00Z", 500), ("2025-10-31T22:59:00Z", 4000)):
        a_session(charger, start, wh)
    a_session(charger, "2025-10-31T23:00:00Z", 9000)  # November
    a_session(a_charger("B"), "2025-10-10T12:00:00Z", None)
    return charger


def page(client, **query):
    answer = client.get("/reports/", query)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def file(client, kind, **query):
    answer = client.get(f"/reports/report.{kind}", query)
    assert answer.status_code == 200, answer.content
    assert f".{kind}" in answer["Content-Disposition"]
    return answer.content


def test_the_page_has_totals_bars_and_the_zone(api, sessions):
    text = page(api, **OCTOBER, site=sessions.site_id)
    assert "Europe/Berlin" in text
    assert "6.00 kWh" in text
    assert "<b>" not in text.replace("<b>", "", 0).split("<main")[1]
    assert text.count("<rect") == 2
    assert f'href="/reports/report.pdf?period=2025-10&amp;group_by=day&amp;site={sessions.site_id}"' in text
    assert "that of each charger" in page(api, period="2025-10") or "UTC" in page(api, period="2025-10")


def test_without_a_period_it_is_this_month(api, sessions):
    assert "No sessions in this period." in page(api)
    assert "No sessions in this period." in page(api, period="2025-13", group_by="nonsense", site="\0")


def test_the_csv_has_the_values_of_rest(api, sessions):
    rows = list(csv.DictReader(io.StringIO(file(api, "csv", **OCTOBER).decode())))
    assert [(row["day"], row["energy_wh"], row["cost_EUR"]) for row in rows] == [
        ("2025-10-10", "0", "0.00"),
        ("2025-10-26", "2000", "1.00"),
        ("2025-10-31", "4000", "2.00"),
    ]
    first = csv.DictReader(io.StringIO(file(api, "csv", period="2025").decode()))
    assert [row["energy_wh"] for row in first] == ["15000", "0"]


def test_the_xlsx_opens_and_has_totals(api, sessions):
    sheet = openpyxl.load_workbook(io.BytesIO(file(api, "xlsx", **OCTOBER))).active
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[0][0] == "Energy and sessions"
    assert rows[-1][:5] == ("Total", 4, 3, 1, 6)
    assert rows[-2][0].date() == date(2025, 10, 31)
    assert Decimal(str(rows[-1][6])) == 3


def test_the_pdf_opens_and_has_the_site_the_period_and_totals(api, sessions):
    reader = pypdf.PdfReader(io.BytesIO(file(api, "pdf", period="2025-10", site=sessions.site_id)))
    text = "".join(page.extract_text() for page in reader.pages)
    for expected in ("Energy and sessions", "Łódź Ω <b>", "10/31/2025", "Europe/Berlin", "6.00 kWh", "Total"):
        assert expected in text, text


@pytest.mark.parametrize("report", ["availability", "faults"])
def test_availability_and_faults_are_on_the_page_and_in_files(api, report):
    charger = a_port("A", site=a_site())
    status(charger, "2025-10-02T00:00:00Z", "Faulted", error_code="GroundFailure", vendor_error_code="E7")
    status(charger, "2025-10-02T12:00:00Z", "Available")
    outages.update()
    for group_by in ("site", "charger", "port", "month"):
        text = page(api, report=report, period="2025-10", group_by=group_by)
        assert "12:00 h" in text
        assert ("GroundFailure" if report == "faults" else "98.39 %") in text
        for kind in ("csv", "xlsx", "pdf"):
            assert len(file(api, kind, report=report, period="2025-10", group_by=group_by)) > 50
    assert "Nothing in this period." in page(api, report=report, period="2024")


@pytest.mark.parametrize("report", ["sessions", "commands"])
def test_success_is_on_the_page_and_in_files(api, sessions, report):
    for outcome in ("answered", "timed_out"):
        a_command(
            sessions, "Reset", state="finished", outcome=outcome, response={"status": "Accepted"},
            created_at=datetime(2025, 10, 3, 12, tzinfo=UTC),
        )  # fmt: skip
    for group_by in ("site", "charger", "month", "action" if report == "commands" else "id_tag"):
        query = {"report": report, "period": "2025-10", "group_by": group_by}
        text = page(api, **query)
        assert ("50.00 %" if report == "commands" else "75.00 %") in text
        assert "<rect" in text
        for kind in ("csv", "xlsx", "pdf"):
            assert len(file(api, kind, **query)) > 50
    assert "Nothing in this period." in page(api, report="commands", period="2024")


def test_the_report_of_commands_needs_the_permission_to_view_commands(client, sessions):
    a_user(client, "view_transaction", group_of=[sessions])
    assert "report=commands" not in page(client)
    assert client.get("/reports/", {"report": "commands"}).status_code == 403
    assert client.get("/reports/report.csv", {"report": "commands"}).status_code == 403


def test_a_page_has_a_hundred_rows_and_the_sum_of_all(api):
    """What is built does not grow with the number of chargers and tags; the files have all."""
    site = a_site()
    day, month = DayTotal(day=date(2025, 10, 2)), MonthTotal(month=date(2025, 10, 1))
    counts = {"currency": "", "sessions": 1, "charged": 1, "succeeded": 1, "without_energy": 0, "energy_wh": 1000}
    counts |= {"duration_s": 60, "cost": 0}
    chargers = Charger.objects.bulk_create(Charger(identity=f"C{n:04}", site=site) for n in range(250))
    for one in (day, month):
        rows = [{"charger": c, **({"id_tag": f"T{c.identity}"} if one is day else {})} for c in chargers]
        moment = {"day": one.day} if one is day else {"month": one.month}
        type(one).objects.bulk_create(type(one)(**row, **moment, **counts) for row in rows)
    for group_by, first in (("charger", "C0"), ("id_tag", "TC0")):
        query = {"period": "2025-10", "group_by": group_by}
        with CaptureQueriesContext(connection) as captured:
            text = page(api, **query)
        assert len(captured) <= 12
        assert (f"{first}099" in text, f"{first}100" in text, "250.00 kWh" in text) == (True, False, True)
        assert text.count("<rect") == 20
        assert "1–100 of 250" in text
        assert f"{first}249" in page(api, **query, page=3)
        assert f"{first}249" in page(api, **query, page=999)
        assert len(file(api, "csv", **query).splitlines()) == 251
        part = Part(100, 100, 20)
        table = report_tables.table_of(User.objects.create_superuser(group_by), report_tables.Choice(**query), part)
        assert (len(table.rows), len(table.largest), table.count) == (100, 20, 250)


def test_a_formula_in_a_name_is_a_text(api, sessions):
    Site.objects.update(name="=1+1")
    assert "'=1+1" in file(api, "csv", period="2025-10").decode()
    sheet = openpyxl.load_workbook(io.BytesIO(file(api, "xlsx", period="2025-10"))).active
    assert [cell.value for cell in sheet["A"] if cell.data_type == "f"] == []


def test_only_sites_and_chargers_within_reach_are_shown(client, sessions):
    user = a_user(client, "view_transaction", group_of=[a_charger("C")])
    assert "Łódź" not in page(client, period="2025-10")
    sessions.site.users.add(user)
    assert "Łódź" in page(client, period="2025-10")
    user.user_permissions.clear()
    assert client.get("/reports/").status_code == 403
    assert client.get("/reports/report.csv").status_code == 403


def test_the_page_is_german(api, sessions):
    assert "Energie" in api.get("/reports/", OCTOBER, HTTP_ACCEPT_LANGUAGE="de").content.decode()
    assert "Berichte" in api.get("/reports/", OCTOBER, HTTP_ACCEPT_LANGUAGE="de").content.decode()


def test_the_number_of_queries_of_the_page_is_fixed(api, sessions):
    counts = []
    for _ in range(2):
        page(api, **OCTOBER)
        with CaptureQueriesContext(connection) as captured:
            page(api, **OCTOBER)
        counts.append(len(captured))
        a_session(a_charger(site=a_site(f"S{len(counts)}")), "2025-10-03T12:00:00Z")
    assert counts[0] == counts[1] <= 12


def test_a_period_is_a_month_or_a_year():
    assert bounds_of("2025-02") == (date(2025, 2, 1), date(2025, 2, 28))
    assert bounds_of("2024") == (date(2024, 1, 1), date(2024, 12, 31))
    this_month = bounds_of("")
    assert [bounds_of(text) for text in ("2025-00", "0000", "2025-13", "x")] == [this_month] * 4
    assert report_tables.periods()[0] == f"{this_month[0]:%Y-%m}"
