"""The threads of requests, and errors of the broker."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from amqp.exceptions import AccessRefused
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisAway

from config.http import Handler
from core.http.errors import api_error


def test_a_liveness_check_does_not_wait_for_other_requests():
    handler, free = Handler(), threading.Event()
    handler.threads = ThreadPoolExecutor(1)
    handler.threads.submit(free.wait)
    try:
        assert asyncio.run(status_of(handler, "/healthz")) == 200
    finally:
        free.set()


async def status_of(handler, path):
    """The status of a GET of `path`."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
    }
    events, sent = [{"type": "http.request", "body": b"", "more_body": False}], []

    async def receive():
        return events.pop() if events else await asyncio.Event().wait()

    async def send(event):
        sent.append(event)

    await asyncio.wait_for(handler(scope, receive, send), 10)
    return sent[0]["status"]


@pytest.mark.parametrize("error", [AccessRefused("wrong password"), OperationalError(), RedisAway()])
def test_a_broker_that_refuses_is_no_fault_of_the_request(error):
    assert api_error(error, {}).status_code == 503
