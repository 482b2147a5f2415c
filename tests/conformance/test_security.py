"""The security whitepaper (15 cases), TLS included: RSA and ECDSA chains, real client certificates."""

import ssl

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from websockets.exceptions import WebSocketException

from commands.services import authority
from tests.support.credentials import (
    CPO,
    KEY,
    NEXT_KEY,
    NEXT_RAW,
    RAW,
    Credentials,
    a_charger,
    check_suites,
    handshake,
    tls,
    trusting,
)
from tests.support.live import an_id, eventually
from tests.support.station import CONNECTOR, Station, now

KINDS = ["rsa", "ecdsa"]


@pytest.fixture
def certified(system, tmp_path):
    """A charge point on security profile 3, connected with its first certificate."""
    charger_id = a_charger(system, security_profile=3)
    credentials = Credentials(tmp_path, charger_id)
    context = credentials.use(authority.sign(credentials.csr)[1])
    with Station(system, charger_id, tls(system)) as station:
        yield station.connect(ssl=context).booted()


# --- passwords -----------------------------------------------------------------------------------


def test_tc_073_change_the_basic_auth_password(system, admin):
    charger_id = a_charger(system, security_profile=1, authorization_key=KEY)
    with Station(system, charger_id) as station:
        station.connect(key=RAW).booted()
        task = system.ask(charger_id, "ChangeConfiguration", {"key": "AuthorizationKey", "value": NEXT_KEY})
        request = station.receive("ChangeConfiguration")
        assert request == {"key": "AuthorizationKey", "value": NEXT_KEY}
        station.answer(status="Accepted")
        station.connect(key=NEXT_RAW).booted()
        assert system.finished(task)["response"] == {"status": "Accepted"}
        assert station.refused(key=RAW) == station.refused(key=b"wrong") == 401
        shown = [str(system.finished(task)), str(station.shown), admin.charger(station), admin.command(task)]
        assert not any(NEXT_KEY in text for text in shown) and "AuthorizationKey" not in station.configuration
        kept = system.rows("SELECT payload FROM commands_command WHERE task_id = %s", task["task_id"])
        assert NEXT_KEY not in kept[0][0]


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
def test_a_refused_password_keeps_the_old_one(system, status):
    charger_id = a_charger(system, security_profile=1, authorization_key=KEY)
    with Station(system, charger_id) as station:
        station.connect(key=RAW)
        change = {"key": "AuthorizationKey"}  # the value is left to the central system
        task = system.ask(charger_id, "ChangeConfiguration", change)
        made = station.receive("ChangeConfiguration")["value"]
        station.answer(status=status)
        system.finished(task)
        assert len(bytes.fromhex(made)) == 20 and station.refused(key=bytes.fromhex(made)) == 401
        station.connect(key=RAW).booted()


def test_tc_085_basic_authentication(system):
    for key, password in ((KEY, RAW), ("sixteen:chars:ok", b"sixteen:chars:ok")):
        charger_id = a_charger(system, security_profile=1, authorization_key=key)
        with Station(system, charger_id) as station:
            assert station.refused() == station.refused(key=b"wrong") == 401
            station.connect(key=password).booted()


# --- certificates --------------------------------------------------------------------------------


def renew(station, credentials, answer):
    """ExtendedTriggerMessage, SignCertificate, CertificateSigned: the chain that was sent."""
    payload = {"requestedMessage": "SignChargePointCertificate"}
    request, _ = station.obeys("ExtendedTriggerMessage", payload)
    assert request == payload
    assert station.call("SignCertificate", csr=credentials.csr) == {"status": "Accepted"}
    chain = station.receive("CertificateSigned", timeout=15)["certificateChain"]
    station.answer(status=answer)
    certificates = f"/api/ocpp/certificates/?charger_id={station.identity}"
    eventually(lambda: station.live.get(certificates)["results"][0]["state"] == answer)
    return chain


def check_certificate(chain, credentials, name, kind):
    certificate = x509.load_pem_x509_certificates(chain.encode())[0]
    root = x509.load_pem_x509_certificate(authority.roots()[kind].encode())
    certificate.verify_directly_issued_by(root)
    assert certificate.public_key() == credentials.key.public_key() and len(chain) <= 10_000
    assert certificate.public_key().key_size >= authority.MIN_KEY_BITS[kind]
    subject = {a.oid: a.value for a in certificate.subject}
    assert (subject[NameOID.COMMON_NAME], subject[NameOID.ORGANIZATION_NAME]) == (name, CPO)


@pytest.mark.parametrize("kind", KINDS)
def test_tc_074_renew_the_charge_point_certificate(certified, tmp_path, kind, admin):
    credentials = Credentials(tmp_path, certified.identity, kind)
    chain = renew(certified, credentials, "Accepted")
    check_certificate(chain, credentials, certified.identity, kind)
    certified.connect(ssl=credentials.use(chain)).booted()
    assert "Accepted" in admin.page(f"commands/certificaterequest/?q={certified.identity}")


