"""Meter readings, and the samples in them."""

from django.db import models
from django.db.models import Q

from chargers.models import Charger
from transactions.models.transactions import Transaction


class Reading(models.Model):
    """The samples that a charger took at one time (OCPP 1.6 §7.33). No database constraint on its keys: it is joined
    when written."""

    # No index of its own, because readings are many and are found by transaction. If a charger without transactions
    # is deleted, its readings stay until the partition of their month is dropped.
    charger = models.ForeignKey(Charger, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    transaction = models.ForeignKey(
        Transaction, models.CASCADE, null=True, db_constraint=False, db_index=False, related_name="readings"
    )
    reported_transaction_id = models.BigIntegerField(null=True)
    evse_id = models.PositiveIntegerField(help_text="In OCPP 1.6 it equals the connector id.")
    timestamp = models.DateTimeField()
    raw_timestamp = models.CharField(max_length=64)
    received_at = models.DateTimeField()
    samples = models.TextField(help_text="JSON, see `services.samples`; the view of `MeterValue` has a row for each.")
    message_hash = models.IntegerField(
        null=True,
        help_text="Of the message id, or of the content of a plain event: by it one that is sent again is found.",
    )
    seq_no = models.BigIntegerField(
        null=True, help_text="Of the plain event that brought it, see `services.plain_events`."
    )
    trigger_reason = models.TextField(blank=True, default="", db_default="")
    event_members = models.TextField(
        blank=True, default="", db_default="", help_text="JSON, see `services.plain_events`."
    )

    class Meta:
        default_permissions = ()  # those of `MeterValue` apply
        indexes = [
            # With the hash, a message that is sent again is found without reading all of its session.
            models.Index(fields=["transaction", "message_hash"], name="readings_of_a_transaction"),
            # Evidence for a session whose stop cannot be believed; readings that name their transaction pay nothing.
            models.Index(
                fields=["charger", "evse_id", "timestamp", "message_hash"],
                name="readings_without_transaction",
                condition=Q(transaction=None),
            ),
        ]


class MeterValue(models.Model):
    """One sampledValue (OCPP 1.6 §7.43), a row of the view `samples.METER_VALUES` over readings.

    `id` has the order of receipt. It is computed, so rows are found and sorted by `reading_id`, which has an index.
    """

    reading_id = models.BigIntegerField(editable=False)
    charger = models.ForeignKey(Charger, models.DO_NOTHING, related_name="+")
    transaction = models.ForeignKey(Transaction, models.DO_NOTHING, null=True, related_name="meter_values")
    reported_transaction_id = models.BigIntegerField(null=True)
    evse_id = models.PositiveIntegerField(help_text="In OCPP 1.6 it equals the connector id.")
    timestamp = models.DateTimeField()
    raw_timestamp = models.CharField(max_length=64)
    received_at = models.DateTimeField()
    value = models.TextField(help_text="As sent; signed data verbatim.")
    number = models.DecimalField(max_digits=24, decimal_places=9, null=True)
    measurand = models.TextField()
    unit = models.TextField()
    phase = models.TextField()
    context = models.TextField()
    location = models.TextField()
    format = models.TextField(help_text="unreadable: the value is the JSON of a sample.")
    message_hash = models.IntegerField(null=True, editable=False)

    class Meta:
        managed = False
        ordering = ["reading_id", "id"]

    def __str__(self) -> str:
        return f"{self.measurand} {self.value} {self.unit}"
