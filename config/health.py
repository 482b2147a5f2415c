"""Is it alive, is it ready."""

from celery import current_app
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import JsonResponse

from chargers.errors import BROKER_FAULTS
from chargers.redis import sync_redis


def alive(request):
    """200 while the process answers at all."""
    return JsonResponse({"status": "ok"})


def ready(request):
    """200 when database, Redis and the broker are reachable, else 503 that names what is not."""
    faults = {}
    for name, reach in REACH.items():
        try:
            reach()
        except (DatabaseError, *BROKER_FAULTS) as error:
            faults[name] = type(error).__name__
    if faults:
        return JsonResponse({"error": "Not ready: " + ", ".join(sorted(faults)), "faults": faults}, status=503)
    return JsonResponse({"status": "ok"})


def _reach_database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _reach_redis():
    sync_redis().ping()


def _reach_broker():
    if settings.BROKER != settings.REDIS_URL:  # else it is the same server
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=3)


REACH = {"database": _reach_database, "redis": _reach_redis, "broker": _reach_broker}
