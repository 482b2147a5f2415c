"""Id tags, reservations, transactions and their meter readings."""

from collections import defaultdict
from datetime import UTC, datetime
from functools import partial

import orjson
from django.core.validators import RegexValidator
from django.db import models
from django.db import transaction as database
from django.db.models import Q
from django.db.models.functions import MD5, Upper
from django.utils.functional import cached_property

from chargers.models import Charger, Connector
from chargers.services import audit, budgets, events, findings
from core.db import bulk_sql
from core.db.numbers import next_free_id
from core.ocpp import numerals
from core.ocpp.calls import Call
from core.ocpp.timestamps import parse_or
from transactions import sql
from transactions.services import energy, readings

PRINTABLE = RegexValidator(r"^[\x20-\x7e]+$", "Only printable ASCII characters.")
MAX_CANDIDATES = 10
MOST = 2**31 - 1  # what an integer of OCPP can hold
PAYLOAD_IN_CALL = 3  # its place in the array of a CALL (OCPP-J §4.2.1)


def next_reservation_id():
    """Return an unused reservationId."""
    return next_free_id("transactions_reservation_id", Reservation.objects.all())


class IdTag(models.Model):
    """A token of a driver, compared without case (OCPP 1.6 §7.28; chargers send more than its 20 characters)."""

    STATUSES = ("Accepted", "Blocked", "Expired", "Invalid")

    id_tag = models.CharField(max_length=255, validators=[PRINTABLE])
    type = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="Type of the token; empty matches any type."
    )
    status = models.CharField(max_length=20, choices=[(s, s) for s in STATUSES], default="Accepted")
    expiry_date = models.DateTimeField(null=True, blank=True)
    parent_id_tag = models.CharField(max_length=255, blank=True, help_text="Tags with the same parent are a group.")
    description = models.CharField(max_length=255, blank=True)
    concurrent_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="Transactions it may have under way at a time; empty: any number."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id_tag"]
        constraints = [
            models.UniqueConstraint(
                Upper("id_tag"),
                name="one_tag_whatever_its_case",
                violation_error_message="This id tag exists already (compared without case).",
            )
        ]

    def __str__(self):
        return self.id_tag

    def save(self, *args, **kwargs):
        """Save, and remove the tag from the unknown tags."""
        super().save(*args, **kwargs)
        UnknownIdTag.objects.filter(id_tag__iexact=self.id_tag).delete()

    def verdict(self):
        """The status in answers to a charger: `Blocked` before `Expired` if a tag is both."""
        if self.status == "Accepted" and self.expiry_date and self.expiry_date <= datetime.now(UTC):
            return "Expired"
        return self.status

    @staticmethod
    def known(id_tags):
        """Return {id tag in upper case: `IdTag`} of the known tags."""
        wanted = sorted({tag.upper() for tag in id_tags})
        rows = bulk_sql.query(KNOWN_TAGS, [wanted]) if wanted else []
        return {key: bulk_sql.instance(IdTag, row) for key, *row in rows}


KNOWN_TAGS = (
    f"SELECT upper(id_tag), {bulk_sql.columns(IdTag)} FROM transactions_idtag c WHERE upper(id_tag) = ANY(%s)"
)


class UnknownIdTag(models.Model):
    """A tag that was presented and is not known here; accepting it makes it an `IdTag`."""

    id_tag = models.CharField(max_length=255)
    charger = models.ForeignKey(Charger, models.CASCADE, help_text="Where it was presented last.")
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    presented = models.PositiveIntegerField(help_text="How many times.")

    class Meta:
        ordering = ["-last_seen"]
        constraints = [models.UniqueConstraint(Upper("id_tag"), name="one_unknown_tag_whatever_its_case")]

    def __str__(self):
        return self.id_tag

    def accept(self):
        """Return an `IdTag` for it; one that exists already is not changed. Raises `ValidationError`."""
        known = IdTag.objects.filter(id_tag__iexact=self.id_tag).first() or IdTag(id_tag=self.id_tag)
        known.full_clean()
        known.save()
        return known


# Reasons to check a transaction; each filter uses an index.
DOUBTS = {
    "superseded": "superseded, without a stop",
    "free": "ongoing, though its connector is free",
    "skew": "clock skew",
    "closed": "closed by hand",
}


