"""The monitors of a charger's variables, and the events that it reports (OCPP 2.0.1, functional block N)."""

from django.db import models

from chargers.models.charger import Charger
from chargers.models.variables import MAX_NAME_LENGTH

CUSTOM, PRECONFIGURED, HARDWIRED = "custom", "preconfigured", "hardwired"


class OfVariable(models.Model):
    """A row about a variable; "" and null mean that its name has no such part."""

    component = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    component_instance = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    evse_id = models.BigIntegerField(null=True, blank=True)
    connector_id = models.BigIntegerField(null=True, blank=True)
    variable = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    instance = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.component}.{self.variable}"


class Monitor(OfVariable):
    """A monitor of a variable, as the charger reported it or accepted it."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="monitors", db_index=False)
    monitor_id = models.BigIntegerField(help_text="The id by which the charger names it.")
    type = models.TextField(help_text="UpperThreshold, LowerThreshold, Delta, Periodic or PeriodicClockAligned.")
    value = models.FloatField(
        null=True, blank=True, help_text="A threshold, a difference, or for a periodic one the interval in seconds."
    )
    severity = models.BigIntegerField(null=True, blank=True, help_text="0 is the most severe, 9 the least.")
    transaction = models.BooleanField(default=False, help_text="It is active only during a transaction.")
    source = models.TextField(
        blank=True, help_text="custom, preconfigured or hardwired. Empty: reports do not say it, only events do."
    )
    reported_at = models.DateTimeField(help_text="When it was last reported or accepted.")

    class Meta:
        ordering = ["charger", "monitor_id"]
        constraints = [models.UniqueConstraint(fields=["charger", "monitor_id"], name="one_row_a_monitor")]


class MonitoringEvent(OfVariable):
    """One event of a NotifyEvent. A repeated one changes nothing, which its `digest` ensures."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="monitoring_events", db_index=False)
    event_id = models.BigIntegerField(null=True, blank=True, help_text="The id by which the charger names it.")
    cause = models.BigIntegerField(null=True, blank=True, help_text="The event_id of the event that caused it.")
    timestamp = models.DateTimeField(help_text="By the clock of the charger.")
    raw_timestamp = models.CharField(max_length=64, blank=True)
    trigger = models.TextField(blank=True, help_text="Alerting, Delta or Periodic.")
    notification_type = models.TextField(
        blank=True, help_text="HardWiredNotification, HardWiredMonitor, PreconfiguredMonitor or CustomMonitor."
    )
    actual_value = models.TextField(blank=True, help_text="Without secrets.")
    cleared = models.BooleanField(default=False, help_text="The monitored situation has ended.")
    tech_code = models.TextField(blank=True)
    tech_info = models.TextField(blank=True)
    monitor_id = models.BigIntegerField(null=True, blank=True, help_text="The monitor that caused it.")
    severity = models.BigIntegerField(null=True, blank=True, help_text="That of its monitor, if it is known.")
    reference = models.CharField(
        max_length=255, blank=True, help_text="The charger's own id of the transaction that it belongs to."
    )
    seq_no = models.BigIntegerField(null=True, blank=True, help_text="The number of its message in a notification.")
    generated_at = models.DateTimeField(help_text="When the charger made its message.")
    received_at = models.DateTimeField()
    digest = models.CharField(max_length=32, editable=False, help_text="Of the event and the head of its message.")

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["charger", "digest"], name="one_row_a_monitoring_event")]
        indexes = [
            models.Index(fields=["charger", "-id"], name="monitoring_events_of_charger"),
            models.Index(fields=["received_at"], name="monitoring_events_by_time"),
        ]
