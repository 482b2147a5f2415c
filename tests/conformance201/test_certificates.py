"""Certificates (block M): the store of a station, OCSP, and contract certificates of cars."""

import base64
import json
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from cryptography.x509 import ocsp

from commands.services import authority
from tests.support.pki import Issued, a_responder, a_root, served
from tests.support.station import set_policy
from tests.support.station201 import Station201

ALGORITHMS = ["SHA256", "SHA384", "SHA512"]
CSMS, MANUFACTURER = "CSMSRootCertificate", "ManufacturerRootCertificate"
V2G_ROOT, MO_ROOT, V2G_CHAIN = "V2GRootCertificate", "MORootCertificate", "V2GCertificateChain"


def install(station, kind, answer="Accepted"):
    """CertificateInstalled: the hash data of the certificate."""
    root = a_root(kind).pem
    payload = {"certificateType": kind, "certificate": root}
    request, _ = station.obeys("InstallCertificate", payload, {"status": answer})
    assert request == payload
    return authority.hash_data(root)


def held(station):
    """{type of certificate: [hash data]} as the API shows the store of the station."""
    found = {}
    for row in station.live.get(f"/api/ocpp/installed-certificates/?charger_id={station.path}")["results"]:
        found.setdefault(row["certificate_type"], []).append(row["certificate_hash_data"])
    return found


def check_installation(station, kind):
    hash_data = install(station, kind)
    assert held(station) == {kind: [hash_data]}


def test_tc_m_01_csms(station):
    """Install CA certificate - CSMSRootCertificate."""
    check_installation(station, CSMS)


def test_tc_m_02_csms(station):
    """Install CA certificate - ManufacturerRootCertificate."""
    check_installation(station, MANUFACTURER)


def test_tc_m_03_csms(station):
    """Install CA certificate - V2GRootCertificate."""
    check_installation(station, V2G_ROOT)


def test_tc_m_04_csms(station):
    """Install CA certificate - MORootCertificate."""
    check_installation(station, MO_ROOT)


def test_tc_m_05_csms(station):
    """Install CA certificate - Failed."""
    install(station, CSMS, "Failed")
    assert held(station) == {}


# --- retrieving ----------------------------------------------------------------------------------


def listed(kind, algorithm="SHA256", children=()):
    """An entry of certificateHashDataChain."""
    chain = {"certificateType": kind, "certificateHashData": authority.hash_data(a_root(kind).pem, algorithm)}
    return chain | ({"childCertificateHashData": list(children)} if children else {})


def retrieve(station, kinds, *chains):
    """GetInstalledCertificates, answered with `chains`; what the API then shows."""
    payload = {"certificateType": kinds} if kinds else {}
    answer = {"status": "Accepted", "certificateHashDataChain": list(chains)} if chains else {"status": "NotFound"}
    request, _ = station.obeys("GetInstalledCertificateIds", payload, answer)
    assert request == payload
    return held(station)


def check_retrieval(station, *kinds):
    chains = [listed(kind) for kind in kinds]
    shown = retrieve(station, list(kinds), *chains)
    assert shown == {chain["certificateType"]: [chain["certificateHashData"]] for chain in chains}


def test_tc_m_12_csms(station):
    """Retrieve certificates from Charging Station - CSMSRootCertificate."""
    for algorithm in ALGORITHMS:
        chain = listed(CSMS, algorithm)
        assert retrieve(station, [CSMS], chain) == {CSMS: [chain["certificateHashData"]]}


def test_tc_m_13_csms(station):
    """Retrieve certificates from Charging Station - ManufacturerRootCertificate."""
    check_retrieval(station, MANUFACTURER)


def test_tc_m_14_csms(station):
    """Retrieve certificates from Charging Station - V2GRootCertificate."""
    check_retrieval(station, V2G_ROOT)


