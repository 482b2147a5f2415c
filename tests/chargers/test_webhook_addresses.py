"""Webhooks reach only the Internet, unless the operator has allowed the server's own network."""

import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_network

import pytest
import requests

from chargers.models import Delivery, Webhook
from chargers.services import webhooks
from core.http import outward
from tests.support.builders import a_charger, open_socket

PRIVATE = [
    *("127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "localhost", "0.0.0.0", "10.1.2.3", "172.31.0.1"),
    *("192.168.1.1", "169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "198.18.0.1", "[::1]", "[::]", "[::127.0.0.1]", "[::ffff:169.254.169.254]", "[fe80::1]"),
    *("[fd00:ec2::254]", "[fec0::1]", "[ff02::1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]", "[2001:0:1::1]"),
    *("[2002:7f00:1::]", "[2001:db8::1]", "[100::1]"),
]
PUBLIC = ["1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.fixture
def guarded(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = False


@contextmanager
def receiving(address, port=0, tls=None):
    """A receiver on `address`; `taken` has the Host headers of its requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            server.taken.append(self.headers["Host"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Keep log lines off the screen."""

    server = HTTPServer((address, port), Handler)
    server.taken = []
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def names(monkeypatch):
    """{name: its addresses, one for each look-up, the last one for all later ones}, as the resolver returns them."""
    body, genuine = {}, socket.getaddrinfo

    def resolve(host, *arguments, **options):
        answers = body.get(host)
        address = host if not answers else answers.pop(0) if len(answers) > 1 else answers[0]
        return genuine(address, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return body


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_on_the_internet_may_be_reached(address):
    assert outward.is_public(address)


@pytest.mark.django_db
@pytest.mark.parametrize("host", PRIVATE)
def test_a_url_into_the_own_network_is_refused_when_it_is_saved(api, guarded, host):
    asked = {"name": "w", "url": f"http://{host}:8080/hook"}
    answer = api.post("/api/ocpp/webhooks/", asked, content_type="application/json")
    assert answer.status_code == 400
    assert "WEBHOOK_ALLOW_PRIVATE" in str(answer.json()["fields"]["url"])
    hook = Webhook.objects.create(name="h", url="https://example.org/")
    answer = api.patch(f"/api/ocpp/webhooks/{hook.pk}/", {"url": asked["url"]}, content_type="application/json")
    assert answer.status_code == 400


@pytest.mark.django_db
def test_the_admin_refuses_a_url_into_the_own_network(api, guarded):
    form = {"name": "w", "url": "http://127.1/", "kinds": '["charger.online"]'}
    assert "WEBHOOK_ALLOW_PRIVATE" in api.post("/admin/chargers/webhook/add/", form).content.decode()
    assert not Webhook.objects.exists()


@pytest.mark.django_db
def test_a_public_or_unresolved_url_is_accepted(api, guarded, names):
    names["hook.example"] = ["1.1.1.1"]
    for host in ("hook.example", "nowhere.invalid", "1.1.1.1"):
        asked = {"name": host, "url": f"https://{host}/"}
        answer = api.post("/api/ocpp/webhooks/", asked, content_type="application/json")
        assert answer.status_code == 201, answer.content


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0x7f.1", "localhost", "[::ffff:127.0.0.1]"])
def test_a_delivery_into_the_own_network_fails_with_the_reason(api, guarded, host):
    with receiving("127.0.0.1") as receiver:
        webhook = Webhook.objects.create(name="w", url=f"http://{host}:{receiver.server_port}/")
        open_socket(a_charger())
        assert webhooks.deliver(webhook.pk) == 0
        assert receiver.taken == []
    (body,) = api.get(f"/api/ocpp/webhooks/{webhook.pk}/deliveries/").json()["results"]
    assert "is not a public address" in body["error"]
    assert body["answered_status"] is None
    assert Delivery.objects.get().state == Delivery.PENDING


def test_the_address_that_was_checked_is_the_one_connected_to(guarded, names, monkeypatch):
    """The address 127.0.0.2 counts as public during this test."""
    monkeypatch.setattr(outward, "NOT_PUBLIC", [ip_network("127.0.0.1/32")])
    with receiving("127.0.0.2") as wanted, receiving("127.0.0.1", wanted.server_port) as private:
        names["hook.example"] = ["127.0.0.2", "127.0.0.1"]
        with outward.session() as session:
            assert session.post(f"http://hook.example:{wanted.server_port}/", b"{}").status_code == 204
        assert wanted.taken == [f"hook.example:{wanted.server_port}"]
        assert private.taken == []
        with outward.session() as session, pytest.raises(outward.NotPublicError):
            session.post(f"http://hook.example:{wanted.server_port}/", b"{}")
        assert private.taken == []


def test_tls_is_verified_for_the_name_and_not_for_the_address(names, tmp_path):
    pem = tmp_path / "hook.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=hook.example"]
    made += ["-addext", "subjectAltName=DNS:hook.example", "-keyout", str(pem), "-out", str(tmp_path / "ca.pem")]
    subprocess.run(made, check=True, capture_output=True)
    pem.write_text(pem.read_text() + (tmp_path / "ca.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    names["hook.example"] = names["other.example"] = ["127.0.0.1"]
    with receiving("127.0.0.1", tls=context) as receiver, outward.session() as session:
        session.verify = str(tmp_path / "ca.pem")
        assert session.post(f"https://hook.example:{receiver.server_port}/", b"{}").status_code == 204
        with pytest.raises(requests.exceptions.SSLError):
            session.post(f"https://other.example:{receiver.server_port}/", b"{}")
        assert receiver.taken == [f"hook.example:{receiver.server_port}"]
