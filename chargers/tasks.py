"""The Celery tasks of this app."""

from functools import partial

from celery import shared_task
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from chargers.models import Delivery, NotificationDelivery, NotificationRule, Webhook
from chargers.services import incident_notifications, webhooks
from core.redis import leases


@shared_task(name="chargers.deliver", ignore_result=True)
def deliver(webhook_id: int, lease: str = "") -> None:
    """Deliver the pending events of a webhook (primary key), see `chargers.services.webhooks`."""
    webhooks.deliver(webhook_id, lease)


def enqueue_deliveries() -> None:
    """Start a task for each webhook that has deliveries due."""
    due = Delivery.objects.filter(webhook=OuterRef("pk"), state=Delivery.PENDING, due_at__lte=Now())
    for webhook in Webhook.objects.filter(Exists(due), is_enabled=True).values_list("pk", flat=True):
        leases.hand_over(webhooks.lease_of(webhook), webhooks.LEASE_S, partial(deliver.delay, webhook))


@shared_task(name="chargers.notify", ignore_result=True)
def notify(rule_id: int, lease: str = "") -> None:
    """Send the pending messages of a notification rule, see `chargers.services.incident_notifications`."""
    incident_notifications.deliver(rule_id, lease)


def enqueue_notifications() -> None:
    """Start a task for each notification rule that has messages due."""
    due = NotificationDelivery.objects.filter(
        rule=OuterRef("pk"), state=NotificationDelivery.PENDING, due_at__lte=Now()
    )
    for rule in NotificationRule.objects.filter(Exists(due), is_enabled=True).values_list("pk", flat=True):
        name, seconds = incident_notifications.lease_of(rule), incident_notifications.LEASE_S
        leases.hand_over(name, seconds, partial(notify.delay, rule))
