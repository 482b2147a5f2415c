"""Periodic tasks of the dashboard."""

from celery import shared_task

from dashboard import fleet


@shared_task(name="dashboard.note_minute", ignore_result=True)
def note_minute() -> None:
    """Store the state of the fleet, every minute."""
    fleet.note_minute()
