"""What beat has done for the dashboard."""

from celery import shared_task


@shared_task(name="dashboard.note_minute", ignore_result=True)
def note_minute():
    """Every minute, see `dashboard.fleet`."""
    from dashboard.fleet import note_minute as do

    do()
