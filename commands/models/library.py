"""Models that commands use: charging profiles, local lists, certificates, firmware and uploads of chargers."""

from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Any

from django.conf import settings
from django.db import models, transaction

from chargers.models import Charger
from chargers.services import audit, control
from commands.fields import OrderedJSONField
from commands.models.command import Command
from commands.services.files import fingerprint, upload_token
from core.db.numbers import next_free_id
from core.ocpp import charging_profiles
from core.ocpp.schemas import JSON
from core.ocpp.versions import Version


def next_profile_id() -> int:
    """An unused id of a charging profile."""
    return next_free_id("commands_charging_profile_id", ChargingProfile.objects.all())


class ChargingProfile(models.Model):
    """A profile of the library, in the form of OCPP 1.6 or 2.0.1; `id` is its id on the wire. All versions use it."""

    id = models.IntegerField("charging profile id", primary_key=True, default=next_profile_id, editable=False)
    description = models.CharField(max_length=255, unique=True)
    profile = OrderedJSONField(
        help_text="csChargingProfiles of OCPP 1.6 or chargingProfile of 2.0.1, without its id."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["description"]

    def __str__(self) -> str:
        return self.description

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.profile = charging_profiles.without_id(self.profile)
        super().save(*args, **kwargs)

    def on_the_wire(self, version: Version | None = None) -> JSON:
        """The profile with its id, in the form of `version`, else as it was stored.

        Raises `schemas.Violation` if `version` cannot express it.
        """
        return charging_profiles.in_form_of(
            version or charging_profiles.version_of(self.profile), self.profile, self.pk
        )


class LocalList(models.Model):
    """The local authorisation list that a charger has accepted from this system."""

    charger = models.OneToOneField(Charger, models.CASCADE, related_name="local_list")
    version = models.IntegerField()
    entries = OrderedJSONField(help_text="As on the wire, each with the information about its token.")
    accepted_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"version {self.version} ({self.charger})"


class CertificateRequest(models.Model):
    """A SignCertificate of a charger and its result (security whitepaper A02, A03)."""

    RECEIVED, SIGNED, ACCEPTED, REJECTED, FAILED = "Received", "Signed", "Accepted", "Rejected", "Failed"
    REVOKED = "Revoked"
    STATES = (RECEIVED, SIGNED, ACCEPTED, REJECTED, FAILED, REVOKED)

    # NULL after the charger was deleted. The row stays, because without it the certificate would be taken for one of
    # another authority, and would log in as the next charger with that name.
    charger = models.ForeignKey(Charger, models.SET_NULL, null=True, related_name="certificate_requests")
    certificate_type = models.TextField(
        blank=True, default="", db_default="", help_text="As the charger sent it; always empty in OCPP 1.6."
    )
    common_name = models.CharField(max_length=255)
    csr = models.TextField("signing request")
    state = models.CharField(max_length=10, choices=[(s, s) for s in STATES], default=RECEIVED)
    error = models.TextField(blank=True)
    certificate_chain = models.TextField(blank=True)
    serial_number = models.CharField(max_length=40, blank=True, db_index=True)
    not_after = models.DateTimeField(null=True, blank=True)
    command = models.OneToOneField(Command, models.SET_NULL, null=True, blank=True)
    renewal_requested_at = models.DateTimeField(
        null=True, blank=True, help_text="When the charger last got the request to renew the certificate."
    )
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["id"], name="requests_to_be_signed", condition=models.Q(state="Received"))]

    def __str__(self) -> str:
        return f"{self.common_name} ({self.state})"

    @transaction.atomic
    def revoke(self) -> bool:
        """Revoke the certificate and disconnect its charger; False if it was never signed, or is already revoked."""
        own = CertificateRequest.objects.filter(pk=self.pk, charger__isnull=False)
        signed = own.exclude(serial_number="").exclude(state=self.REVOKED)
        if not signed.update(state=self.REVOKED):
            return False
        self.state = self.REVOKED
        audit.record("revoked", "certificate", f"{self.common_name} {self.serial_number}", self.charger_id)
        if self.charger:
            control.close_for_new_credentials(self.charger.identity)
        return True


class HasFile:
    """Properties of a model with a `file`."""

    file: models.FileField

    @property
    def filename(self) -> str:
        """The name without its folder."""
        return self.file.name.rpartition("/")[2]

    @property
    def is_kept(self) -> bool:
        """Whether the file exists in the storage."""
        return self.file.storage.exists(self.file.name)


class Firmware(HasFile, models.Model):
    """A firmware image, which chargers fetch by a URL that expires; a signed one can use SignedUpdateFirmware."""

    description = models.CharField(max_length=255, unique=True)
    version = models.CharField(
        max_length=255,
        blank=True,
        help_text="The firmware version that chargers report with it. Empty: unknown.",
    )
    file = models.FileField(upload_to="firmware/")
    signing_certificate = models.TextField(blank=True, max_length=5500, help_text="PEM")
    signature = models.CharField(max_length=800, blank=True, help_text="Base64")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["description"]
        verbose_name_plural = "firmware"

    def __str__(self) -> str:
        return self.description

    @property
    def size(self) -> int | None:
        """Size in bytes, None if the file is missing."""
        return self.file.size if self.is_kept else None

    def md5(self) -> str:
        """The checksum of the file, as OCPP 2.0.1 names an image that is published (L03.FR.02)."""
        with self.file.open("rb") as file:
            digest = md5(usedforsecurity=False)
            for chunk in file.chunks():
                digest.update(chunk)
        return digest.hexdigest()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        storage, name = self.file.storage, self.file.name
        deleted = super().delete(*args, **kwargs)
        if name:
            transaction.on_commit(lambda: storage.delete(name))
        return deleted


def upload_path(upload: "Upload", filename: str) -> str:
    """The path of an uploaded file in the storage."""
    return f"uploads/{upload.pk}/{filename}"


class Upload(HasFile, models.Model):
    """One file of a charger: diagnostics or a log. Its token is stored in the payload of the command only."""

    token_hash = models.CharField(max_length=64, unique=True, editable=False, db_column="token")
    command = models.OneToOneField(Command, models.CASCADE, related_name="upload")
    charger = models.ForeignKey(Charger, models.CASCADE, related_name="uploads")
    expires_at = models.DateTimeField()
    file = models.FileField(upload_to=upload_path, blank=True, max_length=400)
    size = models.BigIntegerField("size (bytes)", null=True, blank=True)
    received_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.command.action} of {self.charger}"

    @classmethod
    def of(cls, token: str) -> "Upload | None":
        """The `Upload` of `token`, None for an unknown or expired token."""
        return cls.objects.filter(token_hash=fingerprint(token), expires_at__gt=datetime.now(UTC)).first()

    @staticmethod
    def expect(command: Command, url: str) -> None:
        """Create the row if `url` is an upload URL of this system."""
        if token := upload_token(url):
            relations = {"command": command, "charger": command.charger}
            expires_at = datetime.now(UTC) + timedelta(seconds=settings.OCPP_FILE_URL_LIFETIME)
            Upload.objects.create(token_hash=fingerprint(token), expires_at=expires_at, **relations)
