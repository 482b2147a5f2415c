"""Unfinished requests end their connection. The limits are short here; other tests use the real ones."""

import socket
import threading
import time
from contextlib import suppress

import pytest
import uvicorn

from config import requests
from tests.support.live import eventually, free_port

SHORT = 1.0
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


async def application(scope, receive, send):
    """Read the whole body like the real application, but nothing of /refused."""
    if scope["path"] == "/refused":
        headers = [(b"connection", b"close"), (b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": b"much"})
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@pytest.fixture
def connection(monkeypatch):
    for name in ("HEAD_TIMEOUT_S", "BODY_WINDOW_S"):
        monkeypatch.setattr(requests, name, SHORT)
    monkeypatch.setattr(requests, "MIN_WINDOW_BYTES", 20)
    options = {"http": requests.TimeLimitedHttp, "lifespan": "off", "log_level": "error"}
    server = uvicorn.Server(uvicorn.Config(application, port=free_port(), **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    with socket.create_connection(("127.0.0.1", server.config.port), 5) as opened:
        yield opened
    server.should_exit = True
    thread.join()


def drip(connection, piece, times):
    """Send `piece` repeatedly until the connection ends. Return the number of pieces that were sent until then."""
    connection.settimeout(SHORT / 5)
    for sent in range(times):
        try:
            connection.sendall(piece)
            if connection.recv(1000) == b"":
                return sent
        except TimeoutError:
            continue
        except ConnectionError:
            return sent
    return times


def test_an_empty_line_after_an_answer_ends_the_connection(connection):
    connection.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
    assert connection.recv(1000).startswith(b"HTTP/1.1 204")
    connection.sendall(b"\r\n")
    assert connection.recv(1000) == b""


@pytest.mark.parametrize("begun", [b"", b"G", HEAD, b"\r\n"])
def test_a_missing_head_ends_the_connection(connection, begun):
    connection.sendall(begun)
    assert connection.recv(1000) == b""


def test_a_slow_head_ends_the_connection(connection):
    connection.sendall(HEAD)
    assert 0 < drip(connection, b"X: y\r\n", times=300) < 300


def test_a_missing_body_is_answered_408_and_ends_the_connection(connection):
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nhalf")
    answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"too slowly" in answer


def test_a_slow_body_is_answered_408_and_ends_the_connection(connection):
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n")
    for _ in range(6):
        connection.sendall(b"x")
        time.sleep(SHORT / 4)
    assert everything(connection).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_is_fast_enough_is_accepted_for_any_duration(connection):
    connection.sendall(HEAD + b"Content-Length: 400\r\n\r\n")
    for _ in range(10):
        time.sleep(SHORT / 4)
        connection.sendall(b"x" * 40)
    assert connection.recv(1000).startswith(b"HTTP/1.1 204")


def test_a_client_that_is_refused_early_reads_the_answer_while_it_sends(connection):
    connection.sendall(b"POST /refused HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n")
    for _ in range(50):
        connection.sendall(b"x" * 100_000)
    assert everything(connection).endswith(b"much")


def test_a_client_that_expects_100_continue_is_refused_without_it(connection):
    connection.sendall(
        b"POST /refused HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n"
    )
    assert everything(connection).startswith(b"HTTP/1.1 413 ")


def test_a_body_without_end_behind_a_refusal_ends_the_connection(connection, monkeypatch):
    monkeypatch.setattr(requests, "LINGER_S", SHORT)
    connection.sendall(b"POST /refused HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n")
    with pytest.raises(ConnectionError):
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(SHORT / 10)


def everything(connection):
    """Return all bytes until the connection ends."""
    return b"".join(iter(lambda: connection.recv(1000), b""))


def test_a_connection_serves_request_after_request(connection):
    for _ in range(4):
        time.sleep(SHORT / 2)
        connection.sendall(HEAD + b"Content-Length: 1\r\n\r\nx")
        assert connection.recv(1000).startswith(b"HTTP/1.1 204")


def test_a_head_that_never_stops_growing_is_refused(connection):
    connection.sendall(HEAD + b"X: " + b"y" * (2 * requests.MAX_HEAD_BYTES))
    assert connection.recv(1000).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("endless", [b"0\r\nX: " + b"y" * 10, b"0\r\n" + b"X: yyyyy\r\n"])
def test_trailers_without_end_are_refused(connection, endless):
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    time.sleep(0.1)
    connection.sendall(endless)
    time.sleep(0.1)
    with suppress(ConnectionError):
        for _ in range(2 * requests.MAX_HEAD_BYTES // 8000):
            connection.sendall(endless[-10:] * 800)
    assert everything(connection).startswith(b"HTTP/1.1 400")
