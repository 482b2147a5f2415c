"""Whom contract certificates are believed from, and the questions about certificates that other servers answered."""

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from django.db import models

from chargers.models import Charger


class ContractRoot(models.Model):
    """An authority whose contract certificates are believed (OCPP 2.0.1 C07): a root, or one below it."""

    certificate = models.TextField(help_text="PEM")
    fingerprint = models.CharField(max_length=64, unique=True, editable=False, help_text="SHA-256 in hex digits.")
    subject = models.TextField(editable=False)
    serial_number = models.CharField(max_length=40, editable=False)
    not_after = models.DateTimeField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["subject", "id"]

    def __str__(self) -> str:
        return self.subject

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Set the columns that the certificate determines. Raises `ValueError` if it is none."""
        parsed = self.parsed
        self.fingerprint = self.fingerprint_of(parsed)
        self.subject = parsed.subject.rfc4514_string()
        self.serial_number = f"{parsed.serial_number:x}"
        self.not_after = parsed.not_valid_after_utc
        super().save(*args, **kwargs)

    @property
    def parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.encode())

    @staticmethod
    def fingerprint_of(certificate: x509.Certificate) -> str:
        return certificate.fingerprint(hashes.SHA256()).hex()


class CertificateInquiry(models.Model):
    """A message of a charger that needed the answer of another server about a certificate, and that answer.

    These are GetCertificateStatus (M06), Get15118EVCertificate (M01, M02), and Authorize with a contract certificate
    (C07). Certificates and EXI messages are not stored.
    """

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="certificate_inquiries")
    action = models.CharField(max_length=40)
    subject = models.TextField(help_text="A serial number in hex digits, an eMAID, or Install or Update.")
    server = models.TextField(blank=True, help_text="The server that got the request, without its login.")
    status = models.TextField(help_text="As it was answered to the charger.")
    detail = models.TextField(blank=True, help_text="Why it is no other status.")
    call_id = models.CharField(max_length=36, editable=False)
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "certificate inquiries"
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["charger", "call_id"], name="one_row_a_certificate_inquiry")]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}: {self.status}"
