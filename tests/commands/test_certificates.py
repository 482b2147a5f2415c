"""Signing certificate requests, and the chargers that a certificate admits (whitepaper A02, A00.FR.405)."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.urls import reverse

from chargers.models import AuditEntry, Event, SecurityEvent
from commands.actions import certificates
from commands.actions.ocpp16.certificates import reported
from commands.models import CertificateRequest, Command
from commands.services import authority, renewals, signing
from commands.services.signing import sign_waiting
from gateway import handshake
from gateway.credentials import HandshakeRequest
from tests.support.builders import a_call, a_charger, a_command, tell

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def authorities(settings, tmp_path):
    settings.CA_DIR = tmp_path
    authority._authority.cache_clear()
    yield
    authority._authority.cache_clear()


def a_csr(name, key=None, valid=True, organisations=("Test CPO",), extensions=()):
    key = key or authority.KINDS["ecdsa"]()
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation) for organisation in organisations]
    names.append(x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=valid))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    for extension in extensions:
        request = request.add_extension(extension, critical=True)
    return request.sign(key, hashes.SHA256()).public_bytes(authority.PEM).decode()


def ask(charger, name, **more):
    return tell(charger, "SignCertificate", csr=a_csr(name, **more))["status"]


def ask_for(kind, charger):
    """Request a certificate of a type of OCPP 2.0.1, as its handler does: whether the request is accepted."""
    call = a_call(charger, "SignCertificate")
    return bool(signing.accept([signing.Requested(call, a_csr(charger.identity), kind)]))


@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
@pytest.mark.parametrize("name", ["", "a\0b", "x" * 65])
def test_an_invalid_name_is_rejected_and_does_not_block_others(name):
    charger = a_charger(serial_number="S")
    assert ask(charger, name, valid=False) == "Rejected"
    assert ask(charger, "S") == "Accepted"


def test_a_key_that_is_too_short_is_rejected():
    assert ask(a_charger("505"), "505", key=rsa.generate_private_key(65537, 1024)) == "Rejected"


def test_a_charger_has_one_pending_certificate_at_a_time():
    charger = a_charger("505")
    assert [ask(charger, "505") for _ in range(2)] == ["Accepted", "Rejected"]
    sign_waiting()
    assert ask(charger, "505") == "Rejected"
    assert Command.objects.count() == 1
    Command.objects.update(state="finished")
    assert ask(charger, "505") == "Accepted"


def enters(charger, request):
    subject = {"CN": [request.common_name], "O": ["Test CPO"], "serial": f"0{request.serial_number.upper()}"}
    (outcome,) = handshake.admit([HandshakeRequest(charger.identity, secured=True, subject=subject)])
    return isinstance(outcome, handshake.ConnectedCharger)


def boot(charger, serial, **more):
    tell(
        charger,
        "BootNotification",
        chargePointVendor="V",
        chargePointModel="M",
        chargePointSerialNumber=serial,
        **more,
    )
    charger.refresh_from_db()


def test_a_certificate_admits_only_its_charger():
    owner, other = (a_charger(name, serial_number="SN", security_profile=3) for name in ("owner", "other"))
    assert ask(owner, "SN") == "Accepted"
    sign_waiting()
    signed = CertificateRequest.objects.get()
    assert enters(owner, signed)
    assert not enters(other, signed)


def test_a_charger_gets_no_certificate_for_the_serial_number_of_another(caplog):
    owner, thief = a_charger("owner"), a_charger("thief")
    for charger in (owner, thief, owner, thief):
        boot(charger, "SN", chargeBoxSerialNumber="SN")
    assert (ask(thief, "SN"), ask(owner, "SN")) == ("Rejected", "Accepted")
    event = SecurityEvent.objects.get()
    assert (event.charger, event.type) == (thief, "SignCertificateRejected")
    assert "another charger" in event.tech_info
    assert "thief: the certificate request of this charger is rejected: 'SN' is the serial number of" in caplog.text
    assert Event.objects.get(kind="security.event").charger == thief
    assert thief.serial_number == "SN"  # it is shown as reported


def test_a_serial_number_stays_held_after_boots_without_it():
    owner, thief = a_charger("owner"), a_charger("thief")
    for serial in ("SN", "", "OTHER"):
        boot(owner, serial)
    boot(thief, "SN")
    assert ask(thief, "SN") == "Rejected"
    assert ask(owner, "SN") == "Rejected"
    assert ask(owner, "OTHER") == "Accepted"


def test_a_charger_holds_a_limited_number_of_serial_numbers():
    charger = a_charger()
    for number in range(20):
        boot(charger, f"SN{number}", chargeBoxSerialNumber="BOX")
    held = {held.serial for held in charger.held_serials.all()}
    assert held == {"BOX", *(f"SN{number}" for number in range(15, 20))}


def test_a_certificate_of_a_foreign_authority_admits_one_charger():
    """Both chargers report the same serial number, and the certificate was not signed here."""
    owner, other = (a_charger(name, serial_number="SN", security_profile=3) for name in ("owner", "other"))
    foreign = CertificateRequest(common_name="SN", serial_number="abc")
    assert enters(owner, foreign)
    assert not enters(other, foreign)


def test_the_request_of_a_deleted_charger_fails_and_does_not_block_others():
    gone, other = a_charger("505"), a_charger("506")
    assert [ask(gone, "505"), ask(other, "506")] == ["Accepted", "Accepted"]
    gone.delete()
    sign_waiting()
    states = dict(CertificateRequest.objects.values_list("common_name", "state"))
    assert states == {"505": CertificateRequest.FAILED, "506": CertificateRequest.SIGNED}


def test_the_certificate_of_a_deleted_charger_is_refused():
    former = a_charger("505", security_profile=3)
    ask(former, "505"), sign_waiting()
    signed = CertificateRequest.objects.get()
    assert enters(former, signed)
    Command.objects.all().delete()  # by their retention
    former.delete()
    assert not enters(a_charger("505", security_profile=3), signed)


@pytest.mark.parametrize(
    "organisations", [[], ["Somebody"], ["Test CPO Ltd"], ["test cpo"], ["Test CPO", "Somebody"]]
)
def test_the_organisation_of_a_certificate_is_the_operator(organisations):
    assert ask(a_charger("505"), "505", organisations=organisations) == "Accepted"
    sign_waiting()
    signed = x509.load_pem_x509_certificates(CertificateRequest.objects.get().certificate_chain.encode())[0]
    found = signed.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert [each.value for each in found] == ["Test CPO"]


def test_only_the_name_and_the_key_of_a_request_are_signed():
    rights = x509.BasicConstraints(ca=True, path_length=None)
    names = x509.SubjectAlternativeName([x509.DNSName("csms.example.org"), x509.DNSName("506")])
    assert ask(a_charger("505"), "505", extensions=[rights, names]) == "Accepted"
    sign_waiting()
    signed = x509.load_pem_x509_certificates(CertificateRequest.objects.get().certificate_chain.encode())[0]
    body = {extension.oid: extension.value for extension in signed.extensions}
    assert x509.SubjectAlternativeName.oid not in body
    assert not body[x509.BasicConstraints.oid].ca


@pytest.mark.parametrize("way", ["REST", "admin"])
def test_a_revoked_certificate_is_refused(api, way):
    charger = a_charger("505", security_profile=3)
    ask(charger, "505"), sign_waiting()
    signed = CertificateRequest.objects.get()
    request = HandshakeRequest(
        "505", secured=True, subject={"CN": ["505"], "O": ["Test CPO"], "serial": signed.serial_number}
    )
    assert [admitted.pk for admitted in handshake.admit([request])] == [charger.pk]
    if way == "REST":
        codes = [api.post(f"/api/ocpp/certificates/{signed.pk}/revoke/").status_code for _ in range(2)]
        assert codes == [200, 409]
    else:
        asked = {"action": "revoke", "_selected_action": [signed.pk]}
        api.post(reverse("admin:commands_certificaterequest_changelist"), asked)
    certificates.signed(Command(pk=signed.command_id, response={"status": "Accepted"}))  # its late answer
    (outcome,) = handshake.admit([request])
    assert outcome.status == 401
    assert AuditEntry.objects.get(action="revoked").charger == charger


def test_the_id_of_another_charger_is_not_signed():
    a_charger("victim")
    assert ask(a_charger("thief", serial_number="victim"), "victim") == "Rejected"


def test_an_unusable_authority_fails_only_its_request(settings, tmp_path):
    first, second = a_charger("1"), a_charger("2")
    (tmp_path / "ca-rsa.pem").write_text("nonsense")
    ask(first, "1", key=rsa.generate_private_key(65537, 2048))
    ask(second, "2")
    sign_waiting()
    states = dict(CertificateRequest.objects.values_list("charger__identity", "state"))
    assert states == {"1": "Failed", "2": "Signed"}


def hash_data(number, **more):
    return {"hashAlgorithm": "SHA256", "issuerNameHash": "ab", "issuerKeyHash": "cd", "serialNumber": number, **more}


def held(charger):
    return sorted((c.issuer_name_hash, c.serial_number) for c in charger.installed_certificates.all())


def body(charger, *held):
    payload, response = {"certificateType": "ManufacturerRootCertificate"}, {"certificateHashData": list(held)}
    reported(a_command(charger, "GetInstalledCertificateIds", payload, response=response))


def test_a_certificate_is_deleted_by_its_complete_hash_data():
    charger = a_charger()
    body(charger, hash_data("07"), hash_data("07", issuerNameHash="ee"), hash_data("00"))
    for gone in (hash_data("7", issuerNameHash="AB"), hash_data("0")):
        response = {"status": "Accepted"}
        payload = {"certificateHashData": gone}
        certificates.deleted(a_command(charger, "DeleteCertificate", payload, response=response))
    assert held(charger) == [("ee", "07")]


# --- OCPP 2.0.1 ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ChargingStationCertificate", "V2GCertificate"])
def test_the_type_of_a_certificate_is_returned(kind):
    charger = a_charger("505", ocpp_version="ocpp2.0.1")
    assert ask_for(kind, charger)
    sign_waiting()
    assert Command.objects.get().payload["certificateType"] == kind
    assert CertificateRequest.objects.get().certificate_type == kind


def test_a_charger_may_request_a_certificate_of_each_type():
    charger = a_charger("505", ocpp_version="ocpp2.0.1")
    kinds = ["ChargingStationCertificate", "V2GCertificate", "V2GCertificate"]
    assert [ask_for(kind, charger) for kind in kinds] == [True, True, False]


def test_a_v2g_certificate_is_signed_below_a_root_of_its_own():
    ask_for("V2GCertificate", a_charger("505", ocpp_version="ocpp2.0.1"))
    sign_waiting()
    chain = x509.load_pem_x509_certificates(CertificateRequest.objects.get().certificate_chain.encode())
    path = [*chain, x509.load_pem_x509_certificate(authority.v2g_root().encode())]
    for issued, issuer in zip(path, path[1:], strict=False):
        issued.verify_directly_issued_by(issuer)
    assert len(chain) == 2
    assert authority.v2g_root() not in authority.roots().values()
    assert chain[0].subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)[0].value == "CPO"


def test_nobody_logs_in_with_a_v2g_certificate():
    charger = a_charger("505", ocpp_version="ocpp2.0.1", security_profile=3)
    ask_for("V2GCertificate", charger)
    sign_waiting()
    assert not enters(charger, CertificateRequest.objects.get())


# --- renewal ---------------------------------------------------------------------------------


def an_accepted(charger, days, **columns):
    """A certificate that the charger uses, and that expires in so many days."""
    accepted = {"state": "Accepted", "serial_number": uuid4().hex, "received_at": NOW, "csr": "x"}
    return CertificateRequest.objects.create(
        charger=charger, not_after=NOW + timedelta(days=days), **accepted | columns
    )


def online(**columns):
    return a_charger(connected_at=NOW, registration_status="Accepted", **columns)


def triggered():
    return [(command.action, command.payload["requestedMessage"]) for command in Command.objects.order_by("pk")]


def test_a_charger_is_asked_once_to_renew_a_certificate_that_expires_soon():
    charger = online(ocpp_version="ocpp2.0.1")
    an_accepted(charger, 20, certificate_type="V2GCertificate")
    an_accepted(charger, 20, certificate_type="ChargingStationCertificate")
    an_accepted(charger, 40)
    an_accepted(online(), 20)
    assert [renewals.request_renewals() for _ in range(2)] == [3, 0]
    assert sorted(triggered()) == [
        ("ExtendedTriggerMessage", "SignChargePointCertificate"),
        ("TriggerMessage", "SignChargingStationCertificate"),
        ("TriggerMessage", "SignV2GCertificate"),
    ]


def test_a_charger_is_asked_again_after_a_day():
    asked = an_accepted(online(), 20, renewal_requested_at=NOW - timedelta(hours=25))
    assert renewals.request_renewals() == 1
    asked.refresh_from_db()
    assert asked.renewal_requested_at > NOW - timedelta(minutes=1)


def test_a_certificate_that_is_replaced_or_not_in_use_is_not_renewed():
    charger = online()
    an_accepted(charger, 20)
    an_accepted(charger, 700, state="Signed")
    an_accepted(online(), 20, state="Revoked")
    an_accepted(a_charger(), 20)  # not connected
    assert renewals.request_renewals() == 0


def test_renewal_can_be_switched_off(settings):
    settings.OCPP_CERTIFICATE_RENEWAL_DAYS = 0
    an_accepted(online(), 1)
    assert renewals.request_renewals() == 0
