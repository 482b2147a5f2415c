"""Request the status of certificates from OCSP responders (RFC 6960), and cache it until it expires."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp

from commands.services import authority
from core.http import bounded, outward

LIMITS = bounded.Limits(timeouts_s=(3.05, 5), duration_s=8)
HEADERS = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
MAX_CACHED = 2000  # answers of one process
CLOCK_TOLERANCE = timedelta(minutes=5)
GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN


class Unanswered(Exception):
    """A responder gave no usable answer; the text says why."""


class Question(NamedTuple):
    """A certificate by the hashes of its issuer, in small hex digits, and the URL of the responder."""

    hash_algorithm: str  # one of `authority.HASHES`
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: int
    url: str

    @classmethod
    def of(cls, hash_data: dict[str, str]) -> "Question":
        """Read OCSPRequestData of OCPP; raises `Unanswered`."""
        algorithm = hash_data["hashAlgorithm"]
        if algorithm not in authority.HASHES:
            raise Unanswered(f"{algorithm!r:.40} is no hash algorithm of OCPP.")
        try:
            serial = int(hash_data["serialNumber"], 16)
            name, key = (bytes.fromhex(hash_data[part]).hex() for part in ("issuerNameHash", "issuerKeyHash"))
        except ValueError as error:
            raise Unanswered("The hashes and the serial number must be hex digits.") from error
        return cls(algorithm, name, key, serial, hash_data["responderURL"])

    @classmethod
    def about(cls, certificate: x509.Certificate, issuer: x509.Certificate, url: str) -> "Question":
        name, key = authority.issuer_hashes(issuer, "SHA256")
        return cls("SHA256", name, key, certificate.serial_number, url)

    def is_issued_by(self, issuer: x509.Certificate) -> bool:
        return authority.issuer_hashes(issuer, self.hash_algorithm) == (self.issuer_name_hash, self.issuer_key_hash)


@dataclass(frozen=True)
class Answer:
    """The answer of a responder about one certificate; `der` is the whole OCSPResponse."""

    der: bytes
    status: ocsp.OCSPCertStatus
    next_update: datetime | None

    @property
    def response(self) -> ocsp.OCSPResponse:
        return ocsp.load_der_ocsp_response(self.der)

    @property
    def is_current(self) -> bool:
        return self.next_update is not None and datetime.now(UTC) < self.next_update


class Cache:
    """The answers of this process that are current. Threads share it."""

    def __init__(self) -> None:
        self.answers: OrderedDict[Question, Answer] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, question: Question) -> Answer | None:
        with self.lock:
            answer = self.answers.get(question)
            if answer is not None and not answer.is_current:
                del self.answers[question]
            return answer if answer is not None and answer.is_current else None

    def put(self, question: Question, answer: Answer) -> None:
        with self.lock:
            self.answers[question] = answer
            if len(self.answers) > MAX_CACHED:
                self.answers.popitem(last=False)


cache = Cache()


def request(question: Question) -> Answer:
    """Return the answer to `question`, a cached one if it is current. Raises `Unanswered`."""
    if cached := cache.get(question):
        return cached
    answer = _read(_post(question), question)
    if answer.is_current:
        cache.put(question, answer)
    return answer


def _post(question: Question) -> bytes:
    """Send the request, as allowed by `core.http.outward`, and return the body of the answer."""
    algorithm = authority.HASHES[question.hash_algorithm]()
    builder = ocsp.OCSPRequestBuilder()
    try:
        name, key = bytes.fromhex(question.issuer_name_hash), bytes.fromhex(question.issuer_key_hash)
        request = builder.add_certificate_by_hash(name, key, question.serial_number, algorithm).build()
    except ValueError as error:
        raise Unanswered(f"No request can be made of these hashes: {error}") from error
    body = request.public_bytes(serialization.Encoding.DER)
    try:
        with outward.session() as session:
            return bounded.post(session, question.url, body, HEADERS, LIMITS)
    except (requests.RequestException, outward.NotPublicError, OSError, ValueError) as error:
        raise Unanswered(f"The responder gave no answer: {error}") from error


def _read(der: bytes, question: Question) -> Answer:
    try:
        response = ocsp.load_der_ocsp_response(der)
    except ValueError as error:
        raise Unanswered(f"The answer is no OCSP response: {error}") from error
    if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise Unanswered(f"The responder answered {response.response_status.name}.")
    single = next((one for one in response.responses if _is_about(one, question)), None)
    if single is None:
        raise Unanswered("The answer is about another certificate.")
    now = datetime.now(UTC)
    if single.this_update_utc > now + CLOCK_TOLERANCE:
        raise Unanswered("The answer is from the future.")
    if single.next_update_utc is not None and single.next_update_utc < now - CLOCK_TOLERANCE:
        raise Unanswered("The answer has expired.")
    return Answer(der, single.certificate_status, single.next_update_utc)


def _is_about(single: ocsp.OCSPSingleResponse, question: Question) -> bool:
    said = single.issuer_name_hash.hex(), single.issuer_key_hash.hex(), single.serial_number
    return said == (question.issuer_name_hash, question.issuer_key_hash, question.serial_number)
