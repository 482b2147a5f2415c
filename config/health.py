"""Is it alive, is it ready; and if not: what is wrong, where, and what to do."""

import logging
from concurrent.futures import ThreadPoolExecutor

from celery import current_app
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import JsonResponse
from redis.exceptions import RedisError

from chargers.errors import BROKER_FAULTS
from chargers.redis import sync_redis
from config.metrics import heard_of

logger = logging.getLogger(__name__)

PATIENCE = 5  # seconds
_asking = ThreadPoolExecutor(2, thread_name_prefix="readiness")


class NotMigrated(Exception):
    """The database lacks migrations of this version: their names."""


class Missing(Exception):
    """No process of a role has been heard of lately."""


def alive(request):
    """200 while the process answers at all."""
    return JsonResponse({"status": "ok"})


def ready(request):
    """200 when this process can do its work, else 503 that tells what is wrong, where, and what to do.

    What others should do and don't is a warning: without a worker chargers are served all the same. It is open to
    everyone, so it names variables and programs, never hosts.
    """
    problems = _problems(NEEDED)
    faults = {problem["part"]: problem["fault"] for problem in problems}
    warnings = [] if "redis" in faults else _problems(EXPECTED)
    if problems:
        error = "Not ready: " + ", ".join(sorted(faults))
        told = {"error": error, "faults": faults, "problems": problems, "warnings": warnings}
        return JsonResponse(told, status=503)
    return JsonResponse({"status": "ok", "warnings": warnings})


def _problems(parts):
    """Of `parts`, those that are not as they should be."""
    problems = []
    for part, (reach, wrong, where, what_to_do) in parts.items():
        if part == "migrations" and problems:  # a database that is away is waited for once
            continue
        try:
            reach()
        except (DatabaseError, NotMigrated, Missing, OSError, *BROKER_FAULTS) as error:
            if parts is NEEDED:
                logger.warning("Not ready: %s: %s", part, error)
            told = {"part": part, "fault": type(error).__name__, "wrong": wrong, "where": where}
            problems.append(told | {"what_to_do": what_to_do})
    return problems


def _reach_database():
    """One that hangs neither answers nor refuses: it is given up after PATIENCE, with a `TimeoutError`."""
    asked = _asking.submit(_select)
    try:
        asked.result(PATIENCE)
    finally:
        asked.cancel()  # where it has not begun: others hang before it


def _select():
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()


def _reach_redis():
    sync_redis().ping()


def _reach_broker():
    if settings.BROKER != settings.REDIS_URL:  # else it is the same server
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=3)


class Migrations:
    """Once they are applied they stay so: they are looked up no more."""

    def __init__(self):
        self.are_applied = False

    def look(self):
        if self.are_applied:
            return
        try:
            missing = unapplied()
        except DatabaseError:
            return  # which is a problem of its own
        if missing:
            raise NotMigrated(", ".join(missing))
        self.are_applied = True


def unapplied():
    """The names of the migrations of this version that the database lacks."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def _expect(role):
    """Raises `Missing` where no process of `role` has told its metrics lately."""

    def look():
        try:
            if role in heard_of():
                return
        except RedisError:
            return  # which is a problem of its own
        raise Missing(role)

    return look


# part: how it is reached, what is wrong where it is not, where, and what to do
NEEDED = {
    "database": (
        _reach_database,
        "PostgreSQL can't be reached, does not answer, or refuses the login.",
        "The server that DATABASE_URL names.",
        "Start it, or correct DATABASE_URL. Chargers wait for their answers meanwhile; nothing is lost.",
    ),
    "migrations": (
        Migrations().look,
        "The database lacks migrations of this version.",
        "The database that DATABASE_URL names.",
        "Run `python manage.py migrate`; the log names those that are missing.",
    ),
    "redis": (
        _reach_redis,
        "Redis can't be reached, or refuses the login.",
        "The server that REDIS_URL names.",
        "Start it, or correct REDIS_URL. Chargers are served meanwhile; commands wait.",
    ),
    "broker": (
        _reach_broker,
        "The message broker can't be reached, or refuses the login.",
        "The server that BROKER_URL names.",
        "Start it, or correct BROKER_URL. Commands can't be asked for meanwhile.",
    ),
}
EXPECTED = {
    "worker": (
        _expect("worker"),
        "No Celery worker has been heard of for half a minute.",
        "The program `python -m config.stack worker`.",
        "Start one, and read its log if it ends. Commands are taken and wait meanwhile.",
    ),
    "beat": (
        _expect("beat"),
        "Celery beat has not been heard of for half a minute.",
        "The program `python -m config.stack beat`.",
        "Start it, once for all machines. House is not kept meanwhile: nothing that is old goes.",
    ),
}
