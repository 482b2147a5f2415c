"""Whose certificate is signed, and whose door it opens (security whitepaper A02, A00.FR.405)."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.urls import reverse

from chargers import admission
from chargers.models import AuditEntry
from commands import authority
from commands.actions import certificates
from commands.models import CertificateRequest, Command
from commands.signing import sign_waiting
from tests.builders import a_charger, a_command, tell

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def authorities(settings, tmp_path):
    settings.CA_DIR = tmp_path
    authority._authority.cache_clear()
    yield
    authority._authority.cache_clear()


def a_csr(name, key=None, valid=True):
    key = key or authority.KINDS["ecdsa"]()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=valid)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(authority.PEM).decode()


def ask(charger, name, **more):
    return tell(charger, "SignCertificate", csr=a_csr(name, **more))["status"]


@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
@pytest.mark.parametrize("name", ["", "a\0b", "x" * 65])
def test_a_name_that_can_not_be_is_rejected_and_spoils_nothing(name):
    charger = a_charger(serial_number="S")
    assert ask(charger, name, valid=False) == "Rejected" and ask(charger, "S") == "Accepted"


def test_a_key_that_is_too_short_is_rejected():
    assert ask(a_charger("505"), "505", key=rsa.generate_private_key(65537, 1024)) == "Rejected"


def test_one_certificate_at_a_time_is_on_its_way():
    charger = a_charger("505")
    assert [ask(charger, "505") for _ in range(2)] == ["Accepted", "Rejected"]
    sign_waiting()
    assert ask(charger, "505") == "Rejected" and Command.objects.count() == 1
    Command.objects.update(state="finished")
    assert ask(charger, "505") == "Accepted"


def enters(charger, request):
    subject = {"CN": [request.common_name], "O": ["Test CPO"], "serial": f"0{request.serial_number.upper()}"}
    (outcome,) = admission.admit([admission.Knock(charger.charger_id, secured=True, subject=subject)])
    return isinstance(outcome, admission.Admitted)


def test_a_certificate_opens_the_door_of_the_charger_it_was_signed_for_only():
    thief = a_charger("thief", serial_number="SN", security_profile=3)
    assert ask(thief, "SN") == "Accepted"
    sign_waiting()
    stolen = CertificateRequest.objects.get()
    owner = a_charger("owner", serial_number="SN", security_profile=3)
    assert enters(thief, stolen) and not enters(owner, stolen)
    assert ask(owner, "SN") == "Accepted"


@pytest.mark.parametrize("way", ["REST", "admin"])
def test_a_revoked_certificate_opens_nothing(api, way):
    charger = a_charger("505", security_profile=3)
    ask(charger, "505"), sign_waiting()
    signed = CertificateRequest.objects.get()
    knock = admission.Knock(
        "505", secured=True, subject={"CN": ["505"], "O": ["Test CPO"], "serial": signed.serial_number}
    )
    assert [admitted.pk for admitted in admission.admit([knock])] == [charger.pk]
    if way == "REST":
        codes = [api.post(f"/api/ocpp/certificates/{signed.pk}/revoke/").status_code for _ in range(2)]
        assert codes == [200, 409]
    else:
        asked = {"action": "revoke", "_selected_action": [signed.pk]}
        api.post(reverse("admin:commands_certificaterequest_changelist"), asked)
    certificates.signed(Command(pk=signed.command_id, response={"status": "Accepted"}))  # its late answer
    (outcome,) = admission.admit([knock])
    assert outcome.status == 401 and AuditEntry.objects.get(action="revoked").charger == charger


def test_the_id_of_another_charger_is_nobodys_name():
    a_charger("victim")
    assert ask(a_charger("thief", serial_number="victim"), "victim") == "Rejected"


def test_an_authority_that_can_not_sign_fails_that_request_alone(settings, tmp_path):
    first, second = a_charger("1"), a_charger("2")
    (tmp_path / "ca-rsa.pem").write_text("nonsense")
    ask(first, "1", key=rsa.generate_private_key(65537, 2048))
    ask(second, "2")
    sign_waiting()
    states = dict(CertificateRequest.objects.values_list("charger__charger_id", "state"))
    assert states == {"1": "Failed", "2": "Signed"}


def hash_data(number, **more):
    return {"hashAlgorithm": "SHA256", "issuerNameHash": "ab", "issuerKeyHash": "cd", "serialNumber": number, **more}


def held(charger):
    return sorted((c.issuer_name_hash, c.serial_number) for c in charger.installed_certificates.all())


def told(charger, *held):
    payload, response = {"certificateType": "ManufacturerRootCertificate"}, {"certificateHashData": list(held)}
    certificates.told(a_command(charger, "GetInstalledCertificateIds", payload, response=response))


def test_a_certificate_is_deleted_by_all_that_names_it():
    charger = a_charger()
    told(charger, hash_data("07"), hash_data("07", issuerNameHash="ee"), hash_data("00"))
    for gone in (hash_data("7", issuerNameHash="AB"), hash_data("0")):
        response = {"status": "Accepted"}
        payload = {"certificateHashData": gone}
        certificates.deleted(a_command(charger, "DeleteCertificate", payload, response=response))
    assert held(charger) == [("ee", "07")]
