"""InstallCertificate, DeleteCertificate and CertificateSigned of every version, and the store of a charger.

Security whitepaper §2.6; OCPP 2.0.1 A02, M03, M04, M05.
"""

import contextlib
from collections.abc import Iterable, Iterator

from cryptography import x509
from django.db.models import QuerySet

from chargers.models import Charger, InstalledCertificate
from commands.models import CertificateRequest, Command
from commands.services import authority
from core.ocpp.schemas import JSON, Violation

HASH_DATA = {
    "hashAlgorithm": "hash_algorithm",
    "issuerNameHash": "issuer_name_hash",
    "issuerKeyHash": "issuer_key_hash",
}
# A certificate that a charger lists: its type, its hash data, and those of the other certificates of its chain.
Listed = tuple[str, authority.HashData, list[authority.HashData]]


def check_install(payload: JSON, charger: Charger) -> Iterator[str]:
    try:
        x509.load_pem_x509_certificate(payload["certificate"].encode())
    except ValueError:
        yield "The certificate is not a PEM X.509 certificate: the charger should refuse it."


def installed(command: Command) -> None:
    """Store the root that the charger has accepted, with the hash algorithm of those that it has listed."""
    if command.status != "Accepted":
        return
    reported = InstalledCertificate.objects.filter(charger=command.charger, is_reported=True).first()
    algorithm = reported.hash_algorithm if reported and reported.hash_algorithm in authority.HASHES else "SHA256"
    with contextlib.suppress(ValueError, authority.Unsuitable):  # the charger has accepted what is no root
        hash_data = authority.hash_data(command.payload["certificate"], algorithm)
        _rows_of(command.charger, hash_data).delete()
        _create(command.charger, command.payload["certificateType"], hash_data)


def complete_delete(payload: JSON, charger: Charger) -> None:
    """Find the hash data of a certificate that is named by its serial number alone."""
    named = payload.get("certificateHashData")
    if isinstance(named, dict) and named.keys() == {"serialNumber"} and isinstance(named["serialNumber"], str):
        held = _with_serial(InstalledCertificate.objects.filter(charger=charger), named["serialNumber"])
        if len(held) != 1:
            message = f"{len(held)} certificates with this serial number are known in the charger; name the hashes."
            raise Violation("certificateHashData.serialNumber", message, "")
        payload["certificateHashData"] = held[0].hash_data


def check_delete(payload: JSON, charger: Charger) -> Iterator[str]:
    """Require the hash algorithm with which the charger has listed the certificate (M04.FR.07)."""
    named = payload["certificateHashData"]
    reported = InstalledCertificate.objects.filter(charger=charger, is_reported=True)
    algorithms = {one.hash_algorithm for one in _with_serial(reported, named["serialNumber"])}
    if algorithms and named["hashAlgorithm"] not in algorithms:
        message = f"The charger lists this certificate with {', '.join(sorted(algorithms))}: use its hashes."
        raise Violation("certificateHashData.hashAlgorithm", message, "")
    if not algorithms:
        yield "The charger has not listed this certificate. Send GetInstalledCertificateIds to learn its hashes."


def deleted(command: Command) -> None:
    if command.status in ("Accepted", "NotFound"):
        _rows_of(command.charger, command.payload["certificateHashData"]).delete()


def signed(command: Command) -> None:
    """Accepted: the charger uses the new certificate. Otherwise it keeps the old one (A02.FR.07)."""
    CertificateRequest.objects.filter(command=command).exclude(state=CertificateRequest.REVOKED).update(
        state=CertificateRequest.ACCEPTED if command.status == "Accepted" else CertificateRequest.REJECTED
    )


# --- the store -------------------------------------------------------------------------------


def replace(command: Command, kinds: Iterable[str] | None, listed: Iterable[Listed]) -> None:
    """Replace the rows of the certificate types `kinds`, None for all types, by those that the charger has listed."""
    held = InstalledCertificate.objects.filter(charger=command.charger)
    (held if kinds is None else held.filter(certificate_type__in=list(kinds))).delete()
    for kind, hash_data, children in listed:
        parent = _create(command.charger, kind, hash_data, is_reported=True)
        for child in children:
            _create(command.charger, kind, child, is_reported=True, parent=parent)


def _rows_of(charger: Charger, hash_data: authority.HashData) -> QuerySet[InstalledCertificate]:
    """Rows that match all four members of `hash_data` (whitepaper §6.1).

    Case and leading zeros of the serial number are ignored, because some chargers write such zeros.
    """
    hashes = {column: hash_data[name] for name, column in HASH_DATA.items()}
    rows = InstalledCertificate.objects.filter(
        charger=charger, **{f"{column}__iexact": value for column, value in hashes.items()}
    )
    return rows.filter(pk__in=[row.pk for row in _with_serial(rows, hash_data["serialNumber"])])


def _with_serial(rows: QuerySet[InstalledCertificate], serial: str) -> list[InstalledCertificate]:
    return [row for row in rows if _number(row.serial_number) == _number(serial)]


def _number(serial: str) -> str:
    return serial.lower().lstrip("0")


def _create(
    charger: Charger,
    kind: str,
    hash_data: authority.HashData,
    is_reported: bool = False,
    parent: InstalledCertificate | None = None,
) -> InstalledCertificate:
    return InstalledCertificate.objects.create(
        charger=charger,
        parent=parent,
        certificate_type=kind,
        is_reported=is_reported,
        serial_number=hash_data["serialNumber"],
        **{column: hash_data[name] for name, column in HASH_DATA.items()},
    )