def test_tc_077_the_charge_point_certificate_is_invalid(certified, tmp_path):
    credentials = Credentials(tmp_path, certified.identity)
    check_certificate(renew(certified, credentials, "Rejected"), credentials, certified.identity, "ecdsa")
    security_event(certified, "InvalidChargePointCertificate")


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_for_another_charger_is_not_signed(certified, tmp_path, kind):
    other = Credentials(tmp_path, an_id(), kind)
    for csr in (other.csr, "nonsense", other.csr.replace("A", "B", 5)):
        assert certified.call("SignCertificate", csr=csr) == {"status": "Rejected"}
    certified.is_left_alone(1.5)


def security_event(station, kind):
    assert station.call("SecurityEventNotification", type=kind, timestamp=now(), techInfo="why") == {}
    (event,) = station.live.get(f"/api/ocpp/security-events/?charger_id={station.identity}&type={kind}")["results"]
    assert (event["type"], event["tech_info"]) == (kind, "why")


def install(station, kind, certificate, answer="Accepted"):
    payload = {"certificateType": kind, "certificate": certificate}
    request, task = station.obeys("InstallCertificate", payload, {"status": answer})
    assert request == payload
    return task


def installed(station, kind, *held):
    """GetInstalledCertificateIds, answered with `held`; what is then shown of that type."""
    answer = {"status": "Accepted", "certificateHashData": list(held)} if held else {"status": "NotFound"}
    request, _ = station.obeys("GetInstalledCertificateIds", {"certificateType": kind}, answer)
    assert request == {"certificateType": kind}
    shown = station.shown["certificates"]
    return [row["certificate_hash_data"] for row in shown if row["certificate_type"] == kind]


def install_root(station, kind):
    root = authority.roots()["rsa"]
    install(station, kind, root)
    assert x509.load_pem_x509_certificate(root.encode()) and len(root) <= 5500
    held = authority.hash_data(root)
    assert [row["certificate_hash_data"] for row in station.shown["certificates"]] == [held]
    assert installed(station, kind, held) == [held]


def test_tc_075_1_install_a_manufacturer_root(station):
    install_root(station, "ManufacturerRootCertificate")


def test_tc_075_2_install_a_central_system_root(station):
    install_root(station, "CentralSystemRootCertificate")


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
def test_tc_076_delete_a_certificate(station, algorithm):
    kind, root = "CentralSystemRootCertificate", authority.roots()["ecdsa"]
    install(station, kind, root)
    (held,) = installed(station, kind, authority.hash_data(root, algorithm))
    assert held["hashAlgorithm"] == algorithm
    request, _ = station.obeys("DeleteCertificate", {"certificateHashData": held})
    assert request == {"certificateHashData": authority.hash_data(root, algorithm)}
    assert station.shown["certificates"] == [] and installed(station, kind) == []


def test_tc_078_the_central_system_certificate_is_invalid(station):
    task = install(station, "CentralSystemRootCertificate", "not a certificate", "Rejected")
    assert "not a PEM" in task["warning"] and station.shown["certificates"] == []
    security_event(station, "InvalidCentralSystemCertificate")


# --- logs and firmware ---------------------------------------------------------------------------


def test_tc_079_get_the_security_log(station):
    payload = {"logType": "SecurityLog", "log": {"remoteLocation": "ftp://logs.example/"}}
    request, task = station.obeys("GetLog", payload, {"status": "Accepted", "filename": "security.log"})
    assert {name: request[name] for name in payload} == payload
    for status in ("Uploading", "Uploaded"):
        assert station.call("LogStatusNotification", status=status, requestId=request["requestId"]) == {}
    assert [step["status"] for step in station.live.finished(task)["progress"]] == ["Uploading", "Uploaded"]


FIRMWARE = {
    "location": "https://firmware.example/2.0.bin",
    "retrieveDateTime": "2026-01-01T00:00:00.000Z",
    "signingCertificate": "-----BEGIN CERTIFICATE-----",
    "signature": "c2lnbmF0dXJl",
}


def update(station):
    request, task = station.obeys("SignedUpdateFirmware", {"firmware": FIRMWARE})
    assert request["firmware"] == FIRMWARE
    return request["requestId"], task


def tell(station, request_id, *statuses):
    for status in statuses:
        assert station.call("SignedFirmwareStatusNotification", status=status, requestId=request_id) == {}


def progress(station, task):
    return [step["status"] for step in station.live.finished(task)["progress"]]


