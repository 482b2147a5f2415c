"""Who may charge, what was charged, and the readings in between."""

from datetime import UTC, datetime

from django.db import models
from django.db.models.functions import Upper

from chargers.models import Charger
from chargers.times import wire


class IdTag(models.Model):
    """A token of a driver (OCPP 1.6 §7.28, 20 characters, compared without case)."""

    STATUSES = ("Accepted", "Blocked", "Expired", "Invalid")

    id_tag = models.CharField(max_length=20)
    status = models.CharField(max_length=20, choices=[(s, s) for s in STATUSES], default="Accepted")
    expiry_date = models.DateTimeField(null=True, blank=True)
    parent_id_tag = models.CharField(max_length=20, blank=True, help_text="Tags with the same parent are a group.")
    description = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id_tag"]
        constraints = [models.UniqueConstraint(Upper("id_tag"), name="one_tag_whatever_its_case")]

    def __str__(self):
        return self.id_tag

    def verdict(self):
        """What a charger is told: `Blocked` before `Expired` where a tag is both."""
        if self.status == "Accepted" and self.expiry_date and self.expiry_date <= datetime.now(UTC):
            return "Expired"
        return self.status

    def as_info(self):
        """The IdTagInfo on the wire (OCPP 1.6 §7.27)."""
        info = {"status": self.verdict()}
        if self.expiry_date:
            info["expiryDate"] = wire(self.expiry_date)
        if self.parent_id_tag:
            info["parentIdTag"] = self.parent_id_tag
        return info

    @staticmethod
    def infos(id_tags):
        """{id tag as sent: IdTagInfo}; a tag that is not known is `Invalid`."""
        known = IdTag.objects.annotate(key=Upper("id_tag")).filter(key__in={tag.upper() for tag in id_tags})
        found = {tag.key: tag.as_info() for tag in known}
        return {tag: found.get(tag.upper(), {"status": "Invalid"}) for tag in id_tags}


class Transaction(models.Model):
    """A charging session. Its primary key is the `transactionId` on the wire: 32 bits, positive."""

    id = models.AutoField("transaction id", primary_key=True)
    charger = models.ForeignKey(Charger, models.PROTECT, related_name="transactions")
    connector_id = models.PositiveIntegerField()
    id_tag = models.CharField(max_length=20)
    id_tag_status = models.CharField(max_length=20, help_text="The verdict given at the start.")
    reservation_id = models.IntegerField(null=True, blank=True)

    # By the charger's clock; the raw text is what it sent, `*_received_at` is our clock.
    start_time = models.DateTimeField()
    raw_start_time = models.CharField(max_length=64)
    start_received_at = models.DateTimeField()
    meter_start = models.IntegerField("meter start (Wh)")
    stop_time = models.DateTimeField(null=True, blank=True)
    raw_stop_time = models.CharField(max_length=64, blank=True)
    stop_received_at = models.DateTimeField(null=True, blank=True)
    meter_stop = models.IntegerField("meter stop (Wh)", null=True, blank=True)
    stop_reason = models.CharField(max_length=20, blank=True)
    stop_id_tag = models.CharField(max_length=20, blank=True)
    meter_latest = models.BigIntegerField("latest energy register (Wh)", null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # A charger that lost our answer sends its start again: the same start is the same transaction.
            models.UniqueConstraint(
                fields=["charger", "connector_id", "id_tag", "raw_start_time", "meter_start"],
                name="one_row_a_start",
            )
        ]
        indexes = [
            models.Index(fields=["charger", "-id"], name="transactions_of_charger"),
            models.Index(fields=["start_time"], name="transactions_by_start"),
            models.Index(fields=["id_tag", "-id"], name="transactions_of_tag"),
            models.Index(
                fields=["charger", "connector_id"],
                name="ongoing_transactions",
                condition=models.Q(stop_received_at=None),
            ),
        ]

    def __str__(self):
        return f"{self.pk} ({self.charger})"

    @property
    def status(self):
        return "Ongoing" if self.stop_received_at is None else "Completed"

    @property
    def energy_wh(self):
        """Wh charged so far, None while nothing was read; a meter that ran backwards charged nothing."""
        meter = self.meter_latest if self.meter_stop is None else self.meter_stop
        return None if meter is None else max(0, meter - self.meter_start)


class OrphanStop(models.Model):
    """A StopTransaction that names no transaction of its charger: acknowledged, and kept (1.6 errata 3.18)."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="orphan_stops")
    reported_transaction_id = models.IntegerField()
    payload = models.TextField(help_text="The request as JSON.")
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self):
        return f"stop of {self.reported_transaction_id} ({self.charger})"


class MeterValue(models.Model):
    """One sampledValue (OCPP 1.6 §7.43). No database constraint on its keys: it is joined when written."""

    charger = models.ForeignKey(Charger, models.CASCADE, db_constraint=False, db_index=False)
    transaction = models.ForeignKey(
        Transaction, models.CASCADE, null=True, blank=True, db_constraint=False, related_name="meter_values"
    )
    reported_transaction_id = models.IntegerField(null=True, blank=True)
    connector_id = models.PositiveIntegerField()
    timestamp = models.DateTimeField()
    raw_timestamp = models.CharField(max_length=64)
    received_at = models.DateTimeField()
    value = models.TextField(help_text="As sent; signed data verbatim.")
    number = models.DecimalField(max_digits=24, decimal_places=9, null=True, blank=True)
    measurand = models.CharField(max_length=40, default="Energy.Active.Import.Register")
    unit = models.CharField(max_length=20)
    phase = models.CharField(max_length=10, blank=True)
    context = models.CharField(max_length=20, default="Sample.Periodic")
    location = models.CharField(max_length=10, default="Outlet")
    format = models.CharField(max_length=12, default="Raw")

    class Meta:
        ordering = ["id"]

    def __str__(self):
        return f"{self.measurand} {self.value} {self.unit}"
