"""Requests and their threads, and faults that are not ours."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from amqp.exceptions import AccessRefused
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisAway

from chargers.errors import api_error
from config.http import Handler


def test_whoever_asks_whether_it_is_alive_does_not_wait_behind_others():
    handler, free = Handler(), threading.Event()
    handler.threads = ThreadPoolExecutor(1)
    handler.threads.submit(free.wait)
    try:
        assert asyncio.run(asked(handler, "/healthz")) == 200
    finally:
        free.set()


async def asked(handler, path):
    """The status of the answer to a GET."""
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
