"""A charger with its settings and last boot, its connectors, and the data that it has stored or sent."""

import secrets
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from chargers.models.sites import Site
from chargers.services import keys
from core.db import bulk_sql
from core.db.sealing import SealedField
from core.ocpp.versions import BY_SUBPROTOCOL, OCPP16, Version

REGISTRATIONS = [(status, status) for status in ("Accepted", "Pending", "Rejected")]
SECURITY_PROFILES = [
    (0, "0: no authentication"),
    (1, "1: Basic auth"),
    (2, "2: Basic auth over TLS"),
    (3, "3: TLS with a client certificate"),
]
# Not accepted: by the answer to its last BootNotification or, before the first one, by the policy of the operator.
NOT_ACCEPTED = models.Q(registration_status__in=["Pending", "Rejected"]) | (
    models.Q(registration_status="") & ~models.Q(boot_policy="Accepted")
)


# Which messages of a charger are logged, see `gateway.message_log`; "" means the setting OCPP_MESSAGE_LOG.
LOG_NOTHING, LOG_ERRORS, LOG_ALL = "off", "errors", "all"
MESSAGE_LOGS = [("", "as set by OCPP_MESSAGE_LOG"), *((level, level) for level in (LOG_NOTHING, LOG_ERRORS, LOG_ALL))]

# How the payloads of a charger are validated, see `core.ocpp.tolerance`; "" means the setting OCPP_VALIDATION.
LENIENT, STRICT = "lenient", "strict"
VALIDATIONS = [("", "as set by OCPP_VALIDATION"), (LENIENT, LENIENT), (STRICT, STRICT)]

MAX_INTERVAL_S = 3600  # of pings and waits
# Columns with settings of a charger's socket; a change takes effect at once.
OF_SOCKET = ("message_log", "validation", "ping_interval", "ping_timeout", "boot_wait")

# By the database, see `Charger.is_online`.
ONLINE = models.Q(connected_at__isnull=False) & (
    models.Q(disconnected_at=None) | models.Q(disconnected_at__lt=models.F("connected_at"))
)
# By the database, see `Charger.effective_status`: nothing may be sent to it.
REJECTED = models.Q(boot_policy="Rejected") | models.Q(boot_policy="Accepted", registration_status="Rejected")


def effective_status(boot_policy: str, registration_status: str) -> str:
    """Return the answer to the last BootNotification, or the policy that the operator has set since."""
    return registration_status or "Accepted" if boot_policy == "Accepted" else boot_policy


def is_lenient(validation: str) -> bool:
    """Whether messages of a charger with this `validation` ("": OCPP_VALIDATION) are validated leniently."""
    return (validation or settings.OCPP_VALIDATION) == LENIENT


def keep_alive(ping_interval: int | None, ping_timeout: int | None) -> tuple[float, float]:
    """Return (seconds between pings or 0, seconds after a ping until a silent socket is closed)."""
    interval = settings.OCPP_PING_INTERVAL if ping_interval is None else ping_interval
    return interval, settings.OCPP_PING_TIMEOUT if ping_timeout is None else ping_timeout


def seconds_before_commands(boot_wait: int | None) -> float:
    """Return for how many seconds commands wait after a charger has connected, while it has sent nothing."""
    return settings.OCPP_BOOT_WAIT if boot_wait is None else boot_wait


# Every column of `Charger` that REST, its filter and the admin show is in one of these lists.
OPERATOR_FIELDS = [
    "description",
    "site",
    "boot_policy",
    "read_configuration_after_boot",
    "security_profile",
    *OF_SOCKET,
]
REPORTED_FIELDS = [  # as the charger or its socket reported them
    "vendor",
    "model",
    "serial_number",
    "charge_box_serial_number",
    "firmware_version",
    "iccid",
    "imsi",
    "meter_type",
    "meter_serial_number",
    "last_boot_at",
    "boot_reason",
    "firmware_status",
    "firmware_status_at",
    "diagnostics_status",
    "diagnostics_status_at",
    "log_status",
    "log_status_at",
    "registration_status",
    "local_list_version",
    "ocpp_version",
    "connected_at",
    "last_seen",
    "created_at",
]


