"""The credentials that a charger presents in its handshake, and those that its security profile requires."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from typing import NamedTuple, Protocol

from django.conf import settings

from chargers.models import Charger
from chargers.services import keys
from core.http import proxies


@dataclass(frozen=True, slots=True)
class HandshakeRequest:
    """The request of a charger to open a WebSocket.

    `authorization` is the header as sent, b"" without one. `secured` is true for a connection over TLS. `subject`
    describes the verified client certificate: {"CN": [names], "O": [names], "serial": hex digits}, or None without
    one. `address` is that of the charger, or of a proxy which is not trusted.
    """

    charger_id: str
    authorization: bytes = field(default=b"", repr=False)  # it holds the key
    secured: bool = False
    subject: proxies.Subject | None = None
    address: str = "127.0.0.1"

    @property
    def charger(self) -> None:
        """It belongs to no charger until its credentials are checked."""
        return None

    def has_key(self, *hashes: str) -> str:
        """Return the first of `hashes` that matches the presented key, or ""."""
        key = keys.presented(self.charger_id, self.authorization)
        return next((stored for stored in hashes if key and stored and keys.matches(key, stored)), "")


class Credentials(NamedTuple):
    """The credentials a charger must present, as last read, to check a handshake without the database."""

    security_profile: int | None
    next_security_profile: int | None
    authorization_key_hash: str
    next_authorization_key_hashes: list[str]
    certificate_names: set[str]

    @classmethod
    def of(cls, charger: Charger) -> "Credentials":
        return cls(*(getattr(charger, name) for name in cls._fields))

    def match(self, request: HandshakeRequest) -> bool:
        """Return whether `request` presents them, for the current security profile or the next one."""
        profiles = {self.security_profile, self.next_security_profile or self.security_profile}
        return any(PRESENTS[profile](request, self) for profile in profiles)


class Expected(Protocol):
    """The credentials that a charger must present: a `Charger` or its `Credentials`."""

    @property
    def authorization_key_hash(self) -> str: ...
    @property
    def next_authorization_key_hashes(self) -> list[str]: ...
    @property
    def certificate_names(self) -> set[str]: ...


def _has_key(request: HandshakeRequest, charger: Expected) -> bool:
    """Return whether the request presents the charger's key, or a new one that was sent to the charger."""
    return bool(request.has_key(charger.authorization_key_hash, *charger.next_authorization_key_hashes))


def _has_certificate(request: HandshakeRequest, charger: Expected) -> bool:
    """Return whether the certificate names the charger and its operator (whitepaper A00.FR.404, A00.FR.405).

    A subject may have several names of each kind (RFC 5280 §4.1.2.4). All of them must match. Case and spaces count.
    """
    if not request.secured or request.subject is None:
        return False
    names, organisations = set(request.subject.get("CN", ())), set(request.subject.get("O", ()))
    return organisations == {settings.OCPP_CPO_NAME} and bool(names) and names <= charger.certificate_names


def _may_be_open(request: HandshakeRequest, charger: Expected) -> bool:
    """Return whether the address is in OCPP_OPEN_NETWORKS, where chargers need no credentials."""
    try:
        address = ip_address(request.address)
    except ValueError:  # a Unix socket, or an invalid header of a proxy
        return False
    mapped: IPv4Address | None = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in settings.OCPP_OPEN_NETWORKS)


# Checks of the credentials of each security profile (security whitepaper §2.1). They read a `Charger` or its
# `Credentials`, and not the database.
BY_KEY, BY_CERTIFICATE = (None, 1, 2), 3
PRESENTS: Mapping[int | None, Callable[[HandshakeRequest, Expected], bool]] = {
    None: lambda request, charger: (
        _has_key(request, charger) or (not charger.authorization_key_hash and _may_be_open(request, charger))
    ),
    0: _may_be_open,
    1: lambda request, charger: not request.secured and _has_key(request, charger),
    2: lambda request, charger: request.secured and _has_key(request, charger),
    3: _has_certificate,
}
BASIC = "Basic auth with the charger's id and its key"
ADDRESS_NOT_OPEN = "A charger needs a key or a certificate here: its address is in none of the OCPP_OPEN_NETWORKS."
REQUIREMENTS = {
    None: f"{BASIC} is required.",
    0: ADDRESS_NOT_OPEN,
    1: f"{BASIC} is required, without TLS (security profile 1).",
    2: f"{BASIC} is required, over TLS (security profile 2).",
    3: "A client certificate of this charger is required (security profile 3).",
}
