"""A small certificate authority for chargers (security whitepaper §2.6): one chain for RSA and one for ECDSA.

Its keys and certificates are the files `ca-rsa.pem` and `ca-ecdsa.pem` in CA_DIR, created when first needed. To use
another authority, put its files there: each holds the key, its certificate, and then the certificates that signed it.

Certificates with which chargers identify themselves to cars (V2G, ISO 15118) come from an authority of their own, the
file `ca-v2g.pem`, so that nobody can log in here with one.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.conf import settings

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
KINDS: dict[str, Callable[[], Key]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 3072),
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
}
V2G = "v2g"  # the kind of the authority for V2G certificates
MIN_KEY_BITS = {"rsa": 2048, "ecdsa": 224}  # security whitepaper A00.FR.502, 503
HashData = dict[str, str]  # CertificateHashData (whitepaper §6.1)
HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}
AUTHORITY_DAYS, CERTIFICATE_DAYS = 3650, 730


class Unsuitable(Exception):
    """A certificate signing request cannot be signed; the message is the reason."""


class SigningRequest(NamedTuple):
    """The parts of a certificate signing request that are used."""

    common_name: str
    key: PublicKey


def read_request(csr_pem: str) -> SigningRequest:
    """Read a PEM signing request; raises `Unsuitable`."""
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        is_valid = csr.is_signature_valid
        key = _of_known_kind(csr.public_key())
    except Exception as error:  # noqa: BLE001  (the bytes are of a charger, and the library raises many kinds)
        raise Unsuitable(f"not a certificate signing request: {error}") from error
    if not is_valid:
        raise Unsuitable("its signature does not match its key")
    if key.key_size < MIN_KEY_BITS[_kind(key)]:
        raise Unsuitable(f"its key has {key.key_size} bits, at least {MIN_KEY_BITS[_kind(key)]} are required")
    return SigningRequest(_common_name(csr), key)


def _common_name(csr: x509.CertificateSigningRequest) -> str:
    names = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise Unsuitable("its subject needs one common name")
    name = names[0].value
    if not isinstance(name, str) or not 0 < len(name) <= 64 or not name.isprintable():
        raise Unsuitable("its common name must have 1 to 64 printable characters")
    return name


def _of_known_kind(key: object) -> PublicKey:
    if isinstance(key, PublicKey):
        return key
    raise Unsuitable("its key is neither RSA nor elliptic curve")


def _kind(key: PublicKey) -> str:
    """The kind of `key`, one of KINDS."""
    return "rsa" if isinstance(key, rsa.RSAPublicKey) else "ecdsa"


def sign_v2g(csr_pem: str) -> tuple[x509.Certificate, str]:
    """Sign a request for a V2G certificate (ISO 15118-2, table F.4); returns (certificate, PEM chain).

    It has no extended key usage, which cars need not know (A00.FR.514).
    """
    common_name, public_key = read_request(csr_pem)
    key, chain = _authority(V2G)
    subject = x509.Name([*_name(common_name), x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "CPO")])
    certificate = (
        _certificate(subject, chain[0].subject, public_key, CERTIFICATE_DAYS)
        .add_extension(_usage(agreement=_kind(public_key) == "ecdsa"), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, _chain_of(certificate, chain)


def v2g_root() -> str:
    """PEM of the root of V2G certificates, which chargers and cars must trust."""
    return pem(_authority(V2G)[1][-1])


def _chain_of(certificate: x509.Certificate, issuers: list[x509.Certificate]) -> str:
    """PEM of `certificate` and of its issuers without their root."""
    intermediates = [issuer for issuer in issuers if issuer.subject != issuer.issuer]
    return "".join(pem(part) for part in (certificate, *intermediates))


def sign(csr_pem: str) -> tuple[x509.Certificate, str]:
    """Sign a request with the authority of the same kind of key; returns (certificate, PEM chain).

    The chain includes intermediate certificates. The subject is the requested common name and the configured O
    (whitepaper A00.FR.509, 511). Everything else in the request, such as other names or the rights of an authority,
    is ignored.
    """
    common_name, public_key = read_request(csr_pem)
    key, chain = _authority(_kind(public_key))
    certificate = (
        _certificate(_name(common_name), chain[0].subject, public_key, CERTIFICATE_DAYS)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, _chain_of(certificate, chain)


def server_chain(kind: str, host: str) -> str:
    """A key and certificate for a server named `host`, as one PEM text, for tests of TLS."""
    authority_key, chain = _authority(kind)
    key = KINDS[kind]()
    certificate = (
        _certificate(_name(host), chain[0].subject, key.public_key(), CERTIFICATE_DAYS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(encipherment=kind == "rsa"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return _private_pem(key) + "".join(pem(part) for part in (certificate, *chain))


def charger_chain(common_name: str) -> str:
    """A key and a client certificate, as one PEM text, for a charger that cannot request one itself."""
    key = KINDS["ecdsa"]()
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(common_name)).sign(key, hashes.SHA256())
    return _private_pem(key) + sign(request.public_bytes(PEM).decode())[1]


def roots() -> dict[str, str]:
    """{kind: PEM} of the roots that chargers and servers must trust: the last certificate of each chain."""
    return {kind: pem(_authority(kind)[1][-1]) for kind in KINDS}


def pem(certificate: x509.Certificate) -> str:
    """`certificate` as PEM text."""
    return certificate.public_bytes(PEM).decode()


def hash_data(certificate_pem: str, algorithm: str = "SHA256") -> HashData:
    """CertificateHashData of a root certificate, which is its own issuer (whitepaper §6.1)."""
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    name, key = issuer_hashes(certificate, algorithm)
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": name,
        "issuerKeyHash": key,
        "serialNumber": f"{certificate.serial_number:x}",
    }


def issuer_hashes(issuer: x509.Certificate, algorithm: str) -> tuple[str, str]:
    """The hashes of the name and of the key of `issuer` (RFC 6960 §4.1.1), in hex digits."""
    return _hash(algorithm, issuer.subject.public_bytes()), _hash(algorithm, _key_bits(issuer))


def _key_bits(certificate: x509.Certificate) -> bytes:
    """The value of the bit string with the public key."""
    key, public = certificate.public_key(), serialization.PublicFormat
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(serialization.Encoding.DER, public.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(serialization.Encoding.X962, public.UncompressedPoint)
    raise Unsuitable("its key is neither RSA nor elliptic curve")


def _hash(algorithm: str, content: bytes) -> str:
    digest = hashes.Hash(HASHES[algorithm]())
    digest.update(content)
    return digest.finalize().hex()


# --- files in CA_DIR -------------------------------------------------------------------------


@cache
def _authority(kind: str) -> tuple[Key, list[x509.Certificate]]:
    """(private key, [its certificate, that of its issuer, …]) of the authority for keys of `kind`, or for V2G."""
    path = Path(settings.CA_DIR) / f"ca-{kind}.pem"
    with _locked(path.parent):
        if not path.exists():
            _write(path, _v2g_authority() if kind == V2G else _root_authority(kind))
    content = path.read_bytes()
    key = cast(Key, serialization.load_pem_private_key(content, None))
    return key, x509.load_pem_x509_certificates(content)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock CA_DIR, so that two processes that start together do not create two authorities."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _root_authority(kind: str) -> str:
    """The key and the certificate of a new root."""
    key, name = KINDS[kind](), _name(f"{settings.OCPP_CPO_NAME[:40]} root {kind}")
    return _private_pem(key) + pem(_authority_certificate(key, name, key, name))


def _v2g_authority() -> str:
    """The key and the certificate of a new authority for V2G certificates, below a new root whose key is not kept."""
    root_key, root_name = KINDS["ecdsa"](), _name(f"{settings.OCPP_CPO_NAME[:40]} V2G root")
    key, name = KINDS["ecdsa"](), _name(f"{settings.OCPP_CPO_NAME[:40]} V2G sub-CA")
    root = _authority_certificate(root_key, root_name, root_key, root_name)
    return _private_pem(key) + pem(_authority_certificate(key, name, root_key, root_name)) + pem(root)


def _authority_certificate(key: Key, name: x509.Name, issuer_key: Key, issuer: x509.Name) -> x509.Certificate:
    return (
        _certificate(name, issuer, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _write(path: Path, content: str) -> None:
    temporary = path.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(content)
    temporary.rename(path)


def _private_pem(key: Key) -> str:
    return key.private_bytes(PEM, PKCS8, serialization.NoEncryption()).decode()


def _name(common_name: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, settings.OCPP_CPO_NAME)
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(subject: x509.Name, issuer: x509.Name, public_key: PublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a charger's clock may be behind
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(authority: bool = False, encipherment: bool = False, agreement: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=encipherment,
        data_encipherment=False,
        key_agreement=agreement,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
