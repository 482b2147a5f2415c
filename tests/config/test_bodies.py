"""Bodies over the wire: a sender who may not send a large body is refused before it is read."""

import json
import select
import socket
import sys
from contextlib import ExitStack
from urllib.parse import urlsplit

import psycopg
import pytest
import requests
from django.db import connection, transaction
from django.test import RequestFactory

from config import bodies
from tests.support.beside import token, web_beside
from tests.support.live import an_id, eventually

MEBIBYTE = 2**20
LARGEST = 4 * MEBIBYTE  # bytes of a file, see `web`
SENT_AT_MOST = 1.5 * MEBIBYTE  # until the refusal arrives: UNCHECKED_LIMIT, what one read brings, and what TCP holds
ANY = ["/api/ocpp/commands/", "/api/ocpp/firmware/", "/admin/commands/firmware/add/", "/admin/login/", "/login/"]
ANY += [
    "/firmware/new/",
    "/",
    "/healthz",
    "/nowhere",
    "/files/uploads/guessed/",
    "/files/uploads/",
    "/metrics",
    "/files/firmware/x/y",
]
EXPECTED = (401, 404, 413)


@pytest.fixture(scope="module")
def web(live, tmp_path_factory):
    """A web process with the settings of a server, and its own folder for temporary files."""
    folder = tmp_path_factory.mktemp("spooled")
    with web_beside(live, "bodies", TMPDIR=str(folder), OCPP_LARGEST_FILE=str(LARGEST // MEBIBYTE)) as web:
        web.folder = str(folder)
        yield web


@pytest.fixture(scope="module")
def manager(live):
    return token(live, "bodies-manager", "commands.add_firmware", "commands.view_firmware", "chargers.view_charger")


@pytest.fixture(scope="module")
def viewer(live):
    return token(live, "bodies-viewer", "commands.view_firmware", "chargers.view_charger")


def upload_path(live):
    """The path of the URL of a new upload of a charger."""
    charger_id = an_id()
    assert live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id})[0] == 201
    with live.charger(charger_id, GetDiagnostics={}) as charger:
        live.ask(charger_id, "GetDiagnostics", {})
        payload = json.loads(eventually(lambda: charger.received)[0])[3]
    return urlsplit(payload["location"]).path


def spooled(web):
    """The bytes of the temporary files of `web` now."""
    return sum(size for path, size in web.open_files().items() if path.startswith(web.folder))


def begun(web, path, *headers, method="POST"):
    """A connection on which the head of a request has been sent."""
    address = urlsplit(web.url)
    connection = socket.create_connection((address.hostname, address.port), 10)
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def sent_until_answered(connection, piece, limit):
    """Send `piece` repeatedly until an answer begins or `limit` bytes are sent. Return the number of bytes."""
    sent = 0
    while sent < limit and not select.select([connection], [], [], 0.02)[0]:
        connection.sendall(piece)
        sent += len(piece)
    return sent


def answer(connection):
    """(status, all bytes) of the answer, up to the end of the connection."""
    received = b"".join(iter(lambda: connection.recv(65_536), b""))
    return int(received.split(b" ", 2)[1]), received


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the open files of a process")


@needs_proc
@pytest.mark.parametrize("path", ANY)
def test_a_large_body_without_a_login_is_refused_before_it_is_read(web, path):
    with begun(web, path, f"Content-Length: {10 * MEBIBYTE}") as connection:
        assert sent_until_answered(connection, b"x" * 10_000, 10 * MEBIBYTE) < SENT_AT_MOST
        assert spooled(web) == 0
        status, text = answer(connection)
    assert status in EXPECTED
    assert b'{"error": ' in text.replace(b'":"', b'": "')


@needs_proc
@pytest.mark.parametrize("path", ANY)
def test_a_large_chunked_body_without_a_login_is_refused_early(web, path):
    piece = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    with begun(web, path, "Transfer-Encoding: chunked") as connection:
        assert sent_until_answered(connection, piece, 10 * MEBIBYTE) < SENT_AT_MOST
        assert spooled(web) == 0
        assert answer(connection)[0] in EXPECTED


@pytest.mark.parametrize("authorization", ["Token guessed", "Token", "Basic eDp4", "Token \u00ff"])
def test_an_invalid_token_is_refused_before_the_body(web, authorization):
    headers = [f"Authorization: {authorization}", f"Content-Length: {10 * MEBIBYTE}"]
    with begun(web, "/api/ocpp/firmware/", *headers) as connection:
        assert answer(connection)[0] == 401


def test_a_user_who_may_not_change_firmware_is_refused_before_the_body(web, viewer):
    headers = [f"Authorization: Token {viewer}", f"Content-Length: {MEBIBYTE}"]
    with begun(web, "/api/ocpp/firmware/", *headers) as connection:
        assert answer(connection)[0] == 403


def test_a_user_who_has_logged_in_has_a_higher_limit(web, manager):
    authorization = f"Authorization: Token {manager}"
    with begun(web, "/api/ocpp/id-tags/", authorization, f"Content-Length: {9 * MEBIBYTE}") as connection:
        status, text = answer(connection)
        assert status == 413
        assert b"8 MiB" in text
    headers = {"Authorization": f"Token {manager}", "Content-Type": "application/json"}
    response = requests.post(
        f"{web.url}/api/ocpp/chargers/", b'{"x": "%b"}' % (b"y" * MEBIBYTE), headers=headers, timeout=30
    )
    assert response.status_code == 403  # by the view, which read it


