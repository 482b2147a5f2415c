"""The Celery application; its settings are those of Django that begin with CELERY_."""

import os
import resource

from celery import Celery
from celery.signals import worker_init, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_ready.connect
def take_up_what_was_abandoned(**_):
    from commands.sweep import keep_sweeping

    keep_sweeping()


@worker_init.connect
def allow_many_sockets(**_):
    """A waiting command holds a Redis connection: a thousand of them need more than the usual 1024 files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
