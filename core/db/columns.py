"""Compare the columns of the models with those of the database."""

from django.apps import apps
from django.db import connection

# The last column: whether a row cannot be inserted without a value.
COLUMNS_SQL = """
SELECT table_name, column_name,
  is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER'
FROM information_schema.columns WHERE table_schema = current_schema()
"""


def differences() -> list[str]:
    """Return "table.column is missing", or "… is unknown" for one that only the database has and that needs a value.

    Types are not compared. The models of a former version may lack a column that needs no value.
    """
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS_SQL)
        stored = {(table, column): is_required for table, column, is_required in cursor.fetchall()}
    models = [model._meta for model in apps.get_models(include_auto_created=True) if model._meta.managed]
    tables = {meta.db_table for meta in models}
    expected = {(meta.db_table, str(field.column)) for meta in models for field in meta.local_concrete_fields}
    unknown = {key for key, is_required in stored.items() if is_required and key[0] in tables} - expected
    missing = expected - stored.keys()
    states = dict.fromkeys(missing, "missing") | dict.fromkeys(unknown, "unknown")
    return [f"{table}.{column} is {state}" for (table, column), state in sorted(states.items())]
