"""Contract certificates of cars (C07)."""

import pytest

from tests.support.live import an_id
from tests.support.pki import Issued, a_responder, a_root, served
from tests.support.station201 import Station201

EMAID = {"idToken": "DE-ABC-C12345678-X", "type": "eMAID"}


@pytest.fixture(scope="module")
def root(system):
    """A root whose contract certificates the central system believes, and the eMAID as a token."""
    root = a_root(an_id())
    status, made, _ = system.request("POST", "/api/ocpp/contract-roots/", {"certificate": root.pem})
    assert status == 201, made
    system.request("POST", "/api/ocpp/id-tags/", {"id_tag": EMAID["idToken"], "type": EMAID["type"]})
    return root


@pytest.fixture
def responder():
    with a_responder() as responder:
        yield responder


def a_contract(responder, issuer):
    issued = Issued(EMAID["idToken"], issuer, responder=responder.url)
    responder.knows(issued)
    return issued


def authorize(station, **contract):
    """Authorize with a contract certificate: (status of the token, certificateStatus)."""
    answer = station.call("Authorize", idToken=EMAID, **contract)
    return answer["idTokenInfo"]["status"], answer["certificateStatus"]


def charge(station):
    """The car is authorized, and charges."""
    station.status("Occupied")
    session = station.session()
    plugged = session.event("Started", "CablePluggedIn", evse=session.evse, info={"chargingState": "EVConnected"})
    assert plugged == {}
    answer = session.update("Authorized", idToken=EMAID)
    assert answer["idTokenInfo"]["status"] == "Accepted"
    session.update("ChargingStateChanged", info={"chargingState": "Charging"})
    assert session.shown["id_tag"] == EMAID["idToken"]
    session.end()


def inquiry(station):
    (shown,) = station.live.get(f"/api/ocpp/certificate-inquiries/?charger_id={station.path}")["results"]
    return shown["subject"], shown["status"]


def test_tc_c_50_csms(station, root, responder):
    """Authorization using Contract Certificates 15118 - Online - Local contract certificate validation - Accepted."""
    contract = a_contract(responder, root)
    hash_data = [contract.hash_data(responder.url)]
    assert authorize(station, iso15118CertificateHashData=hash_data) == ("Accepted", "Accepted")
    assert responder.asked == [contract.certificate.serial_number]
    assert inquiry(station) == (EMAID["idToken"], "Accepted")
    charge(station)


def test_tc_c_51_csms(station, root, responder):
    """Authorization using Contract Certificates 15118 - Online - Local contract certificate validation - Rejected."""
    contract = a_contract(responder, root)
    responder.knows(contract, revoked=True)
    hash_data = [contract.hash_data(responder.url)]
    assert authorize(station, iso15118CertificateHashData=hash_data) == ("Invalid", "CertificateRevoked")
    assert inquiry(station) == (EMAID["idToken"], "CertificateRevoked")


def test_tc_c_52_csms(station, root, responder):
    """Authorization using Contract Certificates 15118 - Online - Central contract validation - Accepted."""
    sub_ca = Issued("Sub-CA", root, ca=True, responder=responder.url)
    responder.knows(sub_ca)
    contract = a_contract(responder, sub_ca)
    assert authorize(station, certificate=contract.pem + sub_ca.pem) == ("Accepted", "Accepted")
    charge(station)
    assert set(responder.asked) == {contract.certificate.serial_number, sub_ca.certificate.serial_number}


def test_a_cancelled_contract_is_named_so(station, root, responder):
    """The certificate is valid, but nobody knows its eMAID (C07.FR.13)."""
    unknown = {"idToken": "DE-ABC-C00000000-X", "type": "eMAID"}
    contract = Issued(unknown["idToken"], root, responder=responder.url)
    responder.knows(contract)
    answer = station.call("Authorize", idToken=unknown, certificate=contract.pem)
    assert answer["certificateStatus"] == "ContractCancelled"
    assert answer["idTokenInfo"]["status"] in ("Invalid", "Unknown")


def test_other_stations_do_not_wait_for_a_responder(station, system, root):
    """While one is asked, another station is answered, also by the same web process."""
    answered = []

    def answer(body):
        with Station201(system) as other:
            for _ in range(2 * int(system.stack.env.get("WEB_CONCURRENCY", 2))):
                other.connect().boot()
                answered.append(other.call("Authorize", idToken=EMAID)["idTokenInfo"]["status"])
        return b"nonsense"

    with served(answer) as url:
        contract = Issued(EMAID["idToken"], root, responder=url)
        assert authorize(station, certificate=contract.pem) == ("Invalid", "CertChainError")
    assert set(answered) == {"Accepted"}
