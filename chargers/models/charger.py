"""What a charger is: itself, as it last booted, its connectors, and what it holds and told."""

import secrets

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from chargers import bulk_sql, keys
from chargers.sealing import SealedField

REGISTRATIONS = [(status, status) for status in ("Accepted", "Pending", "Rejected")]
SECURITY_PROFILES = [
    (0, "0: no authentication"),
    (1, "1: Basic auth"),
    (2, "2: Basic auth over TLS"),
    (3, "3: TLS with a client certificate"),
]
# Not accepted: as its last BootNotification was answered or, before any, as the operator decided.
NOT_ACCEPTED = models.Q(registration_status__in=["Pending", "Rejected"]) | (
    models.Q(registration_status="") & ~models.Q(boot_policy="Accepted")
)


# Which of a charger's messages are kept, see `chargers.message_log`; "" is as OCPP_MESSAGE_LOG says.
LOG_NOTHING, LOG_ERRORS, LOG_ALL = "off", "errors", "all"
MESSAGE_LOGS = [("", "as OCPP_MESSAGE_LOG says"), *((level, level) for level in (LOG_NOTHING, LOG_ERRORS, LOG_ALL))]

# How the payloads of a charger are read, see `chargers.tolerance`; "" is as OCPP_VALIDATION says.
LENIENT, STRICT = "lenient", "strict"
VALIDATIONS = [("", "as OCPP_VALIDATION says"), (LENIENT, LENIENT), (STRICT, STRICT)]

MOST_SECONDS = 3600  # of a ping interval and the like
# The columns that say how the socket of a charger is treated; a change of them holds at once.
OF_SOCKET = ("message_log", "validation", "ping_interval", "ping_timeout", "boot_wait")

# By the books, see `Charger.is_online`.
ONLINE = models.Q(connected_at__isnull=False) & (
    models.Q(disconnected_at=None) | models.Q(disconnected_at__lt=models.F("connected_at"))
)


def effective_status(boot_policy, registration_status):
    """On which terms a charger is: as its last boot was answered, or as the operator decided since."""
    return registration_status or "Accepted" if boot_policy == "Accepted" else boot_policy


def is_lenient(validation):
    """Whether a charger with this `validation` ("" as OCPP_VALIDATION says) is read leniently."""
    return (validation or settings.OCPP_VALIDATION) == LENIENT


def keep_alive(ping_interval, ping_timeout):
    """(seconds between pings or 0, seconds until silence after one ends a socket) of a charger with these columns."""
    interval = settings.OCPP_PING_INTERVAL if ping_interval is None else ping_interval
    return interval, settings.OCPP_PING_TIMEOUT if ping_timeout is None else ping_timeout


def seconds_before_commands(boot_wait):
    """How long a charger with this `boot_wait` that has connected, and sent nothing, is sent no command."""
    return settings.OCPP_BOOT_WAIT if boot_wait is None else boot_wait