class TransactionQuerySet(models.QuerySet):
    def with_reference(self, reference):
        """Return those that their charger calls `reference` (text), see `Transaction.reference`."""
        is_id = reference.isascii() and reference.isdecimal() and str(int(reference)) == reference
        own = Q(own_reference="", pk=int(reference)) if is_id and int(reference) <= MOST else Q(pk__in=[])
        return self.filter(own | Q(own_reference=reference) & ~Q(own_reference=""))

    def ongoing(self):
        """Return those neither stopped by the charger nor closed by an operator."""
        return self.filter(stop_received_at=None, closed_at=None)

    def in_doubt(self, reason):
        """Return those to which `reason`, a key of DOUBTS, applies."""
        place = {"charger": models.OuterRef("charger"), "connector_id": models.OuterRef("connector_id")}
        free = models.Exists(Connector.objects.filter(**place, status="Available"))
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
        max_length=36,
        blank=True,
        default="",
        db_default="",
        help_text="The id that the charger gave it; empty in OCPP 1.6, where the transaction id is sent to it.",
    )
    evse_id = models.PositiveIntegerField(null=True, blank=True, help_text="In OCPP 1.6 it equals the connector id.")
    connector_id = models.PositiveIntegerField()
    id_tag = models.CharField(max_length=255)
    id_token_type = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="Empty in OCPP 1.6."
    )
    id_tag_status = models.CharField(max_length=20, help_text="The verdict given at the start.")
    charging_state = models.CharField(
        max_length=20,
        blank=True,
        default="",
        db_default="",
        help_text="As the charger reported it; empty in OCPP 1.6.",
    )
    reservation_id = models.BigIntegerField(null=True, blank=True)

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

    # These columns distinguish a repeated start from a new session that looks the same, see `services.starts`.
    start_message_id = models.CharField(max_length=36, blank=True, default="", db_default="", editable=False)
    recurrence = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="Sessions before it that began with an equal message."
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
                name="one_row_a_start",
            ),
            models.UniqueConstraint(
                fields=["charger", "own_reference"], name="one_row_a_reference", condition=~Q(own_reference="")
            ),
        ]
        indexes = [
            models.Index(fields=["charger", "-id"], name="transactions_of_charger"),
            models.Index(fields=["start_time"], name="transactions_by_start"),
            models.Index(fields=["id_tag", "-id"], name="transactions_of_tag"),
            models.Index(fields=["id"], name="transactions_with_clock_skew", condition=Q(clock_skew=True)),
            models.Index(fields=["id"], name="transactions_closed_by_hand", condition=Q(closed_at__isnull=False)),
            models.Index(
                fields=["charger", "connector_id"],
                name="transactions_without_stop",
                condition=Q(stop_received_at=None),
            ),
            models.Index(
                Upper("id_tag"),
                name="transactions_under_way_of_tag",
                condition=Q(stop_received_at=None, closed_at=None),
            ),
        ]

    def __str__(self):
        return f"{self.pk} ({self.charger})"

    @property
    def reference(self):
        """The charger's own text for it: in OCPP 1.6 the decimal transaction id."""
        return self.own_reference or str(self.pk)

    @property
    def status(self):
        return "Ongoing" if self.stop_received_at is None and self.closed_at is None else "Completed"

    @property
    def is_under_way(self):
        """Return whether neither a stop nor a later start on its connector was received."""
        return self.status == "Ongoing" and self.superseded_by_id is None

    @property
    def is_accepted(self):
        return self.id_tag_status == "Accepted"

    @property
    def meter_ran_backwards(self):
        known = energy.is_register(self.meter_stop) and energy.is_register(self.meter_start)
        return known and self.meter_stop < self.meter_start

    @property
    def ended_at(self):
        """The end time: an operator's correction, else the charger's stop time, else the time of closing."""
        return self.corrected_stop_time or self.stop_time

    @property
    def meter_at_start(self):
        """The register at the start in Wh: an operator's correction, else the value that the charger sent."""
        return self.meter_start if self.corrected_meter_start is None else self.corrected_meter_start

    @property
    def meter_at_end(self):
        """The register at the end in Wh: corrected, else as the charger sent it, else the last reading if closed."""
        if self.corrected_meter_stop is not None:
            return self.corrected_meter_stop
        return self.meter_latest if self.meter_stop is None and self.closed_at else self.meter_stop

    @property
    def meter_base(self):
        """The register in Wh from which its energy counts, as in `energy.EVIDENCE`; None if it is unknown."""
        if self.corrected_meter_start is None and not energy.is_register(self.meter_start):
            return self.meter_first
        return self.meter_at_start

    def energy_at(self, register_wh):
        """Return the Wh charged when a reading showed `register_wh`, as `energy.EVIDENCE` counts it."""
        base = self.meter_base or 0
        return max(0, register_wh - base) if register_wh >= base - energy.ROUNDED_WH else register_wh

    @property
    def duration_seconds(self):
        """The seconds from start to stop by the charger's clock, None while the session is open; never negative."""
        return None if self.ended_at is None else max(0, round((self.ended_at - self.start_time).total_seconds()))

    @database.atomic
    def close(self, by):
        """Close it by hand with its last reading; return whether it was open. A real stop still replaces this."""
        stuck = Transaction.objects.ongoing().select_for_update().filter(pk=self.pk).first()
        if stuck is None:
            return False
        if not stuck.clock_skew:
            until = datetime.now(UTC)
            span = readings.Span(stuck.charger_id, stuck.pk, stuck.connector_id, stuck.start_time, until)
            readings.take_in([span])
        last = stuck.meter_values.order_by("-timestamp").values_list("timestamp", flat=True).first()
        stuck.closed_at, stuck.closed_by = datetime.now(UTC), by
        stuck.stop_time = last or stuck.start_received_at
        stuck.save(update_fields=["closed_at", "closed_by", "stop_time"])
        stuck.refresh_from_db(fields=["energy_wh", "energy_source"])
        audit.record("closed", "transaction", stuck.pk, stuck.charger_id, after={"meter_stop": stuck.meter_at_end})
        fields = {"transaction_id": stuck.pk, "connector_id": stuck.connector_id, "id_tag": stuck.id_tag}
        fields |= {"stop_time": stuck.stop_time, "meter_stop": stuck.meter_at_end}
        fields |= {"energy_wh": stuck.energy_wh, "energy_source": stuck.energy_source}
        events.record_event("transaction.stopped", stuck.charger_id, **fields, reason="closed by hand")
        return True


