"""Authorities, certificates and an OCSP responder for tests."""

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from commands.services import authority

SHA256 = hashes.SHA256()


class Issued:
    """A certificate with its key, issued by `issuer` (None: by itself)."""

    def __init__(self, name, issuer=None, ca=False, days=30, age=1, responder="", key=None, extensions=()):
        self.key, self.issuer = key or ec.generate_private_key(ec.SECP256R1()), issuer
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=age))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if responder:
            access = x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder)
            )
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        self.certificate = builder.sign(issuer.key if issuer else self.key, SHA256)

    @property
    def pem(self):
        return authority.pem(self.certificate)

    def hash_data(self, url, algorithm="SHA256"):
        """OCSPRequestData of OCPP."""
        name, key = authority.issuer_hashes(self.issuer.certificate, algorithm)
        serial = f"{self.certificate.serial_number:x}"
        hashed = {"hashAlgorithm": algorithm, "issuerNameHash": name, "issuerKeyHash": key}
        return {**hashed, "serialNumber": serial, "responderURL": url}


def a_root(name="Root"):
    return Issued(name, ca=True)


OCSP_SIGNING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])


class Responder:
    """An OCSP responder over HTTP. It answers about the certificates that it `knows`, {certificate: its status}."""

    def __init__(self, url):
        self.url, self.known, self.asked = url, {}, []
        self.signer = None  # other than the issuer
        self.attached = []  # certificates in its answers
        self.next_update = timedelta(hours=1)
        self.body = None  # in place of an answer

    def knows(self, *issued, revoked=False):
        for one in issued:
            self.known[one.certificate.serial_number] = one, revoked
        return self

    def answer(self, body):
        request = ocsp.load_der_ocsp_request(body)
        self.asked.append(request.serial_number)
        if self.body is not None:
            return self.body
        if request.serial_number not in self.known:
            refused = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
            return refused.public_bytes(serialization.Encoding.DER)
        return self._signed(request, *self.known[request.serial_number])

    def _signed(self, request, issued, revoked):
        now, status = datetime.now(UTC), ocsp.OCSPCertStatus
        signer = self.signer or issued.issuer
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                request.issuer_name_hash,
                request.issuer_key_hash,
                request.serial_number,
                request.hash_algorithm,
                status.REVOKED if revoked else status.GOOD,
                now - timedelta(minutes=1),
                now + self.next_update,
                now - timedelta(days=1) if revoked else None,
                None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        )
        attached = [one.certificate for one in self.attached]
        builder = builder.certificates(attached) if attached else builder
        return builder.sign(signer.key, SHA256).public_bytes(serialization.Encoding.DER)


@contextmanager
def served(answer, port=0):
    """Serve POST at the yielded URL: `answer(body)` returns the body of the answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def a_responder():
    responder = Responder("")
    with served(responder.answer) as responder.url:
        yield responder
