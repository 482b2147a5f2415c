"""Send files for download in chunks, because many chargers may fetch the same file at once, and slowly."""

import asyncio
import csv
import unicodedata
from collections.abc import AsyncIterator, Iterable
from typing import IO, Any

from django.http import HttpResponse, StreamingHttpResponse

# A spreadsheet may read a text as a formula if it begins so, also after spaces and invisible characters.
FORMULA = "=+-@\N{MINUS SIGN}"
CHUNK_BYTES = 64 * 1024


def attachment(
    file: IO[bytes], size: int, name: str, content_type: str = "application/octet-stream"
) -> StreamingHttpResponse:
    """Return a response that sends and closes the open `file` of `size` bytes as `name`, which needs no quoting."""
    response = StreamingHttpResponse(_chunks(file), content_type=content_type)
    response["Content-Length"] = size
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox"
    return response


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        file.close()


def cell(value: Any) -> Any:
    """Return `value` for a CSV file: times in ISO 8601, and a quote before texts that look like a formula.

    A text that begins with a quote gets one, too, so that `text_of_cell` finds every text again.
    """
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and (is_formula(value) or value.startswith("'")):
        return f"'{value}"
    return "" if value is None else value


def text_of_cell(cell: str) -> str:
    """Return the text for which `cell` wrote a cell. A quote that stands before no formula and no quote stays."""
    rest = cell.removeprefix("'")
    return rest if cell != rest and (is_formula(rest) or rest.startswith("'")) else cell


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might read `text` as a formula.

    This includes full-width and small forms, and every text that begins with a space or an invisible character.
    """
    first = text[:1]
    return bool(first) and (
        first == " " or not first.isprintable() or unicodedata.normalize("NFKC", first) in FORMULA
    )


def csv_file(name: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> HttpResponse:
    """Return `rows` as the file `name`.csv. It is built in memory, so for some thousands of rows at most."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    writer = csv.writer(response)
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    return response