class Charger(models.Model):
    """A charge point. Whether its socket is open now is recorded in Redis, see `chargers.services.presence`."""

    identity = models.CharField(max_length=255, unique=True, help_text="As in its URL; upper and lower case differ.")
    description = models.CharField(max_length=255, blank=True)
    site = models.ForeignKey(
        Site, models.SET_NULL, null=True, blank=True, related_name="chargers", help_text="Where it stands."
    )
    authorization_key_hash = models.CharField(max_length=128, blank=True, editable=False)
    next_authorization_key_hashes = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        editable=False,
        help_text="Hashes of keys sent to the charger, the latest last; it may start to use any of them.",
    )
    security_profile = models.PositiveSmallIntegerField(
        choices=SECURITY_PROFILES,
        null=True,
        blank=True,
        help_text="Empty: a key is required if one is set; else it may connect from OCPP_OPEN_NETWORKS only.",
    )
    next_security_profile = models.PositiveSmallIntegerField(
        null=True, editable=False, help_text="Accepted by the charger, but not used for a connection yet."
    )
    boot_policy = models.CharField(
        max_length=10,
        choices=REGISTRATIONS,
        default="Accepted",
        help_text="The answer to its BootNotification.",
        db_default="Accepted",
    )
    registration_status = models.CharField(
        max_length=10,
        blank=True,
        editable=False,
        help_text="The answer to its last BootNotification.",
        default="",
        db_default="",
    )
    read_configuration_after_boot = models.BooleanField(
        default=False, help_text="Read its whole configuration after each boot.", db_default=False
    )
    message_log = models.CharField(
        max_length=6,
        choices=MESSAGE_LOGS,
        blank=True,
        default="",
        db_default="",
        help_text="Which of its messages are logged. A change takes effect at once.",
    )
    validation = models.CharField(
        max_length=7,
        choices=VALIDATIONS,
        blank=True,
        default="",
        db_default="",
        help_text="Lenient: messages that violate their schema are repaired if possible. Takes effect at once.",
    )
    ping_interval = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_INTERVAL_S)],
        help_text="Seconds between two pings, 0 for none. A change takes effect at once. Empty: OCPP_PING_INTERVAL.",
    )
    ping_timeout = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_INTERVAL_S)],
        help_text="Seconds after a ping until a charger that sends nothing is disconnected. "
        "A change takes effect at once. Empty: OCPP_PING_TIMEOUT.",
    )
    boot_wait = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_INTERVAL_S)],
        help_text="Seconds for which commands wait after it has connected, until it sends its first message; "
        "0 for none. A change takes effect at once. Empty: OCPP_BOOT_WAIT.",
    )

    # BootNotification.req, OCPP 1.6 §6.3. Longer texts than it allows are stored whole, because chargers send them.
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
    boot_reason = models.TextField(blank=True, default="", db_default="", help_text="Empty in OCPP 1.6.")

    firmware_status = models.TextField(blank=True)
    firmware_status_at = models.DateTimeField(null=True, blank=True)
    diagnostics_status = models.TextField(blank=True)
    diagnostics_status_at = models.DateTimeField(null=True, blank=True)
    log_status = models.TextField(blank=True, default="", db_default="")
    log_status_at = models.DateTimeField(null=True, blank=True)
    local_list_version = models.IntegerField(default=0, help_text="Version of the last local list it accepted.")

    ocpp_version = models.CharField(
        max_length=20,
        blank=True,
        editable=False,
        default="",
        db_default="",
        help_text="The subprotocol of its present or last connection, empty if it has never connected.",
    )
    connected_at = models.DateTimeField(null=True, blank=True)
    disconnected_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its last socket was closed, or was last seen open."
    )
    last_seen = models.DateTimeField(null=True, blank=True, help_text="Time of its last frame of any kind.")
    created_at = models.DateTimeField(auto_now_add=True)

    # The last CALL answered. A retry of it, also on another socket, gets the same answer (J errata 3.1).
    last_call_id = models.CharField(max_length=36, blank=True, editable=False)
    last_call_digest = models.CharField(max_length=32, blank=True, editable=False)
    last_answer = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["identity"]

    def __str__(self) -> str:
        return self.identity

    @staticmethod
    def known(charger_id: str) -> "Charger | None":
        """Return the `Charger` with this id, or None. The statement is prepared, because every command needs it."""
        rows = bulk_sql.query(KNOWN, [charger_id])
        return bulk_sql.instance(Charger, rows[0]) if rows else None

    @property
    def of_socket(self) -> dict[str, Any]:
        """Return {column: value} of the settings of its socket."""
        return {name: getattr(self, name) for name in OF_SOCKET}

    @property
    def keep_alive(self) -> tuple[float, float]:
        """Return (seconds between pings or 0, seconds after a ping until a silent socket is closed)."""
        return keep_alive(self.ping_interval, self.ping_timeout)

    @property
    def seconds_before_commands(self) -> float:
        """Return for how many seconds commands wait after it has connected, while it has sent nothing."""
        return seconds_before_commands(self.boot_wait)

    @property
    def is_online(self) -> bool:
        """Whether it is online by the database, which may lag by a minute after a crash; Redis does not."""
        since, until = self.connected_at, self.disconnected_at
        return since is not None and (until is None or until < since)

    @property
    def version(self) -> Version:
        """The OCPP version of its present or last connection, 1.6 if it has never connected."""
        return BY_SUBPROTOCOL.get(self.ocpp_version, OCPP16)

    @property
    def is_lenient(self) -> bool:
        """Whether its messages are validated leniently."""
        return is_lenient(self.validation)

    @property
    def effective_status(self) -> str:
        """Return Accepted, Pending or Rejected, which decides what commands may be sent to it (OCPP 1.6 §4.2)."""
        return effective_status(self.boot_policy, self.registration_status)

    def has_key(self, key: str) -> bool:
        """Whether `key` (text) is its current key."""
        return bool(self.authorization_key_hash) and keys.matches(key.encode(), self.authorization_key_hash)

    def make_key(self) -> str:
        """Set a new random key of 20 bytes, store its hash, and return it as 40 hex digits."""
        key = secrets.token_hex(20)
        self.set_key(key)
        return key

    def set_key(self, key: str) -> None:
        """Set its key to `key` (text); keys that were sent to it before become invalid."""
        self.authorization_key_hash, self.next_authorization_key_hashes = keys.hashed(key), []
        self.save(update_fields=["authorization_key_hash", "next_authorization_key_hashes"])

    @property
    def configuration(self) -> Any:
        """Return its configuration keys, which are its variables without a component."""
        return self.variables.filter(component="")

    @property
    def certificates(self) -> Any:
        """Return the certificates in its store, without those below another one."""
        return self.installed_certificates.filter(parent=None).prefetch_related("children")

    @property
    def credentials(self) -> tuple[int | None, str]:
        """Return the columns on which its authentication depends."""
        return self.security_profile, self.authorization_key_hash

    def use_key(self, hashed: str) -> None:
        """Make `hashed`, one of the next keys, its current key; keys that were sent before become invalid."""
        pending = self.next_authorization_key_hashes
        self.next_authorization_key_hashes = pending[pending.index(hashed) + 1 :]
        self.authorization_key_hash = hashed
        self.save(update_fields=["authorization_key_hash", "next_authorization_key_hashes"])

    @property
    def certificate_names(self) -> set[str]:
        """Return the common names its certificate may have: its serial number (whitepaper A00.FR.511) or its id.

        A serial number that another charger reported first is not included, because chargers report it themselves.
        """
        held = {held.serial for held in self.held_serials.all()}
        return {self.identity} | held & {self.serial_number, self.charge_box_serial_number}


