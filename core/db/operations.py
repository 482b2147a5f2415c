"""Operations of migrations."""

from collections.abc import Sequence

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import (
    AddConstraint,
    AddField,
    AddIndex,
    CreateModel,
    RunSQL,
    SeparateDatabaseAndState,
)
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState


class Together(Operation):
    """All `operations` of the first migration of an app, for which Django builds the classes of the models once.

    Django builds those of all related models again after each operation, which takes most of the time of a migration.
    Here they are built after the last operation. So a table is created with the fields, indexes and constraints that
    later operations of the list add, and these do nothing more. The list changes no other tables.
    """

    ADDITIONS = (AddField, AddIndex, AddConstraint)
    KINDS = (CreateModel, RunSQL, SeparateDatabaseAndState, *ADDITIONS)
    reduces_to_sql = True
    reversible = True

    def __init__(self, operations: Sequence[Operation]) -> None:
        assert all(isinstance(operation, self.KINDS) for operation in operations)
        created = {operation.name_lower for operation in operations if isinstance(operation, CreateModel)}
        assert created >= {o.model_name.lower() for o in operations if isinstance(o, self.ADDITIONS)}
        self.operations = operations

    def deconstruct(self) -> tuple[str, list[object], dict[str, object]]:
        return self.__class__.__qualname__, [self.operations], {}

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        state.__dict__.pop("apps", None)  # the next access to this cached property builds the classes
        for operation in self.operations:
            operation.state_forwards(app_label, state)

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        for operation in self._steps():
            operation.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        for operation in reversed(self._steps()):
            operation.database_backwards(app_label, schema_editor, from_state, to_state)

    def describe(self) -> str:
        return f"Create {sum(isinstance(operation, CreateModel) for operation in self.operations)} models"

    def _steps(self) -> list[Operation]:
        return [operation for operation in self.operations if not isinstance(operation, self.ADDITIONS)]
