"""An export holds no formula, whatever the source of the text."""

import csv
import io
import zipfile
from decimal import Decimal

import pytest

from core.http import downloads
from tests.support.builders import a_charger, a_finding, a_transaction
from tests.support.responses import streamed

FORMULAS = [
    f"{before}{sign}1+1"
    for before in ("", " ", "\n", "\r", "\t", "\x0b", "\x00", "\xa0", "\u2003", "\u200b", "\ufeff")
    for sign in "=+-@"
]
FORMULAS += ["＝1", "＋1", "－1", "＠SUM(1)", "﹢1", "﹣1", "\u22121", "\u3000＝1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_quoted(text):
    assert downloads.cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-5, -5.5, Decimal("-1"), "a=1", "1-2", "505", "Ü", 0, True])
def test_numbers_and_other_texts_are_unchanged(value):
    assert downloads.cell(value) == value


def the_csv(answer):
    assert answer.status_code == 200
    content = streamed(answer) if answer.streaming else answer.content
    return list(csv.reader(io.StringIO(content.decode())))


@pytest.mark.django_db(transaction=True)
def test_every_export_quotes_formulas(api):
    evil = "\xa0=1+1"
    charger = a_charger("505", vendor=evil, model="＝1")
    session = a_transaction(charger, idTag="=1+1")
    a_finding(charger, "StatusNotification", {(evil, "unknown_field"): "x"})
    chosen = {"_selected_action": [charger.findings.get().pk], "action": "export_csv"}
    sessions = {"_selected_action": [session.pk], "action": "export_csv"}
    exports = [
        api.get("/chargers/505/findings.csv"),
        api.post("/admin/chargers/finding/", chosen),
        api.get("/transactions/export.csv"),
        api.post("/admin/transactions/transaction/", sessions),
    ]
    for answer in exports:
        cells = [cell for row in the_csv(answer)[1:] for cell in row]
        assert any(cell.startswith("'") for cell in cells)
        assert not any(downloads.is_formula(cell) for cell in cells)
    for sheet in (
        api.get("/transactions/export.xlsx"),
        api.post("/admin/transactions/transaction/", sessions | {"action": "export_xlsx"}),
    ):
        inside = zipfile.ZipFile(io.BytesIO(streamed(sheet))).read("xl/worksheets/sheet1.xml").decode()
        assert "<f>" not in inside
        assert "=1+1" in inside