class Reservation(models.Model):
    """A connector reserved for a tag. Its primary key is the `reservationId` on the wire (OCPP 1.6 §5.13).

    It is `Inactive` until its charger accepts it, and shown as `Expired` if it is `Active` past its expiry date.
    """

    INACTIVE, ACTIVE, USED, CANCELLED, EXPIRED = "Inactive", "Active", "Used", "Cancelled", "Expired"
    STATUSES = (INACTIVE, ACTIVE, USED, CANCELLED)

    id = models.IntegerField("reservation id", primary_key=True, default=next_reservation_id, editable=False)
    charger = models.ForeignKey(Charger, models.CASCADE, related_name="reservations")
    connector_id = models.PositiveIntegerField(help_text="0: any connector of the charger.")
    id_tag = models.CharField(max_length=255)
    parent_id_tag = models.CharField(max_length=255, blank=True)
    expiry_date = models.DateTimeField()
    state = models.CharField(max_length=10, choices=[(s, s) for s in STATUSES], default=INACTIVE, editable=False)
    ended_because = models.CharField(max_length=100, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["charger"], name="active_reservations", condition=Q(state="Active"))]

    def __str__(self):
        return f"{self.pk} ({self.charger})"

    @property
    def status(self):
        over = self.state == self.ACTIVE and self.expiry_date <= datetime.now(UTC)
        return self.EXPIRED if over else self.state


