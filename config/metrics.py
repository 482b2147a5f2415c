"""`/metrics`: what every process counts, by way of Redis, and what stands in the books.

Each process writes its samples to a key of its own every INTERVAL seconds, from a thread beside the traffic. Whoever
is asked reads them all: Prometheus need not know how many processes there are, or reach them.
"""

import logging
import os
import socket
import threading
from collections import Counter

import orjson
from celery import current_app
from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import Count
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from redis.exceptions import RedisError
from rest_framework.decorators import api_view, permission_classes

from chargers.access import needs
from chargers.diagnosis import AWAY, HANGING
from chargers.errors import BROKER_FAULTS
from chargers.gateway import last_time_of
from chargers.metrics import registry
from chargers.models import ONLINE, Charger, Delivery
from chargers.redis import sync_redis
from commands import metrics as _commands  # noqa: F401  (what it counts is told from the start, as 0)
from commands.housekeeping import KEPT
from commands.models import FINISHED, QUEUED, SENT, Command
from config import processes, readiness
from transactions import metrics as _transactions  # noqa: F401
from transactions.models import Transaction

logger = logging.getLogger(__name__)

INTERVAL = 5  # seconds
BROKER_IS_REDIS = settings.BROKER == settings.REDIS_URL
BROKER_FAULTS = (*BROKER_FAULTS, OSError)
UNREACHABLE = (AWAY, HANGING)  # faults for which nothing is asked of a part


# --- every process ---------------------------------------------------------------------------


class Pusher(threading.Thread):
    """Writes what this process counts. `role`: web, worker or beat."""

    def __init__(self, role):
        super().__init__(name="metrics", daemon=True)
        self.pid = os.getpid()
        self.process = f"{role}:{socket.gethostname()}:{self.pid}"
        self.is_heard = True
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            try:
                push(self.process)
                self.is_heard = True
            except RedisError as error:
                if self.is_heard:
                    logger.warning("What is counted here is told nobody, Redis is away: %s", error)
                self.is_heard = False
            except Exception:  # noqa: BLE001  (without it this process would be silent for ever)
                logger.exception("What is counted here could not be told")
            self.ending.wait(INTERVAL)


_pusher = None


def start(role):
    """Tell what this process counts from now on; once a process, and again in one that was forked."""
    global _pusher
    if _pusher is None or _pusher.pid != os.getpid():
        _pusher = Pusher(role)
        _pusher.start()


def push(process):
    """Write the samples of this process under the name `process`; raises `RedisError`."""
    text = orjson.dumps(
        [
            [family.name, family.documentation, family.type, [[s.name, s.labels, s.value] for s in family.samples]]
            for family in registry.collect()
        ]
    )
    processes.write(process, text)


# --- who is asked ----------------------------------------------------------------------------


class Everything:
    """A registry of what `/metrics` tells. What can't be read is left out, and `ocpp_up` says so; it is 0, too, where
    /readyz finds the part at fault.

    Nothing of this very process comes in another way than through Redis: a counter would go back and forth with
    whoever is asked, and Prometheus takes a step back for a new beginning.
    """

    def collect(self):
        problems, works = readiness.newest.told(), {}
        at_fault = {problem.part: problem.fault for problem in problems}
        if BROKER_IS_REDIS and "redis" in at_fault:
            at_fault["broker"] = at_fault["redis"]
        for name, faults, read in SOURCES:
            works[name] = int(name not in at_fault)
            if at_fault.get(name) in UNREACHABLE:
                continue
            try:
                families = list(read())
            except faults as error:
                logger.warning("Metrics are told without %s: %s", name, error)
                families, works[name] = [], 0
            yield from families
        yield _gauge("ocpp_up", "Whether it was reached for these figures, and takes writes.", works, "part")
        yield _faults(at_fault)


def _gauge(name, documentation, values, label=None):
    """`values`: a number or, with a `label`, {its value: number}."""
    family = GaugeMetricFamily(name, documentation, labels=[label] if label else None)
    for key, value in values.items() if label else [((), values)]:
        family.add_metric([key] if label else [], value)
    return family


def _faults(at_fault):
    """Every fault that is known, of every part: 1 where it is found now."""
    documentation = "Whether a part that is depended on has this fault, as /readyz tells it."
    family = GaugeMetricFamily("ocpp_dependency_fault", documentation, labels=["part", "fault"])
    for part in readiness.PARTS:
        for fault in part.faults:
            family.add_metric([part.name, fault], int(at_fault.get(part.name) == fault))
    return family


def _of_processes():
    """The samples of all processes, each with its name in the label `process`."""
    found, merged = processes.samples(), {}
    for process, text in found.items():
        for name, documentation, kind, samples in orjson.loads(text):
            family = merged.setdefault(name, Metric(name, documentation, kind))
            for sample, labels, value in samples:
                family.add_sample(sample, labels | {"process": process}, value)
    roles = {"web": 0, "worker": 0, "beat": 0} | Counter(process.partition(":")[0] for process in found)
    kept_at = _gauge("ocpp_house_kept_timestamp_seconds", "When house was last kept, 0: never.", last_time_of(KEPT))
    return [*merged.values(), _gauge("ocpp_processes", "Processes that wrote lately.", roles, "role"), kept_at]


def _of_books():
    chargers = Charger.objects.aggregate(known=Count("pk"), connected=Count("pk", filter=ONLINE))
    yield _gauge("ocpp_chargers_known", "Chargers in the books.", chargers["known"])
    yield _gauge("ocpp_chargers_connected", "Chargers with a live socket.", chargers["connected"])
    ongoing = Transaction.objects.ongoing().count()
    yield _gauge("ocpp_transactions_ongoing", "Transactions without a stop.", ongoing)
    unfinished = Command.objects.exclude(state=FINISHED).values_list("state").annotate(Count("pk")).order_by()
    yield _gauge("ocpp_commands_unfinished", "Commands by state.", {QUEUED: 0, SENT: 0} | dict(unfinished), "state")
    owed = Delivery.objects.exclude(state=Delivery.DELIVERED).values_list("state").annotate(Count("pk")).order_by()
    owed = {Delivery.PENDING: 0, Delivery.DEAD: 0} | dict(owed)
    yield _gauge("ocpp_webhook_deliveries_unfinished", "Deliveries that were not taken, by state.", owed, "state")


def _of_broker():
    queue = current_app.conf.task_default_queue
    depth = sync_redis().llen(queue) if BROKER_IS_REDIS else _asked_for_depth(queue)
    return [_gauge("ocpp_queue_depth", "Tasks that wait in the broker for a worker.", depth)]


def _asked_for_depth(queue):
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=3)
        declared = broker.default_channel.queue_declare(queue, durable=True, auto_delete=False)
        return declared.message_count


SOURCES = (
    ("redis", RedisError, _of_processes),
    ("database", DatabaseError, _of_books),
    ("broker", BROKER_FAULTS, _of_broker),
)


@extend_schema(exclude=True)
@api_view(["GET"])
@permission_classes([needs(GET="chargers.reach_every_charger")])
def metrics(request):
    """Prometheus' text format, for who may reach every charger: the same whichever process answers."""
    return HttpResponse(generate_latest(Everything()), content_type=CONTENT_TYPE_PLAIN_0_0_4)