def test_a_manager_uploads_a_large_firmware_image(web, manager):
    form = {"data": {"description": an_id()}, "files": {"file": ("fw.bin", b"i" * (LARGEST - 10_000))}}
    headers = {"Authorization": f"Token {manager}"}
    response = requests.post(f"{web.url}/api/ocpp/firmware/", headers=headers, timeout=30, **form)
    assert (response.status_code, response.json()["size"]) == (201, LARGEST - 10_000)
    form["files"]["file"] = ("fw.bin", b"i" * (LARGEST + 10_000))
    response = requests.post(f"{web.url}/api/ocpp/firmware/", headers=headers, timeout=30, **form)
    assert response.status_code == 413


def test_a_session_has_the_limits_of_a_token(web, live):
    session, form = requests.Session(), {"username": "admin", "password": live.stack.password}
    token_of = lambda: session.cookies["csrftoken"]  # noqa: E731
    session.get(f"{web.url}/admin/login/", timeout=30)
    session.post(f"{web.url}/admin/login/", form | {"csrfmiddlewaretoken": token_of()}, timeout=30)
    name, fields = an_id(), {"csrfmiddlewaretoken": token_of()}
    image = {"file": ("fw.bin", b"i" * MEBIBYTE)}
    url = f"{web.url}/admin/commands/firmware/add/"
    response = session.post(url, fields | {"description": name}, files=image, timeout=30, allow_redirects=False)
    assert response.status_code == 302
    assert live.rows("SELECT id FROM commands_firmware WHERE description = %s", name)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_charger_uploads_a_large_file(web, live, is_chunked):
    path, pieces = upload_path(live), [b"d" * 100_000] * 35
    response = requests.put(web.url + path, iter(pieces) if is_chunked else b"".join(pieces), timeout=30)
    assert (response.status_code, response.json()) == (201, {"status": "received", "size": 3_500_000})
    response = requests.put(web.url + path, b"d" * (LARGEST + 1), timeout=30)
    assert response.status_code == 413


def test_100_continue_is_sent_only_if_the_body_is_accepted(web, live):
    headers = ["Expect: 100-continue", f"Content-Length: {MEBIBYTE}", "Connection: close"]
    with begun(web, upload_path(live), *headers, method="PUT") as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"d" * MEBIBYTE)
        assert answer(connection)[0] == 201
    with begun(web, "/files/uploads/guessed/", *headers, method="PUT") as connection:
        assert answer(connection)[0] == 404


def test_one_process_limits_the_large_bodies_that_it_holds(web, live):
    paths, path, length = [upload_path(live), upload_path(live)], upload_path(live), f"Content-Length: {LARGEST}"
    with ExitStack() as opened:
        held = [opened.enter_context(begun(web, place, length, method="PUT")) for place in paths * 2]
        for connection in held:
            connection.sendall(b"d" * (LARGEST - 1))
        eventually(lambda: spooled(web) >= 4 * (LARGEST - 300_000))
        with begun(web, path, length, method="PUT") as connection:
            sent_until_answered(connection, b"d" * 10_000, LARGEST)
            status, text = answer(connection)
            assert status == 503
            assert b"retry-after: 60" in text
        for connection in held:
            connection.sendall(b"d")
            assert connection.recv(1000).startswith(b"HTTP/1.1 201 ")
    assert requests.put(web.url + path, b"d" * LARGEST, timeout=30).status_code == 201


@needs_proc
def test_one_charger_does_not_use_up_the_budget_of_others(web, live, manager):
    path, length = upload_path(live), f"Content-Length: {LARGEST}"
    with ExitStack() as opened:
        for _ in range(2):
            opened.enter_context(begun(web, path, length, method="PUT")).sendall(b"d" * (LARGEST - 1))
        eventually(lambda: spooled(web) >= 2 * (LARGEST - 300_000))
        with begun(web, path, length, method="PUT") as connection:
            sent_until_answered(connection, b"d" * 10_000, LARGEST)
            assert answer(connection)[0] == 503
        assert requests.put(web.url + upload_path(live), b"d" * LARGEST, timeout=30).status_code == 201
        form = {"data": {"description": an_id()}, "files": {"file": ("fw.bin", b"i" * MEBIBYTE)}}
        headers = {"Authorization": f"Token {manager}"}
        response = requests.post(f"{web.url}/api/ocpp/firmware/", headers=headers, timeout=30, **form)
        assert response.status_code == 201
    eventually(lambda: requests.put(web.url + path, b"d" * LARGEST, timeout=30).status_code == 201)


def test_a_fault_of_the_database_has_the_usual_error(transactional_db):
    request = RequestFactory().post("/api/ocpp/firmware/", headers={"authorization": "Token 0123456789abcdef"})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 200")
        with psycopg.connect(psycopg.conninfo.make_conninfo(connection.connection.info.dsn)) as other:
            other.execute("LOCK TABLE chargers_apitoken")
            with pytest.raises(bodies.BodyRefused) as refused:
                bodies.authorize(request)
        transaction.set_rollback(True)
    assert refused.value.status == 503
    assert refused.value.reason == "PostgreSQL does not answer in time. Nothing was submitted; try again."
