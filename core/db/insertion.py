"""Insert one row by a prepared statement.

The ORM builds its statement on each call, which takes longer than running it.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import connection, models
from django.db.models import signals
from django.db.models.expressions import DatabaseDefault

from core.db import bulk_sql

if TYPE_CHECKING:
    Fields = tuple[models.Field[Any, Any], ...]


def insert(row: models.Model) -> None:
    """Insert `row`, and set its primary key and the columns with a default of the database.

    Values must be of types that `libpq` sends as text. `pre_save` of fields, such as by `auto_now`, is not called.
    """
    options = {"sender": type(row), "instance": row, "raw": False, "using": connection.alias, "update_fields": None}
    signals.pre_save.send(**options)
    fields = row._meta.concrete_fields
    values = {field: getattr(row, field.attname) for field in fields if not field.primary_key}
    given = {field: value for field, value in values.items() if not isinstance(value, DatabaseDefault)}
    defaults = tuple(field for field in fields if field not in given)
    parameters = [field.get_db_prep_save(value, connection) for field, value in given.items()]
    (stored,) = bulk_sql.query(_statement(type(row), tuple(given), defaults), parameters)
    for field, value in zip(defaults, stored, strict=True):
        setattr(row, field.attname, value)
    row._state.adding, row._state.db = False, connection.alias
    signals.post_save.send(created=True, **options)


@cache
def _statement(model: type[models.Model], given: "Fields", defaults: "Fields") -> str:
    columns, places = ", ".join(str(field.column) for field in given), ", ".join(["%s"] * len(given))
    returned = ", ".join(str(field.column) for field in defaults)
    return f"INSERT INTO {model._meta.db_table} ({columns}) VALUES ({places}) RETURNING {returned}"
