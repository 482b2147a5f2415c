"""The TransactionEvents of OCPP 2.0.1, of which its transactions are made."""

from django.db import models

from transactions.models.transactions import Transaction
from transactions.services import key_codes


class TransactionEvent(models.Model):
    """One TransactionEvent (OCPP 2.0.1 E). The columns of its transaction are computed from all its events.

    Events may arrive in any order and repeatedly. Their readings are stored like all others.
    """

    # No database constraint: the transaction is found when a row is written, and the check costs half its INSERT.
    transaction = models.ForeignKey(
        Transaction, models.CASCADE, db_constraint=False, db_index=False, related_name="transaction_events"
    )
    seq_no = models.BigIntegerField(help_text="Counted by the charger from 0; -1 if it has sent none.")
    digest = models.IntegerField(editable=False, help_text="Of its content: a charger may not count.")
    event_type = models.TextField(help_text="Started, Updated or Ended.")
    trigger_reason = models.TextField()
    timestamp = models.DateTimeField(help_text="By the charger's clock.")
    raw_timestamp = models.CharField(max_length=64)
    clock_skew = models.BooleanField(help_text="The time cannot be right.")
    received_at = models.DateTimeField()
    offline = models.BooleanField(help_text="It happened while the charger was offline.")
    charging_state = models.TextField(blank=True)
    stopped_reason = models.TextField(blank=True)
    evse_id = models.PositiveIntegerField(null=True)
    connector_id = models.PositiveIntegerField(null=True)
    id_token = models.CharField(max_length=255, blank=True)
    id_token_type = models.TextField(blank=True)
    id_token_status = models.CharField(max_length=20, blank=True, help_text="The verdict in the answer.")
    meter_start = models.BigIntegerField(null=True, help_text="Register in Wh with the context Transaction.Begin.")
    meter_stop = models.BigIntegerField(null=True, help_text="Register in Wh at the end of the transaction.")
    reservation_id = models.BigIntegerField(null=True)
    remote_start_id = models.BigIntegerField(null=True)
    details = models.TextField(blank=True, help_text="The other members that were sent, as JSON; no readings.")

    class Meta:
        ordering = ["transaction", "seq_no", "id"]
        default_permissions = ()  # those of `Transaction` apply
        constraints = [
            # A charger that does not count sends all its events with one number, so the number alone is not enough.
            models.UniqueConstraint(fields=["transaction", "seq_no", "digest"], name="one_row_a_transaction_event")
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.seq_no}"

    @property
    def shown_id_token(self) -> str:
        """The token as it may be shown: a PIN is hidden."""
        return key_codes.shown(self.id_token, self.id_token_type)
