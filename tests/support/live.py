"""Access of tests to the running product: REST, sockets, and its database."""

import asyncio
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from urllib.parse import quote
from uuid import uuid4

import psycopg
import websockets
from ocpp.v16 import ChargePoint, call_result
from websockets.sync.client import connect


class Live:
    """The stack under test."""

    def __init__(self, stack, database_url):
        self.stack, self.url, self.database_url = stack, stack.url, database_url

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
        """A charger on the `ocpp` library's client; `answers`: {action: what `LibraryCharger` does}."""
        charger = LibraryCharger(f"{self.ws_url}/{quote(charger_id, safe='')}", charger_id, answers)
        try:
            yield charger.connect()
        finally:
            charger.disconnect()


class LibraryCharger:
    """A thread with a connected `ocpp` charge point.

    An action is answered with a dict (the CALLRESULT), an exception (a CALLERROR), a number (seconds of
    silence, then Accepted), or not at all where `answers` holds None.
    """

    def __init__(self, url, charger_id, answers):
        self.url, self.charger_id, self.answers = url, charger_id, answers
        self.received = []
        self.loop = asyncio.new_event_loop()

    def connect(self):
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.run(self._connect())
        return self

    def reconnect(self):
        self.run(self._connect())

    def disconnect(self):
        self.run(self._connection.close())
        self.listening.cancel()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    def drop(self):
        """End the connection and stay away."""
        self.run(self._connection.close())

    def call(self, request):
        """Send a request of `ocpp.v16.call` and return its result."""
        return self.run(self.point.call(request, suppress=False))

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    async def _connect(self):
        self._connection = await websockets.connect(self.url, subprotocols=["ocpp1.6"])
        self.point = _Point(self, self._connection)
        self.listening = asyncio.ensure_future(self._listen(self.point))

    async def _listen(self, point):
        try:
            await point.start()
        except websockets.ConnectionClosed:
            return


class _Point(ChargePoint):
    def __init__(self, owner, connection):
        super().__init__(owner.charger_id, connection, response_timeout=10)
        self.owner = owner
        for action in owner.answers:
            self.route_map[action] = {"_on_action": self._answering(action)}

    async def route_message(self, raw):
        frame = json.loads(raw)
        if frame[0] == 2:
            self.owner.received.append(raw)
            if self.owner.answers.get(frame[2]) is None:
                return
            # In a task of its own, as a charger that thinks goes on hearing.
            self.owner.thinking = asyncio.ensure_future(super().route_message(raw))
            return
        await super().route_message(raw)

    def _answering(self, action):
        async def answer(**_):
            wanted = self.owner.answers[action]
            if isinstance(wanted, Exception):
                raise wanted
            if isinstance(wanted, int | float):
                await asyncio.sleep(wanted)
                wanted = {"status": "Accepted"}
            return getattr(call_result, action)(**wanted)

        return answer


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


def exchange(socket, *frame, timeout=5):
    """Send a CALL over a bare socket and return the parsed answer."""
    socket.send(json.dumps([2, *frame]))
    return json.loads(socket.recv(timeout=timeout))
