"""Security (block A), TLS included: RSA and ECDSA chains, real client certificates."""

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
from tests.support.pki import Issued
from tests.support.station import now
from tests.support.station201 import Station201

STATION, V2G = "ChargingStationCertificate", "V2GCertificate"


# --- passwords -----------------------------------------------------------------------------------


@pytest.fixture
def with_key(system):
    """A station of security profile 1 that isn't connected."""
    with Station201(system, a_charger(system, security_profile=1, authorization_key=KEY)) as station:
        yield station


def test_tc_a_01_csms(with_key):
    """Basic Authentication - Valid username/password combination."""
    with_key.connect(key=RAW).booted()


def test_tc_a_02_csms(with_key):
    """Basic Authentication - Username does not equal ChargingStationId."""
    for name in (f"{with_key.identity}Invalid", "", an_id()):
        assert with_key.refused(additional_headers=with_key.basic(name, RAW)) == 401
    # The credentials are judged before the subprotocol.
    wrong = with_key.basic("x", RAW)
    assert with_key.refused(additional_headers=wrong, subprotocols=["ocpp0.1"]) == 401


def test_tc_a_03_csms(with_key):
    """Basic Authentication - Invalid password."""
    assert with_key.refused(key=b"Invalid_password.0123456789") == 401


def set_password(station, status):
    """SetVariables with a new password, and the answer of the station."""
    variable = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    payload = {"setVariableData": [variable | {"attributeValue": NEXT_KEY}]}
    request, task = station.obeys(
        "SetVariables", payload, {"setVariableResult": [variable | {"attributeStatus": status}]}
    )
    assert request == payload
    assert NEXT_KEY not in str(task)


def test_tc_a_09_csms(with_key):
    """Update Charging Station Password for HTTP Basic Authentication - Accepted."""
    set_password(with_key.connect(key=RAW).booted(), "Accepted")
    with_key.connect(key=NEXT_RAW).booted()
    assert with_key.refused(key=RAW) == 401


def test_tc_a_10_csms(with_key):
    """Update Charging Station Password for HTTP Basic Authentication - Rejected."""
    set_password(with_key.connect(key=RAW).booted(), "Rejected")
    with_key.connect(key=RAW).booted()
    assert with_key.refused(key=NEXT_RAW) == 401


# --- TLS -----------------------------------------------------------------------------------------


def test_tc_a_04_csms(system):
    """TLS - server-side certificate - Valid certificate."""
    check_suites(system)
    charger_id = a_charger(system, security_profile=2, authorization_key=KEY)
    with Station201(system, charger_id, tls(system)) as station:
        station.connect(key=RAW, ssl=trusting()).booted()


def test_tc_a_06_csms(system):
    """TLS - server-side certificate - TLS version too low."""
    with pytest.raises(OSError):
        handshake(system, "ALL", ssl.TLSVersion.TLSv1_1)
    charger_id = a_charger(system, security_profile=2, authorization_key=KEY)
    with Station201(system, charger_id, tls(system)) as station:
        station.connect(key=RAW, ssl=trusting()).booted()


@pytest.fixture
def certified(system, tmp_path):
    """A station of security profile 3, connected with its first certificate."""
    charger_id = a_charger(system, security_profile=3)
    credentials = Credentials(tmp_path, charger_id)
    with Station201(system, charger_id, tls(system)) as station:
        station.context = credentials.use(authority.sign(credentials.csr)[1])
        yield station.connect(ssl=station.context).booted()


def test_tc_a_07_csms(certified, system):
    """TLS - Client-side certificate - valid certificate."""
    check_suites(system)
    assert certified.shown["security_profile"] == 3


def test_tc_a_08_csms(certified, tmp_path):
    """TLS - Client-side certificate - Invalid certificate."""
    certified.drop()
    own = Credentials(tmp_path, certified.identity)
    expired = Issued(certified.identity, days=-1, age=2, key=own.key)
    for chain in (Issued(certified.identity, key=own.key).pem, expired.pem):
        with pytest.raises((OSError, WebSocketException)):
            certified.connect(ssl=own.use(chain))
    another = Credentials(tmp_path, an_id())
    assert certified.refused(ssl=another.use(authority.sign(another.csr)[1])) == 401
    certified.connect(ssl=certified.context).booted()


def test_a_station_with_the_certificate_of_another_serial_number_is_disconnected(system, tmp_path):
    """The serial number of the boot is compared with the common name of the certificate (B01.FR.11, B01.FR.12)."""
    charger_id, serial = a_charger(system, security_profile=3), an_id()
    system.execute("UPDATE chargers_charger SET serial_number = %s WHERE identity = %s", serial, charger_id)
    statement = "INSERT INTO chargers_heldserial (charger_id, serial) SELECT id, serial_number FROM chargers_charger"
    system.execute(f"{statement} WHERE identity = %s", charger_id)
    credentials = Credentials(tmp_path, serial)
    with Station201(system, charger_id, tls(system)) as station:
        station.connect(ssl=credentials.use(authority.sign(credentials.csr)[1]))
        assert station.boot(serialNumber=serial)["status"] == "Accepted"
        assert station.boot(serialNumber="OTHER")["status"] == "Rejected"
        assert station.closed() == 1008
        (event,) = system.get(f"/api/ocpp/security-events/?charger_id={charger_id}")["results"]
        assert event["type"] == "InvalidChargingStationCertificate"
        assert event["tech_info"] == f"It booted as OTHER with the certificate of {serial}."
        assert station.shown["serial_number"] == serial
        assert station.found("BootNotification", "chargingStation.serialNumber", "rejected")


