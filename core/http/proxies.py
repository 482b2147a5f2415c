"""Read the certificate of a charger from a header of the proxy that ends TLS, trusted by its address."""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TypedDict
from urllib.parse import unquote

from cryptography import x509
from cryptography.x509.oid import NameOID
from django.conf import settings

PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
NAMES = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME}


class Subject(TypedDict):
    """The names in a client certificate, and its serial number in hex digits."""

    CN: list[str]
    O: list[str]  # noqa: E741  (the name that X.509 gives it)
    serial: str


def believed(address: str) -> bool:
    """Whether `address` (text) is one of the FORWARDED_ALLOW_IPS."""
    try:
        peer = ip_address(address)
    except ValueError:
        return False
    return any(peer in network for network in settings.TRUSTED_PROXIES)


def subject(header: bytes) -> Subject | None:
    """Return {"CN": [names], "O": [names], "serial": hex digits} of the certificate in `header` (bytes), or None.

    Accepts base64 DER between colons (RFC 9440, HAProxy), base64 DER (Traefik), and URL-encoded PEM (nginx). The
    signature is not checked, because the proxy has verified it.
    """
    text = unquote(header.decode("ascii", "replace")).strip()
    pem = PEM.search(text)
    encoded = re.sub(r"\s", "", pem[1]) if pem else text.strip(":")
    try:
        certificate = x509.load_der_x509_certificate(b64decode(encoded, validate=True))
    except (Base64Error, ValueError):
        return None
    if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
        return None
    names = certificate.subject
    return {
        "CN": _names(names, NAMES["CN"]),
        "O": _names(names, NAMES["O"]),
        "serial": f"{certificate.serial_number:x}",
    }


def _names(names: x509.Name, kind: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in names.get_attributes_for_oid(kind)]
