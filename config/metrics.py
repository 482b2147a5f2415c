"""`/metrics`: the samples of all processes, which they write to Redis, and counts of rows in the database.

A thread of each process writes its samples to its own key every INTERVAL_S seconds. The process that answers reads
all of them, so that Prometheus need not know or reach each process.
"""

import asyncio
import logging
import os
import socket
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

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
from rest_framework.request import Request

from chargers.metrics import event_loop_lag, registry
from chargers.models import ONLINE, Charger, Delivery
from chargers.services.access import needs
from commands import metrics as _commands  # noqa: F401  (registers its metrics, which start at 0)
from commands.models import FINISHED, QUEUED, SENT, Command
from commands.services.maintenance import MAINTENANCE_LAST_RUN
from core.background import RepeatedStep
from core.redis import processes
from core.redis.connections import sync_redis
from core.redis.faults import AWAY, BROKER_FAULTS, HANGING, sockets_are_the_broker
from core.redis.leases import last_time_of
from dashboard import readiness
from transactions import metrics as _transactions  # noqa: F401
from transactions.models import Transaction

logger = logging.getLogger(__name__)

INTERVAL_S = 5
LAG_INTERVAL_S = 0.5  # between two measurements of the event loop
BROKER_IS_REDIS = settings.BROKER == settings.REDIS_URL
UNREACHABLE = (AWAY, HANGING)  # faults with which a part is not queried


# --- every process ---------------------------------------------------------------------------


_pusher: RepeatedStep | None = None
_pusher_pid = 0


def start(role: str) -> None:
    """Start the thread that writes the samples of this process, unless it runs. `role` is web, worker or beat.

    A forked process needs its own.
    """
    global _pusher, _pusher_pid
    if _pusher is None or _pusher_pid != os.getpid():
        _pusher_pid = os.getpid()
        _pusher = RepeatedStep("metrics", partial(push, f"{role}:{socket.gethostname()}:{_pusher_pid}"), INTERVAL_S)
        _pusher.start()


def push(process: str) -> None:
    """Write the samples of this process under the name `process`. Raise `RedisError`."""
    text = orjson.dumps(
        [
            [family.name, family.documentation, family.type, [[s.name, s.labels, s.value] for s in family.samples]]
            for family in registry.collect()
        ]
    )
    processes.write(process, text)


def watch_event_loop() -> None:
    """Start to measure how late the running event loop runs callbacks, which delays all chargers of this process."""
    _schedule(asyncio.get_running_loop())