def test_tc_m_15_csms(station):
    """Retrieve certificates from Charging Station - V2GCertificateChain."""
    below = [authority.hash_data(a_root(f"Sub-CA {n}").pem) for n in (1, 2)]
    chain = listed(V2G_CHAIN, children=below)
    assert retrieve(station, [V2G_CHAIN], chain) == {V2G_CHAIN: [chain["certificateHashData"]]}
    (shown,) = station.shown["certificates"]
    assert shown["child_certificate_hash_data"] == below


def test_tc_m_16_csms(station):
    """Retrieve certificates from Charging Station - MORootCertificate."""
    check_retrieval(station, MO_ROOT)


def test_tc_m_17_csms(station):
    """Retrieve certificates from Charging Station - CSMSRootCertificate & ManufacturerRootCertificate."""
    install(station, V2G_ROOT)
    chains = [listed(kind) for kind in (CSMS, MANUFACTURER)]
    assert set(retrieve(station, [CSMS, MANUFACTURER], *chains)) == {CSMS, MANUFACTURER, V2G_ROOT}


def test_tc_m_18_csms(station):
    """Retrieve certificates from Charging Station - All certificateTypes."""
    kinds = (CSMS, MANUFACTURER, V2G_ROOT, MO_ROOT, V2G_CHAIN)
    install(station, CSMS)
    shown = retrieve(station, [], *map(listed, kinds))
    assert {kind: len(rows) for kind, rows in shown.items()} == dict.fromkeys(kinds, 1)


def test_tc_m_19_csms(station):
    """Retrieve certificates from Charging Station - No matching certificate found."""
    install(station, MANUFACTURER)
    assert retrieve(station, [MANUFACTURER]) == {}


# --- deleting ------------------------------------------------------------------------------------


def delete(station, payload, answer="Accepted"):
    return station.obeys("DeleteCertificate", payload, {"status": answer})[0]["certificateHashData"]


def test_tc_m_20_csms(station):
    """Delete a certificate from a Charging Station - Success."""
    for algorithm in ALGORITHMS:
        root = a_root(CSMS).pem
        station.obeys("InstallCertificate", {"certificateType": CSMS, "certificate": root})
        hash_data = authority.hash_data(root, algorithm)
        chain = {"certificateType": CSMS, "certificateHashData": hash_data}
        assert retrieve(station, [CSMS], chain) == {CSMS: [hash_data]}
        assert delete(station, {"certificateHashData": hash_data}) == hash_data
        assert held(station) == {}


def test_tc_m_21_csms(station):
    """Delete a certificate from a Charging Station - Failed."""
    chain = listed(CSMS)
    retrieve(station, [CSMS], chain)
    delete(station, {"certificateHashData": chain["certificateHashData"]}, "Failed")
    assert held(station) == {CSMS: [chain["certificateHashData"]]}


def test_a_certificate_is_deleted_by_the_algorithm_that_was_listed(station):
    """The hashes of the operator are of another algorithm (M04.FR.07); the serial number alone is completed."""
    root = a_root(CSMS).pem
    hash_data = authority.hash_data(root, "SHA384")
    retrieve(station, [CSMS], {"certificateType": CSMS, "certificateHashData": hash_data})
    body = {"charger_id": station.identity, "action": "DeleteCertificate"}
    body["payload"] = {"certificateHashData": authority.hash_data(root)}
    status, refusal, _ = station.live.request("POST", "/api/ocpp/commands/", body)
    assert status == 400 and "SHA384" in str(refusal)
    assert delete(station, {"certificateHashData": {"serialNumber": hash_data["serialNumber"]}}) == hash_data
    assert held(station) == {}


# --- OCSP ----------------------------------------------------------------------------------------


def inquiry(station):
    """The only inquiry of the station that the API lists."""
    (shown,) = station.live.get(f"/api/ocpp/certificate-inquiries/?charger_id={station.path}")["results"]
    return shown