class Charger(models.Model):
    """A charge point. Presence (is its socket open now?) is Redis' matter, see `chargers.presence`."""

    charger_id = models.CharField(max_length=255, unique=True, help_text="As in its URL, compared as sent.")
    description = models.CharField(max_length=255, blank=True)
    authorization_key_hash = models.CharField(max_length=128, blank=True, editable=False)
    next_authorization_key_hashes = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        editable=False,
        help_text="Of keys sent to the charger, the latest last, each of which it may use at any moment.",
    )
    security_profile = models.PositiveSmallIntegerField(
        choices=SECURITY_PROFILES,
        null=True,
        blank=True,
        help_text="Left open, its key is asked for; without one it is let in from OCPP_OPEN_NETWORKS only.",
    )
    next_security_profile = models.PositiveSmallIntegerField(
        null=True, editable=False, help_text="Accepted by the charger, which has not connected with it yet."
    )
    boot_policy = models.CharField(
        max_length=10,
        choices=REGISTRATIONS,
        default="Accepted",
        help_text="What its BootNotification is answered.",
        db_default="Accepted",
    )
    registration_status = models.CharField(
        max_length=10,
        blank=True,
        editable=False,
        help_text="What its last BootNotification was answered.",
        default="",
        db_default="",
    )
    read_configuration_after_boot = models.BooleanField(
        default=False, help_text="Ask for its whole configuration when it has booted.", db_default=False
    )
    message_log = models.CharField(
        max_length=6,
        choices=MESSAGE_LOGS,
        blank=True,
        default="",
        db_default="",
        help_text="Which of its messages are kept; it holds at once.",
    )
    validation = models.CharField(
        max_length=7,
        choices=VALIDATIONS,
        blank=True,
        default="",
        db_default="",
        help_text="Lenient: a message that breaks its schema is repaired where that is possible. It holds at once.",
    )
    ping_interval = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MOST_SECONDS)],
        help_text="Seconds between two pings, 0 for none; it holds at once. Empty: as OCPP_PING_INTERVAL says.",
    )
    ping_timeout = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_SECONDS)],
        help_text="Seconds after a ping until it is disconnected if it sends nothing; it holds at once. "
        "Empty: as OCPP_PING_TIMEOUT says.",
    )
    boot_wait = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MOST_SECONDS)],
        help_text="Seconds after it has connected until it is sent a command if it has sent no message, 0 for none; "
        "it holds at once. Empty: as OCPP_BOOT_WAIT says.",
    )

    # BootNotification.req, OCPP 1.6 §6.3. Chargers send longer texts than it allows: these are kept whole.
    vendor = models.TextField(blank=True)
    model = models.TextField(blank=True)
    serial_number = models.TextField(blank=True)
    charge_box_serial_number = models.TextField(blank=True)
    firmware_version = models.TextField(blank=True)
    iccid = models.TextField("ICCID", blank=True)
    imsi = models.TextField("IMSI", blank=True)
    meter_type = models.TextField(blank=True)
    meter_serial_number = models.TextField(blank=True)
    last_boot_at = models.DateTimeField(null=True, blank=True)

    firmware_status = models.TextField(blank=True)
    firmware_status_at = models.DateTimeField(null=True, blank=True)
    diagnostics_status = models.TextField(blank=True)
    diagnostics_status_at = models.DateTimeField(null=True, blank=True)
    log_status = models.TextField(blank=True, default="", db_default="")
    log_status_at = models.DateTimeField(null=True, blank=True)
    local_list_version = models.IntegerField(default=0, help_text="Of the last local list it accepted.")

    connected_at = models.DateTimeField(null=True, blank=True)
    disconnected_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the socket it had then ended, or was last heard of."
    )
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

    @staticmethod
    def known(charger_id):
        """The `Charger` with this id, or None. Prepared: it begins every request for a command."""
        rows = bulk_sql.query(KNOWN, [charger_id])
        return bulk_sql.instance(Charger, rows[0]) if rows else None

    @property
    def of_socket(self):
        """{column: value} of those that say how its socket is treated."""
        return {name: getattr(self, name) for name in OF_SOCKET}

    @property
    def keep_alive(self):
        """(seconds between pings or 0, seconds until silence after one ends its socket)."""
        return keep_alive(self.ping_interval, self.ping_timeout)

    @property
    def seconds_before_commands(self):
        """How long it is sent no command when it has connected and sent nothing."""
        return seconds_before_commands(self.boot_wait)

    @property
    def is_online(self):
        """By the books, which may be a minute late where a process was killed; Redis knows at once."""
        since, until = self.connected_at, self.disconnected_at
        return since is not None and (until is None or until < since)

    @property
    def is_lenient(self):
        """Whether a payload of it that breaks its schema is repaired where that is possible."""
        return is_lenient(self.validation)

    @property
    def effective_status(self):
        """Accepted, Pending or Rejected: on which terms commands may be sent to it (OCPP 1.6 §4.2)."""
        return effective_status(self.boot_policy, self.registration_status)

    def has_key(self, key):
        """Whether `key` (text) is its key now."""
        return bool(self.authorization_key_hash) and keys.matches(key.encode(), self.authorization_key_hash)

    def make_key(self):
        """Give it a key nobody else knows: 20 random bytes as 40 hex digits, returned and kept as a hash."""
        key = secrets.token_hex(20)
        self.take_key(key)
        return key

    def take_key(self, key):
        """Its key is `key` (text) from now on; keys that were sent to it before are void."""
        self.authorization_key_hash, self.next_authorization_key_hashes = keys.hashed(key), []
        self.save(update_fields=["authorization_key_hash", "next_authorization_key_hashes"])

    @property
    def credentials(self):
        """What it must show to be let in."""
        return self.security_profile, self.authorization_key_hash

    def use_key(self, hashed):
        """`hashed`, which was among the next ones, is its key from now on; those that were sent before are over."""
        following = self.next_authorization_key_hashes
        self.next_authorization_key_hashes = following[following.index(hashed) + 1 :]
        self.authorization_key_hash = hashed
        self.save(update_fields=["authorization_key_hash", "next_authorization_key_hashes"])

    @property
    def certificate_names(self):
        """The common names its certificate may have: its serial number (security whitepaper A00.FR.511) or its id.

        A charger tells its serial number itself, so one that another charger told first is not among them.
        """
        held = {held.serial for held in self.held_serials.all()}
        return {self.charger_id} | held & {self.serial_number, self.charge_box_serial_number}


class HeldSerial(models.Model):
    """A serial number, and the charger that told it first: a certificate in that name is this charger's alone."""

    LONGEST = 64  # characters of a common name (RFC 5280, ub-common-name)
    MOST_FORMER = 4  # of one charger that it no longer tells; the older ones are free for others

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="held_serials")
    serial = models.CharField(max_length=LONGEST, unique=True)

    class Meta:
        ordering = ["serial"]
        verbose_name = "serial number for certificates"
        verbose_name_plural = "serial numbers for certificates"

    def __str__(self):
        return self.serial


