"""Events of chargers, webhooks that receive them, and the deliveries."""

import base64
import re
import secrets
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from chargers.models.access import ChargerGroup
from chargers.models.charger import Charger
from chargers.models.deliveries import DEAD, DELIVERED, PENDING, Attempts
from core.db.sealing import SealedField
from core.http import outward

# Kind: its meaning. The last one is stored only if a webhook subscribes to it, because readings are frequent.
KINDS = {
    "charger.online": "a charger has opened its socket",
    "charger.offline": "a charger's socket has ended, or has not been heard of for a minute",
    "charger.over_budget": "a charger sends more than a budget allows; again only after ten minutes within it",
    "connector.status": "the newest StatusNotification of a connector",
    "transaction.started": "a StartTransaction",
    "transaction.stopped": "a StopTransaction, or an operator closed the transaction",
    "transaction.corrected": "an operator has corrected a meter value or the end of a transaction",
    "command.finished": "a command has its outcome",
    "command.completed": "a charger has reported the end of what it delivers after its answer, such as an update",
    "command.confirmed": "the effect of a command was seen after its answer, such as the session that it started",
    "command.not_seen": "the effect of a command that the charger had accepted was not seen in time",
    "security.event": "a SecurityEventNotification",
    "campaign.started": "a firmware campaign was started or resumed",
    "campaign.paused": "a user has paused a firmware campaign",
    "campaign.stopped": "a firmware campaign was stopped, by a user or because updates have failed",
    "campaign.finished": "a firmware campaign has ended for each of its chargers",
    "campaign.item_failed": "the update of a charger by a firmware campaign has failed",
    "incident.opened": "an incident of a charger was opened, or its closed cause recurred",
    "incident.acknowledged": "a user has acknowledged an incident of a charger",
    "incident.closed": "an incident of a charger was closed, by a user or because its cause ended",
    "monitoring.event": "an event of a monitored variable, or one that the charger always reports (NotifyEvent)",
    "transaction.updated": "readings of an active transaction",
}
HOST, SPACE = re.compile(r"[\w.-]{1,253}|[0-9a-f:.]{2,45}"), re.compile(r"[\s\0-\x1f]")
KIND_CHOICES = [(kind, kind) for kind in KINDS]
STORED_KINDS = [kind for kind in KINDS if kind != "transaction.updated"]


def is_url(url: str) -> None:
    """Raise `ValidationError` for a text that is no URL; a host name needs no dot, as within a cluster."""
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and HOST.fullmatch(parts.hostname or "") and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or SPACE.search(url):
        raise ValidationError("Enter a valid URL, http:// or https://.")


def without_login(url: str) -> None:
    """Raise `ValidationError` for a URL with a user or a password, because lists and the audit log show URLs."""
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ValidationError("Remove user and password from the URL; receivers verify the signature.")


def is_reachable(url: str) -> None:
    """Raise `ValidationError` for a URL that leads into the network of this server, see WEBHOOK_ALLOW_PRIVATE."""
    try:
        outward.check(url)
    except outward.NotPublicError as error:
        raise ValidationError(str(error)) from error


def new_secret() -> str:
    """Return a secret in the form of webhook libraries: 24 random bytes in Base64 (standardwebhooks.com)."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def kept_kinds() -> list[str]:
    return list(STORED_KINDS)


class Event(models.Model):
    """Something that happened, to `charger` unless it is null; `body` has the details.

    Events without a charger are for users who may reach every charger, and webhooks without a group.
    """

    kind = models.CharField(max_length=30, choices=KIND_CHOICES)
    charger = models.ForeignKey(
        Charger,
        models.CASCADE,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
        related_name="events",
    )
    at = models.DateTimeField(help_text="When it was recorded.")
    body = models.JSONField()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["charger", "-id"], name="events_of_charger"),
            models.Index(fields=["kind", "-id"], name="events_by_kind"),
            models.Index(fields=["at"], name="events_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.charger}" if self.charger else self.kind

    def as_payload(self) -> dict[str, Any]:
        """Return the JSON object that streams and webhooks carry."""
        return {
            "id": self.pk,
            "kind": self.kind,
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "charger_id": self.charger.identity if self.charger else None,
            "body": self.body,
        }


class Webhook(models.Model):
    """A URL that receives each event in a signed POST."""

    name = models.CharField(max_length=100, unique=True)
    url = models.CharField("URL", max_length=1000, validators=[is_url, without_login, is_reachable])
    secret = SealedField(default=new_secret, editable=False)
    kinds = models.JSONField(default=kept_kinds, help_text="Kinds of events that are sent.")
    group = models.ForeignKey(
        ChargerGroup,
        models.CASCADE,
        null=True,
        blank=True,
        help_text="Send events of its chargers only. Empty: of every charger.",
    )
    is_enabled = models.BooleanField(
        "enabled", default=True, help_text="Events that happen while it is disabled are never sent."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Delivery(Attempts):
    """One event for one webhook. A `dead` delivery has failed all its attempts; it can be replayed."""

    STATES = (PENDING, DELIVERED, DEAD)

    # Without a constraint, because a webhook that is removed meanwhile would roll back the batch of the event.
    webhook = models.ForeignKey(
        Webhook, models.CASCADE, db_constraint=False, db_index=False, related_name="deliveries"
    )
    event = models.ForeignKey(Event, models.CASCADE, related_name="deliveries")
    charger = models.BigIntegerField(
        default=0, db_default=0, help_text="The charger of its event, because chargers take turns."
    )
    state = models.CharField(max_length=10, choices=[(s, s) for s in STATES], default=PENDING)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["webhook", "-id"], name="deliveries_of_webhook"),
            models.Index(fields=["webhook", "due_at"], name="deliveries_due", condition=Q(state="pending")),
            models.Index(
                fields=["webhook", "charger", "event"], name="deliveries_by_turn", condition=Q(state="pending")
            ),
            models.Index(fields=["state"], name="deliveries_not_taken", condition=~Q(state="delivered")),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.webhook}"