def test_tc_m_24_csms(station):
    """Get Charging Station Certificate status - Success."""
    with a_responder() as responder:
        issued = Issued("SECC", a_root())
        responder.knows(issued)
        answer = station.call("GetCertificateStatus", ocspRequestData=issued.hash_data(responder.url))
        assert answer["status"] == "Accepted"
        said = ocsp.load_der_ocsp_response(base64.b64decode(answer["ocspResult"]))
        assert said.serial_number == issued.certificate.serial_number
        assert said.certificate_status == ocsp.OCSPCertStatus.GOOD
        shown = inquiry(station)
        assert (shown["action"], shown["status"], shown["server"]) == (
            "GetCertificateStatus",
            "Accepted",
            responder.url,
        )


def test_a_status_that_no_responder_tells_is_failed(station):
    """Nobody listens, or the responder refuses (M06.FR.04)."""
    with a_responder() as responder:
        issued = Issued("SECC", a_root())
        answer = station.call("GetCertificateStatus", ocspRequestData=issued.hash_data(responder.url))
        assert answer == {"status": "Failed"}
        assert inquiry(station)["detail"] == "The responder answered UNAUTHORIZED."
    answer = station.call("GetCertificateStatus", ocspRequestData=issued.hash_data(responder.url))
    assert answer == {"status": "Failed"}


@pytest.mark.parametrize("policy", ["Pending", "Rejected"])
def test_no_server_is_asked_for_a_charger_that_is_not_accepted(system, policy):
    with Station201(system) as station, a_responder() as responder:
        set_policy(station, policy)
        assert station.connect().boot()["status"] == policy
        issued = Issued("SECC", a_root())
        responder.knows(issued)
        question = {"ocspRequestData": issued.hash_data(responder.url)}
        assert station.send("GetCertificateStatus", question)[:3:2] == [4, "SecurityError"]
        set_policy(station, "Accepted")
        assert responder.asked == []
        station.booted()
        assert station.call("GetCertificateStatus", **question)["status"] == "Accepted"
        assert responder.asked == [issued.certificate.serial_number]


@pytest.mark.parametrize("validation", ["strict", ""])
def test_no_server_is_asked_for_a_message_that_breaks_its_schema(system, validation):
    with Station201(system, validation=validation) as station, a_responder() as responder:
        station.connect().booted()
        hash_data = Issued("SECC", a_root()).hash_data(responder.url)
        del hash_data["serialNumber"]
        assert station.send("GetCertificateStatus", {"ocspRequestData": hash_data})[0] == 4
        assert responder.asked == []


# --- contract certificates of cars ---------------------------------------------------------------


@contextmanager
def a_provider(system, answer):
    """The server at ISO15118_PROVIDER_URL, which answers with the JSON `answer`; yields the requests it gets."""
    requests = []

    def answered(body):
        requests.append(json.loads(body))
        return json.dumps(answer).encode()

    with served(answered, urlsplit(system.stack.env["ISO15118_PROVIDER_URL"]).port):
        yield requests


def check_contract_request(station, action):
    sent = {"action": action, "iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "exiRequest": "ZXhp"}
    with a_provider(station.live, {"status": "Accepted", "exiResponse": "YW5zd2Vy"}) as requests:
        answer = station.call("Get15118EVCertificate", **sent)
    assert answer == {"status": "Accepted", "exiResponse": "YW5zd2Vy"}
    assert requests == [sent | {"charger_id": station.identity}]
    shown = inquiry(station)
    assert (shown["subject"], shown["status"]) == (action, "Accepted")


def test_tc_m_26_csms(station):
    """Certificate Installation EV - Success."""
    check_contract_request(station, "Install")


def test_tc_m_28_csms(station):
    """Certificate Update EV - Success."""
    check_contract_request(station, "Update")


def test_a_contract_request_fails_without_the_provider(station):
    sent = {"action": "Install", "iso15118SchemaVersion": "x", "exiRequest": "ZXhp"}
    assert station.call("Get15118EVCertificate", **sent) == {"status": "Failed", "exiResponse": ""}
    with a_provider(station.live, {"nonsense": 1}):
        assert station.call("Get15118EVCertificate", **sent)["status"] == "Failed"
