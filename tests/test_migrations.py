"""Migrations: cut off anywhere they can be run again, and processes of the version before go on beside them."""

import os
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import psycopg
import pytest
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import models
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader

from tools.stack.stack import PROJECT

OURS = ("chargers", "transactions", "commands")
# What processes of the version before would trip over: it goes a version after nobody uses it any more.
TAKES_AWAY = (operations.RemoveField, operations.RenameField, operations.DeleteModel, operations.RenameModel)


@pytest.fixture
def database():
    """The URL of an empty database."""
    given = os.environ["DATABASE_URL"]
    with psycopg.connect(given, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS ocpp_migrations WITH (FORCE)")
        connection.execute("CREATE DATABASE ocpp_migrations")
    return urlsplit(given)._replace(path="/ocpp_migrations").geturl()


def environment(database):
    return os.environ | {"DATABASE_URL": database}


def migrate(database, *arguments, stop_at=None):
    """(exit code, what it said) of `migrate`; killed when it begins its migration number `stop_at`."""
    process = subprocess.Popen(
        [sys.executable, "-u", "manage.py", "migrate", "--noinput", *arguments],
        cwd=PROJECT,
        env=environment(database),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if sum("Applying" in line for line in said) == stop_at:
            process.send_signal(signal.SIGKILL)
    return process.wait(), "".join(said)


def test_a_migration_that_was_killed_is_run_again(database):
    for begun in (2, 5, 9):  # of what was left each time
        assert migrate(database, stop_at=begun)[0] == -signal.SIGKILL
    code, said = migrate(database)
    assert code == 0, said
    assert migrate(database, "--check")[0] == 0


def test_some_apps_may_be_migrated_alone(database):
    for arguments in (["auth"], ["chargers", "0003"]):
        code, said = migrate(database, *arguments)
        assert code == 0, said


STORED_IN_PLAIN = """
INSERT INTO chargers_charger (charger_id, description, authorization_key_hash, vendor, model, serial_number,
    charge_box_serial_number, firmware_version, iccid, imsi, meter_type, meter_serial_number, firmware_status,
    diagnostics_status, local_list_version, created_at, last_call_id, last_call_digest, last_answer)
VALUES ('505', '', '', '', '', '', '', '', '', '', '', '', '', '', 0, now(), '', '', '');
INSERT INTO commands_command (task_id, charger_id, action, payload, timeout, state, outcome, simulated, warning,
    claim_token, requested_by, idempotency_key, request_digest, created_at)
SELECT 'task', id, 'ChangeConfiguration', '{"key":"WifiPassword","value":"Zq-s3cret"}', 30, 'queued', '', false, '',
    '', '', '', '', now() FROM chargers_charger;
INSERT INTO commands_upload (token, command_id, charger_id, expires_at, file)
SELECT 'abcdefghijklmnopqrstuvwxyz012345', id, charger_id, now() + interval '1 day', '' FROM commands_command;
INSERT INTO chargers_webhook (name, url, secret, kinds, is_enabled, created_at)
VALUES ('billing', 'http://127.0.0.1:9/', 'whsec_Zq-s3cret', '[]', true, now());
"""
OPENED = """
from chargers.models import Webhook
from commands.models import Command, Upload
assert Command.objects.get().payload.opened()["value"] == "Zq-s3cret"
assert Upload.of("abcdefghijklmnopqrstuvwxyz012345")
assert Webhook.objects.get().secret.opened() == "whsec_Zq-s3cret"
"""


def test_secrets_that_stand_in_plain_are_sealed_by_the_migration(database):
    for arguments in (["chargers", "0013"], ["commands", "0006"]):
        assert migrate(database, *arguments)[0] == 0
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(STORED_IN_PLAIN)
        assert migrate(database)[0] == 0
        columns = ("payload FROM commands_command", "token FROM commands_upload", "secret FROM chargers_webhook")
        stored = [connection.execute(f"SELECT {column}").fetchone()[0] for column in columns]
    assert not any(secret in text for secret in ("Zq-s3cret", "abcdefghij") for text in stored)
    env = os.environ | {"DATABASE_URL": database}
    opened = [sys.executable, "manage.py", "shell", "-c", OPENED]
    assert subprocess.run(opened, cwd=PROJECT, env=env, check=False).returncode == 0


def each_operation():
    """(app, migration, operation) of every migration of ours after the first of its app."""
    for (app, name), migration in sorted(MigrationLoader(None).disk_migrations.items()):
        if app in OURS and not name.startswith("0001"):
            yield from ((app, name, operation) for operation in migration.operations)


def test_what_processes_of_the_version_before_use_stays():
    taken = [(app, name, op) for app, name, op in each_operation() if isinstance(op, TAKES_AWAY)]
    assert taken == []


def test_rows_of_processes_of_the_version_before_are_taken():
    added = [(name, op) for _, name, op in each_operation() if isinstance(op, operations.AddField)]
    made = {(name, op.name_lower) for _, name, op in each_operation() if isinstance(op, operations.CreateModel)}
    old = [(name, op) for name, op in added if (name, op.model_name_lower) not in made]
    strict = [(name, op.model_name, op.name) for name, op in old if not _may_be_left_out(op.field)]
    assert old and strict == []


# Each row is a transaction of its own, and one that is done is not done again.
ROW_BY_ROW = "0008_seal_what_is_stored"


def test_a_migration_is_one_transaction_or_locks_out_nobody():
    """`migrate` runs a migration again whose locks it did not get. One that is no transaction must stand that."""
    found = MigrationLoader(None).disk_migrations.items()
    ours = [(name, m) for (app, name), m in found if app in OURS and name != ROW_BY_ROW]
    loose = [(name, m.operations) for name, m in ours if not m.atomic]
    kinds = (AddIndexConcurrently, RemoveIndexConcurrently)
    assert ours and all(isinstance(op, kinds) for _, ops in loose for op in ops), loose


def _may_be_left_out(field):
    return field.generated or field.null or field.many_to_many or field.db_default is not models.NOT_PROVIDED