KNOWN = f"SELECT {bulk_sql.columns(Charger)} FROM chargers_charger c WHERE charger_id = %s"


class Connector(models.Model):
    """A connector as its last StatusNotification tells it (OCPP 1.6 §6.47); 0 is the charger as a whole."""

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
    status = models.TextField(help_text="One of OCPP, or a word of the charger's own.")
    error_code = models.TextField(blank=True, help_text="Empty where it is Faulted and does not say why.")
    info = models.TextField(blank=True)
    vendor_id = models.TextField(blank=True)
    vendor_error_code = models.TextField(blank=True)
    timestamp = models.DateTimeField(help_text="When it says it changed; never after it was received.")
    raw_timestamp = models.CharField(max_length=64, blank=True)
    received_at = models.DateTimeField()
    scheduled_availability = models.CharField(
        max_length=11,
        blank=True,
        help_text="Asked for, and due when its transaction ends.",
        default="",
        db_default="",
    )

    class Meta:
        ordering = ["connector_id"]
        constraints = [models.UniqueConstraint(fields=["charger", "connector_id"], name="one_row_a_connector")]

    def __str__(self):
        return f"{self.charger} connector {self.connector_id}"


def telling_status(connectors):
    """The one word that says most about `connectors` (connector 0's trouble first); "Unknown" before any.

    A word that OCPP does not know says less than all that it knows.
    """
    statuses = {connector.status for connector in connectors}
    whole = next((c.status for c in connectors if c.connector_id == 0), None)
    if whole in ("Faulted", "Unavailable"):
        return whole
    known = (status for status in Connector.STATUSES if status in statuses)
    return next(known, min(statuses, default="Unknown"))


class ConfigurationKey(models.Model):
    """A configuration key as the charger told it (OCPP 1.6 §5.8), or as it accepted it (§5.3)."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="configuration")
    key = models.CharField(max_length=255)
    value = models.TextField(null=True, blank=True)  # noqa: DJ001  (a key may have no value)
    readonly = models.BooleanField(default=False)
    reboot_required = models.BooleanField(default=False, help_text="It holds from the next boot on.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["charger", "key"], name="one_row_a_configuration_key")]

    def __str__(self):
        return self.key


class InstalledProfile(models.Model):
    """A charging profile that the charger accepted and, as far as is known, still holds (OCPP 1.6 §5.16)."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="installed_profiles")
    connector_id = models.PositiveIntegerField()
    charging_profile_id = models.IntegerField()
    stack_level = models.IntegerField()
    purpose = models.CharField(max_length=30)
    transaction_id = models.IntegerField(null=True, blank=True, db_index=True)
    profile = models.JSONField(help_text="csChargingProfiles as sent.")
    installed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["connector_id", "purpose", "-stack_level"]
        constraints = [
            models.UniqueConstraint(fields=["charger", "charging_profile_id"], name="one_row_an_installed_profile")
        ]

    def __str__(self):
        return f"{self.purpose} {self.charging_profile_id}"


class InstalledCertificate(models.Model):
    """A root certificate in the charger's store, known by its hashes (security whitepaper §6.1)."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="installed_certificates")
    certificate_type = models.CharField(max_length=40)
    hash_algorithm = models.CharField(max_length=10)
    issuer_name_hash = models.TextField()
    issuer_key_hash = models.TextField()
    serial_number = models.TextField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["certificate_type", "id"]

    def __str__(self):
        return f"{self.certificate_type} {self.serial_number}"


class SecurityEvent(models.Model):
    """A SecurityEventNotification (security whitepaper §5.15)."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="security_events")
    type = models.TextField()
    timestamp = models.DateTimeField()
    raw_timestamp = models.CharField(max_length=64, blank=True)
    tech_info = models.TextField(blank=True)
    call_id = models.CharField(max_length=36, blank=True, db_default="", editable=False)
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["charger", "call_id"], name="security_event_by_call")]

    def __str__(self):
        return self.type


class DataTransfer(models.Model):
    """A DataTransfer of the charger and what it was answered (OCPP 1.6 §4.3); ours are commands."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="data_transfers")
    vendor_id = models.TextField(blank=True)
    message_id = models.TextField(blank=True)
    data = models.TextField(blank=True)
    status = models.CharField(max_length=20)
    answered_data = models.TextField(blank=True, help_text="Without secrets.")
    sealed_answer = SealedField(null=True, editable=False, help_text="The data as answered, where it holds a secret.")
    call_id = models.CharField(max_length=36, blank=True, db_default="", editable=False)
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["charger", "call_id"], name="data_transfer_by_call")]

    def __str__(self):
        return f"{self.vendor_id} {self.message_id}".strip()
