"""Periodic tasks of the dashboard."""

from celery import shared_task

from dashboard import fleet, report_mail


@shared_task(name="dashboard.note_minute", ignore_result=True)
def note_minute() -> None:
    """Store the state of the fleet, every minute."""
    fleet.note_minute()


@shared_task(name="dashboard.send_reports", ignore_result=True)
def send_reports() -> None:
    """Send the reports that are due by mail, every five minutes."""
    report_mail.send_due()
