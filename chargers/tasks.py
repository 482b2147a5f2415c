"""The Celery tasks of this app."""

from celery import shared_task

from chargers.services import webhooks


@shared_task(name="chargers.deliver", ignore_result=True)
def deliver(webhook_id, lease=""):
    """Deliver the pending events of a webhook (primary key), see `chargers.services.webhooks`."""
    webhooks.deliver(webhook_id, lease)
