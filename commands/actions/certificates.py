"""InstallCertificate, DeleteCertificate, GetInstalledCertificateIds, CertificateSigned (security whitepaper §2.6)."""

from cryptography import x509

from chargers.models import InstalledCertificate
from commands import authority
from commands.models import CertificateRequest

HASH_DATA = {
    "hashAlgorithm": "hash_algorithm",
    "issuerNameHash": "issuer_name_hash",
    "issuerKeyHash": "issuer_key_hash",
}


def check_install(payload, charger):
    try:
        x509.load_pem_x509_certificate(payload["certificate"].encode())
    except ValueError:
        yield "The certificate is not a PEM X.509 certificate: the charger should refuse it."


def installed(command):
    if command.status == "Accepted":
        told = authority.hash_data(command.payload["certificate"])
        _held(command, told).delete()
        _keep(command, command.payload["certificateType"], told)


def told(command):
    """What the charger names is what it holds of that type; NotFound says that it holds none."""
    kind = command.payload["certificateType"]
    InstalledCertificate.objects.filter(charger=command.charger, certificate_type=kind).delete()
    for hash_data in command.response.get("certificateHashData", []):
        _keep(command, kind, hash_data)


def deleted(command):
    if command.status in ("Accepted", "NotFound"):
        _held(command, command.payload["certificateHashData"]).delete()


def signed(command):
    """Accepted: the charger uses it from now on. Otherwise its old one stays (whitepaper A02.FR.07)."""
    CertificateRequest.objects.filter(command=command).exclude(state=CertificateRequest.REVOKED).update(
        state=CertificateRequest.ACCEPTED if command.status == "Accepted" else CertificateRequest.REJECTED
    )


def _held(command, hash_data):
    """All four together name a certificate, without case; some chargers write leading zeros (whitepaper §6.1)."""
    told = {column: hash_data[name] for name, column in HASH_DATA.items()}
    held = InstalledCertificate.objects.filter(
        charger=command.charger, **{f"{column}__iexact": value for column, value in told.items()}
    )
    number = _number(hash_data["serialNumber"])
    return held.filter(pk__in=[c.pk for c in held if _number(c.serial_number) == number])


def _number(serial):
    return serial.lower().lstrip("0")


def _keep(command, kind, hash_data):
    InstalledCertificate.objects.create(
        charger=command.charger,
        certificate_type=kind,
        serial_number=hash_data["serialNumber"],
        **{column: hash_data[name] for name, column in HASH_DATA.items()},
    )