class HeldSerial(models.Model):
    """A serial number and the charger that reported it first, which alone may have a certificate with this name."""

    MAX_LENGTH = 64  # characters of a common name (RFC 5280, ub-common-name)
    MAX_FORMER = 4  # of one charger that it no longer reports; older ones become free for other chargers

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="held_serials")
    serial = models.CharField(max_length=MAX_LENGTH, unique=True)

    class Meta:
        ordering = ["serial"]
        verbose_name = "serial number for certificates"
        verbose_name_plural = "serial numbers for certificates"

    def __str__(self) -> str:
        return self.serial


KNOWN = f"SELECT {bulk_sql.columns(Charger)} FROM chargers_charger c WHERE identity = %s"


class Connector(models.Model):
    """A connector by its last StatusNotification (OCPP 1.6 §6.47); 0 stands for the charger as a whole."""

    # In order of precedence for the summary of a charger, see `summary_status`.
    STATUSES = (
        "Faulted",
        "Charging",
        "Occupied",
        "SuspendedEV",
        "SuspendedEVSE",
        "Finishing",
        "Preparing",
        "Reserved",
        "Unavailable",
        "Available",
    )

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="connectors")
    evse_id = models.PositiveIntegerField(
        default=0, db_default=0, help_text="In OCPP 1.6 it equals the connector id."
    )
    connector_id = models.PositiveIntegerField()
    status = models.TextField(help_text="A status of OCPP, or another text that the charger sent.")
    error_code = models.TextField(blank=True, help_text="Empty if it is Faulted without an error code.")
    info = models.TextField(blank=True)
    vendor_id = models.TextField(blank=True)
    vendor_error_code = models.TextField(blank=True)
    timestamp = models.DateTimeField(help_text="Time of the change by the charger, but not later than received_at.")
    raw_timestamp = models.CharField(max_length=64, blank=True)
    received_at = models.DateTimeField()
    scheduled_availability = models.CharField(
        max_length=11,
        blank=True,
        help_text="Availability that takes effect when its transaction ends.",
        default="",
        db_default="",
    )

    class Meta:
        ordering = ["evse_id", "connector_id"]
        constraints = [
            models.UniqueConstraint(fields=["charger", "connector_id", "evse_id"], name="one_row_a_connector")
        ]

    def __str__(self) -> str:
        return f"{self.charger} connector {self.connector_id}"


