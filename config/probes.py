"""What tells whether a part works: each probe writes, since a server that is read-only or full is still read from."""

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

from chargers import faults
from chargers.models import Charger, Connector
from chargers.redis import probing_redis
from chargers.sockets import inbox
from commands.models import Command
from config.dashboard.models import Heartbeat
from config.processes import heard_of
from transactions.models import MeterValue, Transaction

LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS = 1000, 3000
LEAST_FREE, NEARLY_FULL = 16 * 2**20, 512 * 2**20  # bytes
WRITTEN = 64 * 1024  # bytes, to see whether a folder takes them
LONGEST_WAIT_S = 5.0  # that a message of a charger may be unanswered
KEY = "ocpp:probe"

LIMITS = f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}"
BEAT = f"""
INSERT INTO {Heartbeat._meta.db_table} (id, at) VALUES (1, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET at = excluded.at
"""
# A full disk takes that row all the same, in the place of its former version. This sort is too large for its memory,
# so it needs new blocks of the disk.
SPILL = "SET LOCAL work_mem = '64kB'; SELECT count(*) FROM (SELECT g FROM generate_series(1, 10000) g ORDER BY -g) s"
# This conflicts with those locks that keep rows from being written, and with no other.
WRITTEN_TABLES = ", ".join(
    f"ONLY {model._meta.db_table}" for model in (Charger, Connector, Transaction, MeterValue, Command)
)
MAY_WRITE = f"LOCK TABLE {WRITTEN_TABLES} IN ROW EXCLUSIVE MODE"


class NotMigrated(Exception):
    """The database lacks migrations of this version: their names."""


class NearlyFull(Exception):
    """A disk has little space left."""


class Waits(Exception):
    """A message of a charger is unanswered for too long."""


class Missing(Exception):
    """No process of a role has written its metrics lately."""


def write_to_database() -> None:
    """Write where what chargers say is written; raises `psycopg.Error`, or `TimeoutError` for a standby that hangs.

    A connection of its own: the pool would only tell that it had none to give, not why.
    """
    notices = []
    options = {"connect_timeout": 3, "tcp_user_timeout": 10_000}
    with psycopg.connect(**(connection.get_connection_params() | options)) as writing:
        writing.add_notice_handler(notices.append)
        try:
            writing.execute(f"{LIMITS}; {BEAT}; {SPILL}; {MAY_WRITE}")
        except psycopg.errors.UndefinedTable:  # migrations are missing, which is a problem of its own
            writing.rollback()
    if any(map(faults.is_warning, notices)):
        raise TimeoutError("The synchronous standby has not confirmed the commit.")


def write_to_redis() -> None:
    """Raises `RedisError`."""
    probing_redis().set(KEY, 1, ex=60)


def write_to_broker() -> None:
    """Raises one of `chargers.errors.BROKER_FAULTS`, or `OSError`.

    Only a Redis is written to: RabbitMQ does not tell a publisher that it is full.
    """
    if settings.BROKER == settings.REDIS_URL:  # the same server
        return
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=3)
        if broker.transport.driver_type == "redis":
            broker.default_channel.client.set(KEY, 1, ex=60)


def write_file() -> None:
    """Into FILES_DIR, or where it will be made; raises `OSError`, or `NearlyFull`."""
    _write_to(_existing(settings.MEDIA_ROOT))


def write_temporary_file() -> None:
    """Raises `OSError`, or `NearlyFull`; a disk that FILES_DIR is on as well is told of once."""
    folder = Path(tempfile.gettempdir())
    if folder.stat().st_dev != _existing(settings.MEDIA_ROOT).stat().st_dev:
        _write_to(folder)


def _existing(folder):
    wanted = Path(folder).absolute()
    return next(path for path in (wanted, *wanted.parents) if path.exists())


def _write_to(folder):
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(WRITTEN))
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if free < NEARLY_FULL:
        raise NearlyFull(f"{free // 2**20} MiB are free")


class Migrations:
    """Once they are applied they stay so: they are looked up no more."""

    def __init__(self):
        self.are_applied = False

    def look(self) -> None:
        """Raises `NotMigrated`."""
        if self.are_applied:
            return
        try:
            missing = unapplied()
        except DatabaseError:
            return  # which is a problem of its own
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


def look_at_inbox() -> None:
    """Raises `Waits`."""
    waited = inbox.longest_wait_s()
    if waited > LONGEST_WAIT_S:
        raise Waits(f"{waited:.0f} s")


def hear_worker() -> None:
    """Raises `Missing`."""
    _hear("worker")


def hear_beat() -> None:
    """Raises `Missing`."""
    _hear("beat")


def _hear(role):
    try:
        if role in heard_of():
            return
    except RedisError:
        return  # which is a problem of its own
    raise Missing(role)
