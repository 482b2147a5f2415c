"""A command to a charger: a row before it is a task, and the truth about it ever after; and what commands use."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from django.conf import settings
from django.db import models, transaction

from chargers import audit, gateway
from chargers.audit import OURSELVES
from chargers.models import Charger
from chargers.numbers import draw
from commands.fields import OrderedJSONField
from commands.files import upload_token
from transactions.models import Transaction

QUEUED, SENT, FINISHED = "queued", "sent", "finished"

ANSWERED = "answered"
CALL_ERROR = "call_error"
INVALID_RESPONSE = "invalid_response"
TIMED_OUT = "timed_out"
NOT_CONNECTED = "not_connected"
CONNECTION_LOST = "connection_lost"
CANCELLED = "cancelled"
FAILED = "failed"
OUTCOMES = (
    ANSWERED,
    CALL_ERROR,
    INVALID_RESPONSE,
    TIMED_OUT,
    NOT_CONNECTED,
    CONNECTION_LOST,
    CANCELLED,
    FAILED,
)
# The charger said nothing: these alone get a simulated reply.
SILENT = (TIMED_OUT, NOT_CONNECTED, CONNECTION_LOST)


def new_task_id():
    """One id for the command, its Celery task and its OCPP message: 36 characters, as J §4.1.4 allows."""
    return str(uuid4())


def action_choices():
    """The actions of the table, which itself is made of functions that use these models."""
    from commands.actions.table import ACTIONS

    return [(name, name) for name in ACTIONS]


def next_profile_id():
    """A chargingProfileId nobody else was given."""
    return draw("commands_charging_profile_id", ChargingProfile.objects.all())


def next_request_id():
    """A requestId nobody else was given (GetLog, SignedUpdateFirmware)."""
    return draw("commands_request_id", Command.objects.none())


class Command(models.Model):
    """`state` goes queued, sent, finished, and never back. A simulated reply is never a `response`."""

    task_id = models.CharField(max_length=36, default=new_task_id, editable=False)
    charger = models.ForeignKey(Charger, models.PROTECT, related_name="commands", db_index=False)
    action = models.CharField(max_length=40, choices=action_choices)
    payload = OrderedJSONField()
    timeout = models.FloatField(help_text="Seconds the charger has to answer, from when it was sent.")

    state = models.CharField(max_length=10, default=QUEUED, choices=[(s, s) for s in (QUEUED, SENT, FINISHED)])
    outcome = models.CharField(max_length=20, blank=True, choices=[(o, o) for o in OUTCOMES])
    simulated = models.BooleanField(default=False)
    response = OrderedJSONField(null=True, blank=True)
    simulated_response = OrderedJSONField(null=True, blank=True)
    error = OrderedJSONField(null=True, blank=True, help_text="code, description, details")
    late_response = OrderedJSONField(null=True, blank=True, help_text="Came after the task was finished.")
    warning = models.TextField(blank=True)
    transaction = models.ForeignKey(Transaction, models.SET_NULL, null=True, blank=True, related_name="commands")

    request_id = models.IntegerField(
        null=True, blank=True, editable=False, help_text="By which the charger's notifications name it."
    )
    progress = OrderedJSONField(
        default=list,
        db_default=models.Value([], OrderedJSONField()),
        editable=False,
        help_text="What the charger notified since: status, at.",
    )
    follows = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="followed_by", help_text="What made us send it."
    )
    retry_full = models.BooleanField(
        default=False, db_default=False, help_text="A local list that fails is followed by a Full one."
    )

    claim_token = models.CharField(
        max_length=32, blank=True, editable=False, help_text="Of the socket that wrote it."
    )

    requested_by = models.CharField(max_length=150, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    request_digest = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    following = None  # when it has ended: the command that its charger is asked next

    class Meta:
        ordering = ["-id"]
        constraints = [
            # A charger is asked one thing at a time (J §4.1.1): the database holds it, whoever is in a hurry.
            models.UniqueConstraint(
                fields=["charger"], name="one_sent_command_a_charger", condition=models.Q(state=SENT)
            ),
            # Not `unique=True`, which brings a second index, for LIKE.
            models.UniqueConstraint(fields=["task_id"], name="one_command_a_task"),
            models.UniqueConstraint(
                fields=["requested_by", "idempotency_key"],
                name="one_command_an_idempotency_key",
                condition=~models.Q(idempotency_key=""),
            ),
        ]
        indexes = [
            models.Index(fields=["charger", "-id"], name="commands_of_charger"),
            models.Index(fields=["charger", "id"], name="unfinished_commands", condition=~models.Q(state=FINISHED)),
            models.Index(fields=["created_at"], name="commands_by_time"),
            models.Index(fields=["action", "-id"], name="commands_by_action"),
            models.Index(fields=["outcome", "-id"], name="commands_by_outcome"),
            models.Index(
                fields=["charger", "sent_at"],
                name="remote_starts_without_sequel",
                condition=models.Q(action="RemoteStartTransaction", transaction=None),
            ),
            models.Index(
                fields=["created_at"],
                name="commands_of_our_own",
                condition=~models.Q(state=FINISHED) & models.Q(requested_by=OURSELVES),
            ),
        ]

    def __str__(self):
        return f"{self.action} to {self.charger}"

    @property
    def result(self):
        """The charger's response or, plainly marked by `simulated`, what stands in for it."""
        return self.response if self.response is not None else self.simulated_response

    @property
    def status(self):
        """What the charger's answer says, "" where it has no such member."""
        return self.response.get("status", "") if isinstance(self.response, dict) else ""