def summary_status(connectors: Iterable["Connector"]) -> str:
    """Return one status for `connectors`, "Unknown" without any.

    Faulted and Unavailable of connector 0 come first, then the order of `Connector.STATUSES`, then texts that OCPP
    does not define.
    """
    statuses = {connector.status for connector in connectors}
    whole = next((c.status for c in connectors if c.connector_id == 0), None)
    if whole in ("Faulted", "Unavailable"):
        return whole
    known = (status for status in Connector.STATUSES if status in statuses)
    return next(known, min(statuses, default="Unknown"))


class InstalledProfile(models.Model):
    """A charging profile that the charger accepted or reported and, as far as is known, still has.

    `profile` has the form of its OCPP version: in 1.6 (section 5.16) `chargingSchedule` is an object, in 2.0.1 (K01)
    a list.
    """

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="installed_profiles")
    evse_id = models.PositiveIntegerField(help_text="0 is the charger as a whole. In OCPP 1.6 the connector id.")
    charging_profile_id = models.BigIntegerField()
    stack_level = models.BigIntegerField()
    purpose = models.TextField()
    source = models.TextField(default="CSO", db_default="CSO", help_text="Who set it: CSO is this system.")
    transaction_id = models.IntegerField(null=True, blank=True, db_index=True)
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_to = models.DateTimeField(null=True, blank=True)
    profile = models.JSONField(help_text="As sent or reported.")
    installed_at = models.DateTimeField(auto_now_add=True)
    reported_at = models.DateTimeField(null=True, blank=True, help_text="When the charger last reported it.")

    class Meta:
        ordering = ["evse_id", "purpose", "-stack_level"]
        constraints = [
            models.UniqueConstraint(
                fields=["charger", "charging_profile_id", "evse_id"], name="one_row_an_installed_profile"
            )
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.charging_profile_id}"


class InstalledCertificate(models.Model):
    """A certificate in the charger's store, identified by its hashes (security whitepaper §6.1).

    It is a root or, in a V2GCertificateChain of OCPP 2.0.1, the charger's own certificate; `parent` of the other
    certificates of the chain is this one.
    """

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="installed_certificates")
    parent = models.ForeignKey("self", models.CASCADE, null=True, blank=True, related_name="children")
    certificate_type = models.TextField()
    hash_algorithm = models.TextField()
    issuer_name_hash = models.TextField()
    issuer_key_hash = models.TextField()
    serial_number = models.TextField()
    is_reported = models.BooleanField(
        default=False, db_default=False, help_text="The charger has listed it; its hash algorithm is the charger's."
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["certificate_type", "id"]

    def __str__(self) -> str:
        return f"{self.certificate_type} {self.serial_number}"

    @property
    def hash_data(self) -> dict[str, str]:
        """Return CertificateHashData of OCPP."""
        return {
            "hashAlgorithm": self.hash_algorithm,
            "issuerNameHash": self.issuer_name_hash,
            "issuerKeyHash": self.issuer_key_hash,
            "serialNumber": self.serial_number,
        }


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

    def __str__(self) -> str:
        return self.type


class DataTransfer(models.Model):
    """A DataTransfer of the charger and its answer (OCPP 1.6 §4.3); those to chargers are commands."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="data_transfers")
    vendor_id = models.TextField(blank=True)
    message_id = models.TextField(blank=True)
    data = models.TextField(blank=True)
    status = models.CharField(max_length=20)
    answered_data = models.TextField(blank=True, help_text="Without secrets.")
    sealed_answer = SealedField(null=True, editable=False, help_text="The data as answered, if it contains a secret.")
    call_id = models.CharField(max_length=36, blank=True, db_default="", editable=False)
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["charger", "call_id"], name="data_transfer_by_call")]

    def __str__(self) -> str:
        return f"{self.vendor_id} {self.message_id}".strip()
