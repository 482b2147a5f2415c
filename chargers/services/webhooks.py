"""Deliver events to webhooks: one signed POST for each, retried until it is accepted (standardwebhooks.com)."""

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import requests
from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Now

from chargers import metrics, sql
from chargers.models import Delivery, Webhook
from core.db import bulk_sql, sealing
from core.http import outward
from core.redis import leases

logger = logging.getLogger(__name__)

# From each failed attempt to the next; after the last one the delivery is dead.
RETRY_DELAYS_S = (5, 30, 120, 600, 1800, 3600, 3600, 10_800, 21_600, 43_200)
PAGE_SIZE = 100  # deliveries that are read by one query
MAX_OF_ONE_CHARGER = 10  # in a page, so that events of other chargers wait for no more than these
MAX_PENDING_OF_ONE_CHARGER = 10_000  # for one webhook; beyond it the oldest are dropped
MAX_FAILURES_IN_A_ROW = 3  # after which the remaining deliveries wait for the next task
LEASE_S = 300  # during which one task alone delivers to a webhook


def lease_of(webhook_id: int) -> str:
    return f"webhook:{webhook_id}"


def deliver(webhook_id: int, lease: str = "") -> int:
    """Send the deliveries that are due to a webhook, in order for each charger; return how many were accepted.

    `lease` is the token of the lease that `tasks.enqueue_deliveries` acquired, and is released. A task that waited in
    the broker until its lease expired does nothing, because another task may deliver now.
    """
    with leases.taken_over(lease_of(webhook_id), lease, LEASE_S) as is_held:
        webhook = Webhook.objects.filter(pk=webhook_id, is_enabled=True).first() if is_held else None
        return _deliver(webhook) if webhook else 0


def _deliver(webhook: Webhook) -> int:
    _drop_surplus(webhook)
    accepted, failures, began = 0, 0, time.monotonic()
    with outward.session() as session:
        for delivery in _in_turn(webhook):
            connection.close()  # so that others can use it while the webhook answers
            status, error = _post(session, webhook, delivery)
            _save_outcome(delivery, status, error)
            accepted += not error
            failures = failures + 1 if error else 0
            if failures == MAX_FAILURES_IN_A_ROW or time.monotonic() - began > LEASE_S / 2:
                break
    return accepted


def _drop_surplus(webhook: Webhook) -> None:
    """Drop the oldest deliveries of chargers that have too many pending, so that the table stays bounded."""
    error = f"More than {MAX_PENDING_OF_ONE_CHARGER:,} events of this charger were pending: the oldest were dropped."
    parameters = {"webhook": webhook.pk, "limit": MAX_PENDING_OF_ONE_CHARGER, "error": error}
    if dropped := bulk_sql.query(sql.DROP_SURPLUS_DELIVERIES, parameters):
        metrics.webhook_deliveries.labels("dead").inc(len(dropped))
        flooding = {charger for (charger,) in dropped}
        logger.warning(
            "Webhook %s: %s events of %s chargers were dropped, because more than %s of one charger were pending. "
            "Check whether its receiver is fast enough.",
            *(webhook, len(dropped), len(flooding), MAX_PENDING_OF_ONE_CHARGER),
        )


def _in_turn(webhook: Webhook) -> Iterator[Delivery]:
    """Yield the deliveries that are due; each page is a new query, so that new events take their turn."""
    parameters = {"webhook": webhook.pk, "of_one_charger": MAX_OF_ONE_CHARGER, "page_size": PAGE_SIZE}
    while keys := [pk for (pk,) in bulk_sql.query(sql.DELIVERIES_IN_TURN, parameters)]:
        is_whole = Q(event__charger_id=None) | Q(event__charger__identity__isnull=False)
        deliveries = Delivery.objects.filter(is_whole).select_related("event__charger").in_bulk(keys)
        # The event of any other belonged to a charger that was deleted meanwhile.
        Delivery.objects.filter(pk__in=set(keys) - deliveries.keys()).delete()
        yield from (deliveries[pk] for pk in keys if pk in deliveries)


def _post(session: requests.Session, webhook: Any, delivery: Delivery) -> tuple[int | None, str]:
    """Return (HTTP status or None, error text or ""). A redirection is an error: its target was not configured."""
    body = json.dumps(delivery.event.as_payload()).encode()
    try:
        secret = webhook.secret.opened()
    except sealing.Unreadable as error:
        return None, str(error)[:300]
    headers = signed(secret, f"event_{delivery.event_id}", body)
    try:
        status, is_accepted = outward.post(session, webhook.url, data=body, headers=headers)
        return status, "" if is_accepted else f"HTTP {status}"
    except (requests.RequestException, outward.TooSlow) as error:
        return None, type(error).__name__
    except outward.NotPublicError as error:
        return None, str(error)[:300]
    except (ValueError, UnicodeError) as error:  # an invalid host name
        return None, f"{type(error).__name__}: {error}"[:300]


def signed(secret: str, message_id: str, body: bytes, at: float | None = None) -> dict[str, str]:
    """Return the headers of a POST of `body` (bytes), which the receiver verifies with the same secret."""
    timestamp = str(int(time.time() if at is None else at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "User-Agent": "ocpp-central-system",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def _save_outcome(delivery: Delivery, status: int | None, error: str) -> None:
    fields: dict[str, Any] = {"attempts": F("attempts") + 1, "answered_status": status, "error": error}
    if not error:
        fields |= {"state": Delivery.DELIVERED, "delivered_at": Now()}
        metrics.webhook_deliveries.labels("delivered").inc()
    elif delivery.attempts < len(RETRY_DELAYS_S):
        fields |= {"due_at": Now() + timedelta(seconds=RETRY_DELAYS_S[delivery.attempts])}
        metrics.webhook_deliveries.labels("failed").inc()
    else:
        fields |= {"state": Delivery.DEAD}
        metrics.webhook_deliveries.labels("dead").inc()
        logger.warning(
            "Webhook %s: no attempt to deliver event %s succeeded: %s. Replay it once the receiver works.",
            *(delivery.webhook_id, delivery.event_id, error),
        )
    Delivery.objects.filter(pk=delivery.pk).update(**fields)
