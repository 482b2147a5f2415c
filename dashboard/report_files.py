"""Reports as CSV, XLSX and PDF files, built in memory: a report has some thousands of rows at most."""

import csv as csv_format
import io
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter
from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace

from core.http.downloads import cell
from dashboard.report_tables import COUNT, MONEY, SECONDS, TEXT, WATT_HOURS, Table, shown

CSV, XLSX, PDF = "csv", "xlsx", "pdf"
TYPES = {
    CSV: "text/csv; charset=utf-8",
    XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    PDF: "application/pdf",
}
FONTS = Path(__file__).parent / "fonts"
NUMBER_FORMATS = {COUNT: "#,##0", WATT_HOURS: "#,##0.000", MONEY: "#,##0.00", SECONDS: "[h]:mm", TEXT: "@"}
UNITS = {WATT_HOURS: " (kWh)", SECONDS: " (h:mm)"}
MAX_PDF_ROWS = 2000  # a page has some 45; the files of spreadsheets have all rows
SECONDS_OF_A_DAY = 86_400
GREY = (236, 236, 236)


def made(kind: str, table: Table) -> bytes:
    """Return `table` as a file of `kind`, a key of TYPES."""
    return {CSV: csv, XLSX: xlsx, PDF: pdf}[kind](table)


def csv(table: Table) -> bytes:
    """Return the rows with the names, units and precision of REST, without totals."""
    text = io.StringIO()
    writer = csv_format.writer(text)
    writer.writerow(column.name for column in table.columns)
    writer.writerows([cell(value) for value in row] for row in table.rows)
    return text.getvalue().encode()


def xlsx(table: Table) -> bytes:
    """Return a sheet with the selection, the rows and the totals; energy is in kWh, durations are in hours."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(
        file, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    ) as book:
        sheet = book.add_worksheet(table.title[:31])
        bold = book.add_format({"bold": True})
        formats = {kind: book.add_format({"num_format": text}) for kind, text in NUMBER_FORMATS.items()}
        sums = {kind: book.add_format({"num_format": text, "bold": True}) for kind, text in NUMBER_FORMATS.items()}
        days = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.set_column(0, len(table.columns) - 1, 18)
        sheet.write_string(0, 0, table.title, bold)
        for number, (name, value) in enumerate(table.details, 1):
            sheet.write_row(number, 0, [name, value])
        head = len(table.details) + 2
        labels = [column.label + UNITS.get(column.kind, "") for column in table.columns]
        sheet.write_row(head, 0, labels, bold)
        sheet.freeze_panes(head + 1, 0)
        for number, row in enumerate([*table.rows, table.totals], head + 1):
            styles = sums if row is table.totals else formats
            for index, (column, value) in enumerate(zip(table.columns, row, strict=True)):
                style = days if isinstance(value, date) else styles.get(column.kind)
                sheet.write(number, index, _number(column.kind, value), style)
    return file.getvalue()


def _number(kind: str, value: Any) -> Any:
    if isinstance(value, int) and kind in (WATT_HOURS, SECONDS):
        return value / (1000 if kind == WATT_HOURS else SECONDS_OF_A_DAY)
    return float(value) if isinstance(value, Decimal) else value


class _Document(FPDF):
    """Pages with a number at their foot."""

    def footer(self) -> None:
        self.set_y(-12)
        self.set_font("sans", size=8)
        self.cell(0, 6, f"{self.page_no()} / {{nb}}", align="R")


def pdf(table: Table) -> bytes:
    """Return pages in A4 with the selection, the rows and the totals, in the present language."""
    document = _Document(orientation="landscape" if len(table.columns) > 7 else "portrait", format="A4")
    document.add_font("sans", "", FONTS / "DejaVuSans.ttf")
    document.add_font("sans", "B", FONTS / "DejaVuSans-Bold.ttf")
    document.set_title(table.title)
    document.set_auto_page_break(True, 15)
    document.add_page()
    document.set_font("sans", "B", 16)
    document.cell(0, 10, table.title, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    document.set_font("sans", size=9)
    for name, value in table.details:
        document.multi_cell(0, 5, f"{name}: {value}", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    document.ln(4)
    document.set_font("sans", size=8)
    aligned = tuple("LEFT" if column.kind == TEXT else "RIGHT" for column in table.columns)
    bold = FontFace(emphasis="BOLD", fill_color=GREY)
    with document.table(
        text_align=aligned, headings_style=bold, borders_layout=TableBordersLayout.HORIZONTAL_LINES, line_height=5
    ) as drawn:
        drawn.row([column.label for column in table.columns])
        for row in table.rows[:MAX_PDF_ROWS]:
            drawn.row(_texts(table, row))
        drawn.row(_texts(table, table.totals), style=bold)
    return bytes(document.output())


def _texts(table: Table, row: list[Any]) -> list[str]:
    return [shown(column.kind, value) for column, value in zip(table.columns, row, strict=True)]
