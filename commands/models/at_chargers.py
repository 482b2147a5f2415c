"""What chargers of OCPP 2.0.1 hold for this system: messages on their displays, and firmware for other chargers."""

from datetime import UTC, datetime

from django.db import models

from chargers.models import Charger
from commands.fields import OrderedJSONField
from transactions.models import Transaction


class DisplayMessage(models.Model):
    """A message that a charger displays, as it accepted or reported it. Names of OCPP are stored as received."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="display_messages")
    message_id = models.BigIntegerField(help_text="Its id at the charger.")
    priority = models.TextField(blank=True, help_text="AlwaysFront, InFront or NormalCycle.")
    state = models.TextField(blank=True, help_text="The state of the charger in which it is shown; empty: any.")
    start_at = models.DateTimeField(null=True, blank=True)
    end_at = models.DateTimeField(null=True, blank=True, help_text="When the charger removes it.")
    transaction = models.ForeignKey(
        Transaction, models.SET_NULL, null=True, blank=True, related_name="display_messages"
    )
    transaction_reference = models.TextField(blank=True, help_text="The transaction at whose end it is removed.")
    format = models.TextField(blank=True, help_text="ASCII, HTML, URI or UTF8.")
    language = models.TextField(blank=True)
    content = models.TextField(blank=True)
    component = models.TextField(blank=True, help_text="The display; empty: the main one.")
    component_instance = models.TextField(blank=True)
    evse_id = models.IntegerField(null=True, blank=True)
    connector_id = models.IntegerField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True, help_text="When the charger accepted it from here.")
    reported_at = models.DateTimeField(null=True, blank=True, help_text="When the charger last reported it.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["charger", "message_id"], name="one_row_a_display_message")]

    def __str__(self) -> str:
        return f"message {self.message_id} ({self.charger})"

    @property
    def has_ended(self) -> bool:
        """Whether the charger has removed it by now, because its end has passed or its transaction has ended."""
        is_past = self.end_at is not None and self.end_at < datetime.now(UTC)
        return is_past or bool(self.transaction and self.transaction.stop_received_at)


class PublishedFirmware(models.Model):
    """A firmware image that a local controller offers, or got the request to offer, to other chargers (L03)."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="published_firmware")
    checksum = models.TextField(blank=True, help_text="MD5 of the image; empty if no command requested it.")
    location = models.TextField(blank=True, help_text="Where the charger fetches it, without secrets.")
    request_id = models.BigIntegerField(null=True, blank=True, help_text="The id of the command that requested it.")
    status = models.TextField(blank=True, help_text="As the charger last notified it, or Unpublished.")
    locations = OrderedJSONField(default=list, help_text="The URLs under which other chargers can fetch it.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "published firmware"
        constraints = [models.UniqueConstraint(fields=["charger", "checksum"], name="one_row_a_published_firmware")]

    def __str__(self) -> str:
        return f"{self.checksum} ({self.charger})"
