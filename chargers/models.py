"""What a charger is: itself, as it last booted, and its connectors."""

from django.db import models


class Charger(models.Model):
    """A charge point. Presence (is its socket open now?) is Redis' matter, see `chargers.presence`."""

    charger_id = models.CharField(max_length=255, unique=True, help_text="As in its URL, compared as sent.")
    description = models.CharField(max_length=255, blank=True)
    authorization_key_hash = models.CharField(max_length=128, blank=True, editable=False)

    # BootNotification.req, OCPP 1.6 §6.3
    vendor = models.CharField(max_length=20, blank=True)
    model = models.CharField(max_length=20, blank=True)
    serial_number = models.CharField(max_length=25, blank=True)
    charge_box_serial_number = models.CharField(max_length=25, blank=True)
    firmware_version = models.CharField(max_length=50, blank=True)
    iccid = models.CharField("ICCID", max_length=20, blank=True)
    imsi = models.CharField("IMSI", max_length=20, blank=True)
    meter_type = models.CharField(max_length=25, blank=True)
    meter_serial_number = models.CharField(max_length=25, blank=True)
    last_boot_at = models.DateTimeField(null=True, blank=True)

    firmware_status = models.CharField(max_length=30, blank=True)
    firmware_status_at = models.DateTimeField(null=True, blank=True)
    diagnostics_status = models.CharField(max_length=30, blank=True)
    diagnostics_status_at = models.DateTimeField(null=True, blank=True)
    local_list_version = models.IntegerField(default=0, help_text="Of the last local list it accepted.")

    connected_at = models.DateTimeField(null=True, blank=True)
    last_seen = models.DateTimeField(null=True, blank=True, help_text="Last frame of any kind.")
    created_at = models.DateTimeField(auto_now_add=True)

    # The last CALL answered: a retry of it, also on another socket, gets the same answer (J errata 3.1).
    last_call_id = models.CharField(max_length=36, blank=True, editable=False)
    last_call_digest = models.CharField(max_length=32, blank=True, editable=False)
    last_answer = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["charger_id"]

    def __str__(self):
        return self.charger_id


class Connector(models.Model):
    """A connector as its newest StatusNotification tells it (OCPP 1.6 §6.47); 0 is the charger as a whole."""

    # From the most telling to the least, for one word about the whole charger.
    STATUSES = (
        "Faulted",
        "Charging",
        "SuspendedEV",
        "SuspendedEVSE",
        "Finishing",
        "Preparing",
        "Reserved",
        "Unavailable",
        "Available",
    )

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="connectors")
    connector_id = models.PositiveIntegerField()
    status = models.CharField(max_length=20, choices=[(s, s) for s in STATUSES])
    error_code = models.CharField(max_length=30)
    info = models.CharField(max_length=50, blank=True)
    vendor_id = models.CharField(max_length=255, blank=True)
    vendor_error_code = models.CharField(max_length=50, blank=True)
    timestamp = models.DateTimeField(help_text="When it says it changed; never after it was received.")
    raw_timestamp = models.CharField(max_length=64, blank=True)
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["connector_id"]
        constraints = [models.UniqueConstraint(fields=["charger", "connector_id"], name="one_row_a_connector")]

    def __str__(self):
        return f"{self.charger} connector {self.connector_id}"


def telling_status(connectors):
    """The one word that says most about `connectors`; "Unknown" before any (connector 0's trouble first)."""
    statuses = {connector.status for connector in connectors}
    whole = next((c.status for c in connectors if c.connector_id == 0), None)
    if whole in ("Faulted", "Unavailable"):
        return whole
    return next((status for status in Connector.STATUSES if status in statuses), "Unknown")
