"""One statement for many rows: they travel as one JSON parameter, or by COPY where they come in floods.

Prepared, and so parsed and planned once a connection; Django's own cursors write every value into the text of the
statement (see docs/performance.md).
"""

from functools import cache

import orjson
import psycopg
from django.db import DEFAULT_DB_ALIAS, connection

# What COPY's text format wants escaped, and how.
ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def execute(statement, rows):
    """Run `statement`, which reads `rows` (dicts) with `json_to_recordset(%s)`; what it returns, if anything."""
    return query(statement, [json(rows)]) if rows else []


def json(rows):
    """`rows` (dicts) as the parameter that a statement reads with `json_to_recordset(%s)`."""
    return orjson.dumps(rows).decode()


def query(statement, parameters):
    """Run `statement` with `parameters`; what it returns, if anything."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, parameters, prepare=True)
        return cursor.fetchall() if cursor.description else []


def clock():
    """The time of the database: the one clock that all processes share, whatever those of their machines say."""
    ((now,),) = query("SELECT clock_timestamp()", [])
    return now


def columns(model, alias="c"):
    """Those of `model`, to be selected for `instance`."""
    return ", ".join(f"{alias}.{field.column}" for field in model._meta.concrete_fields)


def instance(model, values):
    """The row of `columns` as Django would have read it."""
    attributes, readers = _read_by(model)
    values = list(values)
    for at, read in readers:
        values[at] = read(values[at], None, connection)
    return model.from_db(DEFAULT_DB_ALIAS, attributes, values)


@cache
def _read_by(model):
    fields = model._meta.concrete_fields
    readers = [(at, field.from_db_value) for at, field in enumerate(fields) if hasattr(field, "from_db_value")]
    return [field.attname for field in fields], readers


def array(numbers):
    """`numbers` as a parameter for `= ANY(%s)`; psycopg's own way with a list takes a hundred times as long."""
    return f"{{{','.join(map(str, numbers))}}}"


def copy(table, columns, lines):
    """Append `lines` to `table`: each the text of a row, its columns tab-separated and `escaped`, None as `\\N`."""
    if not lines:
        return
    connection.ensure_connection()
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with (
        connection.wrap_database_errors,
        psycopg.Cursor(connection.connection) as cursor,
        cursor.copy(statement) as stream,
    ):
        stream.write("\n".join(lines) + "\n")


def escaped(text):
    """`text` as COPY reads it."""
    return text.translate(ESCAPED) if "\\" in text or not text.isprintable() else text
