"""Write many rows by one statement. Rows are sent as one JSON parameter, or by COPY where there are very many.

Statements are prepared, so that PostgreSQL parses and plans them once per connection. Django's own cursors write all
values into the text of a statement; those of psycopg take longer than most statements (decision 0027).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from django.db import DEFAULT_DB_ALIAS, connection, models

from core.db import libpq

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

M = TypeVar("M", bound=models.Model)
Row = tuple[Any, ...]  # its values have the types of the columns of a statement

# The characters that COPY's text format requires to be escaped.
ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def execute(statement: str, rows: "Sequence[Mapping[str, object] | DataclassInstance]") -> list[Row]:
    """Run `statement`, which reads `rows` (dicts or dataclasses) from one JSON parameter. Return its rows."""
    return query(statement, [json(rows)]) if rows else []


def json(value: object) -> str:
    """Format `value` as a JSON parameter, such as rows (dicts or dataclasses) for `json_to_recordset(%s)`."""
    return orjson.dumps(value).decode()


def query(statement: str, parameters: Sequence[object] | Mapping[str, object]) -> list[Row]:
    """Run `statement` with `parameters`. Return its rows, [] if none."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return libpq.run(connection.connection, statement, parameters)


def clock() -> datetime:
    """Return the time of the database, the clock that processes on all machines share."""
    now: datetime
    ((now,),) = query("SELECT clock_timestamp()", [])
    return now


def columns(model: type[models.Model], alias: str = "c") -> str:
    """List the columns of `model` for a SELECT whose rows are passed to `instance`."""
    return ", ".join(f"{alias}.{field.column}" for field in model._meta.concrete_fields)


def instance(model: type[M], values: Iterable[object]) -> M:
    """Build the instance of `model` for a row of `columns`, as Django would do."""
    attributes, converters = _converters(model)
    values = list(values)
    for index, convert in converters:
        values[index] = convert(values[index], None, connection)
    return model.from_db(DEFAULT_DB_ALIAS, attributes, values)


@cache
def _converters(model: type[models.Model]) -> tuple[list[str], list[tuple[int, Callable[..., object]]]]:
    fields = model._meta.concrete_fields
    converters = [(i, field.from_db_value) for i, field in enumerate(fields) if hasattr(field, "from_db_value")]
    return [field.attname for field in fields], converters


def array(numbers: Iterable[int]) -> str:
    """Format `numbers` as a parameter for `= ANY(%s)`, because a parameter is a text and no list (decision 0027)."""
    return f"{{{','.join(map(str, numbers))}}}"


def copy(table: str, columns: Iterable[str], lines: Sequence[str]) -> None:
    """Append `lines` to `table`. A line is a row with tab-separated columns; texts are `escaped`, NULL is `\\N`."""
    if not lines:
        return
    connection.ensure_connection()
    with connection.wrap_database_errors:
        statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        libpq.copy(connection.connection, statement, "\n".join(lines) + "\n")


def escaped(text: str) -> str:
    """Escape `text` for COPY."""
    return text.translate(ESCAPED) if "\\" in text or not text.isprintable() else text
