"""Which contract certificates are valid: their chain, and what OCSP responders say (OCPP 2.0.1 C07)."""

from datetime import timedelta

import pytest

from commands.models import ContractRoot
from commands.services import contract_certificates, ocsp
from commands.services.contract_certificates import Contract, Verdict
from tests.support.pki import OCSP_SIGNING, Issued, a_responder, a_root

pytestmark = pytest.mark.django_db
EMAID = "DE-ABC-C12345678-X"


@pytest.fixture
def responder(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    ocsp.cache.answers.clear()
    with a_responder() as responder:
        yield responder


@pytest.fixture
def root(db):
    root = a_root()
    ContractRoot.objects.create(certificate=root.pem)
    return root


@pytest.fixture
def sub_ca(root, responder):
    sub_ca = Issued("Sub-CA", root, ca=True, responder=responder.url)
    responder.knows(sub_ca)
    return sub_ca


def a_contract(responder, issuer, name=EMAID, **options):
    issued = Issued(name, issuer, responder=responder.url, **options)
    responder.knows(issued)
    return issued


def check(*issued, emaid=EMAID):
    """The verdict about the first certificate, sent with the others as one PEM text."""
    return contract_certificates.check(Contract(emaid, "".join(one.pem for one in issued)))


def check_hashes(*hash_data):
    return contract_certificates.check(Contract(EMAID, hash_data=hash_data))


# --- certificates ----------------------------------------------------------------------------


def test_a_certificate_below_a_contract_root_is_valid(responder, root, sub_ca):
    contract = a_contract(responder, sub_ca)
    assert check(contract, sub_ca) == Verdict("Accepted", "", responder.url)
    assert {contract.certificate.serial_number, sub_ca.certificate.serial_number} == set(responder.asked)


def test_an_authority_below_a_root_may_be_believed_itself(responder, root, sub_ca):
    ContractRoot.objects.all().delete()
    ContractRoot.objects.create(certificate=sub_ca.pem)
    assert check(a_contract(responder, sub_ca)).status == "Accepted"


@pytest.mark.parametrize("emaid", ["DEABCC12345678X", "de-abc-c12345678-x"])
def test_hyphens_and_case_of_an_emaid_do_not_count(responder, sub_ca, emaid):
    assert check(a_contract(responder, sub_ca), sub_ca, emaid=emaid).status == "Accepted"


def test_the_certificate_of_another_contract_is_refused(responder, sub_ca):
    verdict = check(a_contract(responder, sub_ca, "DE-ABC-C99999999-X"), sub_ca)
    assert (verdict.status, verdict.reason) == ("CertChainError", "The certificate is that of DE-ABC-C99999999-X.")


def test_a_certificate_of_an_unknown_authority_is_refused(responder, root):
    stranger = a_root("Root")
    assert check(a_contract(responder, stranger), stranger).status == "CertChainError"


def test_a_chain_through_no_authority_is_refused(responder, root):
    """A certificate that is no authority's has signed another one."""
    holder = a_contract(responder, root, "DE-ABC-C99999999-X")
    assert check(a_contract(responder, holder), holder).status == "CertChainError"


def test_an_expired_certificate_is_expired(responder, sub_ca):
    assert check(a_contract(responder, sub_ca, days=-1, age=2), sub_ca).status == "CertificateExpired"


def test_a_certificate_below_an_expired_authority_is_expired(responder, root):
    sub_ca = Issued("Sub-CA", root, ca=True, days=-1, age=2)
    assert check(a_contract(responder, sub_ca), sub_ca).status == "CertificateExpired"


def test_a_certificate_of_the_future_is_refused(responder, sub_ca):
    assert check(a_contract(responder, sub_ca, age=-1), sub_ca).status == "CertChainError"


def test_a_revoked_certificate_is_revoked(responder, sub_ca):
    contract = a_contract(responder, sub_ca)
    responder.knows(contract, revoked=True)
    assert check(contract, sub_ca).status == "CertificateRevoked"


def test_a_certificate_below_a_revoked_authority_is_revoked(responder, sub_ca):
    contract = a_contract(responder, sub_ca)
    responder.knows(sub_ca, revoked=True)
    assert check(contract, sub_ca).status == "CertificateRevoked"


def test_a_certificate_without_a_responder_cannot_be_verified(responder, sub_ca):
    assert check(Issued(EMAID, sub_ca), sub_ca).status == "CertChainError"


def test_the_message_may_name_the_responder(responder, sub_ca):
    contract = Issued(EMAID, sub_ca)
    responder.knows(contract)
    sent = Contract(EMAID, contract.pem + sub_ca.pem, (contract.hash_data(responder.url),))
    assert contract_certificates.check(sent).status == "Accepted"


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_an_unreadable_certificate_is_refused(root, text):
    assert contract_certificates.check(Contract(EMAID, text or " ")).status == "CertChainError"


# --- hashes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
def test_the_hashes_of_a_valid_certificate_are_valid(responder, root, algorithm):
    contract = a_contract(responder, root)
    assert check_hashes(contract.hash_data(responder.url, algorithm)).status == "Accepted"


def test_a_responder_may_attach_the_issuer(responder, sub_ca):
    hashes = a_contract(responder, sub_ca).hash_data(responder.url), sub_ca.hash_data(responder.url)
    assert check_hashes(*hashes).reason == "The issuer of a certificate of the chain is not known here."
    ocsp.cache.answers.clear()
    responder.attached = [sub_ca]
    assert check_hashes(*hashes).status == "Accepted"


def test_the_hashes_of_a_revoked_certificate_are_revoked(responder, root):
    contract = a_contract(responder, root)
    responder.knows(contract, revoked=True)
    assert check_hashes(contract.hash_data(responder.url)).status == "CertificateRevoked"


def test_hashes_below_no_contract_root_are_refused(responder):
    contract = a_contract(responder, a_root())
    assert check_hashes(contract.hash_data(responder.url)).status == "CertChainError"


@pytest.mark.parametrize("odd", [{"serialNumber": "x"}, {"issuerKeyHash": "zz"}, {"hashAlgorithm": "MD5"}])
def test_unreadable_hashes_are_refused(responder, root, odd):
    contract = a_contract(responder, root)
    assert check_hashes(contract.hash_data(responder.url) | odd).status == "CertChainError"


# --- responders ------------------------------------------------------------------------------


def test_a_responder_may_be_delegated(responder, sub_ca):
    contract = a_contract(responder, sub_ca)
    delegate = Issued("Responder", sub_ca, extensions=[OCSP_SIGNING])
    responder.signer, responder.attached = delegate, [delegate]
    assert check(contract, sub_ca).reason == "The answer of the responder is not signed by the issuer, or for it."
    ocsp.cache.answers.clear()
    own = Issued("Sub-CA", sub_ca.issuer, ca=True, key=sub_ca.key)  # without a responder of its own
    assert check(contract, own).status == "Accepted"


@pytest.mark.parametrize("extensions", [[], [OCSP_SIGNING]])
def test_an_answer_that_nobody_may_sign_is_refused(responder, root, extensions):
    contract = a_contract(responder, root)
    forger = Issued("Responder", a_root(), extensions=extensions)
    responder.signer, responder.attached = forger, [forger]
    assert check(contract).status == "CertChainError"


def test_an_answer_without_the_certificate_is_refused(responder, root):
    contract = Issued(EMAID, root, responder=responder.url)
    verdict = check(contract)
    assert (verdict.status, verdict.reason) == ("CertChainError", "The responder answered UNAUTHORIZED.")


def test_a_responder_that_answers_nonsense_is_no_evidence(responder, root):
    contract = a_contract(responder, root)
    responder.body = b"nonsense"
    assert check(contract).status == "CertChainError"


def test_an_expired_answer_is_no_evidence(responder, root):
    contract = a_contract(responder, root)
    responder.next_update = timedelta(seconds=-30)
    assert check(contract).status == "Accepted"  # within the tolerance for clocks
    ocsp.cache.answers.clear()
    responder.next_update = timedelta(minutes=-30)
    responder.body = None
    assert check(contract).status == "CertChainError"


def test_a_current_answer_is_cached(responder, root):
    contract = a_contract(responder, root)
    assert [check(contract).status for _ in range(2)] == ["Accepted", "Accepted"]
    assert len(responder.asked) == 1
    responder.next_update = timedelta(seconds=-1)
    ocsp.cache.answers.clear()
    assert [check(contract).status for _ in range(2)] == ["Accepted", "Accepted"]
    assert len(responder.asked) == 3


def test_a_private_responder_is_not_asked(settings, responder, root):
    settings.WEBHOOK_ALLOW_PRIVATE = False
    contract = a_contract(responder, root)
    verdict = check(contract)
    assert (verdict.status, responder.asked) == ("CertChainError", [])
    assert "is not a public address" in verdict.reason


# --- the status of the token -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("certificate", "token", "answer"),
    [
        ("Accepted", "Accepted", ("Accepted", "Accepted")),
        ("Accepted", "ConcurrentTx", ("Accepted", "ConcurrentTx")),
        *(("Accepted", status, ("ContractCancelled", status)) for status in ("Blocked", "Expired", "Invalid")),
        ("Accepted", "Unknown", ("ContractCancelled", "Unknown")),
        ("CertificateExpired", "Accepted", ("CertificateExpired", "Expired")),
        ("CertificateRevoked", "Accepted", ("CertificateRevoked", "Invalid")),
        ("CertChainError", "Accepted", ("CertChainError", "Invalid")),
    ],
)
def test_the_answer_follows_from_both_statuses(certificate, token, answer):
    assert Verdict(certificate).answer(token) == answer
