"""Telling webhooks: a signed POST for each event, tried again until it is taken (standardwebhooks.com)."""

import base64
import hashlib
import hmac
import json
import logging
import time
from datetime import timedelta

import gevent
import requests
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Now

from chargers import bulk_sql, gateway, metrics, outward, sealing
from chargers.models import Delivery, Webhook

logger = logging.getLogger(__name__)

TIMEOUT = (3.05, 10)  # seconds to connect, and for each part of the answer
LONGEST = 30  # seconds for all of it, however many parts
# Seconds from each attempt that failed to the next; after the last one it is dead.
PAUSES = (5, 30, 120, 600, 1800, 3600, 3600, 10_800, 21_600, 43_200)
AT_ONCE = 100  # deliveries that are read together
EACH = 10  # of them of one charger: what others tell meanwhile waits for no more than these
MOST_OF_A_CHARGER = 10_000  # that wait for one webhook; past it the oldest are given up
HOPELESS = 3  # in a row that fail, after which the rest waits for the next time
LEASE = 300  # seconds a webhook is one task's

# Chargers take turns: the first event of each, then the second of each, and so on. An index finds them, in one step
# for each charger, however much waits of one of them.
IN_TURN = """
WITH RECURSIVE waiting AS (
    (SELECT charger FROM chargers_delivery WHERE webhook_id = %(webhook)s AND state = 'pending'
        ORDER BY charger LIMIT 1)
    UNION ALL
    SELECT (SELECT d.charger FROM chargers_delivery d WHERE d.webhook_id = %(webhook)s AND d.state = 'pending'
        AND d.charger > w.charger ORDER BY d.charger LIMIT 1)
    FROM waiting w WHERE w.charger IS NOT NULL
)
SELECT due.id FROM waiting w CROSS JOIN LATERAL (
    SELECT id, event_id, row_number() OVER (ORDER BY event_id) AS turn FROM chargers_delivery
    WHERE webhook_id = %(webhook)s AND state = 'pending' AND charger = w.charger AND due_at <= now()
    ORDER BY event_id LIMIT %(each)s
) AS due ORDER BY due.turn, due.event_id LIMIT %(most)s
"""
GIVE_UP = """
UPDATE chargers_delivery SET state = 'dead', error = %(error)s WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY charger ORDER BY event_id DESC) AS nth FROM chargers_delivery
        WHERE webhook_id = %(webhook)s AND state = 'pending'
    ) AS waiting WHERE nth > %(most)s
) RETURNING charger
"""


class TooSlow(Exception):
    """An answer took longer than LONGEST."""


def enqueue_due():
    """Start a task for each webhook that has something to be told."""
    from chargers.tasks import deliver

    due = Delivery.objects.filter(webhook=OuterRef("pk"), state=Delivery.PENDING, due_at__lte=Now())
    for webhook in Webhook.objects.filter(Exists(due), is_enabled=True).values_list("pk", flat=True):
        if lease := gateway.acquire_token(_lease_of(webhook), LEASE):
            try:
                deliver.delay(webhook, lease)
            except Exception:  # the broker is away: not to wait until the lease ends
                gateway.release_token(_lease_of(webhook), lease)
                raise


def _lease_of(webhook_id):
    return f"webhook:{webhook_id}"


def deliver(webhook_id, lease=""):
    """Tell a webhook what is due, of each charger in the order it happened; how many it took.

    `lease` is the caller's, and ends. A task that waited in the broker for longer than that leaves the webhook to the
    task that has it now.
    """
    if lease and not gateway.renew_token(_lease_of(webhook_id), lease, LEASE):
        return 0
    try:
        webhook = Webhook.objects.filter(pk=webhook_id, is_enabled=True).first()
        return _deliver(webhook) if webhook else 0
    finally:
        gateway.release_token(_lease_of(webhook_id), lease)


def _deliver(webhook):
    _give_up_surplus(webhook)
    taken, failed_in_a_row, began = 0, 0, time.monotonic()
    with outward.session() as session:
        for delivery in _in_turn(webhook):
            connection.close()  # others may have it while the webhook takes its time
            status, error = _post(session, webhook, delivery)
            _note(delivery, status, error)
            taken += not error
            failed_in_a_row = failed_in_a_row + 1 if error else 0
            if failed_in_a_row == HOPELESS or time.monotonic() - began > LEASE / 2:
                break
    return taken


def _give_up_surplus(webhook):
    """A charger that tells more than is taken costs its own oldest events, and the table does not grow for ever."""
    error = f"More than {MOST_OF_A_CHARGER:,} events of this charger wait: the oldest are given up."
    given_up = bulk_sql.query(GIVE_UP, {"webhook": webhook.pk, "most": MOST_OF_A_CHARGER, "error": error})
    if given_up:
        metrics.webhook_deliveries.labels("dead").inc(len(given_up))
        flooding = {charger for (charger,) in given_up}
        logger.warning(
            "Webhook %s: %s events of %s chargers are given up, too many wait", webhook, len(given_up), len(flooding)
        )


def _in_turn(webhook):
    """The deliveries that are due, read anew after each page: what happens meanwhile takes its turn."""
    wanted = {"webhook": webhook.pk, "each": EACH, "most": AT_ONCE}
    while keys := [pk for (pk,) in bulk_sql.query(IN_TURN, wanted)]:
        found = Delivery.objects.select_related("event__charger").in_bulk(keys)
        # Of a charger that was deleted while it happened: nobody's any more.
        Delivery.objects.filter(pk__in=set(keys) - found.keys()).delete()
        yield from (found[pk] for pk in keys if pk in found)


def _post(session, webhook, delivery):
    """(HTTP status or None, "" or what went wrong). A redirection is no answer: who it leads to was not asked for."""
    body = json.dumps(delivery.event.as_told()).encode()
    try:
        secret = webhook.secret.opened()
    except sealing.Unreadable as error:
        return None, str(error)[:300]
    headers = signed(secret, f"event_{delivery.event_id}", body)
    options = {"headers": headers, "timeout": TIMEOUT, "allow_redirects": False, "stream": True}
    try:
        # Of a worker's greenlet: one that is told the answer byte by byte is held no longer.
        with gevent.Timeout(LONGEST, TooSlow), session.post(webhook.url, body, **options) as answer:
            return answer.status_code, "" if answer.ok and not answer.is_redirect else f"HTTP {answer.status_code}"
    except (requests.RequestException, TooSlow) as error:
        return None, type(error).__name__
    except outward.NotPublicError as error:
        return None, str(error)[:300]
    except (ValueError, UnicodeError) as error:  # a host name that can't be one
        return None, f"{type(error).__name__}: {error}"[:300]


def signed(secret, message_id, body, at=None):
    """The headers of a POST of `body` (bytes): what the receiver verifies with the same secret."""
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


def _note(delivery, status, error):
    told = {"attempts": F("attempts") + 1, "answered_status": status, "error": error}
    if not error:
        told |= {"state": Delivery.DELIVERED, "delivered_at": Now()}
        metrics.webhook_deliveries.labels("delivered").inc()
    elif delivery.attempts < len(PAUSES):
        told |= {"due_at": Now() + timedelta(seconds=PAUSES[delivery.attempts])}
        metrics.webhook_deliveries.labels("failed").inc()
    else:
        told |= {"state": Delivery.DEAD}
        metrics.webhook_deliveries.labels("dead").inc()
        logger.warning("Webhook %s: event %s was not taken: %s", delivery.webhook_id, delivery.event_id, error)
    Delivery.objects.filter(pk=delivery.pk).update(**told)


@transaction.atomic
def replay(deliveries):
    """Send `deliveries` (a queryset) again, from the first attempt on; how many."""
    return deliveries.update(state=Delivery.PENDING, attempts=0, due_at=Now(), error="")
