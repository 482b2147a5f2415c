"""Import the Celery application with Django, so that `shared_task` uses it."""

import gc

# Most objects of a start stay for the life of the process. Collections in between cost a seventh of the start.
gc.set_threshold(50_000, 20, 20)

from config.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
