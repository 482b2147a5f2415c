"""Access of tests to the running product: REST, sockets, and its database."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from functools import cache
from urllib.parse import quote
from uuid import uuid4

import psycopg
from websockets.sync.client import connect

from tools.simulator.connection import Client
from tools.stack.stack import PROJECT


class Live:
    """The stack under test."""

    def __init__(self, stack, database_url):
        self.stack, self.url, self.database_url = stack, stack.url, database_url
        background()  # before several threads of a test ask for it

    def request(self, method, path, body=None, **headers):
        """(status, parsed body, headers) of a REST call."""
        data = None if body is None else json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json", **names}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.loads(response.read() or b"null"), response.headers
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read()), error.headers

    def get(self, path):
        return self.request("GET", path)[1]

    def post(self, path, body=None):
        return self.request("POST", path, body)[1]

    def ask(self, charger_id, action, payload, **more):
        """Ask for a command; its task as just queued."""
        body = {"charger_id": charger_id, "action": action, "payload": payload, **more}
        status, task, _ = self.request("POST", "/api/ocpp/commands/", body)
        assert status == 202, task
        return task

    def finished(self, task):
        """The task once it is finished."""
        return self.get(f"/api/ocpp/tasks/{task['task_id']}/?wait=30")

    def rows(self, statement, *parameters):
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(statement, parameters).fetchall()

    def execute(self, statement, *parameters):
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(statement, parameters)

    def strict(self, charger_id):
        """`charger_id`, of a charger whose payloads are read strictly from its next connection on."""
        path, body = f"/api/ocpp/chargers/{quote(charger_id, safe='')}/", {"validation": "strict"}
        if self.request("PATCH", path, body)[0] == 404:
            status, made, _ = self.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id, **body})
            assert status == 201, made
        return charger_id

    def socket(self, charger_id, **options):
        """A bare WebSocket; `options` are those of `websockets.sync.client.connect`."""
        options = {"subprotocols": ["ocpp1.6"], **options}
        return connect(f"{self.ws_url}/{quote(charger_id, safe='')}", **options)

    @property
    def ws_url(self):
        return f"{self.stack.ws_url}/ws/ocpp"

    @contextmanager
    def charger(self, charger_id, **answers):
        """A charger that is connected until the block is left; `answers`: those of `Client`, by action."""
        charger = ConnectedCharger(self.ws_url, charger_id, answers)
        charger.reconnect()
        try:
            yield charger
        finally:
            charger.drop()

    @contextmanager
    def simulated(self, *arguments, env=None):
        """The process of `manage.py simulate_charger` with `arguments`; its errors are in its output."""
        command = [sys.executable, "manage.py", "simulate_charger", "--url", self.stack.ws_url, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        env = self.stack.env | {"LOG_FORMAT": "line"} | (env or {})
        process = subprocess.Popen(command, cwd=PROJECT, env=env, **pipes)
        try:
            yield process
        finally:
            process.kill()
            process.communicate(timeout=10)


@cache
def background():
    """An event loop in a thread of its own, for all chargers of this process."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


class ConnectedCharger(Client):
    """The client of the simulated charger, for tests that are not coroutines. `received` has the CALLs, as text."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.received = []

    def reconnect(self):
        self._run(self.connect())

    def drop(self):
        """End the connection."""
        self._run(self._end())

    def exchange(self, action, payload):
        """Send a CALL and return the payload of the CALLRESULT."""
        return self._run(self.call(action, payload))

    def heard(self, connection, frame):
        if frame.startswith(b"[2,"):
            self.received.append(frame.decode())
        super().heard(connection, frame)

    async def _end(self):
        if self.connection:
            self.connection.close()
            await self.connection.transport.wait_disconnected()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, background()).result(20)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def an_id():
    """A charger id nobody else uses."""
    return f"CP-{uuid4().hex[:10]}"


def eventually(condition, seconds=10):
    """What `condition` returns, once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.05)
    return found


def until_connected(live, *charger_ids):
    """Wait for chargers whose processes start first."""
    eventually(lambda: {*charger_ids} <= {*live.get("/api/ocpp/chargers/?page_size=1")["active_chargers"]}, 60)


def exchange(socket, *frame, timeout=15):
    """Send a CALL over a bare socket and return the parsed answer."""
    socket.send(json.dumps([2, *frame]))
    return json.loads(socket.recv(timeout=timeout))