class OrphanStop(models.Model):
    """A StopTransaction that names no transaction of its charger: acknowledged and stored (1.6 errata 3.18).

    Refused messages about transactions are stored here too, until an operator applies them.
    """

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="orphan_stops")
    action = models.CharField(max_length=30, default="StopTransaction", db_default="StopTransaction")
    refused_because = models.TextField(blank=True, default="", db_default="", help_text="Empty: it was acknowledged.")
    reported_transaction_id = models.BigIntegerField(null=True, blank=True)
    payload = models.TextField(help_text="The request as JSON.")
    received_at = models.DateTimeField()
    transaction = models.ForeignKey(
        Transaction, models.SET_NULL, null=True, blank=True, related_name="+", help_text="Where it was attached to."
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            # A repeated message adds nothing. The hash is indexed, because a payload may be too long for an index.
            models.UniqueConstraint("charger", "action", MD5("payload"), name="one_row_a_waiting_message")
        ]

    @staticmethod
    def keep(rows):
        """Insert the `rows` that are not stored already; return the actions of the new ones.

        If a charger has reached its limit of waiting messages, only those with a meter value are inserted.
        """
        columns = ("charger_id", "action", "refused_because", "reported_transaction_id", "payload", "received_at")
        rows = [
            {column: getattr(row, column) for column in columns} | {"has_meter_value": row.has_meter_value}
            for row in rows
        ]
        budget = budgets.BUDGETS["unapplied"]
        outcomes = bulk_sql.query(sql.KEEP_ORPHANS, [budget.limit or budgets.NO_LIMIT, bulk_sql.json(rows)])
        for charger, action, is_past in outcomes:
            if is_past:
                count = partial(findings.add, charger, action, {budget.finding: budget.limit})
                database.on_commit(partial(count, datetime.now(UTC)), robust=True)
        return [action for _, action, is_past in outcomes if not is_past]

    def __str__(self):
        return f"{self.action} of {self.reported_transaction_id or 'no transaction'} ({self.charger})"

    @property
    def as_sent(self):
        """The payload as it was sent: any JSON, or the text if it is not JSON."""
        try:
            return orjson.loads(self.payload)
        except ValueError:
            return self.payload

    @property
    def has_meter_value(self):
        """Whether it has a meter value of the start or the stop of a session, which billing needs."""
        meters = (self.request.get(member) for member in ("meterStart", "meterStop"))
        is_register = any(numerals.read(str(meter)) is not None for meter in meters)
        return self.action != "MeterValues" and (is_register or bool(self.request.get("transactionData")))

    @cached_property
    def request(self):
        """The members that were sent, also in a malformed CALL frame; {} if there are none."""
        sent = self.as_sent
        if isinstance(sent, list) and len(sent) > PAYLOAD_IN_CALL:
            sent = sent[PAYLOAD_IN_CALL]
        return sent if isinstance(sent, dict) else {}

    def as_call(self):
        """Return the CALL it was received in; in a refused one any member may be missing or of any type."""
        return Call(self.charger_id, "", self.action, self.request, self.received_at)

    @staticmethod
    def candidates_of(orphans):
        """Return {primary key: ids of transactions that the orphan may belong to, the likeliest first}.

        The named transaction is first if it has no stop; then the latest starts follow.
        """
        loose = [o for o in orphans if o.transaction_id is None and o.action != "StartTransaction"]
        open_ones = Transaction.objects.filter(charger__in={o.charger_id for o in loose}, stop_received_at=None)
        started = defaultdict(list)
        for transaction in open_ones.only("charger_id", "id_tag", "start_time", "meter_start").order_by(
            "-start_time"
        ):
            started[transaction.charger_id].append(transaction)
        fitting = {o.pk: [t.pk for t in started[o.charger_id] if o.may_end(t)] for o in loose}
        for o in loose:
            fitting[o.pk].sort(key=lambda pk, named=o.reported_transaction_id: pk != named)
        return {pk: ids[:MAX_CANDIDATES] for pk, ids in fitting.items()}

    def may_end(self, transaction):
        """Return whether this may end `transaction`, an open one of its charger, by start time, tag and meter.

        A missing or unreadable member excludes no transaction.
        """
        timestamp, meter, id_tag = (self.request.get(name) for name in ("timestamp", "meterStop", "idTag"))
        ended_at = parse_or(timestamp, self.received_at) if isinstance(timestamp, str) else self.received_at
        is_readable = isinstance(meter, int | float) and 0 <= meter <= MOST
        is_below = is_readable and energy.is_register(transaction.meter_start) and meter < transaction.meter_start
        is_other = isinstance(id_tag, str) and id_tag and id_tag.upper() != transaction.id_tag.upper()
        return transaction.start_time <= ended_at and not is_below and not is_other


class MeterValue(models.Model):
    """One sampledValue (OCPP 1.6 §7.43). No database constraint on its keys: it is joined when written."""

    # No index of its own, because readings are many and are found by transaction. If a charger without transactions
    # is deleted, its readings stay until the partition of their month is dropped.
    charger = models.ForeignKey(Charger, models.DO_NOTHING, db_constraint=False, db_index=False)
    transaction = models.ForeignKey(
        Transaction,
        models.CASCADE,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
        related_name="meter_values",
    )
    reported_transaction_id = models.BigIntegerField(null=True, blank=True)
    connector_id = models.PositiveIntegerField()
    timestamp = models.DateTimeField()
    raw_timestamp = models.CharField(max_length=64)
    received_at = models.DateTimeField()
    value = models.TextField(help_text="As sent; signed data verbatim.")
    number = models.DecimalField(max_digits=24, decimal_places=9, null=True, blank=True)
    measurand = models.TextField(default="Energy.Active.Import.Register")
    unit = models.TextField()
    phase = models.TextField(blank=True)
    context = models.TextField(default="Sample.Periodic")
    location = models.TextField(default="Outlet")
    format = models.TextField(default="Raw", help_text="unreadable: the value is the JSON of a sample.")
    message_hash = models.IntegerField(
        null=True,
        blank=True,
        editable=False,
        help_text="Of the message id: a message that is sent again is found by it.",
    )

    class Meta:
        ordering = ["id"]
        indexes = [
            # With the hash, a message that is sent again is found without reading all of its session.
            models.Index(fields=["transaction", "message_hash"], name="readings_of_a_transaction"),
            # Evidence for a session whose stop cannot be believed; readings that name their transaction pay nothing.
            models.Index(
                fields=["charger", "connector_id", "timestamp", "message_hash"],
                name="readings_without_transaction",
                condition=Q(transaction=None),
            ),
        ]

    def __str__(self):
        return f"{self.measurand} {self.value} {self.unit}"
