"""Decide whether the contract certificate of a car is valid (OCPP 2.0.1 C07).

It must be issued below a `ContractRoot`, directly or through certificates that the message or the OCSP responses
contain, and its OCSP responder must call it good.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp as x509_ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from commands.models import ContractRoot
from commands.services import authority, ocsp
from core.ocpp.redaction import without_secrets

MAX_LENGTH_OF_PATH = 6  # certificates, the root included
VALID, EXPIRED, REVOKED, CHAIN_ERROR = "Accepted", "CertificateExpired", "CertificateRevoked", "CertChainError"
CANCELLED = "ContractCancelled"
NO_CONTRACT = ("Blocked", "Expired", "Invalid", "Unknown")  # statuses of a token that make its contract useless
# The status of the token where the certificate decides it (C07.FR.15 to 17).
TOKEN_STATUS = {EXPIRED: "Expired", REVOKED: "Invalid", CHAIN_ERROR: "Invalid"}


@dataclass(frozen=True)
class Contract:
    """An eMAID, and its certificate as PEM text with those of its issuers, or the OCSP data of these, or both."""

    emaid: str
    certificate: str = ""
    hash_data: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Whether a contract certificate is valid. `reason` says why not, `servers` are the queried responders."""

    status: str
    reason: str = ""
    servers: str = ""

    def answer(self, token_status: str) -> tuple[str, str]:
        """Return (certificateStatus, status of the token); `token_status` is that without a certificate."""
        if self.status != VALID:
            return self.status, TOKEN_STATUS[self.status]
        return (CANCELLED if token_status in NO_CONTRACT else VALID), token_status


UNCHECKED = Verdict(CHAIN_ERROR, "It could not be checked in time.")


class Refused(Exception):
    """The certificate is not valid; `status` is the certificateStatus, the text is the reason."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def check(contract: Contract) -> Verdict:
    """Check a contract certificate. This may take seconds, because OCSP responders are queried."""
    roots = [root.parsed for root in ContractRoot.objects.all()]
    queried: list[str] = []
    try:
        if contract.certificate:
            _check_certificate(contract, roots, queried)
        else:
            _check_hashes(contract, roots, queried)
    except Refused as refusal:
        return Verdict(refusal.status, str(refusal), _names(queried))
    except (ocsp.Unanswered, authority.Unsuitable) as error:
        return Verdict(CHAIN_ERROR, str(error), _names(queried))
    return Verdict(VALID, "", _names(queried))


def _names(urls: Iterable[str]) -> str:
    return ", ".join(without_secrets(url) for url in dict.fromkeys(urls))


# --- a certificate ---------------------------------------------------------------------------


def _check_certificate(contract: Contract, roots: list[x509.Certificate], queried: list[str]) -> None:
    try:
        leaf, *others = x509.load_pem_x509_certificates(contract.certificate.encode())
        path = _path(leaf, others, roots)
        _check_dates(path)
        _check_name(leaf, contract.emaid)
        urls = {int(data["serialNumber"], 16): data["responderURL"] for data in contract.hash_data}
        responders = [_responder(certificate) or urls.get(certificate.serial_number, "") for certificate in path[:-1]]
    except ValueError as error:
        raise Refused(CHAIN_ERROR, f"The certificate cannot be read: {error}") from error
    if path[:-1] and not responders[0]:
        raise Refused(CHAIN_ERROR, "The certificate names no OCSP responder.")
    for certificate, issuer, url in zip(path, path[1:], responders, strict=False):
        if url:
            queried.append(url)
            _require_good(ocsp.request(ocsp.Question.about(certificate, issuer, url)), issuer)


def _path(
    leaf: x509.Certificate, others: list[x509.Certificate], roots: list[x509.Certificate]
) -> list[x509.Certificate]:
    """Return `leaf` and the certificates of its issuers up to one of `roots`, by RFC 5280 §6 as far as it matters."""
    path = [leaf]
    while path[-1] not in roots:
        issuer = next((one for one in [*roots, *others] if _issued(one, path[-1])), None)
        if issuer is None or issuer in path or len(path) == MAX_LENGTH_OF_PATH:
            raise Refused(CHAIN_ERROR, "No contract root has issued the certificate.")
        path.append(issuer)
    if len(path) == 1:
        raise Refused(CHAIN_ERROR, "The certificate is that of an authority.")
    return path


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if not _is_authority(issuer):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _check_dates(path: list[x509.Certificate]) -> None:
    now = datetime.now(UTC)
    for certificate in path:
        name = certificate.subject.rfc4514_string()
        if certificate.not_valid_after_utc < now:
            raise Refused(EXPIRED, f"{name} has expired.")
        if certificate.not_valid_before_utc > now:
            raise Refused(CHAIN_ERROR, f"{name} is not valid yet.")


def _check_name(leaf: x509.Certificate, emaid: str) -> None:
    names = [str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if _without_separators(emaid) not in map(_without_separators, names):
        raise Refused(CHAIN_ERROR, f"The certificate is that of {', '.join(names) or 'nobody'}.")


def _without_separators(emaid: str) -> str:
    """Return an eMAID as it is compared: without the optional hyphens, in capital letters (ISO 15118-2 H.1)."""
    return emaid.replace("-", "").upper()


def _responder(certificate: x509.Certificate) -> str:
    """Return the URL of the OCSP responder that a certificate names, or ""."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return ""
    urls = [one.access_location.value for one in access if one.access_method == AuthorityInformationAccessOID.OCSP]
    return str(urls[0]) if urls else ""