class ChargingProfile(models.Model):
    """A profile of the library; `id` is the chargingProfileId on the wire (OCPP 1.6 §7.8)."""

    id = models.IntegerField("charging profile id", primary_key=True, default=next_profile_id, editable=False)
    description = models.CharField(max_length=255, unique=True)
    profile = OrderedJSONField(help_text="As csChargingProfiles, without chargingProfileId.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["description"]

    def __str__(self):
        return self.description

    def save(self, *args, **kwargs):
        self.profile = {name: value for name, value in self.profile.items() if name != "chargingProfileId"}
        super().save(*args, **kwargs)

    def on_the_wire(self):
        return {"chargingProfileId": self.pk, **self.profile}


class LocalList(models.Model):
    """The local authorisation list a charger holds, as far as it accepted it from us."""

    charger = models.OneToOneField(Charger, models.CASCADE, related_name="local_list")
    version = models.IntegerField()
    entries = OrderedJSONField(help_text="{id tag: IdTagInfo}")
    accepted_at = models.DateTimeField(auto_now=True)

    def __str__(self):
        return f"version {self.version} ({self.charger})"


class CertificateRequest(models.Model):
    """A charger's SignCertificate and what came of it (security whitepaper A02, A03)."""

    RECEIVED, SIGNED, ACCEPTED, REJECTED, FAILED = "Received", "Signed", "Accepted", "Rejected", "Failed"
    REVOKED = "Revoked"
    STATES = (RECEIVED, SIGNED, ACCEPTED, REJECTED, FAILED, REVOKED)

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="certificate_requests")
    common_name = models.CharField(max_length=255)
    csr = models.TextField("signing request")
    state = models.CharField(max_length=10, choices=[(s, s) for s in STATES], default=RECEIVED)
    error = models.TextField(blank=True)
    certificate_chain = models.TextField(blank=True)
    serial_number = models.CharField(max_length=40, blank=True, db_index=True)
    not_after = models.DateTimeField(null=True, blank=True)
    command = models.OneToOneField(Command, models.SET_NULL, null=True, blank=True)
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["id"], name="requests_to_be_signed", condition=models.Q(state="Received"))]

    def __str__(self):
        return f"{self.common_name} ({self.state})"

    @transaction.atomic
    def revoke(self):
        """It opens nothing from now on; False for one that was never signed, or is revoked already."""
        signed = CertificateRequest.objects.filter(pk=self.pk).exclude(serial_number="").exclude(state=self.REVOKED)
        if not signed.update(state=self.REVOKED):
            return False
        self.state = self.REVOKED
        audit.record("revoked", "certificate", f"{self.common_name} {self.serial_number}", self.charger_id)
        transaction.on_commit(lambda: gateway.make_it_come_again(self.charger.charger_id))
        return True


class HasFile:
    """What a row with a `file` can say of it."""

    @property
    def filename(self):
        return self.file.name.rpartition("/")[2]

    @property
    def is_kept(self):
        """Whether its file is where it was put."""
        return self.file.storage.exists(self.file.name)


class Firmware(HasFile, models.Model):
    """A firmware image, which chargers fetch by a URL that expires; signed, it may go by SignedUpdateFirmware."""

    description = models.CharField(max_length=255, unique=True)
    file = models.FileField(upload_to="firmware/")
    signing_certificate = models.TextField(blank=True, max_length=5500, help_text="PEM")
    signature = models.CharField(max_length=800, blank=True, help_text="Base64")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["description"]
        verbose_name_plural = "firmware"

    def __str__(self):
        return self.description

    @property
    def size(self):
        """Bytes, None where the file is gone."""
        return self.file.size if self.is_kept else None

    def delete(self, *args, **kwargs):
        file = self.file
        super().delete(*args, **kwargs)
        transaction.on_commit(lambda: file.storage.delete(file.name))


def upload_path(upload, filename):
    return f"uploads/{upload.token}/{filename}"


class Upload(HasFile, models.Model):
    """A place for one file of a charger: diagnostics or a log."""

    token = models.CharField(max_length=64, unique=True, editable=False)
    command = models.OneToOneField(Command, models.CASCADE, related_name="upload")
    charger = models.ForeignKey(Charger, models.CASCADE, related_name="uploads")
    expires_at = models.DateTimeField()
    file = models.FileField(upload_to=upload_path, blank=True, max_length=400)
    size = models.BigIntegerField("size (bytes)", null=True, blank=True)
    received_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self):
        return f"{self.command.action} of {self.charger}"

    @staticmethod
    def expect(command, url):
        """Make the place if `url` is one of ours."""
        if token := upload_token(url):
            expires_at = datetime.now(UTC) + timedelta(seconds=settings.OCPP_FILE_URL_LIFETIME)
            Upload.objects.create(token=token, command=command, charger=command.charger, expires_at=expires_at)