# --- renewing certificates -----------------------------------------------------------------------


def renew(station, credentials, kind, answer="Accepted"):
    """RenewChargingStationCertificate: the chain that was sent."""
    message = "SignV2GCertificate" if kind == V2G else "SignChargingStationCertificate"
    payload = {"requestedMessage": message}
    request, _ = station.obeys("TriggerMessage", payload)
    assert request == payload
    assert station.call("SignCertificate", csr=credentials.csr, certificateType=kind) == {"status": "Accepted"}
    request = station.receive("CertificateSigned", timeout=15)
    assert request["certificateType"] == kind
    station.answer(status=answer)
    certificates = f"/api/ocpp/certificates/?charger_id={station.identity}&certificate_type={kind}"
    eventually(lambda: station.live.get(certificates)["results"][0]["state"] == answer)
    return request["certificateChain"]


def check_certificate(chain, credentials, name, root):
    certificate, *issuers = x509.load_pem_x509_certificates(chain.encode())
    assert certificate.public_key() == credentials.key.public_key() and certificate.serial_number > 0
    subject = {a.oid: a.value for a in certificate.subject}
    assert (subject[NameOID.COMMON_NAME], subject[NameOID.ORGANIZATION_NAME]) == (name, CPO)
    path = [certificate, *issuers, x509.load_pem_x509_certificate(root.encode())]
    for issued, issuer in zip(path, path[1:], strict=False):
        issued.verify_directly_issued_by(issuer)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_tc_a_11_csms(certified, tmp_path, kind):
    """Update Charging Station Certificate by request of CSMS - Success - Charging Station Certificate."""
    credentials = Credentials(tmp_path, certified.identity, kind)
    chain = renew(certified, credentials, STATION)
    check_certificate(chain, credentials, certified.identity, authority.roots()[kind])
    certified.connect(ssl=credentials.use(chain)).booted()


def test_tc_a_12_csms(station, system, tmp_path):
    """Update Charging Station Certificate by request of CSMS - Success - V2G Certificate."""
    credentials = Credentials(tmp_path, station.identity)
    chain = renew(station, credentials, V2G)
    check_certificate(chain, credentials, station.identity, authority.v2g_root())
    assert len(x509.load_pem_x509_certificates(chain.encode())) == 2
    other = Station201(system, a_charger(system, security_profile=3), tls(system))
    with other, pytest.raises((OSError, WebSocketException)):  # nobody logs in with it
        other.connect(ssl=credentials.use(chain))


def test_tc_a_14_csms(certified, tmp_path):
    """Update Charging Station Certificate by request of CSMS - Invalid certificate."""
    renew(certified, Credentials(tmp_path, certified.identity), STATION, "Rejected")
    event = {"type": "InvalidChargingStationCertificate", "timestamp": now()}
    assert certified.call("SecurityEventNotification", **event) == {}
    (stored,) = certified.live.get(f"/api/ocpp/security-events/?charger_id={certified.identity}")["results"]
    assert stored["type"] == event["type"]
    certified.connect(ssl=certified.context).booted()


@pytest.mark.parametrize("kind", [STATION, V2G])
def test_a_certificate_for_another_station_is_not_signed(station, tmp_path, kind):
    other = Credentials(tmp_path, a_charger(station.live))
    for csr in (other.csr, "nonsense"):
        assert station.call("SignCertificate", csr=csr, certificateType=kind) == {"status": "Rejected"}
    station.is_left_alone(1.5)


# --- the security profile ------------------------------------------------------------------------


def raise_profile(station, wanted):
    """SetNetworkProfile, SetVariables, and Reset; from then on the station must connect with the higher profile."""
    profile = {"ocppVersion": "OCPP20", "ocppTransport": "JSON", "ocppCsmsUrl": tls(station.live)}
    profile |= {"messageTimeout": 30, "securityProfile": wanted, "ocppInterface": "Wired0"}
    payload = {"configurationSlot": 2, "connectionData": profile}
    request, _ = station.obeys("SetNetworkProfile", payload)
    assert request == payload
    variable = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "NetworkConfigurationPriority"}}
    payload = {"setVariableData": [variable | {"attributeValue": "2,1"}]}
    answer = {"setVariableResult": [variable | {"attributeStatus": "Accepted"}]}
    assert station.obeys("SetVariables", payload, answer)[0] == payload
    assert station.obeys("Reset", {"type": "OnIdle"})[0] == {"type": "OnIdle"}
    station.drop()


def test_tc_a_19_csms(system, tmp_path):
    """Upgrade Charging Station Security Profile - Accepted."""
    charger_id = a_charger(system, security_profile=2, authorization_key=KEY)
    credentials = Credentials(tmp_path, charger_id)
    with Station201(system, charger_id, tls(system)) as station:
        station.connect(key=RAW, ssl=trusting()).booted()
        context = credentials.use(renew(station, credentials, STATION))
        raise_profile(station, 3)
        station.connect(ssl=context).booted().drop()
        assert station.refused(key=RAW, ssl=trusting()) == 401
        station.connect(ssl=context).booted()
        assert station.shown["security_profile"] == 3
