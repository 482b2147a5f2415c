"""Create indexes of large tables in a migration while other sessions write to the tables."""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement
from django.db.migrations.state import ProjectState

from core.db import locks

LOCK_TIMEOUT_S = 600
PARTITIONED = "SELECT 1 FROM pg_class WHERE oid = %s::regclass AND relkind = 'p'"
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
# Partitions that have no index attached to the one of their table yet.
PARTITIONS_WITHOUT_INDEX = """
SELECT c.relname FROM pg_inherits p JOIN pg_class c ON c.oid = p.inhrelid
WHERE p.inhparent = %s::regclass AND NOT EXISTS (
    SELECT FROM pg_inherits a JOIN pg_index i ON i.indexrelid = a.inhrelid
    WHERE a.inhparent = %s::regclass AND i.indrelid = p.inhrelid
) ORDER BY 1
"""


class AddIndexBesideWriters(AddIndexConcurrently):
    """Create an index without blocking writers; an interrupted migration can be run again.

    PostgreSQL cannot create an index of a partitioned table concurrently. So each partition gets an index of its own,
    which is then attached to the index of the table.
    """

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Create the index; valid parts of it that exist already are not changed."""
        self._ensure_not_in_transaction(schema_editor)
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            _IndexBuilder(schema_editor, model, self.index).make()

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Drop the index under a lock, because PostgreSQL offers no other way for a partitioned table."""
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            schema_editor.remove_index(model, self.index)


class _IndexBuilder:
    def __init__(self, schema_editor: BaseDatabaseSchemaEditor, model: type[models.Model], index: models.Index):
        self.editor, self.model, self.index = schema_editor, model, index
        self.quote = schema_editor.quote_name

    def make(self) -> None:
        table, name = self.quote(self.model._meta.db_table), self.quote(self.index.name)
        if not self._rows(PARTITIONED, [table]):
            self._concurrently(table, name)
            return
        if not self._rows(IS_VALID, [name]):
            self._under_a_lock(str(self._statement(f"ONLY {table}", name, concurrently=False)))
        for (partition,) in self._rows(PARTITIONS_WITHOUT_INDEX, [table, name]):
            part = self.quote(f"{partition}_{self.index.name}"[:63])
            self._concurrently(self.quote(partition), part)
            self._under_a_lock(f"ALTER INDEX {name} ATTACH PARTITION {part}")

    def _statement(self, table: str, name: str, concurrently: bool) -> Statement:
        statement = self.index.create_sql(self.model, self.editor, concurrently=concurrently)
        parts: dict[str, Any] = statement.parts  # a name may replace a `Table`
        parts |= {"table": table, "name": name}
        return statement

    def _concurrently(self, table: str, name: str) -> None:
        """Create the index of one table, but first drop an invalid one that an interrupted attempt has left."""
        validity = self._rows(IS_VALID, [name])
        if validity == [(True,)]:
            return
        if validity:
            self._execute(f"DROP INDEX CONCURRENTLY {name}")
        self._execute(str(self._statement(table, name, concurrently=True)))

    def _under_a_lock(self, statement: str) -> None:
        locks.briefly(f"The index {self.index.name}", [statement], LOCK_TIMEOUT_S)

    def _execute(self, statement: str) -> None:
        with self.editor.connection.cursor() as cursor:
            cursor.execute(statement)

    def _rows(self, statement: str, parameters: list[str]) -> list[tuple[Any, ...]]:
        with self.editor.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows
