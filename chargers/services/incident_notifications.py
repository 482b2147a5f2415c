"""Create and send the messages about incidents. Each is a row until it is delivered, or has failed for good.

A rule gets one message when an incident is opened. What recurs is summed up, at most once an hour. Many messages that
are due at the same time are sent as one.
"""

import logging
import smtplib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import gevent
import requests
from django.conf import settings
from django.core.mail import BadHeaderError, EmailMessage, get_connection
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from chargers import metrics, sql
from chargers.models import NotificationDelivery, NotificationRule
from chargers.models.incidents import CLOSED, OPEN
from chargers.services import incident_messages
from chargers.services.incident_messages import Message
from core.db import bulk_sql, sealing
from core.http import outward
from core.ocpp.timestamps import display_zone
from core.redis import leases

logger = logging.getLogger(__name__)

# From each failed attempt to the next; after the last one the delivery is dead. It is tried for half a day, because
# an older message would come too late.
RETRY_DELAYS_S = (5, 30, 120, 600, 1800, 3600, 10_800, 21_600)
MAX_SINGLE = 5  # messages of one rule that are due at the same time; more are sent as one
PAGE_SIZE = 500  # deliveries that are read by one query
MAX_FAILURES_IN_A_ROW = 3  # after which the remaining deliveries wait for the next task
LEASE_S = 300  # during which one task alone sends the messages of a rule


class NotSent(Exception):
    """A message was not sent; the text says why. `status` is the HTTP status of the answer, if there is one."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text[:300])
        self.status = status


# --- creation --------------------------------------------------------------------------------


def create(changes: Iterable[tuple[int, str, int]]) -> None:
    """Create the deliveries for `changes`, (incident, reason, number), by the rules that apply to each."""
    rows = [{"id": incident, "reason": reason, "number": number} for incident, reason, number in changes]
    if rows:
        _save(bulk_sql.execute(sql.RULES_OF_INCIDENTS, rows))


def remind() -> None:
    """Create the deliveries for what recurred, and for what nobody has acknowledged in time."""
    with transaction.atomic():
        _save([*bulk_sql.query(sql.RECURRED_INCIDENTS, []), *bulk_sql.query(sql.ESCALATED_INCIDENTS, [])])


def _save(matches: Sequence[tuple[int, int, str, int, str | None]]) -> None:
    """Store a delivery for each match, due in the hours of its rule; an escalation is due at once."""
    if not matches:
        return
    now = bulk_sql.clock()
    rules = NotificationRule.objects.defer("target", "escalation_target").in_bulk({rule for rule, *_ in matches})
    rows = []
    for rule, incident, reason, number, zone in matches:
        if rule in rules:
            own_zone = ZoneInfo(zone) if zone else display_zone()
            due_at = now if reason == "escalated" else rules[rule].next_time(now, own_zone)
            rows.append({"rule": rule, "incident": incident, "reason": reason, "number": number, "due_at": due_at})
    bulk_sql.execute(sql.SAVE_NOTIFICATIONS, rows)


def test(rule: Any) -> NotificationDelivery:
    """Send a test message by `rule` now, once; return its delivery, which has the result."""
    began = bulk_sql.clock()
    connection.close()  # so that others can use it while the channel answers
    with outward.session() as session:
        try:
            _send(session, rule, rule.target.opened(), incident_messages.test(rule))
        except (NotSent, sealing.Unreadable) as error:
            fields: dict[str, Any] = {"state": NotificationDelivery.DEAD, "error": str(error)}
            fields |= {"answered_status": _status(error)}
        else:
            fields = {"state": NotificationDelivery.DELIVERED, "delivered_at": bulk_sql.clock()}
    own = {"rule": rule, "reason": "test", "created_at": began, "due_at": began, "attempts": 1}
    return NotificationDelivery.objects.create(**own, **fields)


# --- delivery --------------------------------------------------------------------------------


def lease_of(rule_id: int) -> str:
    return f"notification-rule:{rule_id}"


def deliver(rule_id: int, lease: str = "") -> int:
    """Send the messages of a rule that are due; return how many deliveries are done.

    `lease` is the token of the lease that `tasks.enqueue_notifications` acquired, and is released.
    """
    with leases.taken_over(lease_of(rule_id), lease, LEASE_S) as is_held:
        rule = NotificationRule.objects.filter(pk=rule_id, is_enabled=True).first() if is_held else None
        return _deliver(rule) if rule else 0


def _deliver(rule: NotificationRule) -> int:
    done, failures = 0, 0
    due = [delivery for delivery in _due(rule) if not _is_obsolete(delivery)]
    with outward.session() as session:
        for group in _grouped(due):
            connection.close()  # so that others can use it while the channel answers
            error = _attempt(session, rule, group)
            _save_outcome(rule, group, error)
            done += 0 if error else len(group)
            failures = failures + 1 if error else 0
            if failures == MAX_FAILURES_IN_A_ROW:
                break
    return done


def _due(rule: NotificationRule) -> list[NotificationDelivery]:
    pending = rule.deliveries.filter(state=NotificationDelivery.PENDING, due_at__lte=Now())
    return list(pending.select_related("incident__charger__site").order_by("id")[:PAGE_SIZE])


def _is_obsolete(delivery: NotificationDelivery) -> bool:
    """Whether its incident has ended, or was acknowledged, before the first attempt; then it is not sent."""
    state = delivery.incident.state if delivery.incident else OPEN
    is_late = delivery.reason != "closed" and state == CLOSED or delivery.reason == "escalated" and state != OPEN
    if is_late and not delivery.attempts:
        delivery.state = NotificationDelivery.OBSOLETE
        delivery.save(update_fields=["state"])
        return True
    return False


def _grouped(due: list[NotificationDelivery]) -> list[list[NotificationDelivery]]:
    """Return the deliveries of each message: one, or all of the same recipients if there are many."""
    groups: list[list[NotificationDelivery]] = []
    for is_escalation in (False, True):
        same = [delivery for delivery in due if (delivery.reason == "escalated") == is_escalation]
        groups += [same] if len(same) > MAX_SINGLE else [[delivery] for delivery in same]
    return groups


def _attempt(session: requests.Session, rule: Any, group: list[NotificationDelivery]) -> Exception | None:
    """Send one message for `group`; return the error, None if it was accepted."""
    sealed = rule.escalation_target if group[0].reason == "escalated" else rule.target
    message = incident_messages.of(rule, group)
    try:
        if sealed is None:
            return NotSent("The rule has no target for an escalation any more.")
        _send(session, rule, sealed.opened(), message)
    except (NotSent, sealing.Unreadable) as error:
        return error
    return None


def _save_outcome(rule: NotificationRule, group: list[NotificationDelivery], error: Exception | None) -> None:
    attempts = min(delivery.attempts for delivery in group)
    fields: dict[str, Any] = {"attempts": F("attempts") + 1, "answered_status": _status(error)}
    if error is None:
        fields |= {"state": NotificationDelivery.DELIVERED, "delivered_at": Now(), "error": ""}
        metrics.notifications.labels("delivered").inc(len(group))
    elif attempts < len(RETRY_DELAYS_S):
        fields |= {"due_at": Now() + timedelta(seconds=RETRY_DELAYS_S[attempts]), "error": str(error)[:300]}
        metrics.notifications.labels("failed").inc(len(group))
    else:
        fields |= {"state": NotificationDelivery.DEAD, "error": str(error)[:300]}
        metrics.notifications.labels("dead").inc(len(group))
        logger.warning(
            "Notification rule %s: no attempt to send %s notifications succeeded: %s. Replay them once it works.",
            *(rule, len(group), error),
        )
    with transaction.atomic():
        NotificationDelivery.objects.filter(pk__in=[delivery.pk for delivery in group]).update(**fields)
        if error is None:
            bulk_sql.execute(sql.ADD_INCIDENT_ENTRIES, [_entry(rule, delivery) for delivery in group])


def _entry(rule: NotificationRule, delivery: NotificationDelivery) -> dict[str, Any]:
    action = "escalated" if delivery.reason == "escalated" else "notified"
    return {"incident": delivery.incident_id, "action": action, "who": "", "text": f"{rule.name} ({rule.channel})"}


def _status(error: Exception | None) -> int | None:
    return getattr(error, "status", None)


# --- channels --------------------------------------------------------------------------------


def _send(session: requests.Session, rule: NotificationRule, target: str, message: Message) -> None:
    """Send `message` to `target` by the channel of `rule`. Raise `NotSent`."""
    if rule.channel == NotificationRule.EMAIL:
        _mail(target.split(), message)
    else:
        _post(session, target, **incident_messages.request(rule, message))


def _mail(addresses: list[str], message: Message) -> None:
    if not settings.EMAIL_HOST:
        raise NotSent("This server has no mail server: set EMAIL_HOST.")
    mail = EmailMessage(message.title, message.text, None, addresses, headers={"Auto-Submitted": "auto-generated"})
    try:
        with gevent.Timeout(outward.MAX_DURATION_S, outward.TooSlow):
            mail.connection = get_connection(timeout=settings.EMAIL_TIMEOUT)
            mail.send()
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise NotSent(f"The mail server answered {error.smtp_code}: {text}") from error
    except (OSError, BadHeaderError, outward.TooSlow) as error:  # smtplib's errors are an OSError
        raise NotSent(f"The mail server {settings.EMAIL_HOST}: {type(error).__name__}: {error}") from error


def _post(session: requests.Session, url: str, **content: Any) -> None:
    """POST to `url`. A redirection is an error: its target was not configured."""
    try:
        status, is_accepted = outward.post(session, url, **content)
    except (requests.RequestException, outward.TooSlow) as error:
        raise NotSent(type(error).__name__) from error  # without its text, because that names the URL
    except outward.NotPublicError as error:
        raise NotSent(str(error)) from error
    except (ValueError, UnicodeError) as error:  # an invalid host name
        raise NotSent(type(error).__name__) from error
    if not is_accepted:
        raise NotSent(f"HTTP {status}", status)
