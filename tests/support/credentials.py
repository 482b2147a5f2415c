"""Keys and certificates of chargers at the wire, and the TLS of the running stack."""

import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from commands.services import authority
from tests.support.live import an_id

KEY, NEXT_KEY = "00112233445566778899aabbccddeeff00112233", "ffeeddccbbaa99887766554433221100ffeeddcc"
RAW, NEXT_RAW = bytes.fromhex(KEY), bytes.fromhex(NEXT_KEY)
CPO = "Test CPO"


class Credentials:
    """A key pair of a charge point, its signing request, and files for its certificate."""

    def __init__(self, folder, name, kind="ecdsa", organisation=CPO):
        self.key, self.path = authority.KINDS[kind](), folder / f"{name}-{kind}.pem"
        names = [(NameOID.COMMON_NAME, name), (NameOID.ORGANIZATION_NAME, organisation)]
        subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject)
        self.csr = request.sign(self.key, authority.HASHES["SHA256"]()).public_bytes(authority.PEM).decode()

    def use(self, chain):
        """Install a certificate chain, and return the TLS context that presents it."""
        private = self.key.private_bytes(authority.PEM, authority.PKCS8, serialization.NoEncryption())
        self.path.write_bytes(private + chain.encode())
        return trusting(self.path)


def trusting(certificate=None):
    """A TLS context that trusts the central system's roots, and presents `certificate`."""
    context = ssl.create_default_context(cadata="".join(authority.roots().values()))
    # The WebSocket of the station reads in one thread and writes in another. With the session tickets that follow a
    # handshake of TLS 1.3 both use the connection at once, which OpenSSL forbids: now and then a request was lost.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL:@SECLEVEL=1")
    if certificate:
        context.load_cert_chain(certificate)
    return context


def tls(system):
    return f"wss://localhost:{system.stack.env['TLS_PORT']}/ws/ocpp"


def a_charger(system, **columns):
    charger_id = an_id()
    status, made, _ = system.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id, **columns})
    assert status == 201, made
    return charger_id


SUITES = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": "ecdsa",
    "ECDHE-ECDSA-AES256-GCM-SHA384": "ecdsa",
    "AES128-GCM-SHA256": "rsa",
    "AES256-GCM-SHA384": "rsa",
}


def handshake(system, suite, version=ssl.TLSVersion.TLSv1_2):
    """(suite, protocol, certificate) as the server answers a client that speaks one suite only."""
    context = trusting()
    context.minimum_version = context.maximum_version = version
    context.set_ciphers(f"{suite}:@SECLEVEL=0")
    address = ("127.0.0.1", int(system.stack.env["TLS_PORT"]))
    with (
        socket.create_connection(address, 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as done,
    ):
        return *done.cipher()[:2], done.compression(), x509.load_der_x509_certificate(done.getpeercert(True))


def check_suites(system):
    for suite, kind in SUITES.items():
        spoken, protocol, compression, certificate = handshake(system, suite)
        assert (spoken, protocol, compression) == (suite, "TLSv1.2", None)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert [name.value for name in names] == ["localhost"] and certificate.serial_number > 0
        assert certificate.public_key().key_size >= authority.MIN_KEY_BITS[kind]
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.roots()[kind].encode()))
    with pytest.raises(OSError):
        handshake(system, "ALL", ssl.TLSVersion.TLSv1_1)
    with pytest.raises(OSError):
        handshake(system, "AES128-SHA")
