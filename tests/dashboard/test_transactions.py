"""Transactions on the pages and in the admin: lists, charts and exports."""

import csv
import io
import zipfile
from datetime import timedelta

import pytest

from tests.support.builders import a_charger, a_tag, a_transaction, tell
from tests.support.dashboard import charging, page_of, readings
from tests.support.responses import streamed
from transactions.models import Tariff, Transaction
from transactions.services import curves, export

pytestmark = pytest.mark.django_db


def test_a_flag_is_explained_in_a_sentence(api):
    session = a_transaction()
    session.close("alice")
    assert "closed it at" in api.get(f"/transactions/{session.pk}/").content.decode()
    assert "closed manually" in api.get("/transactions/").content.decode()


def test_the_chart_of_a_transaction_has_its_readings(api):
    session = a_transaction()
    phases = [{"value": "1000", "measurand": "Power.Active.Import", "phase": p, "unit": "W"} for p in ("L1", "L2")]
    fields = readings({"value": "2.5", "unit": "kWh"}, {"value": "55", "measurand": "SoC"}, *phases)
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)
    curves = api.get(f"/curves/transactions/{session.pk}.json").json()
    assert (curves["power"], curves["energy"], curves["soc"]) == ([2.0], [1.5], [55.0])


def test_a_thinned_chart_keeps_every_measurand(monkeypatch):
    monkeypatch.setattr(curves, "MAX_POINTS", 2)
    session = a_transaction()
    power, energy = {"value": "7", "measurand": "Power.Active.Import", "unit": "kW"}, {"value": "2.5", "unit": "kWh"}
    for minute in range(6):
        fields = [{"timestamp": f"2025-02-26T13:0{minute}:00Z", "sampledValue": [energy if minute % 2 else power]}]
        tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)
    drawn = curves.of(session)
    assert (drawn["power"], drawn["energy"]) == ([7.0, 7.0], [1.5, 1.5])


def test_the_last_transaction_of_each_connector_is_shown(api):
    session = a_transaction()
    for n in range(9):
        a_transaction(session.charger, connectorId=2, timestamp=f"2025-02-27T12:00:0{n}Z").close("bob")
    page = api.get(page_of(session.charger))
    assert page.context["plotted"] == [session]
    assert "Closed manually" in page.content.decode()


def test_pages_link_to_the_stop_of_a_transaction(api):
    session = charging(7000)
    for path in (page_of(session.charger), f"/transactions/{session.pk}/"):
        page = api.get(path).content.decode()
        assert f"/submit/stop/?reference={session.pk}" in page


def test_transactions_are_found_by_tag_in_any_case_and_by_flag(api):
    charger = a_charger()
    superseded, _ = (a_transaction(charger, idTag="ABC", timestamp=f"2025-02-2{day}T12:00:00Z") for day in (6, 7))
    queries = ("id_tag=abc", "id_tag=X", "issue=superseded")
    found = [list(api.get(f"/transactions/?{query}").context["page"].object_list) for query in queries]
    assert [len(rows) for rows in found] == [2, 0, 1]
    assert found[2] == [superseded]


def exported(api, query=""):
    """Return the rows of the CSV export."""
    return list(csv.DictReader(io.StringIO(streamed(api.get(f"/transactions/export.csv?{query}")).decode())))


@pytest.mark.django_db(transaction=True)
def test_the_csv_export_has_the_filtered_list(api):
    mine = a_transaction(idTag="=1+1")
    a_transaction()
    (row,) = exported(api, f"charger_id={mine.charger.identity}")
    assert (row["transaction_id"], row["id_tag"], row["meter_start"]) == (str(mine.pk), "'=1+1", "1000")
    assert len(exported(api)) == 2


@pytest.mark.django_db(transaction=True)
def test_an_export_has_the_cost(api):
    Tariff.objects.create(description="T", currency="EUR", per_session="2.75")
    a_transaction(a_charger())
    a_transaction(a_charger()).close("alice")
    ended, under_way = exported(api)
    assert [(row["cost"], row["currency"]) for row in (ended, under_way)] == [("2.75", "EUR"), ("", "")]
    with zipfile.ZipFile(io.BytesIO(streamed(api.get("/transactions/export.xlsx")))) as book:
        assert "<v>2.75</v>" in book.read("xl/worksheets/sheet1.xml").decode()


def test_the_xlsx_export_has_the_filtered_list(api):
    a_transaction(idTag="=1+1")
    content = streamed(api.get("/transactions/export.xlsx"))
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "=1+1" in sheet
    assert "<f>" not in sheet


def test_a_process_creates_one_xlsx_export_at_a_time(api):
    with export._making:
        answer = api.get("/transactions/export.xlsx")
    assert answer.status_code == 503
    assert b"take CSV" in answer.content
    assert answer.headers["Retry-After"]


@pytest.mark.django_db(transaction=True)
def test_the_last_day_of_a_filter_is_included(api):
    a_transaction()
    day = Transaction.objects.get().start_time.date()
    listed = [len(exported(api, f"first_day={first}&last_day={day}")) for first in (day, day + timedelta(days=1))]
    assert listed == [1, 0]
    assert exported(api, "last_day=9999-12-31")


def test_an_invalid_export_filter_is_refused(api):
    answer = api.get("/transactions/export.csv?started_after=yesterday")
    assert answer.status_code == 400
    assert "started_after" in answer.content.decode()


def test_the_admin_has_exports_charts_and_links(api):
    session = a_transaction(idTag="ABC")
    page = api.get(f"/admin/transactions/transaction/{session.pk}/change/").content.decode()
    assert f"/curves/transactions/{session.pk}.json" in page
    assert "transactions of ABC" in page
    tag = api.get(f"/admin/transactions/idtag/{a_tag('ABC').pk}/change/").content.decode()
    assert "/admin/transactions/transaction/?q=ABC" in tag
    chosen = {"action": "export_xlsx", "_selected_action": session.pk}
    answer = api.post("/admin/transactions/transaction/", chosen)
    assert answer.headers["Content-Disposition"].endswith('.xlsx"')
