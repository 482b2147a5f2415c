"""Export transactions as a CSV or XLSX file, in constant memory."""

import csv as csv_format
import io
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import IO
from zoneinfo import ZoneInfo

import xlsxwriter
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from core.db.in_db_thread import in_db_thread
from core.http.downloads import attachment, cell
from transactions.models import Transaction

COLUMNS: dict[str, Callable[[Transaction], object]] = {
    "transaction_id": lambda t: t.pk,
    "charger_id": lambda t: t.charger.identity,
    "connector_id": lambda t: t.connector_id,
    "id_tag": lambda t: t.shown_id_tag,
    "id_tag_status": lambda t: t.id_tag_status,
    "status": lambda t: t.status,
    "start_time": lambda t: t.start_time,
    "end_time": lambda t: t.ended_at,
    "duration_seconds": lambda t: t.duration_seconds,
    "meter_start": lambda t: t.meter_at_start,
    "meter_stop": lambda t: t.meter_at_end,
    "energy_wh": lambda t: t.energy_wh,
    "energy_source": lambda t: t.energy_source,
    "cost": lambda t: t.total_cost,
    "currency": lambda t: t.currency,
    "stop_reason": lambda t: t.stop_reason,
    "stop_id_tag": lambda t: t.shown_stop_id_tag,
    "reservation_id": lambda t: t.reservation_id,
    "start_received_at": lambda t: t.start_received_at,
    "stop_received_at": lambda t: t.stop_received_at,
    "superseded_by": lambda t: t.superseded_by_id,
    "closed_at": lambda t: t.closed_at,
    "closed_by": lambda t: t.closed_by,
    "clock_skew": lambda t: t.clock_skew,
    "meter_ran_backwards": lambda t: t.meter_ran_backwards,
    "reported_meter_start": lambda t: t.meter_start,
    "reported_meter_stop": lambda t: t.meter_stop,
    "reported_end_time": lambda t: t.stop_time,
    "corrected_at": lambda t: t.corrected_at,
    "corrected_by": lambda t: t.corrected_by,
    "note": lambda t: t.note,
    "reference": lambda t: t.reference,
    "evse_id": lambda t: t.evse_id,
    "id_token_type": lambda t: t.id_token_type,
    "charging_state": lambda t: t.charging_state,
}
TIMES = (
    *("start_time", "end_time", "start_received_at", "stop_received_at", "closed_at", "reported_end_time"),
    "corrected_at",
)
PAGE_ROWS = 2000
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_SHEET_ROWS = (
    250_000  # rows: the file is complete before its first byte is sent, and this many take about a minute
)
_making = threading.Lock()


def pages(transactions: QuerySet[Transaction]) -> Iterator[list[Transaction]]:
    """Yield lists of `transactions` (a queryset), newest first, each read by one query."""
    transactions = transactions.select_related("charger").order_by("-pk")
    page = list(transactions[:PAGE_ROWS])
    while page:
        yield page
        page = list(transactions.filter(pk__lt=page[-1].pk)[:PAGE_ROWS])


async def csv(transactions: QuerySet[Transaction], zone: ZoneInfo) -> AsyncIterator[str]:
    """Yield the file in parts; times are ISO 8601 with the offset of `zone`, which the last column names."""
    yield _lines([[*COLUMNS, "time_zone"]])
    parts = pages(transactions)
    while part := await in_db_thread(_next)(parts, zone):
        yield part


def _next(parts: Iterator[list[Transaction]], zone: ZoneInfo) -> str:
    """Return the lines of the next part, "" after the last one."""
    return _lines([*(_cell(value(row), zone) for value in COLUMNS.values()), zone] for row in next(parts, []))


def _lines(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv_format.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: object, zone: ZoneInfo) -> object:
    return cell(value.astimezone(zone) if isinstance(value, datetime) else value)


def xlsx(transactions: QuerySet[Transaction], zone: ZoneInfo) -> IO[bytes]:
    """Return a temporary file, at its beginning, made in constant memory; raises `TooMany`, or `Occupied`.

    Cells have no time zone: their times are in `zone`, which the heads of their columns name.
    """
    if not _making.acquire(blocking=False):
        raise Occupied("Another sheet is being made just now: try again in a minute, or take CSV.")
    try:
        return _made(transactions, zone)
    finally:
        _making.release()


def _made(transactions: QuerySet[Transaction], zone: ZoneInfo) -> IO[bytes]:
    if transactions.order_by()[: MAX_SHEET_ROWS + 1].count() > MAX_SHEET_ROWS:
        raise TooMany(f"A sheet is made of at most {MAX_SHEET_ROWS:,} transactions: narrow the list, or take CSV.")
    file = tempfile.TemporaryFile()  # noqa: SIM115  (the response closes it)
    with xlsxwriter.Workbook(file, {"constant_memory": True, "remove_timezone": True}) as book:
        sheet = book.add_worksheet("Transactions")
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(COLUMNS) - 1, 18)
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        sheet.write_row(0, 0, [_head(name, zone) for name in COLUMNS], book.add_format({"bold": True}))
        number = 0
        for page in pages(transactions):
            for transaction in page:
                number += 1
                _write(sheet, number, transaction, moment, zone)
    file.seek(0)
    return file


def _head(name: str, zone: ZoneInfo) -> str:
    return f"{name} ({zone})" if name in TIMES else name


def _write(sheet: Worksheet, number: int, transaction: Transaction, moment: Format, zone: ZoneInfo) -> None:
    for column, value in enumerate(read(transaction) for read in COLUMNS.values()):
        if isinstance(value, str):
            sheet.write_string(number, column, value)
        elif isinstance(value, datetime):
            sheet.write_datetime(number, column, value.astimezone(zone), moment)
        elif value is not None:
            sheet.write(number, column, value)


class TooMany(ValueError):
    """More rows than a sheet holds."""


class Occupied(ValueError):
    """Another sheet is being made; one per process, because chargers wait for the interpreter meanwhile."""


def response(kind: str, transactions: QuerySet[Transaction], zone: ZoneInfo) -> StreamingHttpResponse:
    """Return a download of `transactions` (a queryset) as `kind`, csv or xlsx, with times in `zone` (a `ZoneInfo`).

    Raises `TooMany`, or `Occupied`.
    """
    name = file_name(kind, datetime.now(zone))
    if kind == "xlsx":
        file = xlsx(transactions, zone)
        return attachment(file, os.fstat(file.fileno()).st_size, name, SHEET)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(csv(transactions, zone), content_type="text/csv; charset=utf-8", headers=headers)


def file_name(kind: str, now: datetime) -> str:
    """Return the file name for `now`; the zone distinguishes the repeated hour when summer time ends."""
    return f"transactions-{now:%Y-%m-%d-%H%M-%Z}.{kind}"
