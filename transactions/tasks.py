"""The Celery tasks of this app."""

from celery import shared_task

from transactions.services import day_totals, outages


@shared_task(name="transactions.update_day_totals", ignore_result=True)
def update_day_totals() -> None:
    """Compute the totals of the days whose sessions have changed, every minute."""
    day_totals.SESSIONS.update()


@shared_task(name="transactions.update_outages", ignore_result=True)
def update_outages() -> None:
    """Compute outages from new events, every five minutes."""
    outages.update()
