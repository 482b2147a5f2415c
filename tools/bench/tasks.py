"""The task that does nothing: what Celery, the broker and the result backend cost by themselves."""

from celery import shared_task


@shared_task(name="tools.bench.nothing")
def nothing():
    return {"outcome": "answered", "simulated": False, "result": {"status": "Accepted"}}
