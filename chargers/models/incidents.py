"""Incidents: what is wrong with chargers or this system, from its first sight to its end, and who is notified."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from chargers.models.charger import Charger
from chargers.models.deliveries import DEAD, DELIVERED, PENDING, Attempts
from chargers.models.sites import Site
from core.db.sealing import SealedField

# Kind: its title. `chargers.services.incident_causes` and those of other apps have their rules.
KINDS = {
    "fault": "Connector reports a fault",
    "high_temperature": "Connector is too hot",
    "offline": "Charger is offline",
    "silent": "Charger is connected, but sends nothing",
    "refused": "Charger is refused",
    "unknown_charger": "Unknown charger tries to connect",
    "command_failed": "Command failed",
    "campaign_stopped": "Firmware campaign has stopped",
    "message_rejected": "Message of a charger was refused",
    "clock": "Clock of a charger is wrong",
    "security": "Charger reports a security event",
    "monitoring": "Charger reports a severe event",
    "system": "This system has a problem",
}
INFO, WARNING, CRITICAL = SEVERITIES = ("info", "warning", "critical")
OPEN, ACKNOWLEDGED, CLOSED = STATES = ("open", "acknowledged", "closed")


class Incident(models.Model):
    """One cause of one kind. A cause that recurs within an hour of its end belongs to the same incident.

    `is_current` is set until then. A user may close an incident whose cause lasts; it stays closed then.
    """

    kind = models.CharField(max_length=20, choices=[(kind, kind) for kind in KINDS])
    cause = models.CharField(max_length=300, help_text="What tells this cause from others of its kind.")
    severity = models.CharField(max_length=10, choices=[(s, s) for s in SEVERITIES])
    charger = models.ForeignKey(
        Charger, models.CASCADE, null=True, blank=True, db_index=False, related_name="incidents"
    )
    evse_id = models.PositiveIntegerField(null=True, blank=True)
    connector_id = models.PositiveIntegerField(null=True, blank=True)
    code = models.TextField(blank=True, help_text="An error code, an action or another word of its cause.")
    vendor_code = models.TextField(blank=True, help_text="The error code of the manufacturer.")
    detail = models.TextField(blank=True, help_text="What was reported.")
    state = models.CharField(max_length=12, choices=[(s, s) for s in STATES], default=OPEN)
    is_current = models.BooleanField(default=True, editable=False)
    recurrences = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How often it ended and began again."
    )
    opened_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(help_text="When its cause was last present, to some minutes.")
    cleared_at = models.DateTimeField(null=True, blank=True, help_text="Since when its cause is absent.")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="incidents"
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=150, blank=True, help_text="Empty if its cause ended.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "cause"], name="one_current_incident_a_cause", condition=Q(is_current=True)
            )
        ]
        indexes = [
            models.Index(fields=["charger", "-id"], name="incidents_of_charger"),
            models.Index(fields=["kind", "-id"], name="incidents_by_kind"),
            models.Index(fields=["state", "-id"], name="incidents_not_closed", condition=~Q(state="closed")),
            models.Index(fields=["closed_at"], name="incidents_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.place})" if self.place else self.title

    @property
    def title(self) -> str:
        return KINDS.get(self.kind, self.kind)

    @property
    def place(self) -> str:
        """Its charger and connector, "" for one without a charger."""
        if self.charger is None:
            return ""
        numbers = [f"EVSE {self.evse_id}"] if self.evse_id and self.evse_id != self.connector_id else []
        numbers += [f"connector {self.connector_id}"] if self.connector_id else []
        return ", ".join([self.charger.identity, *numbers])


class IncidentEntry(models.Model):
    """One line of the history of an incident."""

    ACTIONS = ("opened", "recurred", "changed", "acknowledged", "assigned", "note", "notified", "escalated", "closed")

    incident = models.ForeignKey(Incident, models.CASCADE, related_name="entries")
    at = models.DateTimeField()
    action = models.CharField(max_length=12, choices=[(a, a) for a in ACTIONS])
    who = models.CharField(max_length=150, blank=True, help_text="The user; empty for the system.")
    text = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "incident entries"
        constraints = [
            # Recurrences are counted in one entry, because there may be hundreds.
            models.UniqueConstraint(
                fields=["incident"], name="one_entry_of_recurrences", condition=Q(action="recurred")
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.text}".strip()


def every_day() -> list[int]:
    return [1, 2, 3, 4, 5, 6, 7]


class NotificationRule(models.Model):
    """Who is notified of which incidents, by which channel and at which hours."""

    EMAIL, SLACK, TEAMS, NTFY, WEBHOOK = CHANNELS = ("email", "slack", "teams", "ntfy", "webhook")

    name = models.CharField(max_length=100, unique=True)
    is_enabled = models.BooleanField("enabled", default=True)
    site = models.ForeignKey(
        Site, models.CASCADE, null=True, blank=True, help_text="Incidents of its chargers only. Empty: all incidents."
    )
    severity = models.CharField(
        max_length=10, choices=[(s, s) for s in SEVERITIES], default=WARNING, help_text="The least severity."
    )
    kinds = models.JSONField(default=list, blank=True, help_text="Kinds of incidents. Empty: all kinds.")
    weekdays = models.JSONField(default=every_day, help_text="1 is Monday, 7 is Sunday.")
    from_time = models.TimeField(
        null=True, blank=True, help_text="In the time zone of the site. Empty: from the beginning of the day."
    )
    until_time = models.TimeField(
        null=True, blank=True, help_text="Before from_time: of the next day. Empty: until the end of the day."
    )
    channel = models.CharField(max_length=10, choices=[(c, c) for c in CHANNELS])
    target = SealedField(help_text="Addresses, one in each line, or the URL of the channel.")
    template = models.JSONField(
        null=True, blank=True, help_text="Of a webhook: the JSON body. Its texts may contain {title}, {text}, {link}…"
    )
    language = models.CharField(
        max_length=10,
        choices=settings.LANGUAGES,
        default=settings.LANGUAGE_CODE,
        help_text="Of the title and the text of its messages.",
    )
    notify_end = models.BooleanField(default=False, help_text="Also when an incident is closed.")
    escalate_after = models.PositiveIntegerField(
        null=True, blank=True, help_text="Minutes without acknowledgement until escalation_target is notified."
    )
    escalation_target = SealedField(null=True, blank=True, help_text="As target.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise `ValidationError` for an escalation without a time or without a target."""
        if bool(self.escalate_after) != bool(self.escalation_target):
            raise ValidationError({"escalate_after": "Enter both a time and a target of the escalation, or neither."})

    def next_time(self, at: datetime, zone: ZoneInfo) -> datetime:
        """Return `at`, or the beginning of the next hours of this rule in `zone`."""
        begin, end = self.from_time or time.min, self.until_time
        day = at.astimezone(zone).date()
        for offset in range(-1, 8):
            date = day + timedelta(days=offset)
            if date.isoweekday() not in self.weekdays:
                continue
            lasts_over_midnight = end is None or end <= begin
            last = date + timedelta(days=1) if lasts_over_midnight else date
            since = datetime.combine(date, begin, zone)
            until = datetime.combine(last, end or time.min, zone)
            if at < until:
                return max(at, since.astimezone(at.tzinfo))
        return at


class NotificationDelivery(Attempts):
    """One message about one incident by one rule. A `dead` one has failed all its attempts; it can be replayed."""

    OBSOLETE = "obsolete"
    STATES = (PENDING, DELIVERED, DEAD, OBSOLETE)
    REASONS = ("opened", "recurred", "escalated", "closed", "test")

    rule = models.ForeignKey(NotificationRule, models.CASCADE, db_index=False, related_name="deliveries")
    incident = models.ForeignKey(
        Incident, models.CASCADE, null=True, related_name="deliveries", help_text="Null for a test."
    )
    reason = models.CharField(max_length=10, choices=[(r, r) for r in REASONS])
    number = models.PositiveIntegerField(default=0, db_default=0, help_text="Recurrences when it was created.")
    state = models.CharField(max_length=10, choices=[(s, s) for s in STATES], default=PENDING)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "notification deliveries"
        constraints = [
            models.UniqueConstraint(fields=["rule", "incident", "reason", "number"], name="one_notification_a_reason")
        ]
        indexes = [
            models.Index(fields=["rule", "-id"], name="notifications_of_rule"),
            models.Index(fields=["rule", "due_at"], name="notifications_due", condition=Q(state="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.reason} by {self.rule}"
