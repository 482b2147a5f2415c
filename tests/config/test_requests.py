"""Requests that never end: the connection does. With the patience of a test; that of the product is tried live."""

import socket
import threading
import time

import pytest
import uvicorn

from config import requests
from tests.live import eventually, free_port

SHORT = 0.5
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


async def application(scope, receive, send):
    """Takes the whole body, as ours does."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@pytest.fixture
def connection(monkeypatch):
    for name in ("HEAD", "SILENCE"):
        monkeypatch.setattr(requests, name, SHORT)
    options = {"http": requests.PatientHttp, "lifespan": "off", "log_level": "error"}
    server = uvicorn.Server(uvicorn.Config(application, port=free_port(), **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    with socket.create_connection(("127.0.0.1", server.config.port), 5) as opened:
        yield opened
    server.should_exit = True
    thread.join()


def drip(connection, piece):
    """Send `piece` again and again until the connection has ended; after how many seconds it had."""
    began = time.monotonic()
    connection.settimeout(SHORT / 5)
    while time.monotonic() - began < 5:
        try:
            connection.sendall(piece)
            if connection.recv(1000) == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return time.monotonic() - began


def test_an_empty_line_after_an_answer_ends_the_connection(connection):
    connection.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
    assert connection.recv(1000).startswith(b"HTTP/1.1 204")
    connection.sendall(b"\r\n")
    assert connection.recv(1000) == b""


@pytest.mark.parametrize("begun", [b"", b"G", HEAD, b"\r\n"])
def test_a_head_that_does_not_come_ends_the_connection(connection, begun):
    connection.sendall(begun)
    assert connection.recv(1000) == b""


def test_a_head_that_comes_in_drops_ends_the_connection_all_the_same(connection):
    connection.sendall(HEAD)
    assert SHORT / 2 < drip(connection, b"X: y\r\n") < SHORT * 4


def test_a_body_that_does_not_come_ends_the_connection(connection):
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nhalf")
    assert connection.recv(1000) == b""


def test_a_body_may_come_as_slowly_as_it_likes(connection):
    connection.sendall(HEAD + b"Content-Length: 10\r\n\r\n")
    for _ in range(10):
        time.sleep(SHORT / 4)
        connection.sendall(b"x")
    assert connection.recv(1000).startswith(b"HTTP/1.1 204")


def test_a_connection_serves_request_after_request(connection):
    for _ in range(4):
        time.sleep(SHORT / 2)
        connection.sendall(HEAD + b"Content-Length: 1\r\n\r\nx")
        assert connection.recv(1000).startswith(b"HTTP/1.1 204")


def test_a_head_that_never_stops_growing_is_refused(connection):
    connection.sendall(HEAD + b"X: " + b"y" * (2 * requests.LARGEST_HEAD))
    assert connection.recv(1000).startswith(b"HTTP/1.1 400")
