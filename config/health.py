"""Is it alive, is it ready, and how much is going on."""

from celery import current_app
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Count
from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import extend_schema
from redis.exceptions import RedisError
from rest_framework.decorators import api_view, permission_classes

from chargers import presence
from chargers.access import needs
from chargers.errors import BROKER_FAULTS
from chargers.models import Charger
from chargers.redis import sync_redis
from commands.models import FINISHED, Command
from transactions.models import Transaction


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


@extend_schema(exclude=True)
@api_view(["GET"])
@permission_classes([needs(GET="chargers.reach_every_charger")])
def metrics(request):
    """Prometheus' text format, for who may see chargers. Read from the books: the same whichever process answers."""
    try:
        return HttpResponse(_figures(), content_type="text/plain; version=0.0.4; charset=utf-8")
    except (DatabaseError, RedisError) as error:
        return JsonResponse({"error": f"Not ready: {type(error).__name__}"}, status=503)


def _figures():
    charger_ids = list(Charger.objects.values_list("charger_id", flat=True))
    unfinished = Command.objects.exclude(state=FINISHED).values_list("state").annotate(Count("pk")).order_by()
    lines = [
        "# HELP ocpp_chargers_known Chargers in the books.",
        "# TYPE ocpp_chargers_known gauge",
        f"ocpp_chargers_known {len(charger_ids)}",
        "# HELP ocpp_chargers_connected Chargers with a live socket.",
        "# TYPE ocpp_chargers_connected gauge",
        f"ocpp_chargers_connected {len(presence.connected(charger_ids))}",
        "# HELP ocpp_transactions_ongoing Transactions without a stop.",
        "# TYPE ocpp_transactions_ongoing gauge",
        f"ocpp_transactions_ongoing {Transaction.objects.ongoing().count()}",
        "# HELP ocpp_commands_unfinished Commands by state.",
        "# TYPE ocpp_commands_unfinished gauge",
        *(f'ocpp_commands_unfinished{{state="{state}"}} {count}' for state, count in sorted(unfinished)),
    ]
    return "\n".join(lines) + "\n"
