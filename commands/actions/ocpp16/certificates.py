"""InstallCertificate, DeleteCertificate, GetInstalledCertificateIds, CertificateSigned (security whitepaper §2.6)."""

from collections.abc import Iterator

from cryptography import x509
from django.db.models import QuerySet

from chargers.models import Charger, InstalledCertificate
from commands.models import CertificateRequest, Command
from commands.services import authority
from core.ocpp.schemas import JSON

HASH_DATA = {
    "hashAlgorithm": "hash_algorithm",
    "issuerNameHash": "issuer_name_hash",
    "issuerKeyHash": "issuer_key_hash",
}


def check_install(payload: JSON, charger: Charger) -> Iterator[str]:
    try:
        x509.load_pem_x509_certificate(payload["certificate"].encode())
    except ValueError:
        yield "The certificate is not a PEM X.509 certificate: the charger should refuse it."


def installed(command: Command) -> None:
    if command.status == "Accepted":
        hash_data = authority.hash_data(command.payload["certificate"])
        _installed_rows(command, hash_data).delete()
        _create(command, command.payload["certificateType"], hash_data)


def reported(command: Command) -> None:
    """Replace the rows of this certificate type by those in the answer; NotFound means that there are none."""
    kind = command.payload["certificateType"]
    InstalledCertificate.objects.filter(charger=command.charger, certificate_type=kind).delete()
    for hash_data in command.answer.get("certificateHashData", []):
        _create(command, kind, hash_data)


def deleted(command: Command) -> None:
    if command.status in ("Accepted", "NotFound"):
        _installed_rows(command, command.payload["certificateHashData"]).delete()


def signed(command: Command) -> None:
    """Accepted: the charger uses the new certificate. Otherwise it keeps the old one (whitepaper A02.FR.07)."""
    CertificateRequest.objects.filter(command=command).exclude(state=CertificateRequest.REVOKED).update(
        state=CertificateRequest.ACCEPTED if command.status == "Accepted" else CertificateRequest.REJECTED
    )


def _installed_rows(command: Command, hash_data: authority.HashData) -> QuerySet[InstalledCertificate]:
    """Rows that match all four members of `hash_data` (whitepaper §6.1).

    Case and leading zeros of the serial number are ignored, because some chargers write such zeros.
    """
    hashes = {column: hash_data[name] for name, column in HASH_DATA.items()}
    rows = InstalledCertificate.objects.filter(
        charger=command.charger, **{f"{column}__iexact": value for column, value in hashes.items()}
    )
    number = _number(hash_data["serialNumber"])
    return rows.filter(pk__in=[c.pk for c in rows if _number(c.serial_number) == number])


def _number(serial: str) -> str:
    return serial.lower().lstrip("0")


def _create(command: Command, kind: str, hash_data: authority.HashData) -> None:
    InstalledCertificate.objects.create(
        charger=command.charger,
        certificate_type=kind,
        serial_number=hash_data["serialNumber"],
        **{column: hash_data[name] for name, column in HASH_DATA.items()},
    )
