"""The Celery application; its settings are those of Django that begin with CELERY_."""

import os
import sys
from pathlib import Path

from celery import Celery
from celery.app import trace
from celery.signals import beat_init, setup_logging, worker_init, worker_process_init, worker_ready

from config.limits import allow_many_files

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Without the result: an answer of a charger may hold what is no log's business.
trace.LOG_SUCCESS = "Task %(name)s[%(id)s] succeeded in %(runtime)ss"


@setup_logging.connect
def log_as_the_settings_say(**_):
    """Django has set it up already; Celery's own handlers and formats stay out of it."""


@worker_ready.connect
def take_up_what_was_abandoned(**_):
    from commands.sweep import keep_sweeping

    keep_sweeping()


@worker_ready.connect
@worker_process_init.connect  # where its pool is one of processes
def tell_what_a_worker_counts(**_):
    from config import metrics

    metrics.start("worker")


@beat_init.connect
def tell_what_beat_counts(**_):
    from config import metrics

    metrics.start("beat")


@worker_init.connect
def refuse_to_start_without_keys(**_):
    """It sends what is sealed. Celery logs other exceptions of a receiver, and goes on."""
    from chargers import sealing

    try:
        sealing.require()
    except sealing.Unreadable as error:
        sys.exit(str(error))


@worker_init.connect
def allow_many_sockets(**_):
    allow_many_files()


@beat_init.connect
def forget_former_steps(sender, **_):
    """The scheduler adds the steps of the settings to its table, and changes them, but removes none."""
    from django.conf import settings
    from django_celery_beat.models import PeriodicTask

    own = PeriodicTask.objects.filter(name__startswith=settings.BUILT_IN)
    own.exclude(name__in=settings.CELERY_BEAT_SCHEDULE).delete()
    Path(sender.schedule_filename).touch()  # by which the container's health check sees that it began
