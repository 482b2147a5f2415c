"""InstallCertificate, DeleteCertificate, GetInstalledCertificateIds, CertificateSigned (security whitepaper §2.6)."""

from cryptography import x509

from chargers.models import InstalledCertificate
from commands import authority
from commands.models import CertificateRequest


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
    CertificateRequest.objects.filter(command=command).update(
        state=CertificateRequest.ACCEPTED if command.status == "Accepted" else CertificateRequest.REJECTED
    )


def _held(command, hash_data):
    """Serial numbers are compared as numbers: some chargers write leading zeros, or capitals."""
    held = InstalledCertificate.objects.filter(charger=command.charger)
    number = hash_data["serialNumber"].lstrip("0")
    return held.filter(serial_number__iregex=f"^0*{number}$") if number.isalnum() else held.none()


def _keep(command, kind, hash_data):
    InstalledCertificate.objects.create(
        charger=command.charger,
        certificate_type=kind,
        hash_algorithm=hash_data["hashAlgorithm"],
        issuer_name_hash=hash_data["issuerNameHash"],
        issuer_key_hash=hash_data["issuerKeyHash"],
        serial_number=hash_data["serialNumber"],
    )
