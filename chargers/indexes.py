"""Indexes of large tables, made by a migration while others write to the tables."""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import models
from django.db.backends.ddl_references import Statement
from django.db.backends.postgresql.schema import DatabaseSchemaEditor

from chargers import locks

PATIENCE = 600  # seconds
PARTITIONED = "SELECT 1 FROM pg_class WHERE oid = %s::regclass AND relkind = 'p'"
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
# Partitions that have no index below the one of their table yet.
WITHOUT = """
SELECT c.relname FROM pg_inherits p JOIN pg_class c ON c.oid = p.inhrelid
WHERE p.inhparent = %s::regclass AND NOT EXISTS (
    SELECT FROM pg_inherits a JOIN pg_index i ON i.indexrelid = a.inhrelid
    WHERE a.inhparent = %s::regclass AND i.indrelid = p.inhrelid
) ORDER BY 1
"""


class AddIndexBesideWriters(AddIndexConcurrently):
    """An index that locks out nobody while it is made; a migration that was cut off can be run again.

    PostgreSQL cannot make one of a table of partitions that way. So each partition gets one of its own, which then
    becomes a part of the index of the table.
    """

    def database_forwards(
        self, app_label: str, schema_editor: DatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Make it; what is there of it is left as it is."""
        self._ensure_not_in_transaction(schema_editor)
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            _Making(schema_editor, model, self.index).make()

    def database_backwards(
        self, app_label: str, schema_editor: DatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Drop it; PostgreSQL drops the index of a table of partitions in no other way than under a lock."""
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            schema_editor.remove_index(model, self.index)


class _Making:
    """Of one index."""

    def __init__(self, schema_editor: DatabaseSchemaEditor, model: type[models.Model], index: models.Index):
        self.editor, self.model, self.index = schema_editor, model, index
        self.quote = schema_editor.quote_name

    def make(self) -> None:
        table, name = self.quote(self.model._meta.db_table), self.quote(self.index.name)
        if not self._rows(PARTITIONED, [table]):
            self._concurrently(table, name)
            return
        if not self._rows(IS_VALID, [name]):
            self._under_a_lock(str(self._statement(f"ONLY {table}", name, concurrently=False)))
        for (partition,) in self._rows(WITHOUT, [table, name]):
            part = self.quote(f"{partition}_{self.index.name}"[:63])
            self._concurrently(self.quote(partition), part)
            self._under_a_lock(f"ALTER INDEX {name} ATTACH PARTITION {part}")

    def _statement(self, table: str, name: str, concurrently: bool) -> Statement:
        statement = self.index.create_sql(self.model, self.editor, concurrently=concurrently)
        statement.parts |= {"table": table, "name": name}
        return statement

    def _concurrently(self, table: str, name: str) -> None:
        """On one table. PostgreSQL leaves an invalid index where it was interrupted."""
        found = self._rows(IS_VALID, [name])
        if found == [(True,)]:
            return
        if found:
            self._execute(f"DROP INDEX CONCURRENTLY {name}")
        self._execute(str(self._statement(table, name, concurrently=True)))

    def _under_a_lock(self, statement: str) -> None:
        locks.briefly(f"The index {self.index.name}", [statement], PATIENCE)

    def _execute(self, statement: str) -> None:
        with self.editor.connection.cursor() as cursor:
            cursor.execute(statement)

    def _rows(self, statement: str, parameters: list[str]) -> list[tuple]:
        with self.editor.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall()
