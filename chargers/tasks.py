"""The Celery tasks of events."""

from celery import shared_task

from chargers import webhooks


@shared_task(name="chargers.deliver", ignore_result=True)
def deliver(webhook_id, lease=""):
    """What a webhook (primary key) is owed, see `chargers.webhooks`."""
    webhooks.deliver(webhook_id, lease)
