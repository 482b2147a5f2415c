"""Files to be saved, never shown: read piece by piece, for many may take the same one at once, and slowly."""

import asyncio
import csv
import unicodedata
from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse

# A spreadsheet may take a text for a formula that begins so, whatever it skips before: spaces and what is not shown.
FORMULA = "=+-@\N{MINUS SIGN}"
PIECE = 64 * 1024  # bytes


def attachment(file, size, name, content_type="application/octet-stream"):
    """The response that sends the open `file` of `size` bytes, which it closes, as `name`, which needs no quoting."""
    response = StreamingHttpResponse(_pieces(file), content_type=content_type)
    response["Content-Length"] = size
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox"
    return response


async def _pieces(file):
    try:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
    finally:
        file.close()


def cell(value: Any) -> Any:
    """`value` as a CSV file holds it: times in ISO 8601, no text that a spreadsheet takes for a formula."""
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and _is_formula(value):
        return f"'{value}"
    return "" if value is None else value


def _is_formula(text: str) -> bool:
    """Also in full-width and small forms, and whatever begins with a space or a character that is not shown."""
    first = text[:1]
    return bool(first) and (
        first == " " or not first.isprintable() or unicodedata.normalize("NFKC", first) in FORMULA
    )


def csv_file(name: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> HttpResponse:
    """`rows` as the file `name`.csv; for some thousands of rows at most, since it is written in memory."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    writer = csv.writer(response)
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    return response
