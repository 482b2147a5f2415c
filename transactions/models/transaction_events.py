"""The TransactionEvents of OCPP 2.0.1, of which its transactions are made."""

from django.db import models

from transactions.models.transactions import Transaction
from transactions.services import key_codes


class EventColumns(models.Model):
    """The columns of a TransactionEvent (OCPP 2.0.1 E)."""

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
        abstract = True
        default_permissions = ()  # those of `Transaction` apply

    def __str__(self) -> str:
        return f"{self.event_type} {self.seq_no}"


class RecordedEvent(EventColumns):
    """A TransactionEvent with a row of its own. The columns of its transaction are computed from all these.

    Events may arrive in any order and repeatedly. Their readings are stored like all others.
    """

    # No database constraint: the transaction is found when a row is written, and the check costs half its INSERT.
    transaction = models.ForeignKey(
        Transaction, models.CASCADE, db_constraint=False, db_index=False, related_name="recorded_events"
    )

    class Meta(EventColumns.Meta):
        constraints = [
            # A charger that does not count sends all its events with one number, so the number alone is not enough.
            models.UniqueConstraint(fields=["transaction", "seq_no", "digest"], name="one_row_a_recorded_event")
        ]


class TransactionEvent(EventColumns):
    """A TransactionEvent, a row of the view `TRANSACTION_EVENTS`.

    A plain event, which brings nothing but readings, is stored in the row of its reading (decision 0034), and deleted
    with it. Its `id` is negative.
    """

    transaction = models.ForeignKey(Transaction, models.DO_NOTHING, related_name="transaction_events")

    class Meta(EventColumns.Meta):
        managed = False
        ordering = ["transaction", "seq_no", "id"]

    @property
    def shown_id_token(self) -> str:
        """The token as it may be shown: a PIN is hidden."""
        return key_codes.shown(self.id_token, self.id_token_type)


# The types of the columns are equal, so that PostgreSQL looks up the events of a transaction in either table.
TRANSACTION_EVENTS = """
CREATE VIEW transactions_transactionevent AS
SELECT id, transaction_id, seq_no, digest, event_type, trigger_reason, timestamp, raw_timestamp, clock_skew,
    received_at, offline, charging_state, stopped_reason, evse_id, connector_id, id_token, id_token_type,
    id_token_status, meter_start, meter_stop, reservation_id, remote_start_id, details
FROM transactions_recordedevent
UNION ALL
SELECT -r.id, r.transaction_id, r.seq_no, r.message_hash, 'Updated'::text, r.trigger_reason,
    coalesce((m->>'timestamp')::timestamptz, r.timestamp),
    coalesce(m->>'raw_timestamp', r.raw_timestamp)::varchar(64), false, r.received_at,
    coalesce((m->>'offline')::boolean, false), coalesce(m->>'charging_state', ''), ''::text,
    (m->>'evse_id')::integer, (m->>'connector_id')::integer, ''::varchar(255), ''::text, ''::varchar(20),
    NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, coalesce(m->>'details', '')
FROM transactions_reading r, LATERAL (SELECT nullif(r.event_members, '')::json AS m) e
WHERE r.seq_no IS NOT NULL
"""
NO_TRANSACTION_EVENTS = "DROP VIEW transactions_transactionevent"