def _schedule(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_later(LAG_INTERVAL_S, _measure, loop, loop.time() + LAG_INTERVAL_S)


def _measure(loop: asyncio.AbstractEventLoop, expected: float) -> None:
    event_loop_lag.observe(max(0.0, loop.time() - expected))
    _schedule(loop)


# --- the process that answers ----------------------------------------------------------------


class AllMetrics:
    """The collector of `/metrics`. `ocpp_up` is 0 for a part that can't be read, or that /readyz finds at fault.

    The samples of this process are read from Redis, too. Otherwise a counter would depend on the process that
    answers, and Prometheus takes a decrease for a restart.
    """

    def collect(self) -> Iterator[Metric]:
        problems, up = readiness.latest_check.problems(), {}
        at_fault = {problem.part: problem.fault for problem in problems}
        if BROKER_IS_REDIS and "redis" in at_fault:
            at_fault["broker"] = at_fault["redis"]
        for name, faults, read in SOURCES:
            up[name] = int(name not in at_fault)
            if at_fault.get(name) in UNREACHABLE:
                continue
            try:
                families = list(read())
            except faults as error:
                logger.warning("/metrics lacks the part %s, which can't be read: %s", name, error)
                families, up[name] = [], 0
            yield from families
        yield _gauge("ocpp_up", "Whether the part was read for these metrics, and takes writes.", up, "part")
        yield _faults(at_fault)


def _gauge(name: str, documentation: str, values: Any, label: str | None = None) -> Metric:
    """A gauge. `values` is a number or, with a `label`, {value of the label: number}."""
    family = GaugeMetricFamily(name, documentation, labels=[label] if label else None)
    for key, value in values.items() if label else [("", values)]:
        family.add_metric([key] if label else [], value)
    return family


def _faults(at_fault: Any) -> Any:
    """A gauge of all faults of all parts: 1 for those found now, else 0."""
    documentation = "Whether the part has this fault, as in /readyz."
    family = GaugeMetricFamily("ocpp_dependency_fault", documentation, labels=["part", "fault"])
    for part in readiness.PARTS:
        for fault in part.faults:
            family.add_metric([part.name, fault], int(at_fault.get(part.name) == fault))
    return family


def _process_metrics() -> list[Metric]:
    """The samples of all processes, each with the name of its process in the label `process`."""
    samples_by_process = processes.samples()
    merged: dict[str, Metric] = {}
    for process, text in samples_by_process.items():
        for name, documentation, kind, samples in orjson.loads(text):
            family = merged.setdefault(name, Metric(name, documentation, kind))
            for sample, labels, value in samples:
                family.add_sample(sample, labels | {"process": process}, value)
    roles = {"web": 0, "worker": 0, "beat": 0} | Counter(process.partition(":")[0] for process in samples_by_process)
    maintained_at = _gauge(
        "ocpp_maintenance_last_run_timestamp_seconds",
        "Time of the last maintenance, 0: never.",
        last_time_of(MAINTENANCE_LAST_RUN),
    )
    return [
        *merged.values(),
        _gauge("ocpp_processes", "Processes that wrote within 30 s.", roles, "role"),
        maintained_at,
    ]


def _database_metrics() -> Iterator[Metric]:
    chargers = Charger.objects.aggregate(known=Count("pk"), connected=Count("pk", filter=ONLINE))
    yield _gauge("ocpp_chargers_known", "Chargers in the database.", chargers["known"])
    yield _gauge("ocpp_chargers_connected", "Chargers with an open socket.", chargers["connected"])
    ongoing = Transaction.objects.ongoing().count()
    yield _gauge("ocpp_transactions_ongoing", "Transactions without a stop.", ongoing)
    unfinished = Command.objects.exclude(state=FINISHED).values_list("state").annotate(Count("pk")).order_by()
    yield _gauge("ocpp_commands_unfinished", "Commands by state.", {QUEUED: 0, SENT: 0} | dict(unfinished), "state")
    undelivered = (
        Delivery.objects.exclude(state=Delivery.DELIVERED).values_list("state").annotate(Count("pk")).order_by()
    )
    by_state = {Delivery.PENDING: 0, Delivery.DEAD: 0} | dict(undelivered)
    yield _gauge(
        "ocpp_webhook_deliveries_unfinished", "Webhook deliveries without success, by state.", by_state, "state"
    )


def _broker_metrics() -> list[Metric]:
    queue = current_app.conf.task_default_queue
    depth = sync_redis().llen(queue) if BROKER_IS_REDIS else _declared_depth(queue)
    return [_gauge("ocpp_queue_depth", "Tasks that wait in the broker for a worker.", depth)]


def _declared_depth(queue: str) -> int:
    with sockets_are_the_broker(), current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=3)
        declared = broker.default_channel.queue_declare(queue, durable=True, auto_delete=False)
        return declared.message_count


SOURCES = (
    ("redis", RedisError, _process_metrics),
    ("database", DatabaseError, _database_metrics),
    ("broker", BROKER_FAULTS, _broker_metrics),
)


@extend_schema(exclude=True)
@api_view(["GET"])
@permission_classes([needs(GET="chargers.reach_every_charger")])
def metrics(request: Request) -> HttpResponse:
    """All metrics in the text format of Prometheus, the same from each process. Requires access to every charger."""
    return HttpResponse(generate_latest(AllMetrics()), content_type=CONTENT_TYPE_PLAIN_0_0_4)