@pytest.mark.parametrize("installed_before_boot", [False, True])
def test_tc_080_secure_firmware_update(station, installed_before_boot):
    request_id, task = update(station)
    before = ["Downloading", "Downloaded", "SignatureVerified"]
    tell(station, request_id, *before)
    station.status("Unavailable")
    tell(station, request_id, "Installing", "InstallRebooting")
    station.drop()
    station.connect()
    if installed_before_boot:  # these may come in any order
        tell(station, request_id, "Installed")
        security_event(station, "FirmwareUpdated")
        assert station.boot()["status"] == "Accepted"
    else:
        assert station.boot()["status"] == "Accepted"
        security_event(station, "FirmwareUpdated")
        tell(station, request_id, "Installed")
    station.status("Available")
    assert progress(station, task) == [*before, "Installing", "InstallRebooting", "Installed"]


def test_tc_081_secure_firmware_update_with_a_wrong_signature(station):
    request_id, task = update(station)
    tell(station, request_id, "Downloading", "Downloaded", "InvalidSignature")
    security_event(station, "InvalidFirmwareSignature")
    assert progress(station, task)[-1] == "InvalidSignature"


# --- security profiles and TLS -------------------------------------------------------------------


def raise_profile(station, wanted):
    """ChangeConfiguration and Reset; from then on the charger must connect with the higher profile."""
    payload = {"key": "SecurityProfile", "value": str(wanted)}
    request, _ = station.obeys("ChangeConfiguration", payload)
    assert request == payload
    assert station.obeys("Reset", {"type": "Hard"})[0] == {"type": "Hard"}
    station.drop()


def test_tc_083_raise_the_security_profile_from_1_to_2(system):
    charger_id = a_charger(system, security_profile=1, authorization_key=KEY)
    with Station(system, charger_id) as station:
        station.connect(key=RAW).booted()
        install(station, "CentralSystemRootCertificate", authority.roots()["rsa"])
        raise_profile(station, 2)
        # It may fall back until it has connected with the higher profile once.
        station.connect(key=RAW).drop()
        station.base = tls(system)
        station.connect(key=RAW, ssl=trusting()).booted().drop()
        station.base = system.ws_url
        assert station.refused(key=RAW) == 401
        station.base = tls(system)
        station.connect(key=RAW, ssl=trusting()).booted()
        assert station.shown["security_profile"] == 2


def test_tc_083_raise_the_security_profile_from_2_to_3(system, tmp_path):
    charger_id = a_charger(system, security_profile=2, authorization_key=KEY)
    credentials = Credentials(tmp_path, charger_id)
    with Station(system, charger_id, tls(system)) as station:
        station.connect(key=RAW, ssl=trusting()).booted()
        context = credentials.use(renew(station, credentials, "Accepted"))
        raise_profile(station, 3)
        station.connect(ssl=context).booted().drop()
        assert station.refused(key=RAW, ssl=trusting()) == 401
        station.connect(ssl=context).booted()
        lower = {"charger_id": charger_id, "action": "ChangeConfiguration"}
        lower["payload"] = {"key": "SecurityProfile", "value": "1"}
        assert system.request("POST", "/api/ocpp/commands/", lower)[0] == 400


def test_tc_086_the_tls_server_certificate(system):
    charger_id = a_charger(system, security_profile=2, authorization_key=KEY)
    check_suites(system)
    assert handshake(system, "ALL", ssl.TLSVersion.TLSv1_3)[1] == "TLSv1.3"
    with Station(system, charger_id, tls(system)) as station:
        station.connect(key=RAW, ssl=trusting()).booted()


@pytest.mark.parametrize("kind", KINDS)
def test_tc_087_the_tls_client_certificate(system, tmp_path, kind):
    check_suites(system)
    charger_id = a_charger(system, security_profile=3)
    credentials = Credentials(tmp_path, charger_id, kind)
    with Station(system, charger_id, tls(system)) as station:
        station.connect(ssl=credentials.use(authority.sign(credentials.csr)[1])).booted()


def test_a_client_certificate_of_another_charger_is_refused(system, tmp_path):
    charger_id = a_charger(system, security_profile=3)
    another = Credentials(tmp_path, an_id())
    with Station(system, charger_id, tls(system)) as station:
        assert station.refused(ssl=trusting()) == 401
        assert station.refused(ssl=another.use(authority.sign(another.csr)[1])) == 401
        own = Credentials(tmp_path, charger_id)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, charger_id)])
        by_itself = authority._certificate(name, name, own.key.public_key(), 1).sign(
            own.key, authority.HASHES["SHA256"]()
        )
        with pytest.raises((OSError, WebSocketException)):
            station.connect(ssl=own.use(authority.pem(by_itself)))


def test_tc_088_the_subprotocol(system):
    with Station(system, subprotocols=["ocpp0.1"]) as station:
        assert station.refused() == 400
        station.connect(subprotocols=["ocpp0.1", "ocpp1.6"]).booted()
        assert station.socket.response.headers.get_all("Sec-WebSocket-Protocol") == ["ocpp1.6"]
        assert station.connector(CONNECTOR)["status"] == "Available"