# --- hashes ----------------------------------------------------------------------------------


def _check_hashes(contract: Contract, roots: list[x509.Certificate], queried: list[str]) -> None:
    """Check the chain that the charger has verified itself, of which it sends the data for OCSP."""
    answers = []
    for question in map(ocsp.Question.of, contract.hash_data):
        queried.append(question.url)
        answers.append((question, ocsp.request(question)))
    if any(answer.status == ocsp.REVOKED for _, answer in answers):
        raise Refused(REVOKED, "A responder calls a certificate of the chain revoked.")
    known = [certificate for _, answer in answers for certificate in answer.response.certificates]
    for question, answer in answers:
        issuer = next((one for one in [*roots, *known] if question.is_issued_by(one)), None)
        if issuer is None:
            raise Refused(CHAIN_ERROR, "The issuer of a certificate of the chain is not known here.")
        if issuer not in roots:
            _check_dates(_path(issuer, known, roots))
        _check_dates([issuer])
        _require_good(answer, issuer)


# --- answers of responders -------------------------------------------------------------------


def _require_good(answer: ocsp.Answer, issuer: x509.Certificate) -> None:
    if answer.status == ocsp.REVOKED:
        raise Refused(REVOKED, "The responder calls a certificate of the chain revoked.")
    if answer.status != ocsp.GOOD:
        raise Refused(CHAIN_ERROR, "The responder does not know a certificate of the chain.")
    if not any(_is_signed_by(answer.response, signer) for signer in _signers(answer.response, issuer)):
        raise Refused(CHAIN_ERROR, "The answer of the responder is not signed by the issuer, or for it.")


def _signers(response: x509_ocsp.OCSPResponse, issuer: x509.Certificate) -> Iterator[x509.Certificate]:
    """Yield who may sign an answer about certificates of `issuer` (RFC 6960 §4.2.2.2)."""
    yield issuer
    for certificate in response.certificates:
        if _may_sign_answers(certificate, issuer):
            yield certificate


def _may_sign_answers(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    is_current = certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc
    return is_current and ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _is_signed_by(response: x509_ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, algorithm = signer.public_key(), response.signature_hash_algorithm
    signed, signature = response.tbs_response_bytes, response.signature
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm:
            key.verify(signature, signed, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm:
            key.verify(signature, signed, ec.ECDSA(algorithm))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
