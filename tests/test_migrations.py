"""Migrations can be run again after they were killed, and the previous version runs beside the new schema."""

import signal

import psycopg
import pytest
from django.apps import apps
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import connection, models
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader

from tests.support.migrations import migrate

OURS = ("chargers", "transactions", "commands")
# What processes of the version before would trip over: it goes a version after nobody uses it any more.
TAKES_AWAY = (operations.RemoveField, operations.RenameField, operations.DeleteModel, operations.RenameModel)


def test_a_killed_migration_can_be_run_again(empty_database):
    for begun in (2, 5, 9):  # of what was left each time
        assert migrate(empty_database, stop_at=begun)[0] == -signal.SIGKILL
    code, said = migrate(empty_database)
    assert code == 0, said
    assert migrate(empty_database, "--check")[0] == 0


def test_a_migration_that_was_changed_after_it_was_applied_is_reported(empty_database):
    assert migrate(empty_database)[0] == 0
    with psycopg.connect(empty_database) as connection:
        connection.execute("ALTER TABLE chargers_charger RENAME COLUMN iccid TO sim")
    code, said = migrate(empty_database)
    assert code == 1
    assert "chargers_charger.iccid is missing, chargers_charger.sim is unknown" in said.splitlines()[-1]


PERMISSION_OF_A_ROLE = """
SELECT p.codename FROM auth_permission p JOIN auth_group_permissions r ON r.permission_id = p.id
JOIN auth_group g ON g.id = r.group_id WHERE g.name = 'Operators' AND p.codename = 'add_command'
"""


def test_single_apps_can_be_migrated(empty_database):
    for arguments in (["auth"], ["chargers"], []):
        code, said = migrate(empty_database, *arguments)
        assert code == 0, said
    with psycopg.connect(empty_database) as connection:
        assert connection.execute(PERMISSION_OF_A_ROLE).fetchone() == ("add_command",)


def each_operation():
    """(app, migration, operation) of every migration of ours after the first of its app."""
    for (app, name), migration in sorted(MigrationLoader(None).disk_migrations.items()):
        if app in OURS and not name.startswith("0001"):
            yield from ((app, name, operation) for operation in migration.operations)


def test_no_migration_removes_what_the_previous_version_uses():
    taken = [(app, name, op) for app, name, op in each_operation() if isinstance(op, TAKES_AWAY)]
    assert taken == []


def test_new_columns_may_be_left_out_by_the_previous_version():
    added = [(name, op) for _, name, op in each_operation() if isinstance(op, operations.AddField)]
    made = {(name, op.name_lower) for _, name, op in each_operation() if isinstance(op, operations.CreateModel)}
    old = [(name, op) for name, op in added if (name, op.model_name_lower) not in made]
    strict = [(name, op.model_name, op.name) for name, op in old if not _may_be_left_out(op.field)]
    assert strict == []


def test_a_migration_is_one_transaction_or_takes_no_lock():
    """`migrate` repeats a migration that got no locks, so that one without a transaction must be repeatable."""
    found = MigrationLoader(None).disk_migrations.items()
    ours = [(name, m) for (app, name), m in found if app in OURS]
    loose = [(name, m.operations) for name, m in ours if not m.atomic]
    kinds = (AddIndexConcurrently, RemoveIndexConcurrently)
    assert ours, loose
    assert all(isinstance(op, kinds) for _, ops in loose for op in ops), loose


@pytest.mark.django_db
def test_every_index_and_constraint_of_a_model_is_in_the_database():
    metas = [model._meta for app in OURS for model in apps.get_app_config(app).get_models() if model._meta.managed]
    with connection.cursor() as cursor:
        stored = {meta: connection.introspection.get_constraints(cursor, meta.db_table) for meta in metas}
    named = [(meta, item.name) for meta in metas for item in (*meta.indexes, *meta.constraints)]
    unique = [(meta, field.column) for meta in metas for field in meta.local_fields if field._unique]
    foreign = [(meta, f.column) for meta in metas for f in meta.local_fields if f.remote_field and f.db_constraint]
    assert len(named) > 60
    assert [f"{meta.db_table}.{name}" for meta, name in named if name not in stored[meta]] == []
    for kind, columns in (("unique", unique), ("foreign_key", foreign)):
        has = {(meta, *c["columns"]) for meta in metas for c in stored[meta].values() if c[kind]}
        assert [f"{meta.db_table}.{column}" for meta, column in columns if (meta, column) not in has] == []


def _may_be_left_out(field):
    return field.generated or field.null or field.many_to_many or field.db_default is not models.NOT_PROVIDED
