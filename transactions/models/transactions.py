"""Charging sessions."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from django.db import models
from django.db import transaction as database
from django.db.models import Q
from django.db.models.functions import Upper

from chargers.models import Charger, Connector
from chargers.services import audit, events
from transactions.models.tariffs import Tariff
from transactions.services import costs, energy, key_codes, readings

MOST = 2**31 - 1  # what an integer of OCPP can hold
# Reasons to check a transaction; each filter uses an index.
DOUBTS = {
    "superseded": "superseded, without a stop",
    "free": "ongoing, though its connector is free",
    "skew": "clock skew",
    "closed": "closed by hand",
}


class TransactionQuerySet(models.QuerySet):
    def with_reference(self, reference: str) -> "TransactionQuerySet":
        """Return those that their charger calls `reference` (text), see `Transaction.reference`."""
        return self._with_references([reference])

    def _with_references(self, references: Collection[str]) -> "TransactionQuerySet":
        ids = [text for text in references if text.isascii() and text.isdecimal() and len(text) <= len(str(MOST))]
        keys = [int(text) for text in ids if str(int(text)) == text and int(text) <= MOST]
        others = [text for text in references if text]
        return self.filter(Q(own_reference="", pk__in=keys) | Q(own_reference__in=others) & ~Q(own_reference=""))

    def named(self, names: Iterable[tuple[int, str]]) -> "dict[tuple[int, str], Transaction]":
        """Return {name: transaction}, the newest with each of these `names`: (charger, what the charger calls it)."""
        wanted = {(charger, reference) for charger, reference in names if reference}
        if not wanted:
            return {}
        rows = self.filter(charger__in={charger for charger, _ in wanted}).order_by("pk")
        found = {(row.charger_id, row.reference): row for row in rows._with_references({name for _, name in wanted})}
        return {name: found[name] for name in wanted & found.keys()}

    def ongoing(self) -> "TransactionQuerySet":
        """Return those neither stopped by the charger nor closed by an operator."""
        return self.filter(stop_received_at=None, closed_at=None)

    def in_doubt(self, reason: str) -> "TransactionQuerySet":
        """Return those to which `reason`, a key of DOUBTS, applies."""
        place = {name: models.OuterRef(name) for name in ("charger", "evse_id", "connector_id")}
        free = models.Exists(Connector.objects.filter(**place, status="Available")) & ~Q(charging_state="Idle")
        return self.filter(
            {
                "superseded": Q(stop_received_at=None, superseded_by__isnull=False),
                "free": Q(stop_received_at=None, closed_at=None) & free,
                "skew": Q(clock_skew=True),
                "closed": Q(closed_at__isnull=False),
            }[reason]
        )


class Transaction(models.Model):
    """A charging session. Its primary key is the `transactionId` on the wire: 32 bits, positive."""

    id = models.AutoField("transaction id", primary_key=True)
    charger = models.ForeignKey(Charger, models.PROTECT, related_name="transactions", db_index=False)
    own_reference = models.CharField(
        "reference",
        max_length=255,
        blank=True,
        default="",
        db_default="",
        help_text="The id that the charger gave it; empty in OCPP 1.6, where the transaction id is sent to it.",
    )
    evse_id = models.PositiveIntegerField(null=True, blank=True, help_text="In OCPP 1.6 it equals the connector id.")
    connector_id = models.PositiveIntegerField(
        null=True, blank=True, help_text="Empty until it is known, which in OCPP 2.0.1 may be after the start."
    )
    id_tag = models.CharField(max_length=255)
    id_token_type = models.TextField(blank=True, default="", db_default="", help_text="Empty in OCPP 1.6.")
    id_tag_status = models.CharField(max_length=20, help_text="The verdict given at the start.")
    charging_state = models.TextField(
        blank=True, default="", db_default="", help_text="As the charger reported it; empty in OCPP 1.6."
    )
    reservation_id = models.BigIntegerField(null=True, blank=True)
    remote_start_id = models.BigIntegerField(null=True, blank=True, help_text="Id of the command that started it.")
    missing_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since when a gap in the numbers of its events is known."
    )
    numbered_until = models.BigIntegerField(
        null=True, editable=False, help_text="All its events from the start up to this number are stored."
    )
    missing_requested_at = models.DateTimeField(
        null=True, editable=False, help_text="When the charger was last requested to deliver missing events."
    )

    # By the charger's clock; the raw text is as sent, and `*_received_at` is this server's clock.
    start_time = models.DateTimeField()
    raw_start_time = models.CharField(max_length=64)
    start_received_at = models.DateTimeField()
    meter_start = models.BigIntegerField("meter start (Wh)", null=True, blank=True)
    raw_meter_start = models.TextField(blank=True, default="", db_default="", help_text="As sent, where rounded.")
    stop_time = models.DateTimeField(null=True, blank=True)
    raw_stop_time = models.CharField(max_length=64, blank=True)
    stop_received_at = models.DateTimeField(null=True, blank=True)
    meter_stop = models.BigIntegerField("meter stop (Wh)", null=True, blank=True)
    raw_meter_stop = models.TextField(blank=True, default="", db_default="", help_text="As sent, where rounded.")
    stop_reason = models.TextField(blank=True)
    stop_id_tag = models.CharField(max_length=255, blank=True)
    stop_id_token_type = models.TextField(
        blank=True, default="", db_default="", editable=False, help_text="Empty in OCPP 1.6."
    )
    meter_first = models.BigIntegerField("first energy register (Wh)", null=True, blank=True)
    meter_latest = models.BigIntegerField("highest energy register (Wh)", null=True, blank=True)
    meter_newest = models.BigIntegerField("energy register received last (Wh)", null=True, blank=True)
    power_latest = models.IntegerField("latest power (W)", null=True, blank=True)
    soc_latest = models.PositiveSmallIntegerField("latest state of charge (%)", null=True, blank=True)
    read_until = models.DateTimeField(null=True, blank=True, editable=False, help_text="Time of the newest reading.")

    superseded_by = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        help_text="A later start on the same connector, while this one had no stop.",
    )
    closed_at = models.DateTimeField(null=True, blank=True, help_text="When an operator closed it by hand.")
    closed_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    clock_skew = models.BooleanField(
        default=False, db_default=False, help_text="The charger's clock said what can't be."
    )

    # These columns distinguish a repeated start from a new session that looks the same, see `services.starts`, and
    # sessions of one reference, see `services.reused_references`.
    start_message_id = models.CharField(max_length=36, blank=True, default="", db_default="", editable=False)
    recurrence = models.PositiveIntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="Sessions before it that began with an equal message, or to which the charger gave its reference.",
    )
    is_id_used = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="Its charger has named its id since."
    )

    # Set by an operator; the charger's own values stay stored.
    corrected_meter_start = models.BigIntegerField(null=True, blank=True, editable=False)
    corrected_meter_stop = models.BigIntegerField(null=True, blank=True, editable=False)
    corrected_stop_time = models.DateTimeField(null=True, blank=True, editable=False)
    corrected_at = models.DateTimeField(null=True, blank=True, editable=False)
    corrected_by = models.CharField(max_length=150, blank=True, default="", db_default="", editable=False)
    note = models.TextField(blank=True, default="", db_default="")

    # Stored by `transactions.services.costs` at the end, if a tariff applies.
    total_cost = models.DecimalField(
        max_digits=14, decimal_places=2, null=True, blank=True, editable=False, help_text="With VAT."
    )
    currency = models.CharField(max_length=3, blank=True, default="", db_default="", editable=False)
    tariff = models.ForeignKey(
        Tariff, models.SET_NULL, null=True, blank=True, editable=False, db_index=False, related_name="+"
    )

    # Computed by `transactions.services.energy`, the only definition for everything that shows or bills energy.
    energy_wh = models.GeneratedField(
        expression=energy.WATT_HOURS, output_field=models.BigIntegerField(), db_persist=True
    )
    energy_source = models.GeneratedField(
        expression=energy.SOURCE, output_field=models.CharField(max_length=9), db_persist=True
    )

    objects = TransactionQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # A charger that missed the answer sends its start again, and the repeated start must find its row.
            models.UniqueConstraint(
                fields=["charger", "connector_id", "id_tag", "raw_start_time", "meter_start", "recurrence"],
                nulls_distinct=False,
                condition=Q(own_reference=""),
                name="one_row_a_start",
            ),
            models.UniqueConstraint(
                fields=["charger", "own_reference", "recurrence"],
                condition=~Q(own_reference=""),
                name="one_row_a_reference",
            ),
        ]
        indexes = [
            models.Index(fields=["charger", "-id"], name="transactions_of_charger"),
            models.Index(fields=["start_time"], name="transactions_by_start"),
            models.Index(fields=["id_tag", "-id"], name="transactions_of_tag"),
            models.Index(fields=["id"], name="transactions_with_gaps", condition=Q(missing_since__isnull=False)),
            models.Index(fields=["id"], name="transactions_with_clock_skew", condition=Q(clock_skew=True)),
            models.Index(fields=["id"], name="transactions_closed_by_hand", condition=Q(closed_at__isnull=False)),
            models.Index(
                fields=["charger", "evse_id"],
                name="transactions_without_stop",
                condition=Q(stop_received_at=None),
            ),
            models.Index(
                Upper("id_tag"),
                name="transactions_under_way_of_tag",
                condition=Q(stop_received_at=None, closed_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({self.charger})"

    @property
    def reference(self) -> str:
        """The charger's own text for it: in OCPP 1.6 the decimal transaction id."""
        return self.own_reference or str(self.pk)

    @property
    def shown_id_tag(self) -> str:
        """The token as it may be shown: a PIN is hidden."""
        return key_codes.shown(self.id_tag, self.id_token_type)

    @property
    def shown_stop_id_tag(self) -> str:
        """The token that ended it, as it may be shown."""
        return key_codes.shown(self.stop_id_tag, self.stop_id_token_type)

    @property
    def status(self) -> str:
        return "Ongoing" if self.stop_received_at is None and self.closed_at is None else "Completed"

    @property
    def is_under_way(self) -> bool:
        """Return whether neither a stop nor a later start on its connector was received."""
        return self.status == "Ongoing" and self.superseded_by_id is None

    @property
    def is_accepted(self) -> bool:
        return self.id_tag_status == "Accepted"

    @property
    def meter_ran_backwards(self) -> bool:
        start, stop = self.meter_start, self.meter_stop
        return energy.is_register(stop) and energy.is_register(start) and stop < start

    @property
    def ended_at(self) -> datetime | None:
        """The end time: an operator's correction, else the charger's stop time, else the time of closing."""
        return self.corrected_stop_time or self.stop_time

    @property
    def meter_at_start(self) -> int | None:
        """The register at the start in Wh: an operator's correction, else the value that the charger sent."""
        return self.meter_start if self.corrected_meter_start is None else self.corrected_meter_start

    @property
    def meter_at_end(self) -> int | None:
        """The register at the end in Wh: corrected, else as the charger sent it, else the last reading if closed."""
        if self.corrected_meter_stop is not None:
            return self.corrected_meter_stop
        return self.meter_latest if self.meter_stop is None and self.closed_at else self.meter_stop

    @property
    def meter_base(self) -> int | None:
        """The register in Wh from which its energy counts, as in `energy.EVIDENCE`; None if it is unknown."""
        if self.corrected_meter_start is None and not energy.is_register(self.meter_start):
            return self.meter_first
        return self.meter_at_start

    def energy_at(self, register_wh: float) -> float:
        """Return the Wh charged when a reading showed `register_wh`, as `energy.EVIDENCE` counts it."""
        base = self.meter_base or 0
        return max(0, register_wh - base) if register_wh >= base - energy.ROUNDED_WH else register_wh

    @property
    def duration_seconds(self) -> int | None:
        """The seconds from start to stop by the charger's clock, None while the session is open; never negative."""
        return None if self.ended_at is None else max(0, round((self.ended_at - self.start_time).total_seconds()))

    @database.atomic
    def close(self, by: str) -> bool:
        """Close it by hand with its last reading; return whether it was open. A real stop still replaces this."""
        stuck = Transaction.objects.ongoing().select_for_update().filter(pk=self.pk).first()
        if stuck is None:
            return False
        if not stuck.clock_skew:
            until = datetime.now(UTC)
            span = readings.Span(stuck.charger_id, stuck.pk, stuck.evse_id or 0, stuck.start_time, until)
            readings.take_in([span])
        last = stuck.readings.order_by("-timestamp").values_list("timestamp", flat=True).first()
        stuck.closed_at, stuck.closed_by = datetime.now(UTC), by
        stuck.stop_time = last or stuck.start_received_at
        stuck.save(update_fields=["closed_at", "closed_by", "stop_time"])
        stuck.refresh_from_db(fields=["energy_wh", "energy_source"])
        settled = costs.settle([stuck.pk])
        audit.record("closed", "transaction", stuck.pk, stuck.charger_id, after={"meter_stop": stuck.meter_at_end})
        fields = {"transaction_id": stuck.pk, "connector_id": stuck.connector_id, "id_tag": stuck.id_tag}
        fields |= {"stop_time": stuck.stop_time, "meter_stop": stuck.meter_at_end}
        fields |= {"energy_wh": stuck.energy_wh, "energy_source": stuck.energy_source}
        fields |= costs.members(settled, stuck.pk)
        events.record_event("transaction.stopped", stuck.charger_id, **fields, reason="closed by hand")
        return True
