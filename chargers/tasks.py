"""The Celery tasks of this app."""

from celery import shared_task
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from chargers.models import Delivery, Webhook
from chargers.services import webhooks
from core.redis import leases


@shared_task(name="chargers.deliver", ignore_result=True)
def deliver(webhook_id: int, lease: str = "") -> None:
    """Deliver the pending events of a webhook (primary key), see `chargers.services.webhooks`."""
    webhooks.deliver(webhook_id, lease)


def enqueue_deliveries() -> None:
    """Start a task for each webhook that has deliveries due."""
    due = Delivery.objects.filter(webhook=OuterRef("pk"), state=Delivery.PENDING, due_at__lte=Now())
    for webhook in Webhook.objects.filter(Exists(due), is_enabled=True).values_list("pk", flat=True):
        if lease := leases.acquire(webhooks.lease_of(webhook), webhooks.LEASE_S):
            try:
                deliver.delay(webhook, lease)
            except Exception:  # release the lease at once when the broker is unavailable
                leases.release(webhooks.lease_of(webhook), lease)
                raise
