"""Probes of the parts. Those of servers and disks write, because reads succeed even if they are read-only or full."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import psycopg
from celery import current_app
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from redis.exceptions import RedisError

from chargers.models import Charger, Connector
from commands.models import Command
from core.db import faults
from core.redis.connections import probing_redis
from core.redis.processes import active_roles
from dashboard.models import Heartbeat
from gateway.sockets import writer
from transactions.models import Reading, Transaction

LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS = 1000, 3000
FULL_BYTES, NEARLY_FULL_BYTES = 16 * 2**20, 512 * 2**20  # free space below which a disk is full, or nearly full
TEST_FILE_BYTES = 64 * 1024
MAX_BATCH_WRITER_WAIT_S = 5.0  # for which a message of a charger may be unanswered
PROBE_KEY = "ocpp:probe"

LIMITS_SQL = f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}"
HEARTBEAT_SQL = f"""
INSERT INTO {Heartbeat._meta.db_table} (id, at) VALUES (1, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET at = excluded.at
"""
# The heartbeat row can be written to a full disk, because it replaces a former version. So sort more than fits into
# work_mem, which needs new blocks of the disk.
SPILL_SQL = (
    "SET LOCAL work_mem = '64kB'; SELECT count(*) FROM (SELECT g FROM generate_series(1, 10000) g ORDER BY -g) s"
)
# This mode conflicts only with locks that prevent writes of rows.
WRITTEN_TABLES = ", ".join(
    f"ONLY {model._meta.db_table}" for model in (Charger, Connector, Transaction, Reading, Command)
)
LOCK_SQL = f"LOCK TABLE {WRITTEN_TABLES} IN ROW EXCLUSIVE MODE"


class NotMigrated(Exception):
    """The database lacks migrations of this version; the message has their names."""


class NearlyFull(Exception):
    """A disk has little space left."""


class BatchWriterWaits(Exception):
    """A message of a charger has been unanswered for too long."""


class NoProcess(Exception):
    """No process of a role has written its metrics within `processes.TTL_S`."""


def write_to_database() -> None:
    """Write to the database. Raise `psycopg.Error`, or `TimeoutError` if the synchronous standby hangs.

    It makes its own connection, because the errors of the pool hide their cause.
    """
    notices: list = []
    options = {"connect_timeout": 3, "tcp_user_timeout": 10_000}
    with psycopg.connect(**(connection.get_connection_params() | options)) as own_connection:
        own_connection.add_notice_handler(notices.append)
        try:
            own_connection.execute(f"{LIMITS_SQL}; {HEARTBEAT_SQL}; {SPILL_SQL}; {LOCK_SQL}")
        except psycopg.errors.UndefinedTable:  # the probe of migrations reports this
            own_connection.rollback()
    if any(map(faults.is_warning, notices)):
        raise TimeoutError("The synchronous standby has not confirmed the commit.")


def write_to_redis() -> None:
    """Raise `RedisError` if Redis takes no writes."""
    probing_redis().set(PROBE_KEY, 1, ex=60)


def write_to_broker() -> None:
    """Connect to the broker, and write to it if it is a Redis. Raise one of `BROKER_FAULTS`, or `OSError`.

    Nothing is written to RabbitMQ, because it does not tell a publisher that it is full.
    """
    if settings.BROKER == settings.REDIS_URL:  # `write_to_redis` probes it
        return
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=3)
        if broker.transport.driver_type == "redis":
            broker.default_channel.client.set(PROBE_KEY, 1, ex=60)


def write_file() -> None:
    """Write to FILES_DIR, or to its first existing parent. Raise `OSError`, or `NearlyFull`."""
    _write_to(_existing(settings.MEDIA_ROOT))


def write_temporary_file() -> None:
    """Write a temporary file, unless FILES_DIR is on the same disk. Raise `OSError`, or `NearlyFull`."""
    folder = Path(tempfile.gettempdir())
    if folder.stat().st_dev != _existing(settings.MEDIA_ROOT).stat().st_dev:
        _write_to(folder)


def _existing(folder: str | Path) -> Path:
    absolute = Path(folder).absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())


def _write_to(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(TEST_FILE_BYTES))
    free = shutil.disk_usage(folder).free
    if free < FULL_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if free < NEARLY_FULL_BYTES:
        raise NearlyFull(f"{free // 2**20} MiB are free")


class Migrations:
    """The probe of migrations. Once all are applied it does not look them up again."""

    def __init__(self) -> None:
        self.are_applied = False

    def check(self) -> None:
        """Raise `NotMigrated` if migrations are missing."""
        if self.are_applied:
            return
        try:
            missing = unapplied()
        except DatabaseError:
            return  # the probe of the database reports this
        finally:
            connection.close()
        if missing:
            raise NotMigrated(", ".join(missing))
        self.are_applied = True


def unapplied() -> list[str]:
    """The names of the migrations of this version that the database lacks."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


migrations = Migrations()


def check_batch_writer() -> None:
    """Raise `BatchWriterWaits`."""
    waited = writer.longest_wait_s()
    if waited > MAX_BATCH_WRITER_WAIT_S:
        raise BatchWriterWaits(f"{waited:.0f} s")


def check_worker() -> None:
    """Raise `NoProcess`."""
    _check_role("worker")


def check_beat() -> None:
    """Raise `NoProcess`."""
    _check_role("beat")


def _check_role(role: str) -> None:
    try:
        if role in active_roles():
            return
    except RedisError:
        return  # the probe of Redis reports this
    raise NoProcess(role)
