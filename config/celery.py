"""The Celery application. It reads the settings of Django that begin with CELERY_."""

import os
import sys
from pathlib import Path
from typing import Any

from celery import Celery
from celery.app import trace
from celery.signals import beat_init, setup_logging, worker_init, worker_process_init, worker_ready

from config.startup import allow_many_files

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Without the result, because the answer of a charger may contain secrets.
trace.LOG_SUCCESS = "Task %(name)s[%(id)s] succeeded in %(runtime)ss"


@setup_logging.connect
def keep_django_logging(**_: Any) -> None:
    """Do nothing, because Django has set up logging already; a receiver keeps Celery from adding its own handlers."""


@worker_ready.connect
def start_sweep(**_: Any) -> None:
    from commands.services.sweep import keep_sweeping

    keep_sweeping()


@worker_ready.connect
@worker_process_init.connect  # with a pool of processes
def start_worker_metrics(**_: Any) -> None:
    from config import metrics

    metrics.start("worker")


@beat_init.connect
def start_beat_metrics(**_: Any) -> None:
    from config import metrics

    metrics.start("beat")


@worker_init.connect
def refuse_to_start_without_keys(**_: Any) -> None:
    """End the worker if it cannot decrypt secrets. It calls sys.exit, because Celery only logs other exceptions."""
    from core.db import sealing

    try:
        sealing.require()
    except sealing.Unreadable as error:
        sys.exit(str(error))


@worker_init.connect
def raise_file_limit(**_: Any) -> None:
    allow_many_files()


@beat_init.connect
def delete_former_steps(sender: Any, **_: Any) -> None:
    """Delete steps that are no longer in the settings, because the scheduler only adds and changes them."""
    from django.conf import settings
    from django_celery_beat.models import PeriodicTask

    built_in = PeriodicTask.objects.filter(name__startswith=settings.BUILT_IN)
    built_in.exclude(name__in=settings.CELERY_BEAT_SCHEDULE).delete()
    Path(sender.schedule_filename).touch()  # the health check of the container looks for this file
