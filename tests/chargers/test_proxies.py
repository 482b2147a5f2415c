"""Client certificates verified by a proxy are believed from configured addresses, in the usual header formats."""

from base64 import b64encode
from ipaddress import ip_network
from urllib.parse import quote

import pytest
from cryptography import x509

from commands.services import authority
from config import websocket
from core.http import proxies
from gateway import handshake
from tests.support.builders import a_charger

BY_SSL = [
    *(("organizationName", "Test CPO"), ("organizationName", "Other"), ("commonName", "505"), ("commonName", "506"))
]
IDENTITY = {"CN": ["505"], "O": ["Test CPO"]}


@pytest.fixture(scope="module")
def pem():
    return "-----BEGIN CERTIFICATE-----" + authority.charger_chain("505").split("-----BEGIN CERTIFICATE-----")[1]


def encoded(pem):
    der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(authority.serialization.Encoding.DER)
    return b64encode(der).decode()


def spellings(pem):
    yield f":{encoded(pem)}:"
    yield encoded(pem)
    yield quote(pem)
    yield pem.replace("\n", " ")


def test_the_spellings_of_the_usual_proxies_are_understood(pem):
    for header in spellings(pem):
        body = proxies.subject(header.encode())
        assert {name: body[name] for name in IDENTITY} == IDENTITY
        assert int(body["serial"], 16)


def test_all_names_of_a_subject_are_parsed():
    """Otherwise an organisation could hide behind another."""
    key, parts = authority.KINDS["ecdsa"](), [("O", "Test CPO"), ("O", "Other"), ("CN", "505"), ("CN", "506")]
    name = x509.Name([x509.NameAttribute(proxies.NAMES[short], value) for short, value in parts])
    certificate = authority._certificate(name, name, key.public_key(), 1).sign(key, authority.HASHES["SHA256"]())
    body = proxies.subject(encoded(authority.pem(certificate)).encode())
    by_ssl = {"subject": (*[((long, value),) for long, value in BY_SSL],), "serialNumber": body["serial"]}
    assert body == websocket._subject(by_ssl)
    assert (body["O"], body["CN"]) == (["Test CPO", "Other"], ["505", "506"])


@pytest.mark.parametrize("header", [b"", b"::", b"x", b"\xff", b":AAAA:", b"-----BEGIN CERTIFICATE-----x"])
def test_a_header_without_a_certificate_is_ignored(header):
    assert proxies.subject(header) is None


@pytest.mark.django_db
@pytest.mark.parametrize(("from_proxy", "times", "let_in"), [(True, 1, True), (False, 1, False), (True, 2, False)])
def test_only_a_configured_proxy_may_pass_a_certificate(settings, pem, from_proxy, times, let_in):
    settings.TLS_CLIENT_CERTIFICATE_HEADER = "client-cert"
    charger = a_charger("505", security_profile=3)
    headers = [(b"client-cert", f":{encoded(pem)}:".encode())] * times
    scope = {"headers": headers, "scheme": "wss", "client": ("192.0.2.1", 1), "from_proxy": from_proxy}
    (outcome,) = handshake.admit([handshake.request("505", scope)])
    assert (getattr(outcome, "pk", None) == charger.pk) == let_in


def test_a_proxy_is_configured_by_address_or_network(settings):
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8")]
    peers = ["127.0.0.1", "10.9.9.9", "192.0.2.1", "", "unix"]
    assert [proxies.believed(peer) for peer in peers] == [True, True, False, False, False]
